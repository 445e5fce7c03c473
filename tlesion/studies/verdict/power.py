"""What a study could have found: the smallest effect that its prompts show, and that exceeds its controls."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float64
from scipy import stats
from torch import Tensor

from tlesion.inference.control_maximum import control_limit
from tlesion.inference.groups import group_index, group_totals
from tlesion.stats import power_curve
from tlesion.studies.verdict.rules import BOTH, MAX, Lesions, OneMask, Rules


def detectable_effects(
    masks: Sequence[OneMask], controls: Tensor, control_share: Tensor, scale: Lesions, active: Tensor, rules: Rules
) -> tuple[Lesions, Lesions]:
    """The smallest effect that the prompts show, and the smallest that is called specific.

    Args:
        masks: The masks.
        controls: Effects of the controls.
        control_share: The same per unit of global change.
        scale: The global change that a lesion's effect is divided by.
        active: The family that corrections span.
        rules: The thresholds, and the power.
    """
    n_tests = int(active.sum())
    found = [_minimal(one, n_tests, rules) for one in masks]
    minimal = torch.stack([least for least, _ in found]).where(active, torch.nan)
    reach = torch.stack([more for _, more in found])
    limit = torch.maximum(_limit(controls, active, rules), _limit(control_share, active, rules) * scale)
    return minimal, torch.maximum(minimal, limit + reach).where(active, torch.nan)


def _minimal(one: OneMask, n_tests: int, rules: Rules) -> tuple[Tensor, Tensor]:
    """Smallest effect that a mask's prompts show in each layer, and how far above a limit a mean has to lie."""
    values, n = one.effects.values, one.n_groups
    unknown = torch.full(values.shape[:1], torch.inf, dtype=torch.float64)
    if n < 2 or not n_tests:
        return unknown, unknown
    deviation = group_totals(values, group_index(one.groups, values.shape[1])).std(dim=-1)
    reach = float(stats.t.ppf(rules.power, n - 1)) * deviation / math.sqrt(n)
    least = max(2.0 ** (1 - n), 1 / (1 + rules.n_permutations))
    # Beside other tests the corrected p need not get below the sum of what each can reach.
    if least * (1 if rules.correction == "none" else n_tests) > rules.alpha:
        return unknown, reach
    correction = "none" if rules.correction == "none" else "bonferroni"
    curve = power_curve(
        [n], test="paired", power=rules.power, alpha=rules.alpha, correction=correction, n_tests=n_tests
    )
    return float(curve.effect[0]) * deviation, reach


def _limit(controls: Float64[Tensor, "control mask layer"], active: Tensor, rules: Rules) -> Lesions:
    """The effect above which the corrected p is small enough."""
    limit = torch.full(controls.shape[1:], torch.nan, dtype=torch.float64)
    family = controls[:, active]
    if rules.correction == MAX and bool(active.any()):
        limit[active] = control_limit(family, rules.alpha, alternative=BOTH)
    elif bool(active.any()):
        level = rules.alpha / (1 if rules.correction == "none" else family.shape[1])
        limit[active] = torch.cat([control_limit(column[:, None], level, alternative=BOTH) for column in family.T])
    return limit
