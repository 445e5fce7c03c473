"""Moderated t-tests: the variance of each unit borrows strength from all units of its layer."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64
from numpy.typing import NDArray
from scipy import special
from torch import Tensor

from tlesion.stats.moments import Moments
from tlesion.stats.ttest import TTest, check_rows, check_two_samples, pooled_variance, t_test

Array = NDArray[np.float64]

FLOOR = 1e-5  # share of the median variance, as in limma's fitFDist


@dataclass(frozen=True, eq=False, kw_only=True)
class VariancePrior:
    """What the units of one family tell about the variance of each: a scaled inverse chi-square.

    Attributes:
        dof: degrees of freedom d0 that the prior is worth; infinite where the sample variances differ no
            more than chance makes them, 0 where a family has fewer than two units to learn from.
        variance: its location s0².
    """

    dof: Float64[Tensor, "*family"]
    variance: Float64[Tensor, "*family"]


@dataclass(frozen=True, eq=False, kw_only=True)
class ModeratedTTest(TTest):
    """A `TTest` on shrunken variances, with the prior that they were shrunken towards.

    ``effect_size`` stays the ordinary Cohen's d or d_z, on the unit's own standard deviation (infinite or
    NaN where that is zero), while ``std_error`` and t use the shrunken one.

    Attributes:
        prior: what the variances were shrunken towards, and how strongly.
    """

    prior: VariancePrior


def moderated(a: Moments, b: Moments, *, min_effect: float | int = 0.0) -> ModeratedTTest:
    r"""Two-sample t-test on variances shrunken by empirical Bayes.

    .. math::

        \tilde t = \frac{\bar a - \bar b}{\tilde s \sqrt{1/n_a + 1/n_b}}, \quad
        \tilde s^2 = \frac{d_0 s_0^2 + d s_p^2}{d_0 + d}, \quad d = n_a + n_b - 2, \quad \nu = d_0 + d

    With few sentences and many neurons this is the test to prefer: the variance of one neuron from a
    handful of rows is a poor estimate, and thousands of neurons say what variances are plausible. The
    prior is fitted over the last axis: each layer of ``[layer, neuron]`` by itself. As in limma, the
    degrees of freedom are capped at those of all variances of the family pooled.

    Args:
        a: moments of condition a, its last axis the units of one family.
        b: moments of condition b.
        min_effect: test whether the difference lies beyond ± this many standard deviations. Exact under
            the model: for a true effect :math:`\delta`, :math:`\tilde t` is noncentral t.

    Returns:
        t (positive where a is larger), degrees of freedom, p and the prior; NaN for dead units.

    Raises:
        ValueError: fewer than two rows in a condition, different shapes, NaN or infinite values, or
            moments of a single unit without an axis.

    Source:
        Smyth (2004), Linear models and empirical Bayes methods for assessing differential expression in
        microarray experiments, SAGMB 3(1):3. Agrees with R's limma (``eBayes``) and its port ``pylimma``.

    Example:
        >>> import torch
        >>> from tlesion.stats import Moments, moderated
        >>> rows = torch.randn(8, 100, generator=torch.Generator().manual_seed(0))
        >>> test = moderated(Moments.of(rows[:4]), Moments.of(rows[4:]))
        >>> bool(test.dof[0] > 6)  # more than n_a + n_b - 2
        True
    """
    check_two_samples(a, b)
    return _moderate(
        a.mean - b.mean,
        pooled_variance(a, b),
        dof=a.n + b.n - 2,
        per_row=1 / a.n + 1 / b.n,
        dead=a.constant & b.constant,
        min_effect=min_effect,
    )


def moderated_paired(
    difference: Moments, *, dead: Bool[Tensor, "*unit"] | None = None, min_effect: float | int = 0.0
) -> ModeratedTTest:
    r"""Paired t-test on variances shrunken by empirical Bayes: `moderated` for differences within pairs.

    .. math::

        \tilde t = \frac{\bar d}{\tilde s / \sqrt n}, \quad
        \tilde s^2 = \frac{d_0 s_0^2 + d s_d^2}{d_0 + d}, \quad d = n - 1, \quad \nu = d_0 + d

    Args:
        difference: moments of a - b, one row per pair, the last axis the units of one family.
        dead: the units to leave out, ``a.constant & b.constant``. None leaves out all units whose
            differences are constant. A unit that is not left out though its differences are constant has a
            finite t, on the prior's variance, but does not help to fit the prior.
        min_effect: test whether the difference lies beyond ± this many standard deviations.

    Returns:
        t (positive where a is larger), degrees of freedom, p and the prior; NaN for dead units.

    Raises:
        ValueError: fewer than two pairs, NaN or infinite values, or moments without an axis.

    Source:
        Smyth (2004), as for `moderated`.

    Example:
        >>> import torch
        >>> from tlesion.stats import Moments, moderated_paired
        >>> rows = torch.randn(4, 100, generator=torch.Generator().manual_seed(0))
        >>> test = moderated_paired(Moments.of(rows))
        >>> bool(test.dof[0] > 3), test.prior.dof.shape
        (True, torch.Size([]))
    """
    check_rows(difference, "the differences", "pairs")
    return _moderate(
        difference.mean,
        difference.variance,
        dof=difference.n - 1,
        per_row=1 / difference.n,
        dead=difference.constant if dead is None else dead,
        min_effect=min_effect,
    )


def fit_variance_prior(
    variance: Float64[Tensor, "*family unit"], dof: int, *, usable: Bool[Tensor, "*family unit"]
) -> VariancePrior:
    r"""Fit Smyth's prior to the sample variances of each family, by the moments of their logarithms.

    With :math:`e_g = \log s_g^2 - \psi(d/2) + \log(d/2)` over the G usable units,

    .. math::

        \psi'(d_0/2) = \frac{\sum (e_g - \bar e)^2}{G - 1} - \psi'(d/2), \qquad
        \log s_0^2 = \bar e + \psi(d_0/2) - \log(d_0/2).

    Where the right side of the first is not positive, :math:`d_0` is infinite and :math:`s_0^2` the mean
    of the variances (limma's choice since 2017: the maximum likelihood estimate in that case). Like
    limma, variances below 1e-5 of the median are raised to that for the fit, so that the logarithm of a
    nearly dead unit cannot dominate it.

    Args:
        variance: sample variances.
        dof: their degrees of freedom d.
        usable: units to learn from; their variance must be positive.
    """
    shape = variance.shape
    keep = usable.numpy(force=True).reshape(-1, shape[-1])
    count = keep.sum(1)
    shared = np.maximum(count, 1)
    values = np.where(keep, variance.numpy(force=True).reshape(keep.shape), np.nan)
    values[count == 0] = 1.0  # stands for nothing: keeps nanmedian quiet
    values = np.maximum(values, FLOOR * np.nanmedian(values, axis=1, keepdims=True))
    centred = np.log(values) - special.psi(dof / 2) + np.log(dof / 2)
    mean = np.where(keep, centred, 0).sum(1) / shared
    squares = np.where(keep, (centred - mean[:, None]) ** 2, 0).sum(1)
    excess = squares / np.maximum(count - 1, 1) - special.polygamma(1, dof / 2)
    half = _inverse_trigamma(np.where(excess > 0, excess, 1.0))
    located = np.exp(mean + special.psi(half) - np.log(half))
    pooled = np.where(keep, values, 0).sum(1) / shared
    prior_dof = np.select([count < 2, excess > 0], [0.0, 2 * half], np.inf)
    prior_variance = np.select([count < 2, excess > 0], [pooled, located], pooled)
    return VariancePrior(
        dof=torch.from_numpy(prior_dof.reshape(shape[:-1])),
        variance=torch.from_numpy(prior_variance.reshape(shape[:-1])),
    )


def _moderate(
    difference: Float64[Tensor, "*unit"],
    variance: Float64[Tensor, "*unit"],
    *,
    dof: int,
    per_row: float,
    dead: Bool[Tensor, "*unit"],
    min_effect: float | int,
) -> ModeratedTTest:
    if variance.ndim == 0:
        raise ValueError("a moderated test learns from many units; got moments of one, without a unit axis")
    difference, variance, dead = difference.cpu(), variance.cpu(), dead.cpu()
    prior = fit_variance_prior(variance, dof, usable=(variance > 0) & ~dead)
    prior_dof, prior_variance = prior.dof[..., None], prior.variance[..., None]
    weight = torch.where(prior_dof.isinf(), 1.0, prior_dof / (prior_dof + dof))
    scale = (weight * prior_variance + (1 - weight) * variance).sqrt()
    pooled_dof = dof * (~dead).sum(-1, keepdim=True)
    total_dof = torch.minimum(prior_dof + dof, pooled_dof.double()).expand_as(variance)
    dead = dead | (scale == 0)  # not even the prior has any variance
    test = t_test(difference, scale * per_row**0.5, total_dof, scale, dead=dead, min_effect=min_effect)
    own = difference / variance.sqrt().masked_fill(dead, torch.nan)
    return ModeratedTTest(**(vars(test) | {"effect_size": own}), prior=prior)


def _inverse_trigamma(x: Array) -> Array:
    """Solve trigamma(y) = x for y > 0, by Newton's method on 1 / trigamma (Smyth 2004, appendix)."""
    y = 0.5 + 1 / x
    for _ in range(50):
        trigamma = special.polygamma(1, y)
        step = trigamma * (1 - trigamma / x) / special.polygamma(2, y)
        y = y + step
        if np.all(np.abs(step) <= 1e-14 * y):
            break
    return y
