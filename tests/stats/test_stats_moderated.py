"""Moderated t against the limma port, and on variances drawn from a known prior."""

import numpy as np
import pytest
import torch
from pylimma import e_bayes, lm_fit
from scipy import special, stats

from tlesion.stats import Moments, moderated, moderated_paired, paired, student
from tlesion.stats.moderated import fit_variance_prior

# The same formulas. Both solve for d0 by Newton's method: limma stops at steps of 1e-8, which squares.
SAME = 1e-10


def rows_with_prior(n, units, *, prior_dof, seed, effect=0.0):
    """Normal rows whose variances come from Smyth's prior with s0² = 2; effect in standard deviations."""
    generator = np.random.default_rng(seed)
    variance = 2 * prior_dof / generator.chisquare(prior_dof, units) if np.isfinite(prior_dof) else 2.0
    return torch.from_numpy((generator.normal(size=(n, units)) + effect) * np.sqrt(variance))


def limma(rows: np.ndarray, design: np.ndarray, coefficient: int) -> dict[str, np.ndarray]:
    """t, p, total dof and prior of one coefficient, by pylimma."""
    fit = e_bayes(lm_fit(rows.T, design))
    return {
        "t": np.asarray(fit["t"])[:, coefficient],
        "p": np.asarray(fit["p_value"])[:, coefficient],
        "dof": np.broadcast_to(np.asarray(fit["df_total"], dtype=float), rows.shape[1]),
        "prior_dof": np.asarray(fit["df_prior"], dtype=float),
        "prior_variance": np.asarray(fit["s2_prior"], dtype=float),
    }


def assert_equals_limma(test, expected):
    np.testing.assert_allclose(test.t, expected["t"], rtol=SAME)
    np.testing.assert_allclose(test.dof, expected["dof"], rtol=SAME)
    np.testing.assert_allclose(test.p, expected["p"], rtol=SAME)
    np.testing.assert_allclose(test.prior.variance, expected["prior_variance"], rtol=SAME)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("prior_dof", [1.0, 8.0, np.inf])
@pytest.mark.parametrize(("n_a", "n_b", "units"), [(2, 2, 50), (4, 7, 400), (54, 54, 300)])
def test_two_samples_equal_limma(n_a, n_b, units, prior_dof, seed, dtype):
    rows = rows_with_prior(n_a + n_b, units, prior_dof=prior_dof, seed=seed).to(dtype)
    rows[:n_a] += 0.5
    test = moderated(Moments.of(rows[:n_a]), Moments.of(rows[n_a:]))
    design = np.stack([np.ones(n_a + n_b), np.repeat([1.0, 0.0], [n_a, n_b])], axis=1)
    assert_equals_limma(test, limma(rows.double().numpy(), design, 1))


@pytest.mark.parametrize("prior_dof", [1.0, 8.0, np.inf])
@pytest.mark.parametrize("n", [2, 8, 54])
def test_pairs_equal_limma(n, prior_dof):
    rows = rows_with_prior(n, 300, prior_dof=prior_dof, seed=n, effect=0.3)
    test = moderated_paired(Moments.of(rows))
    expected = limma(rows.numpy(), np.ones((n, 1)), 0)
    assert_equals_limma(test, expected)


def test_the_prior_solves_smyths_equations():
    variance = rows_with_prior(5, 2000, prior_dof=6.0, seed=3).var(0)
    prior = fit_variance_prior(variance, 4, usable=torch.ones(2000, dtype=torch.bool))
    logs = np.log(variance.numpy()) - special.psi(2) + np.log(2)
    half = prior.dof.item() / 2
    assert special.polygamma(1, half) == pytest.approx(logs.var(ddof=1) - special.polygamma(1, 2), rel=1e-12)
    expected = logs.mean() + special.psi(half) - np.log(half)
    assert np.log(prior.variance.item()) == pytest.approx(expected, rel=1e-12)


def test_a_known_prior_is_found():
    # 40,000 units: the standard error of d0 = 6 is near 0.15 and that of s0² = 2 near 0.02.
    variance = rows_with_prior(6, 40_000, prior_dof=6.0, seed=4).var(0)
    prior = fit_variance_prior(variance, 5, usable=torch.ones(40_000, dtype=torch.bool))
    assert prior.dof.item() == pytest.approx(6, abs=0.5)
    assert prior.variance.item() == pytest.approx(2, abs=0.06)


def test_each_layer_is_a_family_of_its_own():
    layers = [rows_with_prior(8, 200, prior_dof=d, seed=s) for s, d in enumerate((2.0, 20.0, np.inf))]
    rows = torch.stack(layers, 1)
    together = moderated(Moments.of(rows[:3]), Moments.of(rows[3:]))
    assert together.prior.dof.shape == (3,)
    for layer, own in enumerate(layers):
        alone = moderated(Moments.of(own[:3]), Moments.of(own[3:]))
        # The sums over units are taken in another order, and the digits of a large d0 hang on them.
        torch.testing.assert_close(together.p[layer], alone.p, rtol=1e-9, atol=0)
        torch.testing.assert_close(together.prior.dof[layer], alone.prior.dof, rtol=1e-9, atol=0)


def test_infinite_prior_takes_the_common_variance():
    rows = torch.tensor([[1.0, 2.0, 3.0], [3.0, 0.0, 5.0]], dtype=torch.float64)  # every variance is 2
    test = moderated_paired(Moments.of(rows))
    assert test.prior.dof.item() == np.inf
    assert test.prior.variance.item() == pytest.approx(2)
    assert test.dof.tolist() == [3.0] * 3  # not infinite: three variances of one degree of freedom each
    np.testing.assert_allclose(test.t, [2.0, 1.0, 4.0], rtol=1e-14)


def test_dead_units_stay_out_of_the_prior():
    rows = rows_with_prior(6, 120, prior_dof=4.0, seed=5)
    rows[:, 100:] = 0.1
    test = moderated(Moments.of(rows[:3]), Moments.of(rows[3:]))
    alone = moderated(Moments.of(rows[:3, :100]), Moments.of(rows[3:, :100]))
    assert test.dead.tolist() == [False] * 100 + [True] * 20
    assert test.p[100:].isnan().all()
    assert torch.equal(test.p[:100], alone.p)
    all_dead = moderated(Moments.of(torch.ones(3, 4)), Moments.of(torch.ones(3, 4)))
    assert all_dead.dead.all()
    assert all_dead.p.isnan().all()


def test_constant_differences_of_live_units_are_judged_by_the_prior():
    rows = rows_with_prior(4, 101, prior_dof=4.0, seed=6)
    rows[:, 100] = 1.0
    test = moderated_paired(Moments.of(rows), dead=torch.zeros(101, dtype=torch.bool))
    assert not test.dead.any()
    assert 0 < test.p[100] < 1
    assert torch.equal(test.prior.dof, moderated_paired(Moments.of(rows[:, :100])).prior.dof)
    assert moderated_paired(Moments.of(rows)).dead[100]
    hopeless = moderated_paired(Moments.of(torch.ones(4, 3)), dead=torch.zeros(3, dtype=torch.bool))
    assert hopeless.dead.all()  # no variance anywhere: nothing to judge by


def test_one_unit_alone_is_the_ordinary_test():
    rows = torch.from_numpy(np.random.default_rng(7).standard_normal((7, 1)))
    a, b = Moments.of(rows[:3]), Moments.of(rows[3:])
    assert moderated(a, b).p.item() == pytest.approx(student(a, b).p.item(), rel=1e-12)
    assert moderated_paired(a).p.item() == pytest.approx(paired(a).p.item(), rel=1e-12)
    assert moderated(a, b).prior.dof.item() == 0


def test_effect_size_is_the_ordinary_one():
    rows = rows_with_prior(9, 30, prior_dof=4.0, seed=8)
    a, b = Moments.of(rows[:4]), Moments.of(rows[4:])
    torch.testing.assert_close(moderated(a, b).effect_size, student(a, b).effect_size)


@pytest.mark.parametrize("effect", [0.0, 0.8])
def test_p_is_uniform_at_the_null_and_at_the_smallest_effect(effect):
    # Smyth's model holds here. 20,000 units: 0.0138 is the 0.1 % point of the KS distance.
    rows = rows_with_prior(4, 20_000, prior_dof=5.0, seed=9, effect=effect)
    test = moderated_paired(Moments.of(rows), min_effect=effect)
    assert stats.kstest(test.p.numpy(), "uniform").statistic < 0.0138


def test_it_finds_more_than_the_ordinary_test_in_few_rows():
    rows = rows_with_prior(4, 4000, prior_dof=10.0, seed=10, effect=1.5)
    found = (moderated_paired(Moments.of(rows)).p < 0.001).double().mean()
    assert found > 3 * (paired(Moments.of(rows)).p < 0.001).double().mean()


def test_errors():
    one = Moments.of(torch.tensor([1.0, 2.0, 4.0]))
    with pytest.raises(ValueError, match="learns from many units"):
        moderated(one, one)
    with pytest.raises(ValueError, match="at least 2 pairs"):
        moderated_paired(Moments.of(torch.ones(1, 3)))
    with pytest.raises(ValueError, match="NaN or infinite"):
        moderated_paired(Moments.of(torch.tensor([[1.0, torch.nan], [1.0, 2.0]])))
