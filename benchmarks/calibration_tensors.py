"""Simulated studies without a model: rows drawn from a known distribution, then tlesion's own tests and corrections.

A unit's rows are ``± d sigma / 2 + sigma * noise`` in conditions a and b, independent over units, rows and conditions.
The noise is normal or Student's t with 3 degrees of freedom (scaled to variance 1); sigma² is drawn anew in every study
from Smyth's prior with ``variance_dof`` degrees of freedom.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from benchmarks.calibration_tally import ALPHA, Tally
from tlesion.stats import (
    Moments,
    adjust,
    moderated,
    moderated_paired,
    paired,
    permutation,
    reject,
    student,
    welch,
)

TWO_SAMPLE = {"student": student, "welch": welch, "moderated": moderated}
PAIRS = {"paired": paired, "moderated_paired": moderated_paired}
TESTS = (*TWO_SAMPLE, *PAIRS)
PERMUTED = {"permutation, swapped": "paired", "permutation, shuffled": "welch"}
NUMBERS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Design:
    """Studies of one kind.

    Attributes:
        n: Pairs, which are also rows per condition.
        n_units: Units in the one family of a study.
        tails: ``"normal"`` or ``"heavy"``.
        effects: Cohen's d of the true units, in turn, with alternating signs.
        n_true: How many units differ.
        variance_dof: Degrees of freedom of the variances' prior; infinite: all 1.
    """

    n: int
    n_units: int
    tails: str = "normal"
    effects: tuple[float, ...] = ()
    n_true: int = 0
    variance_dof: float = 8.0

    @property
    def effect(self) -> Tensor:
        """Signed Cohen's d of every unit; d_z is this by the square root of 2, because pairs are independent."""
        sizes = torch.zeros(self.n_units, dtype=torch.float64)
        for i in range(self.n_true):
            sizes[i] = self.effects[i // 2 % len(self.effects)] * (1, -1)[i % 2]
        return sizes


def draw(design: Design, n_studies: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows of both conditions, ``[row, study, unit]``, some studies at a time."""
    generator = torch.Generator().manual_seed(seed)
    at_once = max(1, NUMBERS_AT_ONCE // (2 * design.n * design.n_units))
    for start in range(0, n_studies, at_once):
        shape = (min(at_once, n_studies - start), design.n_units)
        sigma = torch.ones(shape, dtype=torch.float64)
        if math.isfinite(design.variance_dof):
            dof = int(design.variance_dof)
            chi_square = torch.randn(dof, *shape, dtype=torch.float64, generator=generator).square().sum(0)
            sigma = (dof / chi_square).sqrt()
        sides = (_noise(design, shape, generator) for _ in range(2))
        yield tuple(sigma * (sign * design.effect / 2 + noise) for sign, noise in zip((1, -1), sides, strict=True))


def _noise(design: Design, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    def normal(*more: int) -> Tensor:
        return torch.randn(*more, design.n, *shape, dtype=torch.float64, generator=generator)

    if design.tails == "normal":
        return normal()
    # Student's t with 3 degrees of freedom has variance 3.
    return normal() / normal(3).square().sum(0).sqrt()


def p_values(test: str, a: Tensor, b: Tensor) -> Tensor:
    """p of every unit of every study, ``[study, unit]``."""
    if test in PAIRS:
        return PAIRS[test](Moments.of(a - b)).p
    return TWO_SAMPLE[test](Moments.of(a), Moments.of(b)).p


@dataclass
class Simulated:
    """Tallies by test and correction, p-values of one unit per study, and every p-value if they were kept."""

    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    first_unit: dict[str, Tensor] = field(default_factory=dict)
    p: dict[str, Tensor] = field(default_factory=dict)


def simulate(
    design: Design,
    n_studies: int,
    seed: int,
    *,
    tests: tuple[str, ...] = TESTS,
    corrections: tuple[str, ...] = ("bonferroni", "holm", "fdr_bh"),
    keep_p: bool = False,
) -> Simulated:
    """Run studies; every test and correction judges the same ones.

    The last unit never differs (if not all do): its p-values, one per study, are independent of each other.
    """
    result = Simulated({(test, method): Tally() for test in tests for method in corrections})
    kept: dict[str, list[Tensor]] = {test: [] for test in tests}
    for a, b in draw(design, n_studies, seed):
        for test in tests:
            p = p_values(test, a, b)
            kept[test].append(p if keep_p else p[:, -1:])
            for method in corrections:
                selected = reject(adjust(p, method=method, alpha=ALPHA), ALPHA)
                result.tallies[test, method].add(selected, design.effect)
    for test, parts in kept.items():
        p = torch.cat(parts)
        result.first_unit[test] = p[:, -1]
        if keep_p:
            result.p[test] = p
    return result


def simulate_permutation(
    design: Design, n_studies: int, seed: int, *, kind: str, n_permutations: int = 999, at_once: int = 20
) -> Tally:
    """Studies judged by max-T permutation p-values; a few studies at a time share their relabellings."""
    tally = Tally()
    for number, start in enumerate(range(0, n_studies, at_once)):
        studies = min(at_once, n_studies - start)
        a, b = (torch.cat(side, dim=1) for side in zip(*draw(design, studies, seed + 1 + number), strict=True))
        test = permutation(a, b, statistic=PERMUTED[kind], n_permutations=n_permutations, seed=seed + number)
        tally.add(reject(test.p_max_t, ALPHA), design.effect)
    return tally
