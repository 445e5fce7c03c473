"""One mask's effects, layer by layer, beside chance: intervals, p, power. What a verdict is made from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float64
from scipy import stats
from torch import Tensor

from tlesion.inference import bootstrap_mean, empirical_p, max_statistic, sign_flip_p, standardised_effect
from tlesion.inference.control_maximum import control_limit, control_maximum_p
from tlesion.inference.groups import group_index, group_totals
from tlesion.stats import adjust, power_curve
from tlesion.studies.common.effects import MaskEffect

MAX = "max"
FEW = 20  # independent prompts below which a bootstrap is too narrow

Layers = Float64[Tensor, " layer"]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The thresholds of a verdict; :func:`tlesion.verdict` says what each means."""

    alpha: float
    power: float
    correction: str
    level: float
    interval: str | None
    n_resamples: int
    n_permutations: int
    seed: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Judgement:
    """Statistics of one mask in each layer; the fields are those of `Verdict`.

    Attributes:
        selective_p_single: `selective_p` before the correction over layers.
    """

    effect: Layers
    low: Layers
    high: Layers
    opposite: Layers
    p: Layers
    control_p: Layers
    control_p_corrected: Layers
    selective_p: Layers
    selective_p_single: Layers
    standardised: Layers
    target_change: Layers
    global_change: Layers
    minimal_effect: Layers
    detectable_effect: Layers


def judge(one: MaskEffect, active: Bool[Tensor, " layer"], groups: Sequence[Any] | None, rules: Rules) -> Judgement:
    """All statistics of a mask.

    Args:
        one: Its effects.
        active: Layers in which it has a neuron: the family that corrections span.
        groups: Labels of the prompts, or None.
        rules: The thresholds.
    """
    effect, controls = one.values.mean(dim=-1), one.controls.mean(dim=-1)
    change, control_change = one.change.mean(dim=-1), one.control_change.mean(dim=-1)
    typical = torch.cat([change[None], control_change]).median(dim=0).values
    share, control_share = _per_unit(effect, change, typical), _per_unit(controls, control_change, typical)
    low, high = _interval(one.values, groups, rules)
    minimal, error, dof = _minimal(one.values, int(active.sum()), groups, rules)
    limit = torch.maximum(_limit(controls, active, rules), _limit(control_share, active, rules) * (change + typical))
    reach = float(stats.t.ppf(rules.power, dof)) if dof > 0 else math.inf
    return Judgement(
        effect=effect,
        low=low,
        high=high,
        opposite=(one.values * effect.sign()[:, None] < 0).double().mean(dim=-1),
        p=_prompt_p(one.values, active, groups, rules),
        control_p=empirical_p(effect, controls).where(active, torch.nan),
        control_p_corrected=_control_p(effect, controls, active, rules),
        selective_p=_control_p(share, control_share, active, rules),
        selective_p_single=empirical_p(share, control_share).where(active, torch.nan),
        standardised=standardised_effect(effect, controls),
        target_change=one.target_change.mean(dim=-1),
        global_change=change,
        minimal_effect=minimal.where(active, torch.nan),
        detectable_effect=torch.maximum(minimal, limit + reach * error),
    )


def _per_unit(effect: Float64[Tensor, "*layer"], change: Float64[Tensor, "*layer"], typical: Layers) -> Tensor:
    r"""Effect per unit of global change, :math:`e / (g + g_0)`, with the layer's median :math:`g_0` of all masks.

    Without it, a control that changes almost nothing would have an arbitrary ratio, made of rounding; this is the
    remedy of Tusher, Tibshirani & Chu (2001), PNAS 98:5116. The mask is among those that the median is of, so that it
    stays exchangeable with its controls.
    """
    scale = change + typical
    return torch.where(scale > 0, effect / scale.where(scale > 0, 1.0), 0.0)


def n_independent(groups: Sequence[Any] | None, n_prompts: int) -> int:
    """How many groups of prompts there are."""
    return n_prompts if groups is None else len(set(groups))


def _interval(values: Float64[Tensor, "layer prompt"], groups: Any, rules: Rules) -> tuple[Layers, Layers]:
    n = n_independent(groups, values.shape[1])
    if n < 2:
        unknown = torch.full(values.shape[:1], torch.nan, dtype=torch.float64)
        return unknown, unknown.clone()
    method = rules.interval or ("t" if n < FEW else "bca")
    found = bootstrap_mean(
        values, level=rules.level, method=method, n_resamples=rules.n_resamples, seed=rules.seed, groups=groups
    )
    return found.low, found.high


def _prompt_p(values: Float64[Tensor, "layer prompt"], active: Tensor, groups: Any, rules: Rules) -> Layers:
    p = torch.full(values.shape[:1], torch.nan, dtype=torch.float64)
    if n_independent(groups, values.shape[1]) < 2 or not bool(active.any()):
        return p
    flips = {"n_permutations": rules.n_permutations, "seed": rules.seed, "groups": groups}
    if rules.correction == MAX:
        p[active] = max_statistic(values[active], **flips)
    else:
        p[active] = adjust(sign_flip_p(values[active], **flips), method=rules.correction, alpha=rules.alpha)
    return p


def _control_p(effect: Layers, controls: Float64[Tensor, "control layer"], active: Tensor, rules: Rules) -> Layers:
    p = torch.full_like(effect, torch.nan)
    if bool(active.any()):
        effect, controls = effect[active], controls[:, active]
        if rules.correction == MAX:
            p[active] = control_maximum_p(effect, controls)
        else:
            p[active] = adjust(empirical_p(effect, controls), method=rules.correction, alpha=rules.alpha)
    return p


def _minimal(
    values: Float64[Tensor, "layer prompt"], n_tests: int, groups: Any, rules: Rules
) -> tuple[Layers, Layers, int]:
    """Smallest effect that the prompts show, the standard error of the mean, and its degrees of freedom."""
    n = n_independent(groups, values.shape[1])
    unknown = torch.full(values.shape[:1], torch.inf, dtype=torch.float64)
    if n < 2:
        return unknown, unknown, 0
    deviation = group_totals(values, group_index(groups, values.shape[1])).std(dim=-1)
    error = deviation / math.sqrt(n)
    single = rules.correction in (MAX, "none")
    least = max(2.0 ** (1 - n), 1 / (1 + rules.n_permutations)) * (1 if single else n_tests)
    if least > rules.alpha or not n_tests:
        return unknown, error, n - 1
    correction = "none" if rules.correction == "none" else "bonferroni"
    curve = power_curve(
        [n], test="paired", power=rules.power, alpha=rules.alpha, correction=correction, n_tests=n_tests
    )
    return float(curve.effect[0]) * deviation, error, n - 1


def _limit(controls: Float64[Tensor, "control layer"], active: Tensor, rules: Rules) -> Layers:
    """The effect above which the corrected p is small enough."""
    limit = torch.full(controls.shape[1:], torch.nan, dtype=torch.float64)
    family = controls[:, active]
    if rules.correction == MAX and bool(active.any()):
        limit[active] = control_limit(family, rules.alpha)
    elif bool(active.any()):
        level = rules.alpha / (1 if rules.correction == "none" else family.shape[1])
        limit[active] = torch.cat([control_limit(column[:, None], level) for column in family.T])
    return limit
