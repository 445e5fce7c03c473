"""What a plan takes from a pilot: how far effects vary over groups and over random sets, and how long it takes."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from tlesion.inference.groups import group_index, group_totals
from tlesion.studies.common.effects import own_effect, own_targets
from tlesion.studies.common.frame import LesionFrame, Run
from tlesion.studies.common.labels import without_copies
from tlesion.studies.common.units import unit_labels
from tlesion.studies.laminar.result import LaminarProfile
from tlesion.studies.laminar.sweeps import LayerEffects, measure_layers
from tlesion.studies.verdict import plan_power
from tlesion.studies.verdict.evidence import per_unit

CONFIDENCE = 0.9
"""Of the bounds of standard deviations that a pilot has estimated."""

Lesions = Float64[Tensor, "word layer"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Spread:
    """How effects vary, for each word (or mask of a profile) and layer; NaN where nothing was cut.

    Attributes:
        deviation: Standard deviation over groups, an upper bound.
        centre, spread: Mean and standard deviation of the random sets' mean effects, without the mean's sign.
        share_centre, share_spread: The same of effects per unit of change of all logits.
        scale: What such a share is multiplied with to be an effect.
        furthest, share_furthest: How far out the furthest random sets lie, those of a safe rank
            (:func:`tlesion.studies.verdict.plan_power.safe_rank`); 0 where there are too few to say.
    """

    deviation: Lesions
    centre: Lesions
    spread: Lesions
    share_centre: Lesions
    share_spread: Lesions
    scale: Lesions
    furthest: float = 0.0
    share_furthest: float = 0.0


@dataclass(frozen=True, eq=False, kw_only=True)
class OwnPilot:
    """Random sets, cut in some layers on the prompts of the study.

    Attributes:
        effects: Of each set and layer.
        clean_logits, targets, correct: What the model answers unlesioned.
        whole_drop: Logit drops where all units of a layer are cut.
        seconds: For one lesion of one layer, on all prompts.
    """

    effects: LayerEffects
    clean_logits: Float64[Tensor, "prompt target"]
    targets: tuple[tuple[str, ...], ...]
    correct: tuple[str | None, ...]
    whole_drop: Float64[Tensor, "layer prompt target"]
    seconds: float


def run_pilot(run: Run, frame: LesionFrame, n_sets: int, n_lesioned: int, seed: int) -> OwnPilot:
    """Cut random sets; the layers are those of the frame."""
    n_layers, n_units = frame.point.shape
    everything = torch.ones(1, n_layers, n_units, dtype=torch.bool)
    whole = measure_layers(run, frame, everything, stage="whole")  # first: it takes what a first run takes once
    sets = _random_sets(n_sets, n_layers, n_units, n_lesioned, seed)
    start = time.perf_counter()
    effects = measure_layers(run, frame, sets, stage="sets")
    return OwnPilot(
        effects=effects,
        clean_logits=effects.clean_logits,
        targets=frame.labels.targets,
        correct=frame.labels.correct,
        whole_drop=whole.logit_drop[0],
        seconds=(time.perf_counter() - start) / (n_sets * n_layers),
    )


def spread_of_sets(pilot: OwnPilot, words: Sequence[str], units: Sequence[str], texts: Sequence[str]) -> Spread:
    """What random sets say: each of them stands for a set of the study and for a control.

    A standard deviation over so few sets is taken at its upper bound, that over groups from the set that varies most.

    Args:
        pilot: The pilot.
        words: The words that sets are about; "" for the right answer.
        units: The label of each prompt.
        texts: The prompts' texts.
    """
    effects, parts = pilot.effects, []
    change = effects.global_change
    for word in words:
        own = own_targets(word, pilot.targets, pilot.correct, about=word)
        own = own.only(without_copies(own.prompts.tolist(), texts, pilot.targets, pilot.correct))
        values = own_effect(effects.logit_drop, own)
        labels = [units[i] for i in own.prompts.tolist()]
        factor = plan_power.upper_deviation(len(values), CONFIDENCE)
        moved = change[..., own.prompts].mean(dim=-1)
        means, typical = values.mean(dim=-1), moved.median(dim=0).values
        share = per_unit(means, moved, typical)
        parts.append(
            {
                "deviation": _deviation(values, labels).amax(dim=0),
                "centre": means.mean(dim=0).abs(),
                "spread": factor * means.std(dim=0),
                "share_centre": share.mean(dim=0).abs(),
                "share_spread": factor * share.std(dim=0),
                "scale": moved.amax(dim=0) + typical,
            }
        )
    stacked: dict[str, Any] = {name: torch.stack([part[name] for part in parts]) for name in parts[0]}
    return Spread(**stacked)


def spread_of_profile(profile: LaminarProfile, groups: Any, n_controls: int, alpha: float, miss: float) -> Spread:
    """What a profile says: its own sets' variation over groups, or its median control's where that is larger, and how
    its controls lie.

    Args:
        profile: One with controls.
        groups: See :func:`tlesion.verdict`.
        n_controls: Of the study that is planned.
        alpha: Level of the study.
        miss: Probability with which the study's controls may lie further out than is taken here.
    """
    active = profile.n_lesioned > 0
    units = unit_labels(profile.prompts, profile.groups, groups)
    parts = []
    for mask in profile.masks:
        one = profile.effect_of(mask)
        labels = [units[i] for i in one.own.prompts.tolist()]
        means, moved = one.controls.mean(dim=-1), one.control_change.mean(dim=-1)
        change = one.change.mean(dim=-1)
        typical = torch.cat([change[None], moved]).median(dim=0).values
        share = per_unit(means, moved, typical)
        of_controls = _deviation(one.controls, labels).median(dim=0).values
        parts.append(
            {
                "deviation": torch.maximum(_deviation(one.values, labels), of_controls),
                "means": means,
                "share": share,
                "scale": torch.maximum(change, typical) + typical,
            }
        )
    stacked = {name: torch.stack([part[name] for part in parts], dim=-2) for name in parts[0]}
    means, share = stacked["means"], stacked["share"]
    rank = plan_power.safe_rank(n_controls, profile.n_controls, alpha, miss)
    unknown = ~active
    return Spread(
        deviation=stacked["deviation"].masked_fill(unknown, torch.nan),
        centre=means.mean(dim=0).abs(),
        spread=means.std(dim=0),
        share_centre=share.mean(dim=0).abs(),
        share_spread=share.std(dim=0),
        scale=stacked["scale"],
        furthest=_furthest(means[:, active], rank),
        share_furthest=_furthest(share[:, active], rank),
    )


def smallest_told(
    spread: Spread, *, n_groups: int, n_tests: int, n_controls: int, alpha: float, power: float
) -> Lesions:
    r"""The smallest mean effect that is told from random sets and from chance with this probability.

    .. math:: \max(d\,s,\; m + r\,c + t\,s / \sqrt{G})

    s is the standard deviation over G groups, d the smallest standardised mean that they show, m and c the mean and the
    standard deviation of random sets, r how many of these lie between, t Student's quantile. The second term is taken
    for effects, and for effects per unit of change of all logits. The prompts miss the effect with half of the
    probability that the power leaves; for the controls see :func:`tlesion.studies.verdict.plan_power.limit_miss`.
    """
    miss = 1 - power
    d = plan_power.detectable_over_groups(n_groups, n_tests, alpha, 1 - miss / 2)
    t = plan_power.quantile(1 - miss / 2, n_groups)
    level = plan_power.safe_level(n_controls, alpha, plan_power.limit_miss(power))
    usual = plan_power.normal_z(level, n_tests)
    if math.isinf(d):
        return torch.full_like(spread.deviation, torch.inf).where(~spread.deviation.isnan(), torch.nan)
    found = d * spread.deviation
    for centre, width, furthest, scale in (
        (spread.centre, spread.spread, spread.furthest, torch.ones_like(spread.scale)),
        (spread.share_centre, spread.share_spread, spread.share_furthest, spread.scale),
    ):
        r = plan_power.needed_z(n_tests, n_controls, alpha, z=max(usual, furthest))
        limit = (centre + r * width) * scale if math.isfinite(r) else torch.full_like(scale, torch.inf)
        found = torch.maximum(found, limit + t * spread.deviation / n_groups**0.5)
    return found.where(~spread.deviation.isnan(), torch.nan)


def _random_sets(n_sets: int, n_layers: int, n_units: int, size: int, seed: int) -> Bool[Tensor, "set layer unit"]:
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(n_sets, n_layers, n_units, generator=generator, dtype=torch.float64).argsort(dim=-1)
    return order < size


def _deviation(values: Float64[Tensor, "*lesion prompt"], labels: Sequence[str]) -> Float64[Tensor, "*lesion"]:
    """Standard deviation over groups, at its upper bound; infinite where there are no two groups."""
    n_groups = len(set(labels))
    if n_groups < 2:
        return torch.full(values.shape[:-1], torch.inf, dtype=torch.float64)
    totals = group_totals(values, group_index(labels, len(labels)))
    return totals.std(dim=-1) * plan_power.upper_deviation(n_groups, CONFIDENCE)


def _furthest(rows: Float64[Tensor, "control lesion"], rank: int) -> float:
    """The distance from their mean, in standard deviations, of that control which lies furthest out in any lesion."""
    if rows.shape[1] == 0 or len(rows) < 2:
        return 0.0
    away, width = rows - rows.mean(dim=0), rows.std(dim=0)
    size = torch.where(width > 0, away.abs() / width.where(width > 0, 1.0), 0.0).amax(dim=1)
    return float(size.sort(descending=True).values[min(rank, len(size) - 1)])
