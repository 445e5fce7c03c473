"""From tallies to the rows of the calibration table: a number, its standard error, its bound, and whether it holds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.calibration_models import D_MLP, LAYERS, N_CARRIERS
from benchmarks.calibration_tally import ALPHA, Tally, recovery_at_fdp, uniformity, verdict
from benchmarks.calibration_tensors import Design, Simulated
from tlesion.stats import power_curve

TOLERATED_FDP = 1.1 * ALPHA
TOLERATED_POWER = 0.03
KS_LEVEL = 0.01
FAMILYWISE = ("bonferroni", "holm", "max_t")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        claim: Which claim it belongs to.
        source: ``"tensors"`` or ``"planted model"``.
        setting: What was simulated.
        test, correction: How it was judged.
        studies: Simulated studies.
        value, error: The number and its standard error.
        bound: What it should not exceed (for `ks`, `recovery`: see the claim).
        holds: ``"yes"``, ``"within 2 standard errors"`` or ``"NO"``.
    """

    claim: str
    source: str
    setting: str
    test: str
    correction: str
    studies: int
    value: float
    error: float
    bound: float
    holds: str


def error_rows(
    tallies: Mapping[tuple[str, str], Tally], source: str, setting: str, *, null: bool, claim: str = ""
) -> list[Row]:
    """Family-wise error (of what controls it) and false discovery proportion (of BH)."""
    rows = []
    for (test, correction), tally in tallies.items():
        familywise = correction in FAMILYWISE
        if familywise and not null:
            continue
        value, error = tally.error_rate if familywise else tally.mean_fdp
        bound = ALPHA if familywise else TOLERATED_FDP
        name = claim or ("family-wise error" if familywise else "false discoveries")
        families = tally.families
        rows.append(
            Row(name, source, setting, test, correction, families, value, error, bound, verdict(value, error, bound))
        )
    return rows


def uniform_rows(simulated: Simulated, setting: str) -> list[Row]:
    """Kolmogorov-Smirnov distance from uniform; the bound is on its p-value, given as ``error``."""
    rows = []
    for test, p in simulated.first_unit.items():
        distance, p_value = uniformity(p)
        holds = "yes" if p_value >= KS_LEVEL else "NO"
        rows.append(Row("uniform p", "tensors", setting, test, "none", len(p), distance, p_value, KS_LEVEL, holds))
    return rows


def power_rows(
    tallies: Mapping[tuple[str, str], Tally],
    source: str,
    setting: str,
    *,
    n: int,
    n_tests: int,
    share_true: float,
    together: Sequence[Sequence[float]],
    prior_dof: float,
) -> list[Row]:
    """Largest distance between recovery and the power curve over effect sizes.

    Args:
        tallies: By test and correction.
        source, setting: See `Row`.
        n: Pairs, without anything shared.
        n_tests: Units in a family.
        share_true: Share of them that differ.
        together: The sets of sizes that exist side by side in one family.
        prior_dof: Of the moderated tests.
    """
    rows = []
    for (test, correction), tally in tallies.items():
        if test == "permutation":
            continue
        scale = 2**-0.5 if "paired" in test else 1.0
        curve = power_curve(
            [n],
            test=test,
            alpha=ALPHA,
            correction=correction,
            n_tests=n_tests,
            share_true=share_true,
            prior_dof=prior_dof if test.startswith("moderated") else 0.0,
        )
        predicted: dict[float, list[float]] = {}
        for sizes in together:
            for size, power in zip(sizes, curve.power_at([scale * one for one in sizes], n).tolist(), strict=True):
                predicted.setdefault(size, []).append(power)
        gaps = [(found - float(np.mean(predicted[size])), error) for size, (found, error) in tally.recovery().items()]
        gap, error = max(gaps, key=lambda pair: abs(pair[0]))
        holds = verdict(abs(gap), error, TOLERATED_POWER)
        rows.append(Row("power", source, setting, test, correction, tally.families, gap, error, TOLERATED_POWER, holds))
    return rows


def moderated_rows(
    p: Mapping[str, torch.Tensor],
    true: torch.Tensor,
    source: str,
    setting: str,
    pairs: Iterable[tuple[str, str]] = (("moderated", "welch"), ("moderated_paired", "paired")),
) -> list[Row]:
    """Recovery of a moderated test less that of the plain one, both at 5 % empirical false discoveries."""
    rows = []
    true = true.expand(next(iter(p.values())).shape)
    for moderated, plain in pairs:
        if moderated not in p or plain not in p:
            continue
        gains = _gains(p[moderated], p[plain], true)
        value, error = float(gains.mean()), float(gains.std(ddof=1) / len(gains) ** 0.5)
        found = {test: recovery_at_fdp(p[test].flatten(), true.flatten()) for test in (moderated, plain)}
        shown = f"{moderated} {found[moderated]:.3f} against {plain} {found[plain]:.3f}"
        holds = "yes" if value >= 0 else ("within 2 standard errors" if value >= -2 * error else "NO")
        rows.append(Row("moderated", source, setting, shown, "equal FDP 0.05", len(true), value, error, 0.0, holds))
    return rows


def _gains(one: torch.Tensor, other: torch.Tensor, true: torch.Tensor, n_parts: int = 20) -> np.ndarray:
    """The difference in recovery in each of a few parts of the studies, for its standard error."""
    parts = zip(one.chunk(n_parts), other.chunk(n_parts), true.chunk(n_parts), strict=True)
    return np.array(
        [recovery_at_fdp(a.flatten(), t.flatten()) - recovery_at_fdp(b.flatten(), t.flatten()) for a, b, t in parts]
    )


def described(design: Design) -> str:
    """A design in words."""
    variances = "equal variances" if np.isinf(design.variance_dof) else f"prior dof {design.variance_dof:g}"
    planted = f"{design.n_true} of {design.n_units} differ" if design.n_true else f"none of {design.n_units} differs"
    return f"{design.n} pairs, {design.tails}, {planted}, {variances}"


def layer_rows(
    tallies: Mapping[tuple[str, str, int], Tally], setting: str, *, n: int, effects: Sequence[float], prior_dof: float
) -> list[Row]:
    """All rows of studies through planted models: errors in both layers, power in the planted one."""
    rows = []
    for layer, what in LAYERS.items():
        here = {(test, correction): tally for (test, correction, at), tally in tallies.items() if at == layer}
        rows += error_rows(here, "planted model", f"{setting}, {what}", null=layer == 0)
    neighbours = [[size, effects[(i + 1) % len(effects)]] for i, size in enumerate(effects)]
    planted = {(test, correction): tally for (test, correction, at), tally in tallies.items() if at == 1}
    planted = {key: tally for key, tally in planted.items() if key[1] != "holm"}
    if "heavy" not in setting:
        share = N_CARRIERS / D_MLP
        rows += power_rows(
            planted,
            "planted model",
            setting,
            n=n,
            n_tests=D_MLP,
            share_true=share,
            together=neighbours,
            prior_dof=prior_dof,
        )
    return rows
