"""Power of Welch's test: against simulated studies, statsmodels where both agree, and its own inverse."""

import numpy as np
import pytest
from scipy import integrate, stats
from statsmodels.stats.power import TTestIndPower

from tlesion.stats import power_curve
from tlesion.stats.welch_power import welch_noncentrality, welch_power


@pytest.mark.parametrize(("n", "effect", "level"), [(3, 2.5, 0.05), (8, 2.0, 0.001), (8, 1.2, 0.05), (20, 1.0, 0.001)])
def test_power_is_the_share_of_simulated_studies_that_reject(n, effect, level):
    """60,000 studies: three standard errors of a share are at most 0.006."""
    rng = np.random.default_rng(n)
    a, b = rng.normal(effect, 1, (60_000, n)), rng.normal(0, 1, (60_000, n))
    found = (stats.ttest_ind(a, b, axis=1, equal_var=False).pvalue <= level).mean()
    expected = welch_power(np.asarray([effect * np.sqrt(n / 2)]), n, level)[0]
    assert found == pytest.approx(expected, abs=0.0065)


def test_few_sentences_at_a_strict_level_find_clearly_less_than_student_promises():
    """Why Student's formula does not do: the case in which studies missed it by 8 points."""
    n, level, effect = 8, 0.05 / 1024, 3.0
    welch = welch_power(np.asarray([effect * np.sqrt(n / 2)]), n, level)[0]
    student = TTestIndPower().power(effect, n, level)
    assert student - welch > 0.05


def test_many_sentences_find_what_student_finds():
    assert welch_power(np.asarray([0.4 * np.sqrt(100)]), 200, 0.01)[0] == pytest.approx(
        TTestIndPower().power(0.4, 200, 0.01), abs=5e-4
    )


@pytest.mark.parametrize("n", [2, 3, 8, 54, 500])
def test_noncentrality_inverts_power(n):
    found = welch_noncentrality(n, 0.001, 0.8)
    assert welch_power(np.asarray([found]), n, 0.001)[0] == pytest.approx(0.8, abs=1e-9)


def test_power_curve_uses_it_both_ways():
    curve = power_curve([8, 20], test="welch", correction="none")
    for n, effect in zip(curve.n.tolist(), curve.effect.tolist(), strict=True):
        assert curve.power_at([effect], n)[0] == pytest.approx(0.8, abs=1e-9)
        assert curve.n_needed(effect + 1e-6) == n
    student = power_curve([8, 20], test="student", correction="none")
    assert (curve.effect > student.effect).all()


@pytest.mark.parametrize("n", [3, 5])
def test_the_mean_over_the_share_of_the_first_variance(n):
    """By another integral, at the few sentences where the estimated degrees of freedom vary most."""
    level, noncentrality = 0.05, 3.0

    def rejects(u):
        critical = stats.t.isf(level / 2, (n - 1) / (u**2 + (1 - u) ** 2))
        t = stats.nct(2 * n - 2, noncentrality)
        return (t.sf(critical) + t.cdf(-critical)) * stats.beta.pdf(u, (n - 1) / 2, (n - 1) / 2)

    expected, _ = integrate.quad(rejects, 0, 1)
    assert welch_power(np.asarray([noncentrality]), n, level)[0] == pytest.approx(expected, abs=1e-4)
