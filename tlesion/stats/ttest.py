"""Student's, Welch's and the paired t-test for every unit at once, from streamed moments."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from tlesion.checks import number
from tlesion.stats.moments import Moments
from tlesion.stats.tails import p_and_log_p


@dataclass(frozen=True, eq=False, kw_only=True)
class TTest:
    """Result of a two-sided t-test of condition a against condition b, for every unit; on the CPU.

    Units that cannot be tested are ``dead``: NaN in every other field but ``difference``.

    Attributes:
        t: the statistic; positive where a is larger.
        dof: its degrees of freedom (infinite: a normal distribution).
        p: two-sided p-value; 0 only where it is below float64's smallest number.
        log_p: natural logarithm of p, finite also where p itself is 0 (p = 1e-400: -921.03).
        difference: mean of a minus mean of b, in the units of the rows.
        std_error: standard error of the difference that ``t`` divides by.
        effect_size: Cohen's d (difference by pooled standard deviation) for two samples; d_z (mean by
            standard deviation of the differences) for pairs.
        dead: True where no test exists, because there is no variance: in neither condition, or, for
            pairs, not in their differences.
        min_effect: the null hypothesis that p tests: the true effect lies within ± this (0: there is no effect).
    """

    t: Float64[Tensor, "*unit"]
    dof: Float64[Tensor, "*unit"]
    p: Float64[Tensor, "*unit"]
    log_p: Float64[Tensor, "*unit"]
    difference: Float64[Tensor, "*unit"]
    std_error: Float64[Tensor, "*unit"]
    effect_size: Float64[Tensor, "*unit"]
    dead: Bool[Tensor, "*unit"]
    min_effect: float = 0.0


def student(a: Moments, b: Moments, *, min_effect: float | int = 0.0) -> TTest:
    r"""Student's t-test: two samples of equal variance.

    .. math::

        t = \frac{\bar a - \bar b}{s_p \sqrt{1/n_a + 1/n_b}}, \quad
        s_p^2 = \frac{(n_a - 1) s_a^2 + (n_b - 1) s_b^2}{n_a + n_b - 2}, \quad \nu = n_a + n_b - 2

    Args:
        a: moments of condition a.
        b: moments of condition b.
        min_effect: test whether Cohen's d lies beyond ± this, instead of whether it is zero (`t_test`).

    Returns:
        t (positive where a is larger), degrees of freedom and two-sided p of every unit; NaN for dead units.

    Raises:
        ValueError: fewer than two rows in a condition, different shapes, NaN or infinite values.

    Source:
        Agrees with ``scipy.stats.ttest_ind``.

    Example:
        >>> import torch
        >>> from tlesion.stats import Moments, student
        >>> a = Moments.of(torch.tensor([[3.0], [4.0], [5.0]]))
        >>> b = Moments.of(torch.tensor([[1.0], [2.0], [3.0]]))
        >>> test = student(a, b)
        >>> round(test.t.item(), 4), test.dof.item(), round(test.p.item(), 4)
        (2.4495, 4.0, 0.0705)
    """
    check_two_samples(a, b)
    pooled = pooled_variance(a, b)
    std_error = (pooled * (1 / a.n + 1 / b.n)).sqrt()
    dof = torch.full_like(pooled, a.n + b.n - 2)
    return t_test(a.mean - b.mean, std_error, dof, pooled.sqrt(), dead=a.constant & b.constant, min_effect=min_effect)


def welch(a: Moments, b: Moments, *, min_effect: float | int = 0.0) -> TTest:
    r"""Welch's t-test: two samples whose variances may differ.

    .. math::

        t = \frac{\bar a - \bar b}{\sqrt{v_a + v_b}}, \quad v = \frac{s^2}{n}, \quad
        \nu = \frac{(v_a + v_b)^2}{v_a^2 / (n_a - 1) + v_b^2 / (n_b - 1)}

    Args:
        a: moments of condition a.
        b: moments of condition b.
        min_effect: test whether Cohen's d lies beyond ± this, instead of whether it is zero. In units of
            the pooled standard deviation; as approximate as Welch's test itself (`t_test`).

    Returns:
        t (positive where a is larger), degrees of freedom and two-sided p of every unit; NaN for dead units.

    Raises:
        ValueError: fewer than two rows in a condition, different shapes, NaN or infinite values.

    Source:
        Welch (1947); agrees with ``scipy.stats.ttest_ind(equal_var=False)``.

    Example:
        >>> import torch
        >>> from tlesion.stats import Moments, welch
        >>> a = Moments.of(torch.tensor([[3.0], [4.0], [5.0]]))
        >>> b = Moments.of(torch.tensor([[1.0], [2.0], [3.0], [6.0]]))
        >>> test = welch(a, b)
        >>> round(test.t.item(), 4), round(test.dof.item(), 4), round(test.p.item(), 4)
        (0.8165, 4.4182, 0.456)
    """
    check_two_samples(a, b)
    error_a, error_b = a.variance / a.n, b.variance / b.n
    share = error_a / (error_a + error_b)  # instead of squares, which underflow for small variances
    dof = 1 / (share.square() / (a.n - 1) + (1 - share).square() / (b.n - 1))
    std_error = (error_a + error_b).sqrt()
    scale = pooled_variance(a, b).sqrt()
    return t_test(a.mean - b.mean, std_error, dof, scale, dead=a.constant & b.constant, min_effect=min_effect)


def paired(difference: Moments, *, dead: Bool[Tensor, "*unit"] | None = None, min_effect: float | int = 0.0) -> TTest:
    r"""The paired t-test, from the differences a - b within pairs.

    .. math::

        t = \frac{\bar d}{s_d / \sqrt n}, \quad \nu = n - 1

    A unit whose differences are all the same number has no standard error and therefore no t, even if
    that number is not zero: identical differences show coarse rounding (bfloat16, few pairs) rather
    than certainty, and an infinite t would pass every correction. It counts as dead.

    Args:
        difference: moments of a - b, one row per pair.
        dead: further units to leave out, such as ``a.constant & b.constant``. (Constant conditions have
            constant differences, so this is covered unless the differences come from elsewhere.)
        min_effect: test whether d_z lies beyond ± this, instead of whether it is zero (`t_test`).

    Returns:
        t (positive where a is larger), degrees of freedom and two-sided p of every unit; NaN for dead units.

    Raises:
        ValueError: fewer than two pairs, NaN or infinite values.

    Source:
        Agrees with ``scipy.stats.ttest_rel``.

    Example:
        >>> import torch
        >>> from tlesion.stats import Moments, paired
        >>> a, b = torch.tensor([[3.0], [4.0], [6.0]]), torch.tensor([[1.0], [2.0], [3.0]])
        >>> test = paired(Moments.of(a - b))
        >>> round(test.t.item(), 4), test.dof.item(), round(test.p.item(), 4)
        (7.0, 2.0, 0.0198)
    """
    check_rows(difference, "the differences", "pairs")
    scale = difference.variance.sqrt()
    std_error = scale / difference.n**0.5
    dof = torch.full_like(scale, difference.n - 1)
    no_variance = difference.constant if dead is None else difference.constant.cpu() | dead.cpu()
    return t_test(difference.mean, std_error, dof, scale, dead=no_variance, min_effect=min_effect)


def t_test(
    difference: Float64[Tensor, "*unit"],
    std_error: Float64[Tensor, "*unit"],
    dof: Float64[Tensor, "*unit"],
    scale: Float64[Tensor, "*unit"],
    *,
    dead: Bool[Tensor, "*unit"],
    min_effect: float | int = 0.0,
) -> TTest:
    r"""Build the result from a difference and its standard error; dead units become NaN.

    With ``min_effect`` :math:`m > 0` the null hypothesis is :math:`|\delta| \le m`, for the true effect
    :math:`\delta` in units of ``scale``. Its hardest case is :math:`|\delta| = m`, where t follows a
    noncentral t distribution, so that

    .. math:: p = P(|T_{\nu, \lambda}| \ge |t|), \qquad \lambda = m \, \mathrm{scale} / \mathrm{std\_error}.

    This has exactly size alpha for Student's and the paired test, and is the ordinary p for m = 0.

    Source:
        Murphy & Myors (1999), Testing the hypothesis that treatments have negligible effects, Journal of
        Applied Psychology 84:234-248.
    """
    check_min_effect(min_effect)
    difference, dead = difference.cpu(), dead.cpu()
    std_error, dof, scale = (x.cpu().masked_fill(dead, torch.nan) for x in (std_error, dof, scale))
    t = difference / std_error
    p, log_p = p_and_log_p(t, dof, min_effect * scale / std_error)
    return TTest(
        t=t,
        dof=dof,
        p=p,
        log_p=log_p,
        difference=difference,
        std_error=std_error,
        effect_size=difference / scale,
        dead=dead,
        min_effect=float(min_effect),
    )


def pooled_variance(a: Moments, b: Moments) -> Float64[Tensor, "*unit"]:
    """Variance around each condition's own mean, over both conditions (divisor n_a + n_b - 2)."""
    return (a.m2 + b.m2) / (a.n + b.n - 2)


def check_two_samples(a: Moments, b: Moments) -> None:
    """Refuse two sets of moments that no two-sample test can use."""
    if a.origin.shape != b.origin.shape:
        raise ValueError(
            f"condition a has units of shape {list(a.origin.shape)}, condition b {list(b.origin.shape)}; "
            "both conditions must describe the same units"
        )
    check_rows(a, "condition a", "rows")
    check_rows(b, "condition b", "rows")


def check_rows(moments: Moments, name: str, rows: str) -> None:
    """Refuse moments of fewer than two rows, or of rows with NaN or infinite values."""
    if moments.n < 2:
        raise ValueError(
            f"a t-test needs at least 2 {rows} to estimate a variance, got {moments.n} for {name}; "
            f"add {rows} (each is one sentence, or one pair of sentences)"
        )
    bad = int((~moments.finite).sum())
    if bad:
        raise ValueError(
            f"{name}: {bad} of {moments.finite.numel()} units hold NaN or infinite values; "
            "finite numbers are needed: look at the activations where `moments.finite` is False"
        )


def check_min_effect(min_effect: float | int) -> None:
    """Refuse a ``min_effect`` that is negative or not finite."""
    if not (math.isfinite(number("min_effect", min_effect, finite=False)) and min_effect >= 0):
        raise ValueError(
            f"min_effect must be a finite number of standard deviations, 0 or more, got {min_effect!r}; "
            "0 is the ordinary test, 0.5 a medium effect"
        )
