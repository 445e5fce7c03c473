"""p-values of t statistics, central and noncentral, also where they are too small for float64.

scipy's distributions are used where float64 can hold the result; below 1e-290 the logarithm of p is
integrated here.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import NDArray
from scipy import special
from torch import Tensor

from tlesion.stats.noncentral import noncentral_p

Array = NDArray[np.float64]

SMALLEST = 1e-290  # below it p turns subnormal, then 0
N_NODES = 320
DEPTH = 40.0  # e^-40 of the peak: what lies outside the nodes is below float64's precision
CHUNK = 1 << 11  # units integrated at once: 320 nodes of them are 5 MB, and a dozen such arrays are alive


def p_and_log_p(
    t: Float64[Tensor, "*unit"],
    dof: Float64[Tensor, "*unit"],
    noncentrality: Float64[Tensor, "*unit"],
) -> tuple[Float64[Tensor, "*unit"], Float64[Tensor, "*unit"]]:
    r"""Two-sided tail :math:`P(|T| \ge |t|)` of Student's t, and its natural logarithm.

    Args:
        t: the statistic; its sign does not matter. NaN stays NaN.
        dof: degrees of freedom, infinite for the normal distribution.
        noncentrality: of T, in standard errors; 0 for the central distribution.
    """
    size = np.abs(t.numpy(force=True)).ravel()
    nu = dof.numpy(force=True).ravel()
    shift = np.abs(noncentrality.numpy(force=True)).ravel()
    central = shift == 0
    p = np.where(central, 2 * special.stdtr(nu, -size), np.nan)
    p[~central] = noncentral_p(size[~central], nu[~central], shift[~central])
    p = np.minimum(p, 1.0)
    with np.errstate(divide="ignore"):
        log_p = np.log(p)
    far = (p < SMALLEST) & np.isfinite(size)
    log_p[far] = log_tail(size[far], nu[far], shift[far])
    return torch.from_numpy(p.reshape(t.shape)), torch.from_numpy(log_p.reshape(t.shape))


def log_tail(t: Array, dof: Array, noncentrality: Array) -> Array:
    r"""Logarithm of :math:`P(|T| \ge t)` by integrating over the standard deviation's error.

    .. math::

        P(|T| \ge t) = \int_0^\infty f_\nu(w)\,
        [\Phi(\delta - t w) + \Phi(-\delta - t w)]\, dw, \qquad w = \sqrt{\chi^2_\nu / \nu}

    In :math:`y = \log w` the integrand is log-concave and analytic, so that the trapezoidal rule on
    the range where it matters converges exponentially: log p is good to 1e-13 for a noncentrality of
    up to 300, and to about 0.01 at 10,000, where the normal step is narrower than the nodes.

    Args:
        t: the statistic, not negative, finite.
        dof: degrees of freedom.
        noncentrality: not negative.
    """
    chunks = range(0, len(t), CHUNK)
    parts = [
        _log_tail(t[i : i + CHUNK, None], dof[i : i + CHUNK, None], noncentrality[i : i + CHUNK, None]) for i in chunks
    ]
    return np.concatenate(parts) if parts else np.empty(0)


def _log_tail(t: Array, dof: Array, shift: Array) -> Array:
    normal = np.isinf(dof)
    nu = np.where(normal, 1.0, dof)
    peak = _bisect(lambda y: _slope(y, t, nu, shift), np.log(0.1 * np.minimum(nu, 1) / (1 + t)), 0 * t)
    floor = _log_integrand(peak, t, nu, shift) - DEPTH
    low = _bisect(lambda y: floor - _log_integrand(y, t, nu, shift), peak - 60 / nu - 60, peak)
    high = _bisect(lambda y: _log_integrand(y, t, nu, shift) - floor, peak, peak + 60)
    nodes = low + (high - low) * np.linspace(0, 1, N_NODES)
    log_sum = special.logsumexp(_log_integrand(nodes, t, nu, shift), axis=-1)
    finite = log_sum + np.log((high - low)[:, 0] / (N_NODES - 1)) + _log_norm(nu[:, 0])
    infinite = np.logaddexp(special.log_ndtr(shift - t), special.log_ndtr(-shift - t))[:, 0]
    return np.where(normal[:, 0], infinite, finite)


def _log_integrand(y: Array, t: Array, nu: Array, shift: Array) -> Array:
    """Log of f(w) * [...] * w at w = e^y, without the normalising constant."""
    tw = t * np.exp(y)
    with np.errstate(over="ignore"):
        log_chi = -nu * (np.expm1(2 * y) - 2 * y) / 2
    log_normal: Array = np.logaddexp(special.log_ndtr(shift - tw), special.log_ndtr(-shift - tw))
    return log_chi + log_normal


def _slope(y: Array, t: Array, nu: Array, shift: Array) -> Array:
    """Derivative of the log integrand's larger part: positive below the peak."""
    tw = t * np.exp(y)
    inverse_mills = np.sqrt(2 / np.pi) / special.erfcx((tw - shift) / np.sqrt(2))  # of delta - tw
    slope: Array = -nu * np.expm1(2 * y) - tw * inverse_mills
    return slope


def _log_norm(nu: Array) -> Array:
    """log of 2 (nu/2)^(nu/2) e^(-nu/2) / Gamma(nu/2); by Stirling's series where terms would cancel."""
    half = nu / 2
    large = np.maximum(half, 30.0)
    series = 1 / large * (1 / 12 - 1 / large**2 * (1 / 360 - 1 / large**2 * (1 / 1260 - 1 / large**2 / 1680)))
    stirling = 0.5 * np.log(large / (2 * np.pi)) - series
    small = np.minimum(half, 30.0)
    direct = special.xlogy(small, small) - small - special.gammaln(small)
    log_norm: Array = np.log(2) + np.where(half > 30.0, stirling, direct)
    return log_norm


def _bisect(function: Callable[[Array], Array], low: Array, high: Array, n_steps: int = 40) -> Array:
    """Where a function changes sign from positive to negative, for every unit at once."""
    for _ in range(n_steps):
        middle = (low + high) / 2
        above = function(middle) > 0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return (low + high) / 2
