"""All statistics that a verdict is made from, for every mask and layer of a profile at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64
from scipy import stats
from torch import Tensor

from tlesion.inference import bootstrap_mean, empirical_p, sign_flip_p, standardised_effect
from tlesion.inference.control_maximum import control_maximum_p, monte_carlo_error
from tlesion.inference.family import family_sign_flip_p
from tlesion.inference.groups import group_error, group_index, group_totals
from tlesion.stats import adjust
from tlesion.studies.verdict.power import detectable_effects
from tlesion.studies.verdict.rules import BOTH, MAX, Lesions, OneMask, Rows, Rules


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """Statistics of all lesions; fields without a word here are those of `Verdict`.

    Attributes:
        inner_low, inner_high: Interval of the effect whose ends are one-sided bounds at ``alpha``.
    """

    effect: Lesions
    low: Lesions
    high: Lesions
    inner_low: Lesions
    inner_high: Lesions
    opposite: Lesions
    p: Lesions
    control_p: Lesions
    control_p_error: Lesions
    control_p_corrected: Lesions
    control_p_corrected_error: Lesions
    selective_p: Lesions
    standardised: Lesions
    global_change: Lesions
    global_low: Lesions
    global_high: Lesions
    minimal_effect: Lesions
    detectable_effect: Lesions


def evidence_of(masks: Sequence[OneMask], rules: Rules) -> Evidence:
    """All statistics.

    Args:
        masks: The masks of a profile; those layers of them that are active are the family that corrections span.
        rules: The thresholds.
    """
    active = torch.stack([one.active for one in masks])
    effect = torch.stack([one.effects.values.mean(dim=-1) for one in masks])
    controls = torch.stack([one.effects.controls.mean(dim=-1) for one in masks], dim=1)
    change = torch.stack([one.effects.change.mean(dim=-1) for one in masks])
    control_change = torch.stack([one.effects.control_change.mean(dim=-1) for one in masks], dim=1)
    typical = torch.cat([change[None], control_change]).median(dim=0).values
    share, control_share = per_unit(effect, change, typical), per_unit(controls, control_change, typical)
    corrected = _control_p(effect, controls, active, rules)
    outer, inner = (_intervals(masks, level, rules) for level in (rules.level, 1 - 2 * rules.alpha))
    global_low, global_high = _change_bounds(masks, 1 - 2 * rules.alpha)
    minimal, detectable = detectable_effects(masks, controls, control_share, change + typical, active, rules)
    single = empirical_p(effect, controls, alternative=BOTH).where(active, torch.nan)
    return Evidence(
        effect=effect,
        low=outer[0],
        high=outer[1],
        inner_low=inner[0],
        inner_high=inner[1],
        opposite=torch.stack([_other_way(one.effects.values) for one in masks]),
        p=_prompt_p(masks, active, rules),
        control_p=single,
        control_p_error=monte_carlo_error(single, len(controls)),
        control_p_corrected=corrected,
        control_p_corrected_error=monte_carlo_error(corrected, len(controls)),
        selective_p=_control_p(share, control_share, active, rules),
        standardised=standardised_effect(effect, controls) if len(controls) > 1 else torch.full_like(effect, torch.nan),
        global_change=change,
        global_low=global_low,
        global_high=global_high,
        minimal_effect=minimal,
        detectable_effect=detectable,
    )


def selected_interval(
    masks: Sequence[OneMask], n_selected: int, n_tested: int, rules: Rules
) -> tuple[Lesions, Lesions]:
    r"""Intervals for the lesions that were picked out of all tested ones, at level :math:`1 - R (1 - level) / m`.

    Source:
        Benjamini & Yekutieli (2005), False discovery rate-adjusted multiple confidence intervals, JASA 100:71-81.
    """
    share = max(1, n_selected) / max(1, n_tested)
    return _intervals(masks, 1 - (1 - rules.level) * share, rules)


def _other_way(values: Rows) -> Float64[Tensor, " layer"]:
    return (values * values.mean(dim=-1, keepdim=True).sign() < 0).double().mean(dim=-1)


def per_unit(
    effect: Float64[Tensor, "*lesion"], change: Float64[Tensor, "*lesion"], typical: Float64[Tensor, "*family"]
) -> Float64[Tensor, "*lesion"]:
    r"""Effect per unit of global change, :math:`e / (g + g_0)`; :math:`g_0` is the median of the mask and its controls.

    Without it, a control that changes almost nothing would have an arbitrary ratio, made of rounding; this is the
    remedy of Tusher, Tibshirani & Chu (2001), PNAS 98:5116. The mask is among those that the median is of, so that it
    stays exchangeable with its controls.
    """
    scale = change + typical
    return torch.where(scale > 0, effect / scale.where(scale > 0, 1.0), 0.0)


def _intervals(masks: Sequence[OneMask], level: float, rules: Rules) -> tuple[Lesions, Lesions]:
    ends = []
    for one in masks:
        values = one.effects.values
        if one.n_groups < 2:
            unknown = torch.full(values.shape[:1], torch.nan, dtype=torch.float64)
            ends.append((unknown, unknown))
            continue
        options: dict[str, Any] = {"n_resamples": rules.n_resamples, "seed": rules.seed, "groups": one.groups}
        found = bootstrap_mean(values, level=level, method=rules.interval, **options)
        ends.append((found.low, found.high))
    return torch.stack([low for low, _ in ends]), torch.stack([high for _, high in ends])


def _change_bounds(masks: Sequence[OneMask], level: float) -> tuple[Lesions, Lesions]:
    """Student's interval of the change of all logits, whose ends are one-sided bounds."""
    low, high = [], []
    for one in masks:
        change = one.effects.change
        mean = change.mean(dim=-1)
        if one.n_groups < 2:
            low.append(torch.full_like(mean, torch.nan))
            high.append(torch.full_like(mean, torch.nan))
            continue
        error, dof = group_error(change, one.groups)
        reach = float(stats.t.ppf((1 + level) / 2, dof)) * error
        low.append((mean - reach).clamp(min=0))
        high.append(mean + reach)
    return torch.stack(low), torch.stack(high)


def _prompt_p(masks: Sequence[OneMask], active: Tensor, rules: Rules) -> Lesions:
    p = torch.full(active.shape, torch.nan, dtype=torch.float64)
    if not bool(active.any()):
        return p
    if rules.correction == MAX:
        rows = _by_group(masks)[active]
        p[active] = family_sign_flip_p(rows, n_permutations=rules.n_permutations, seed=rules.seed)
        return p
    flips: dict[str, Any] = {"n_permutations": rules.n_permutations, "seed": rules.seed}
    for row, one in enumerate(masks):
        if one.n_groups > 1:
            p[row] = sign_flip_p(one.effects.values, groups=one.groups, **flips)
    p[active] = adjust(p[active], method=rules.correction, alpha=rules.alpha)
    return p.where(active, torch.nan)


def _by_group(masks: Sequence[OneMask]) -> Float64[Tensor, "mask layer group"]:
    """Totals of the groups, numbered alike in all masks; NaN where a mask has no prompt of a group."""
    number: dict[Any, int] = {}
    for one in masks:
        for label in one.groups:
            number.setdefault(label, len(number))
    n_layers = len(masks[0].active)
    rows = torch.full((len(masks), n_layers, len(number)), torch.nan, dtype=torch.float64)
    for row, one in enumerate(masks):
        if one.n_groups < 2:
            continue
        totals = group_totals(one.effects.values, group_index(one.groups, len(one.groups)))
        rows[row][:, [number[label] for label in dict.fromkeys(one.groups)]] = totals
    return rows


def _control_p(effect: Lesions, controls: Tensor, active: Tensor, rules: Rules) -> Lesions:
    p = torch.full_like(effect, torch.nan)
    if bool(active.any()):
        effect, controls = effect[active], controls[:, active]
        if rules.correction == MAX:
            p[active] = control_maximum_p(effect, controls, alternative=BOTH)
        else:
            single = empirical_p(effect, controls, alternative=BOTH)
            p[active] = adjust(single, method=rules.correction, alpha=rules.alpha)
    return p
