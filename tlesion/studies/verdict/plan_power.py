"""What a study can reach, from the numbers of its groups, tests, controls and neurons."""

import math

from scipy import stats

from tlesion.stats import power_curve


def groups_needed(alpha: float, n_tests: int = 1) -> int:
    """How many independent groups let a two-sided sign-flip p reach ``alpha`` after a correction for so many tests.

    Example:
        >>> groups_needed(0.05), groups_needed(0.05, 24)
        (6, 10)
    """
    return math.ceil(math.log2(n_tests / alpha) - 1e-12) + 1


def least_groups_p(n_groups: int, n_permutations: int = 10_000) -> float:
    """The smallest p that so many groups can give: both flips in which all of them agree, of all flips.

    Example:
        >>> least_groups_p(5), least_groups_p(6)
        (0.0625, 0.03125)
    """
    return min(1.0, max(2.0 ** (1 - n_groups), 1 / (1 + n_permutations)))


def attainable_z(share: float, n_causal: int) -> float:
    r"""How far from its controls a set can lie, :math:`\sqrt{k (1 - f) / f}` standard deviations.

    k neurons carry the effect alike, and the set holds them all. A random set that holds the share f of the layer holds
    each of them with probability f, whatever else it does: its effect has the mean k f, and at least the variance
    k f (1 − f), where the set's own is k.

    Example:
        >>> round(attainable_z(0.2, 1), 6), round(attainable_z(0.2, 4), 6)
        (2.0, 4.0)
    """
    return math.sqrt(n_causal * (1 - share) / share)


def needed_z(n_tests: int, n_controls: int, alpha: float, *, z: float | None = None) -> float:
    r"""How far from the mean of its controls a set has to lie, in their standard deviations: about, for normal ones.

    .. math:: r = z \sqrt{(C + 1) / (C - z^2)}

    z is the two-sided normal quantile at alpha over the number of tests, or what is given. The set is standardised
    together with its controls, and draws the mean and the standard deviation towards itself: with few controls r is
    much larger than z, and infinite from z² = C on.

    Example:
        >>> round(needed_z(24, 99, 0.05), 2), round(needed_z(24, 19, 0.05), 2)
        (3.25, 4.46)
    """
    z = float(stats.norm.isf(alpha / (2 * n_tests))) if z is None else z
    return z * math.sqrt((n_controls + 1) / (n_controls - z * z)) if z * z < n_controls else math.inf


def neurons_needed(share: float, n_tests: int, n_controls: int, alpha: float) -> int:
    """How many neurons have to carry an effect, alike, so that a set of that share can be told from its controls.

    Two things ask for more of them in a wider set: the distance that can be reached (`attainable_z`), and the random
    sets that hold all of them by chance, which do as much as the set does.

    Example:
        >>> neurons_needed(0.02, 24, 99, 0.05), neurons_needed(0.2, 24, 99, 0.05)
        (1, 3)
    """
    needed, count = needed_z(n_tests, n_controls, alpha), 1
    if math.isinf(needed) or allowed_controls(n_controls, alpha) < 0:
        return 0
    while attainable_z(share, count) <= needed or _often(share**count, n_controls, alpha):
        count += 1
    return count


def _often(chance: float, n_controls: int, alpha: float) -> bool:
    """Whether controls that hold the whole effect are more than may be, in more than half of all studies."""
    return float(stats.binom.sf(allowed_controls(n_controls, alpha), n_controls, chance)) > 0.5


def allowed_controls(n_controls: int, alpha: float) -> int:
    """How many controls may do as much as a lesion whose p is at most ``alpha``; negative: not even none.

    Example:
        >>> allowed_controls(99, 0.05), allowed_controls(19, 0.05), allowed_controls(18, 0.05)
        (4, 0, -1)
    """
    return math.floor(alpha * (1 + n_controls) + 1e-9) - 1


def detectable_over_groups(n_groups: int, n_tests: int, alpha: float, power: float) -> float:
    """The smallest mean, in standard deviations over groups, that is found with this probability (Bonferroni).

    Infinite where p need not reach ``alpha``: with fewer groups than `groups_needed`.

    Example:
        >>> round(detectable_over_groups(40, 24, 0.05, 0.9), 2), detectable_over_groups(9, 24, 0.05, 0.9)
        (0.73, inf)
    """
    if n_groups < groups_needed(alpha, n_tests):
        return math.inf
    curve = power_curve([n_groups], test="paired", power=power, alpha=alpha, correction="bonferroni", n_tests=n_tests)
    return float(curve.effect[0])


def safe_level(n_controls: int, alpha: float, miss: float) -> float:
    """The level below ``alpha`` whose quantile new controls' limit stays under, but for a probability ``miss``.

    The limit that a study's own controls set is the largest, or the fifth largest, of so many draws: it moves from
    study to study.

    Example:
        >>> round(safe_level(99, 0.05, 0.05), 4)
        0.0201
    """
    over = allowed_controls(n_controls, alpha) + 1
    return float(stats.beta.ppf(miss, over, n_controls - over + 1)) if over >= 1 else 0.0


def safe_rank(n_controls: int, n_pilot: int, alpha: float, miss: float) -> int:
    """Which of a pilot's controls, 0 the furthest out, a study's limit exceeds with probability ``miss`` at most.

    Where not even the furthest is safe, the furthest.

    Example:
        >>> safe_rank(99, 99, 0.05, 0.05), safe_rank(99, 99, 0.05, 0.2)
        (0, 1)
    """
    over, rank = allowed_controls(n_controls, alpha) + 1, 0
    # Both draws are of one kind. The limit lies beyond the pilot's (rank + 1)-th largest if `over` of the study's do:
    # if among the first over + rank of all, taken by size, no more than `rank` are the pilot's.
    while stats.hypergeom.cdf(rank + 1, n_controls + n_pilot, n_pilot, over + rank + 1) <= miss:
        rank += 1
    return rank


def upper_deviation(n: int, confidence: float) -> float:
    """By which factor a standard deviation that was estimated from n normal draws may be too small.

    Example:
        >>> round(upper_deviation(20, 0.9), 2), upper_deviation(1, 0.9)
        (1.28, inf)
    """
    return math.sqrt((n - 1) / float(stats.chi2.ppf(1 - confidence, n - 1))) if n > 1 else math.inf


def normal_z(level: float, n_tests: int) -> float:
    """The two-sided normal quantile of a level that so many tests share; infinite for a level of zero."""
    return float(stats.norm.isf(level / (2 * n_tests)))


def quantile(power: float, n_groups: int) -> float:
    """Student's quantile over groups; infinite with fewer than two."""
    return float(stats.t.ppf(power, n_groups - 1)) if n_groups > 1 else math.inf


def limit_miss(power: float) -> float:
    """How often a study's controls may set a higher limit than is taken here: in one of four at a power of 90 %.

    An effect lies beyond the usual limit by as much as its own noise needs, which leaves room. Limits that are safe by
    themselves would call little detectable; that these are enough is measured (``benchmarks/plan_power.py``).

    Example:
        >>> round(limit_miss(0.9), 6), round(limit_miss(0.5), 6)
        (0.25, 0.5)
    """
    return min(0.5, 2.5 * (1 - power))
