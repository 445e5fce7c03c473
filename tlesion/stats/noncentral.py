"""The noncentral t distribution: tails, and the noncentralities that belong to given tails."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats
from scipy.optimize import elementwise

Array = NDArray[np.float64]


LARGE = 2000.0  # noncentrality from which Boost's series first lose digits, then fail to converge
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(40)


def upper_tail(t: Array, dof: Array, noncentrality: Array) -> Array:
    r""":math:`P(T \ge t)` for t that is not negative and finite degrees of freedom."""
    p = np.asarray(stats.nct.sf(t, dof, np.minimum(noncentrality, LARGE)))
    return _replace_large(p, special.gammainc, t, dof, noncentrality)


def lower_tail(t: Array, dof: Array, noncentrality: Array) -> Array:
    r""":math:`P(T \le t)` for t that is not negative and finite degrees of freedom."""
    capped = np.minimum(noncentrality, LARGE)
    p = np.asarray(stats.nct.cdf(t, dof, capped))
    lost = np.isnan(p)  # here and there, though the upper tail, whose series is another, is never lost
    if lost.any():
        p = np.where(lost, 1 - upper_tail(t, dof, capped), p)
    return _replace_large(p, special.gammaincc, t, dof, noncentrality)


def noncentral_p(t: Array, dof: Array, noncentrality: Array) -> Array:
    r"""Two-sided tail :math:`P(|T| \ge t)`; infinite ``dof`` is the normal distribution.

    Args:
        t: not negative.
        dof: degrees of freedom.
        noncentrality: not negative.
    """
    normal = special.ndtr(noncentrality - t) + special.ndtr(-noncentrality - t)
    finite = np.where(np.isfinite(dof), dof, 1.0)
    # The upper tail of -T is the lower tail of T, which scipy computes as NaN where it is very small.
    mirrored = upper_tail(t, finite, -np.minimum(noncentrality, LARGE))
    return np.where(np.isfinite(dof), upper_tail(t, finite, noncentrality) + mirrored, normal)


def noncentrality_interval(t: Array, dof: Array, level: float) -> tuple[Array, Array]:
    """Confidence interval of the noncentrality behind an observed t statistic (not negative)."""
    tail = (1 - level) / 2
    low, high = np.full_like(t, -stats.norm.isf(tail / 2)), _surely_beyond(t, dof, tail)
    lower = _solve(lambda nc, t, dof: upper_tail(t, dof, nc) - tail, low, high, t, dof)
    upper = _solve(lambda nc, t, dof: lower_tail(t, dof, nc) - tail, low, high, t, dof)
    return lower, upper


def noncentrality_of_power(critical: Array, dof: Array, power: float) -> Array:
    r"""Noncentrality with which :math:`|T|` exceeds its critical value with the given probability."""
    high = _surely_beyond(critical, dof, 1 - power)
    return _solve(lambda nc, t, dof: noncentral_p(t, dof, nc) - power, np.zeros_like(critical), high, critical, dof)


def _replace_large(p: Array, chi: Callable[..., Any], t: Array, dof: Array, noncentrality: Array) -> Array:
    """Large noncentralities by averaging the tail of the chi-square distribution over the normal draw."""
    large = np.broadcast_to(noncentrality > LARGE, np.shape(p))
    if not large.any():
        return p
    t, dof, noncentrality = (np.broadcast_to(x, np.shape(p))[large][:, None] for x in (t, dof, noncentrality))
    bound = (noncentrality + NODES) / np.maximum(t, np.finfo(np.float64).tiny)
    with np.errstate(over="ignore"):
        p[large] = chi(dof / 2, dof / 2 * bound**2) @ (WEIGHTS / WEIGHTS.sum())
    return p


def _surely_beyond(t: Array, dof: Array, tail: float) -> Array:
    """A noncentrality so large that T stays below t with a probability under ``tail``.

    For T < t the standard deviation has to be larger, or the normal draw lower, than these; half the tail each.
    """
    finite = np.where(np.isfinite(dof), dof, 1.0)
    error = np.where(np.isfinite(dof), np.sqrt(stats.chi2.isf(tail / 2, finite) / finite), 1.0)
    return t * error + stats.norm.isf(tail / 2)


def _solve(function: Callable[..., Any], low: Array, high: Array, *args: Array) -> Array:
    """Root of ``function(x, *args)`` between low and high, for every element by itself."""
    find_root: Any = elementwise.find_root  # its type stub knows functions of one argument only
    root: Array = find_root(function, (low, high), args=args).x
    return root
