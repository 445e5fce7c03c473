"""The level of one test that a corrected level comes down to, for planning a study."""

import math

from tlesion.stats.correction import check_alpha

BONFERRONI = ("bonferroni", "holm", "simes-hochberg", "hommel")
SIDAK = ("sidak", "holm-sidak")
FDR = ("fdr_bh", "fdr_by")


def corrected_level(
    alpha: float | int,
    *,
    correction: str = "fdr_bh",
    n_tests: int = 1,
    share_true: float | int = 0.1,
    power: float | int = 0.8,
) -> float:
    r"""Level at which a single test rejects when all tests together are corrected.

    Bonferroni: :math:`\alpha / m`; Šidák: :math:`1 - (1 - \alpha)^{1/m}`. Their stepwise variants reject at
    least as much, so that the power at this level is a lower bound for them.

    Benjamini-Hochberg rejects p-values up to :math:`\alpha R / m`, where R counts the rejections. Of m
    tests a share :math:`\pi_1` has an effect that is found with probability ``power``, so that
    :math:`R/m = (1 - \pi_1)\,a + \pi_1\,\mathrm{power}` at the level a, and

    .. math:: a = \frac{\alpha \, \pi_1 \, \mathrm{power}}{1 - \alpha\,(1 - \pi_1)},

    but never less than Bonferroni's level, at which BH always rejects the smallest p-value. It is the limit for
    many tests. Benjamini-Yekutieli is the same with :math:`\alpha / \sum_{i \le m} 1/i`.

    Args:
        alpha: level after correction.
        correction: "none", "bonferroni", "holm", "simes-hochberg", "hommel", "sidak", "holm-sidak",
            "fdr_bh" or "fdr_by".
        n_tests: tests m in one family.
        share_true: expected share of tests with a true effect (FDR methods only).
        power: probability with which each of those is found (FDR methods only).

    Returns:
        The level of a single test, between 0 and ``alpha``.

    Raises:
        ValueError: a setting outside its range, or a correction whose level is not known in advance.

    Source:
        Genovese & Wasserman (2002), Operating characteristics and extensions of the false discovery rate
        procedure, JRSS B 64:499-517; Jung (2005), Sample size for FDR-control in microarray data analysis,
        Bioinformatics 21:3097-3104.

    Example:
        >>> from tlesion.stats import corrected_level
        >>> round(corrected_level(0.05, correction="bonferroni", n_tests=4096), 8)
        1.221e-05
        >>> round(corrected_level(0.05, correction="fdr_bh", n_tests=4096, share_true=0.1), 8)
        0.00418848
    """
    check_alpha(alpha)
    if n_tests < 1:
        raise ValueError(f"n_tests must be 1 or more, got {n_tests!r}; it is the number of units in a family")
    if not (0 <= share_true <= 1 and 0 < power <= 1):
        raise ValueError(f"share_true and power are shares from 0 to 1, got {share_true!r} and {power!r}")
    if correction == "none":
        return alpha
    if correction in BONFERRONI:
        return alpha / n_tests
    if correction in SIDAK:
        return -math.expm1(math.log1p(-alpha) / n_tests)
    if correction in FDR:
        per_rejection = _per_rejection(alpha, correction, n_tests)
        level = per_rejection * share_true * power / (1 - per_rejection * (1 - share_true))
        return max(level, per_rejection / n_tests)
    raise ValueError(
        f"the level of correction {correction!r} is not known in advance; allowed are none, "
        f"{', '.join(BONFERRONI + SIDAK + FDR)} (adaptive methods usually find a little more than 'fdr_bh')"
    )


def fdr_level(rejected: float, alpha: float, correction: str, n_tests: int) -> float:
    """Level at which an FDR method rejects, given the share of all tests that it rejects."""
    return _per_rejection(alpha, correction, n_tests) * max(rejected, 1 / n_tests)


def _per_rejection(alpha: float, correction: str, n_tests: int) -> float:
    """The level by which each further rejected share raises the threshold: alpha, or less for BY."""
    return alpha / sum(1 / i for i in range(1, n_tests + 1)) if correction == "fdr_by" else alpha
