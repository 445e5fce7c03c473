"""What is counted over simulated studies: false selections, false discovery proportions, effects found."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from scipy import stats
from torch import Tensor

ALPHA = 0.05


@dataclass
class Tally:
    """Sums over families of tests (a family: the units of one layer in one study).

    Attributes:
        families: How many were counted.
        any_false: How many had any false selection.
        fdp, fdp_squared: Sums of the false discovery proportion (0 where nothing was selected) and its square.
        found, planted: Selected and existing true units, by effect size.
    """

    families: int = 0
    any_false: int = 0
    fdp: float = 0.0
    fdp_squared: float = 0.0
    found: dict[float, int] = field(default_factory=dict)
    planted: dict[float, int] = field(default_factory=dict)

    def add(self, selected: Tensor, effect: Tensor) -> None:
        """Count families: bool ``[family, unit]``, and the true effect of each unit."""
        effect = effect.expand(selected.shape).abs()
        false = (selected & (effect == 0)).sum(-1).double()
        proportion = false / selected.sum(-1).clamp(min=1)
        self.families += len(selected)
        self.any_false += int((false > 0).sum())
        self.fdp += float(proportion.sum())
        self.fdp_squared += float(proportion.square().sum())
        for size in effect[effect > 0].unique().tolist():
            here = effect == size
            self.found[size] = self.found.get(size, 0) + int((selected & here).sum())
            self.planted[size] = self.planted.get(size, 0) + int(here.sum())

    def merge(self, other: "Tally") -> "Tally":
        """Both together."""
        sums = Tally(
            self.families + other.families,
            self.any_false + other.any_false,
            self.fdp + other.fdp,
            self.fdp_squared + other.fdp_squared,
            dict(self.found),
            dict(self.planted),
        )
        for name in ("found", "planted"):
            mine = getattr(sums, name)
            for size, count in getattr(other, name).items():
                mine[size] = mine.get(size, 0) + count
        return sums

    @property
    def error_rate(self) -> tuple[float, float]:
        """Share of families with any false selection, and its standard error."""
        share = self.any_false / self.families
        return share, math.sqrt(max(share * (1 - share), 1 / self.families**2) / self.families)

    @property
    def mean_fdp(self) -> tuple[float, float]:
        """Mean false discovery proportion, and its standard error."""
        mean = self.fdp / self.families
        variance = self.fdp_squared / self.families - mean**2
        return mean, math.sqrt(max(variance, 1 / self.families**2) / self.families)

    def recovery(self) -> dict[float, tuple[float, float]]:
        """By effect size: share of the true units that were selected, and its binomial standard error."""
        shares = {size: self.found[size] / n for size, n in sorted(self.planted.items())}
        return {size: (p, math.sqrt(p * (1 - p) / self.planted[size])) for size, p in shares.items()}


def uniformity(p: Tensor) -> tuple[float, float]:
    """Kolmogorov-Smirnov distance of p-values from the uniform distribution, and its p-value."""
    test = stats.kstest(p[p.isfinite()].numpy(), "uniform")
    return float(test.statistic), float(test.pvalue)


def recovery_at_fdp(p: Tensor, true: Tensor, *, fdp: float = ALPHA) -> float:
    """Share of the true units below the largest threshold on p at which the proportion of false ones is ``fdp``.

    Over all studies together, so that tests are compared at the same empirical false discovery proportion.

    Args:
        p: p-values of all units of all studies.
        true: Whether each unit truly differs.
        fdp: The proportion.
    """
    order = p.argsort(stable=True)
    hits = true[order].double().cumsum(0)
    share_false = 1 - hits / torch.arange(1, len(p) + 1, dtype=torch.float64)
    allowed = (share_false <= fdp).nonzero()
    return float(hits[allowed[-1]] / true.sum()) if len(allowed) else 0.0


def verdict(value: float, error: float, bound: float) -> str:
    """How a rate compares with the bound that it should not exceed."""
    if value <= bound:
        return "yes"
    return "within 2 standard errors" if value <= bound + 2 * error else "NO"


def merged(tallies: Sequence[Tally]) -> Tally:
    """All of them together."""
    total = Tally()
    for tally in tallies:
        total = total.merge(tally)
    return total
