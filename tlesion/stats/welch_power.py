r"""Power of Welch's test with equally many sentences in both conditions and equal variances.

With equal numbers Welch's statistic is Student's, so that T has a noncentral t distribution with 2n − 2 degrees of
freedom. What differs is the critical value: it belongs to the degrees of freedom that Welch estimates from the share u
of the first condition in the sum of both variances,

.. math:: \nu = (n - 1) \,/\, (u^2 + (1 - u)^2), \qquad u \sim \mathrm{Beta}((n-1)/2, (n-1)/2),

which is independent of T. The power is the mean over u.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq

from tlesion.stats.noncentral import noncentral_p

Array = NDArray[np.float64]

NODES, WEIGHTS = np.polynomial.legendre.leggauss(64)
"""Over the quantiles of u, from -1 to 1."""


def welch_power(noncentrality: Array, n: int, level: float) -> Array:
    """Probability that Welch's test rejects at a two-sided level.

    Args:
        noncentrality: not negative; d times the root of n / 2.
        n: sentences per condition, 2 or more.
        level: of the test.

    Example:
        >>> float(welch_power(np.zeros(1), 54, 0.05)[0].round(3))
        0.05
    """
    u = stats.beta.ppf((NODES + 1) / 2, (n - 1) / 2, (n - 1) / 2)
    critical = np.asarray(stats.t.isf(level / 2, (n - 1) / (u**2 + (1 - u) ** 2)))
    shape = (len(NODES), len(noncentrality))
    found = noncentral_p(
        np.broadcast_to(critical[:, None], shape), np.full(shape, 2.0 * n - 2), np.broadcast_to(noncentrality, shape)
    )
    return WEIGHTS / 2 @ found


def welch_noncentrality(n: int, level: float, power: float) -> float:
    """The noncentrality with which Welch's test rejects with this probability."""
    high = 2.0 * float(stats.t.isf(level / 2, n - 1)) + 10.0
    while welch_power(np.asarray([high]), n, level)[0] < power:
        high *= 2
    return float(brentq(lambda x: welch_power(np.asarray([x]), n, level)[0] - power, 0.0, high, xtol=1e-12))
