"""Standardised effect sizes with confidence intervals."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64
from scipy import special
from torch import Tensor

from tlesion.checks import number
from tlesion.stats.moments import Moments
from tlesion.stats.noncentral import noncentrality_interval
from tlesion.stats.ttest import TTest, paired, student


@dataclass(frozen=True, eq=False, kw_only=True)
class EffectSize:
    """A standardised difference of every unit, with its confidence interval; NaN for dead units.

    Attributes:
        estimate: in standard deviations; positive where condition a is larger.
        lower: lower end of the interval.
        upper: upper end of the interval.
        level: confidence level of the interval, 0.95 for 95 %.
    """

    estimate: Float64[Tensor, "*unit"]
    lower: Float64[Tensor, "*unit"]
    upper: Float64[Tensor, "*unit"]
    level: float


def cohens_d(a: Moments, b: Moments, *, level: float | int = 0.95) -> EffectSize:
    r"""Cohen's d of two samples: the difference of means by the pooled standard deviation.

    .. math:: d = (\bar a - \bar b) / s_p

    The interval inverts the noncentral t distribution: its ends are the effects for which a t as large
    (as small) as the observed one has probability (1 - level) / 2. Exact for normal rows of equal variance.

    Args:
        a: moments of condition a.
        b: moments of condition b.
        level: confidence level.

    Returns:
        Estimate and interval of every unit; positive where a is larger, NaN for dead units.

    Raises:
        ValueError: a level outside (0, 1), or moments that `student` refuses.

    Source:
        Steiger & Fouladi (1997), Noncentrality interval estimation and the evaluation of statistical
        models, in: What if there were no significance tests?, 221-257.

    Example:
        >>> import torch
        >>> from tlesion.stats import Moments, cohens_d
        >>> a = Moments.of(torch.tensor([[3.0], [4.0], [5.0]]))
        >>> b = Moments.of(torch.tensor([[1.0], [2.0], [3.0]]))
        >>> d = cohens_d(a, b)
        >>> round(d.estimate.item(), 2), round(d.lower.item(), 2), round(d.upper.item(), 2)
        (2.0, -0.15, 4.02)
    """
    check_level(level)
    return _interval(student(a, b), per_t=(1 / a.n + 1 / b.n) ** 0.5, level=level)


def hedges_g(a: Moments, b: Moments, *, level: float | int = 0.95) -> EffectSize:
    r"""Hedges' g: Cohen's d without its bias in small samples.

    .. math:: g = J(\nu)\, d, \qquad
        J(\nu) = \frac{\Gamma(\nu/2)}{\sqrt{\nu/2}\; \Gamma((\nu-1)/2)}, \quad \nu = n_a + n_b - 2

    The correction is the exact one, not its approximation :math:`1 - 3/(4\nu - 1)`; the interval is that
    of `cohens_d`, multiplied by J.

    Args:
        a: moments of condition a.
        b: moments of condition b.
        level: confidence level.

    Returns:
        Estimate and interval of every unit; positive where a is larger, NaN for dead units.

    Raises:
        ValueError: a level outside (0, 1), or moments that `student` refuses.

    Source:
        Hedges (1981), Distribution theory for Glass's estimator of effect size and related estimators,
        Journal of Educational Statistics 6:107-128.

    Example:
        >>> import torch
        >>> from tlesion.stats import Moments, hedges_g
        >>> a = Moments.of(torch.tensor([[3.0], [4.0], [5.0]]))
        >>> b = Moments.of(torch.tensor([[1.0], [2.0], [3.0]]))
        >>> round(hedges_g(a, b).estimate.item(), 4)
        1.5958
    """
    check_level(level)
    test = student(a, b)
    half = (a.n + b.n - 2) / 2
    # Logarithms, because the gamma functions themselves overflow from about 340 rows on.
    unbias = float(np.exp(special.gammaln(half) - special.gammaln(half - 0.5))) / half**0.5
    return _interval(test, per_t=(1 / a.n + 1 / b.n) ** 0.5, level=level, unbias=unbias)


def d_z(difference: Moments, *, dead: Bool[Tensor, "*unit"] | None = None, level: float | int = 0.95) -> EffectSize:
    r"""Effect size of pairs: the mean difference by the standard deviation of the differences.

    .. math:: d_z = \bar d / s_d

    Not comparable with `cohens_d`: the better the two sentences of a pair match, the larger :math:`d_z`.

    Args:
        difference: moments of a - b, one row per pair.
        dead: units to leave out, as for `paired`.
        level: confidence level of the interval, which inverts the noncentral t distribution.

    Returns:
        Estimate and interval of every unit; positive where a is larger, NaN for dead units.

    Raises:
        ValueError: a level outside (0, 1), or moments that `paired` refuses.

    Source:
        Lakens (2013), Calculating and reporting effect sizes, Frontiers in Psychology 4:863.

    Example:
        >>> import torch
        >>> from tlesion.stats import Moments, d_z
        >>> round(d_z(Moments.of(torch.tensor([[1.0], [2.0], [3.0]]))).estimate.item(), 4)
        2.0
    """
    check_level(level)
    return _interval(paired(difference, dead=dead), per_t=difference.n**-0.5, level=level)


def check_level(level: float | int) -> None:
    """Refuse a confidence level outside (0, 1)."""
    if not 0 < number("level", level, finite=False) < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level!r}; 0.95 is a 95 % interval")


def _interval(test: TTest, *, per_t: float, level: float, unbias: float = 1.0) -> EffectSize:
    live = (~test.dead).numpy()
    t, dof = test.t.numpy()[live], test.dof.numpy()[live]
    low, high = noncentrality_interval(np.abs(t), dof, level)
    lower, upper = np.full(live.shape, np.nan), np.full(live.shape, np.nan)
    lower[live] = np.where(t < 0, -high, low) * per_t * unbias
    upper[live] = np.where(t < 0, -low, high) * per_t * unbias
    return EffectSize(
        estimate=test.effect_size * unbias,
        lower=torch.from_numpy(lower),
        upper=torch.from_numpy(upper),
        level=float(level),
    )
