"""What a study can find: smallest effects, and how many pairs an effect needs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64, Int64
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from tlesion.stats.level import FDR, corrected_level, fdr_level
from tlesion.stats.noncentral import noncentral_p, noncentrality_of_power
from tlesion.stats.welch_power import welch_noncentrality, welch_power

Array = NDArray[np.float64]

PAIRED = ("paired", "moderated_paired")
TWO_SAMPLE = ("student", "welch", "moderated")
MOST = 10_000_000  # pairs that `n_needed` considers


@dataclass(frozen=True, eq=False, kw_only=True)
class PowerCurve:
    """The smallest effect that each number of pairs can find.

    Attributes:
        n: pairs, or for two-sample tests sentences per condition.
        effect: smallest effect found with probability ``power``: d_z for pairs, Cohen's d for two samples.
        level: level of a single test that the corrected ``alpha`` comes down to (`corrected_level`).
        test: name of the t-test.
        power: probability with which an effect of that size is found.
        alpha: level after correction.
        correction: method of correction.
        n_tests: units tested in one family.
        share_true: share of the units that truly differ; matters for the FDR methods only.
        prior_dof: degrees of freedom that a moderated test gains from its prior.
    """

    n: Int64[Tensor, " n"]
    effect: Float64[Tensor, " n"]
    level: float
    test: str
    power: float
    alpha: float
    correction: str
    n_tests: int
    share_true: float
    prior_dof: float

    def to_frame(self) -> pd.DataFrame:
        """Tidy table, a row per n, with the settings repeated."""
        return pd.DataFrame(
            {
                "n": self.n.numpy(),
                "effect": self.effect.numpy(),
                "level": self.level,
                "test": self.test,
                "power": self.power,
                "alpha": self.alpha,
                "correction": self.correction,
                "n_tests": self.n_tests,
                "share_true": self.share_true,
                "prior_dof": self.prior_dof,
            }
        )

    def n_needed(self, effect: float | int) -> int:
        """Smallest number of pairs (sentences per condition) that finds this effect with `power`.

        Raises:
            ValueError: an effect of zero, or so small that 10 million pairs do not find it.
        """
        if not effect or not math.isfinite(effect):
            raise ValueError(f"no number of pairs finds an effect of {effect!r}; give one other than zero")
        low, high = 1, 2
        while not self._finds(effect, high):
            low, high = high, 2 * high
            if high > MOST:
                raise ValueError(f"an effect of {effect!r} needs more than {MOST} pairs; give a larger one")
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._finds(effect, middle) else (middle, high)
        return high

    def power_at(self, effects: Sequence[float | int], n: int) -> Float64[Tensor, " effect"]:
        r"""Probability of finding each of several effects that exist side by side, with n pairs.

        For the FDR methods the level depends on how much is found. With the true effects spread evenly
        over ``effects``, it is the largest a that solves

        .. math:: a = \alpha\,[(1 - \pi_1)\, a + \pi_1\, \overline{\mathrm{power}}(a)].

        Args:
            effects: d_z for pairs, Cohen's d for two samples.
            n: pairs, or sentences per condition.
        """
        sizes = np.asarray(effects, dtype=np.float64)
        level = self.level
        if self.correction in FDR:
            level, last = self.alpha, math.inf
            while last - level > 1e-12 * level:  # falls towards the largest solution, from above
                last, found = level, float(self._power(sizes, n, level).mean())
                rejected = (1 - self.share_true) * last + self.share_true * found
                level = fdr_level(rejected, self.alpha, self.correction, self.n_tests)
        return torch.from_numpy(self._power(sizes, n, level))

    def _finds(self, effect: float | int, n: int) -> bool:
        return bool(self._power(np.asarray([effect]), n, self.level)[0] >= self.power)

    def _power(self, effect: Array, n: int, level: float) -> Array:
        dof, root = _design(self.test, np.asarray([n], dtype=np.float64), self.prior_dof)
        if self.test == "welch":
            return welch_power(np.abs(effect) * root, n, level)
        return noncentral_p(_critical(level, dof), dof, np.abs(effect) * root)


def power_curve(
    n: Sequence[int] = (4, 5, 6, 8, 10, 12, 16, 20, 30, 40, 54, 80, 120, 200),
    *,
    test: str = "paired",
    power: float | int = 0.8,
    alpha: float | int = 0.05,
    correction: str = "fdr_bh",
    n_tests: int = 1,
    share_true: float | int = 0.1,
    prior_dof: float | int = 0.0,
) -> PowerCurve:
    r"""Smallest effect that each number of pairs finds at the corrected level.

    .. math:: P(|T_{\nu, \lambda}| \ge t_{1 - a/2, \nu}) = \mathrm{power}, \qquad
        \lambda = d_z \sqrt n \;\text{(pairs)} \quad\text{or}\quad d \sqrt{n/2} \;\text{(two samples)}

    with the level a of `corrected_level`. Welch's test has a critical value of its own in every sample
    (:mod:`tlesion.stats.welch_power`); variances are taken to be equal.

    Args:
        n: numbers of pairs, or for the two-sample tests of sentences per condition; each 2 or more.
        test: "paired", "moderated_paired", "student", "welch" or "moderated".
        power: required probability of finding the effect.
        alpha: level after correction.
        correction: as for `corrected_level`.
        n_tests: units tested in one family, for example d_mlp.
        share_true: expected share of units that truly differ (FDR methods only).
        prior_dof: degrees of freedom that the moderated tests gain from their prior (`VariancePrior.dof` of
            a pilot study); 0 for the other tests.

    Returns:
        The smallest effect for every n, and what it was computed for.

    Raises:
        ValueError: a setting outside its range, naming what is allowed.

    Source:
        Cohen (1988), Statistical power analysis for the behavioral sciences; agrees with
        ``statsmodels.stats.power.TTestPower`` and ``TTestIndPower`` at the same level.

    Example:
        >>> from tlesion.stats import power_curve
        >>> curve = power_curve([8, 20, 54], n_tests=4096)
        >>> [round(d, 2) for d in curve.effect.tolist()]
        [1.86, 0.93, 0.52]
        >>> curve.n_needed(0.8)
        26
    """
    _check_settings(n, test, power, prior_dof)
    level = corrected_level(alpha, correction=correction, n_tests=n_tests, share_true=share_true, power=power)
    if not level < power:
        raise ValueError(f"power must exceed the level of a single test ({level:.3g}), got {power!r}")
    counts = np.asarray(n, dtype=np.int64)
    dof, root = _design(test, counts.astype(np.float64), prior_dof)
    if test == "welch":
        noncentrality = np.asarray([welch_noncentrality(int(k), level, power) for k in counts])
    else:
        noncentrality = noncentrality_of_power(_critical(level, dof), dof, power)
    return PowerCurve(
        n=torch.from_numpy(counts),
        effect=torch.from_numpy(noncentrality / root),
        level=level,
        test=test,
        power=float(power),
        alpha=float(alpha),
        correction=correction,
        n_tests=n_tests,
        share_true=float(share_true),
        prior_dof=float(prior_dof),
    )


def _critical(level: float, dof: Array) -> Array:
    """The smallest size of t that is significant at a two-sided level."""
    return np.asarray(stats.t.isf(level / 2, dof))


def _design(test: str, n: Array, prior_dof: float | int) -> tuple[Array, Array]:
    """Degrees of freedom, and the noncentrality per unit of effect."""
    if test in PAIRED:
        return n - 1 + prior_dof, np.sqrt(n)
    return 2 * n - 2 + prior_dof, np.sqrt(n / 2)


def _check_settings(n: Sequence[int], test: str, power: float | int, prior_dof: float | int) -> None:
    if not len(n) or min(n) < 2:
        raise ValueError(f"n must list numbers of pairs, each 2 or more, got {list(n)!r}")
    if test not in PAIRED + TWO_SAMPLE:
        raise ValueError(f"unknown test {test!r}; allowed are {', '.join(PAIRED + TWO_SAMPLE)}")
    if not 0 < power < 1:
        raise ValueError(f"power must lie between 0 and 1, got {power!r}; 0.8 is usual")
    if not prior_dof >= 0 or (prior_dof and not test.startswith("moderated")):
        raise ValueError(
            f"prior_dof must be 0 or more, and 0 unless the test is moderated, got {prior_dof!r} for {test!r}"
        )
