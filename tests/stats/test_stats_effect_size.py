"""Effect sizes by hand, their intervals against the noncentral t, and their coverage."""

import mpmath as mp
import numpy as np
import pytest
import torch
from scipy import stats

from tlesion.stats import Moments, cohens_d, d_z, hedges_g, paired, student

# find_root stops when the noncentrality is known to a few ulp; the tail it belongs to then is, too.
PIVOT = 1e-10


def draw(n, units, *, seed, shift=0.0):
    return Moments.of(torch.from_numpy(np.random.default_rng(seed).standard_normal((n, units)) + shift))


def test_by_hand():
    a = Moments.of(torch.tensor([[3.0], [4.0], [5.0]]))
    b = Moments.of(torch.tensor([[1.0], [2.0], [3.0]]))
    assert cohens_d(a, b).estimate.item() == pytest.approx(2.0)
    assert cohens_d(b, a).estimate.item() == pytest.approx(-2.0)
    # J(4) = Γ(2) / (√2 Γ(3/2)) = 1 / (√2 · √π / 2)
    assert hedges_g(a, b).estimate.item() == pytest.approx(2 * 2 / (2 * np.pi) ** 0.5)
    assert d_z(Moments.of(torch.tensor([[1.0], [2.0], [6.0]]))).estimate.item() == pytest.approx(3 / 7**0.5)


@pytest.mark.parametrize(("n_a", "n_b"), [(2, 2), (3, 9), (54, 54), (400, 300), (5000, 5000)])
def test_hedges_correction_is_the_exact_one(n_a, n_b):
    a, b = draw(n_a, 3, seed=0, shift=0.5), draw(n_b, 3, seed=1)
    half = mp.mpf(n_a + n_b - 2) / 2
    exact = mp.gamma(half) / (mp.sqrt(half) * mp.gamma(half - mp.mpf(1) / 2))
    ratio = hedges_g(a, b).estimate / cohens_d(a, b).estimate
    # lgamma of 5000 is 3.8e4: its rounding leaves 1e-11.
    np.testing.assert_allclose(ratio, float(exact), rtol=1e-10)
    np.testing.assert_allclose(hedges_g(a, b).upper, cohens_d(a, b).upper * float(exact), rtol=1e-10)


@pytest.mark.slow
def test_hedges_g_is_unbiased_where_d_is_not():
    a, b = draw(4, 10_000, seed=2, shift=1.0), draw(4, 10_000, seed=3)
    # Standard error of the mean of 10,000 estimates: 0.009.
    assert hedges_g(a, b).estimate.mean().item() == pytest.approx(1.0, abs=0.03)
    assert cohens_d(a, b).estimate.mean().item() > 1.1


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
@pytest.mark.parametrize(("n_a", "n_b", "shift"), [(2, 2, 0.0), (2, 3, 40.0), (8, 5, -1.0), (54, 54, 0.4), (40, 60, 9)])
def test_interval_ends_have_the_tails_they_should(n_a, n_b, shift, level):
    a, b = draw(n_a, 25, seed=4, shift=shift), draw(n_b, 25, seed=5)
    d, test = cohens_d(a, b, level=level), student(a, b)
    root = (1 / n_a + 1 / n_b) ** -0.5
    t, dof, tail = test.t.numpy(), test.dof.numpy(), (1 - level) / 2
    # Written for either sign of t: P(T >= t) at the lower end, P(T <= t) at the upper.
    above = np.where(t > 0, stats.nct.sf(np.abs(t), dof, d.lower.numpy() * root * np.sign(t)), np.nan)
    below = np.where(t > 0, stats.nct.cdf(np.abs(t), dof, d.upper.numpy() * root * np.sign(t)), np.nan)
    np.testing.assert_allclose(above[t > 0], tail, rtol=PIVOT)
    np.testing.assert_allclose(below[t > 0], tail, rtol=PIVOT)
    mirrored = cohens_d(b, a, level=level)
    np.testing.assert_allclose(mirrored.lower, -d.upper, rtol=PIVOT, atol=PIVOT)
    assert ((d.lower < d.estimate) & (d.estimate < d.upper)).all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["two samples", "pairs"])
def test_intervals_cover_the_truth(kind):
    # 4000 intervals: three standard errors of a coverage of 0.9 are 0.014.
    a, b = draw(6, 4000, seed=6, shift=0.8), draw(9, 4000, seed=7)
    d = cohens_d(a, b, level=0.9) if kind == "two samples" else d_z(a, level=0.9)
    covered = ((d.lower <= 0.8) & (d.upper >= 0.8)).double().mean().item()
    assert covered == pytest.approx(0.9, abs=0.0143)


def test_interval_agrees_with_the_test():
    a, b = draw(7, 500, seed=8, shift=0.9), draw(7, 500, seed=9)
    d = cohens_d(a, b, level=0.95)
    assert torch.equal((d.lower > 0) | (d.upper < 0), student(a, b).p < 0.05)
    z = d_z(a, level=0.99)
    assert torch.equal((z.lower > 0) | (z.upper < 0), paired(a).p < 0.01)


def test_zero_effect_and_dead_units():
    rows = torch.tensor([[-1.0, 0.1], [1.0, 0.1], [0.0, 0.1]], dtype=torch.float64)
    effect = d_z(Moments.of(rows))
    assert effect.estimate[0].item() == 0
    assert effect.lower[0].item() == pytest.approx(-effect.upper[0].item(), rel=PIVOT)
    # At t = 0 the tails are normal whatever the dof: ±1.96 standard errors of 1 / √3.
    assert effect.upper[0].item() == pytest.approx(stats.norm.isf(0.025) / 3**0.5, rel=PIVOT)
    for value in (effect.estimate, effect.lower, effect.upper):
        assert value[1].isnan()
    assert d_z(Moments.of(rows), dead=torch.tensor([True, False])).estimate.isnan().all()


def test_shapes_are_kept():
    a, b = draw(5, 6, seed=10), draw(5, 6, seed=11)
    deep = hedges_g(*(Moments.stack([m, m]) for m in (a, b)))
    assert deep.estimate.shape == deep.lower.shape == (2, 6)
    torch.testing.assert_close(deep.upper[1], hedges_g(a, b).upper)


@pytest.mark.parametrize("level", [0, 1, 95, float("nan")])
def test_a_level_that_is_none(level):
    a = draw(5, 2, seed=12)
    with pytest.raises(ValueError, match=r"level must lie between 0 and 1, got .*; 0\.95 is a 95 % interval"):
        cohens_d(a, a, level=level)


def test_huge_effects_have_intervals_too():
    # t near 2e6, where Boost's noncentral t does not converge. Relative to d the normal part of t vanishes
    # there, and what is left is the chi distribution of the standard deviation.
    rows = torch.tensor([[0.0], [1.0], [2.0], [3.0], [5.0], [6.0]], dtype=torch.float64)
    effect = d_z(Moments.of(rows + 2e6))
    ends = np.sqrt(stats.chi2.ppf([0.025, 0.975], 5) / 5) * effect.estimate.item()
    np.testing.assert_allclose([effect.lower.item(), effect.upper.item()], ends, rtol=1e-9)
