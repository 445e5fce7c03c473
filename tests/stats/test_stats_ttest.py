"""Student, Welch and paired t against scipy, at the edges, and on data whose truth is known."""

import numpy as np
import pytest
import torch
from scipy import stats

from tlesion.stats import Moments, paired, student, welch

# The same formula in another order of operations: a few roundings of 1e-16, times a loss of a few digits.
SAME = 1e-10


def sample(n, *, seed, shift=0.0, scale=1.0, units=40, dtype=torch.float64):
    """Rows of normal values; the units' means and scales differ widely."""
    rows = torch.from_numpy(np.random.default_rng(seed).standard_normal((n, units)))
    size = torch.logspace(-3, 3, units, dtype=torch.float64)
    return ((rows * scale + shift) * size).to(dtype)


@pytest.mark.filterwarnings("ignore:Precision loss occurred:RuntimeWarning")  # scipy's, for equal bfloat16 rows
@pytest.mark.parametrize(
    ("seed", "dtype"), [(0, torch.bfloat16), (1, torch.float32), (2, torch.float64), (3, torch.float64)]
)
@pytest.mark.parametrize(("n_a", "n_b"), [(2, 2), (3, 8), (20, 20), (54, 31), (200, 500)])
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("kind", ["student", "welch", "paired"])
def test_equals_scipy(kind, scale, n_a, n_b, seed, dtype):
    rows_a = sample(n_a, seed=seed, shift=0.3, scale=scale, dtype=dtype)
    if kind == "paired":
        rows_b = sample(n_a, seed=seed + 100, dtype=dtype)
        test = paired(Moments.of(rows_a.double() - rows_b.double()))
        expected = stats.ttest_rel(rows_a.double().numpy(), rows_b.double().numpy())
    else:
        rows_b = sample(n_b, seed=seed + 100, dtype=dtype)
        test = {"student": student, "welch": welch}[kind](Moments.of(rows_a), Moments.of(rows_b))
        expected = stats.ttest_ind(rows_a.double().numpy(), rows_b.double().numpy(), equal_var=kind == "student")
    for value in (test.t, test.dof, test.p, test.log_p, test.difference, test.std_error, test.effect_size):
        assert value.dtype == torch.float64
    live = ~test.dead.numpy()  # of two bfloat16 rows at scale 0.01 all values of a unit may be equal
    assert live.mean() > 0.9
    np.testing.assert_allclose(test.t[live], expected.statistic[live], rtol=SAME)
    np.testing.assert_allclose(test.dof[live], np.broadcast_to(expected.df, live.shape)[live], rtol=SAME)
    np.testing.assert_allclose(test.p[live], expected.pvalue[live], rtol=SAME)
    np.testing.assert_allclose(test.log_p[live], np.log(expected.pvalue[live]), rtol=SAME, atol=SAME)
    spread = [np.ptp(rows.double().numpy(), axis=0) for rows in (rows_a, rows_b)]
    if kind != "paired":
        assert (test.dead.numpy() == ((spread[0] == 0) & (spread[1] == 0))).all()


def test_by_hand():
    a, b = torch.tensor([[3.0], [4.0], [5.0]]), torch.tensor([[1.0], [2.0], [3.0]])
    test = student(Moments.of(a), Moments.of(b))  # pooled variance 1, standard error √(2/3)
    assert test.t.item() == pytest.approx(2 / (2 / 3) ** 0.5)
    assert test.difference.item() == 2.0
    assert test.effect_size.item() == pytest.approx(2.0)
    swapped = student(Moments.of(b), Moments.of(a))
    assert swapped.t.item() == -test.t.item()
    assert swapped.p.item() == test.p.item()
    pairs = paired(Moments.of(torch.tensor([[1.0], [2.0], [3.0]])))
    assert pairs.effect_size.item() == pytest.approx(2.0)  # mean 2, standard deviation 1
    assert pairs.t.item() == pytest.approx(2 * 3**0.5)


def test_tiny_variances_do_not_underflow():
    rows_a, rows_b = sample(8, seed=5, shift=1.0), sample(9, seed=6)
    plain = welch(Moments.of(rows_a), Moments.of(rows_b))
    small = welch(Moments.of(rows_a * 1e-90), Moments.of(rows_b * 1e-90))
    torch.testing.assert_close(small.dof, plain.dof, rtol=1e-12, atol=0)  # 1e-360 would be 0
    torch.testing.assert_close(small.p, plain.p, rtol=1e-12, atol=0)


def test_far_tail_keeps_its_logarithm():
    z = torch.linspace(-1, 1, 108, dtype=torch.float64)[:, None]
    a, b = Moments.of(z + 1e5), Moments.of(z - 1e5)
    for test in (student(a, b), welch(a, b), paired(Moments.of(z + 1e5))):
        assert test.p.item() == 0
        assert -3e3 < test.log_p.item() < -1e3
    near = welch(Moments.of(z + 0.6), Moments.of(z - 0.6))
    assert 0 < near.p.item() < 1e-30
    assert near.log_p.item() == pytest.approx(np.log(near.p.item()), rel=1e-12)


class TestDead:
    """Zero variance: exactly the dead units have no t, however their constants round."""

    rows_a = torch.stack([torch.full((7,), 0.1), torch.full((7,), 0.1), torch.arange(7.0)], 1)
    rows_b = torch.stack([torch.full((9,), 0.1), torch.full((9,), 0.7), torch.arange(9.0)], 1)

    @pytest.mark.parametrize("kind", [student, welch])
    def test_two_samples(self, kind):
        test = kind(Moments.of(self.rows_a), Moments.of(self.rows_b))
        assert test.dead.tolist() == [True, True, False]
        for value in (test.t, test.p, test.log_p, test.dof, test.effect_size, test.std_error):
            assert value.isnan().tolist() == [True, True, False]
        assert test.difference[1].item() == pytest.approx(-0.6)

    @pytest.mark.parametrize("kind", [student, welch])
    def test_constant_in_one_condition_only_is_alive(self, kind):
        test = kind(Moments.of(torch.full((5, 1), 3.0)), Moments.of(torch.arange(5.0)[:, None]))
        expected = stats.ttest_ind_from_stats(3.0, 0.0, 5, 2.0, 2.5**0.5, 5, equal_var=kind is student)
        assert test.t.item() == pytest.approx(expected.statistic)
        assert test.p.item() == pytest.approx(expected.pvalue)

    def test_pairs_whose_difference_is_constant(self):
        a = torch.tensor([[1.0, 1.0, 1.0], [2.0, 2.0, 1.0], [4.0, 4.0, 1.0]])
        b = torch.tensor([[0.5, 1.0, 2.0], [1.5, 2.0, 2.0], [3.0, 4.0, 2.0]])
        test = paired(Moments.of(a - b))  # differences: not constant; 0, 0, 0; -1, -1, -1
        assert test.dead.tolist() == [False, True, True]
        assert test.p.isnan().tolist() == [False, True, True]
        assert paired(Moments.of(a - b), dead=torch.tensor([True, False, False])).dead.all()


def error_of(kind, *moments, **options):
    with pytest.raises(ValueError) as caught:
        kind(*moments, **options)
    return str(caught.value)


def test_errors_say_what_and_what_to_do():
    good, one = Moments.of(torch.eye(4, 3)), Moments.of(torch.ones(1, 3))
    text = error_of(welch, good, one)
    assert "at least 2 rows" in text
    assert "got 1 for condition b" in text
    text = error_of(paired, one)
    assert "at least 2 pairs" in text
    assert "add pairs" in text
    assert "[3]" in error_of(student, good, Moments.of(torch.ones(4, 2)))
    bad = torch.eye(4, 3)
    bad[1, 2] = torch.nan
    text = error_of(welch, Moments.of(bad), good)
    assert "condition a: 1 of 3 units hold NaN or infinite values" in text
    for size in (-0.1, float("nan"), float("inf")):
        text = error_of(student, good, good, min_effect=size)
        assert "min_effect must be a finite number" in text
        assert repr(size) in text


@pytest.mark.parametrize("kind", ["student", "welch", "paired"])
@pytest.mark.parametrize("n", [5, 20])
def test_null_p_values_are_uniform(kind, n):
    # One fixed draw of 20,000 units: a KS distance above 0.0115 has probability 0.01 under uniformity.
    rows_a, rows_b = torch.from_numpy(np.random.default_rng(n).standard_normal((2, n, 20_000)))
    if kind == "paired":
        test = paired(Moments.of(rows_a - rows_b))
    else:
        test = {"student": student, "welch": welch}[kind](Moments.of(rows_a), Moments.of(rows_b))
    if kind == "welch" and n == 5:
        # Welch's dof are an approximation, known to be conservative in samples this small.
        assert (test.p < 0.05).double().mean() <= 0.05
    else:
        assert stats.kstest(test.p.numpy(), "uniform").statistic < 0.0115


class TestMinEffect:
    """H0: the true effect is at most min_effect, tested where it is hardest: at the boundary."""

    @staticmethod
    def draw(n_a, n_b, effect, *, scale_a=1.0, units=20_000, seed=7):
        generator = np.random.default_rng(seed)
        rows_a = torch.from_numpy(generator.standard_normal((n_a, units))) * scale_a + effect
        return Moments.of(rows_a), Moments.of(torch.from_numpy(generator.standard_normal((n_b, units))))

    @pytest.mark.slow
    @pytest.mark.parametrize("sign", [-1, 1])
    def test_exact_size_at_the_boundary(self, sign):
        # 20,000 units: 0.0138 is the 0.1 % point of the KS distance; three checks on each of two draws.
        a, b = self.draw(6, 9, sign * 0.8)
        assert stats.kstest(student(a, b, min_effect=0.8).p.numpy(), "uniform").statistic < 0.0138
        assert stats.kstest(paired(a, min_effect=0.8).p.numpy(), "uniform").statistic < 0.0138
        balanced = self.draw(20, 20, sign * 0.8)
        assert stats.kstest(welch(*balanced, min_effect=0.8).p.numpy(), "uniform").statistic < 0.0138

    @pytest.mark.slow
    @pytest.mark.parametrize(("n_a", "n_b", "scale_a"), [(8, 40, 3.0), (40, 8, 3.0), (12, 12, 3.0)])
    @pytest.mark.parametrize("alpha", [0.05, 0.001])
    def test_welch_holds_its_size_with_unequal_variances(self, n_a, n_b, scale_a, alpha):
        pooled = (((n_a - 1) * scale_a**2 + n_b - 1) / (n_a + n_b - 2)) ** 0.5
        a, b = self.draw(n_a, n_b, 0.8 * pooled, scale_a=scale_a)
        share = (welch(a, b, min_effect=0.8).p < alpha).double().mean().item()
        # Welch's own approximation errs by up to a fifth at 0.05 and a half at 0.001 in samples of 8.
        assert share < alpha * (1.2 if alpha == 0.05 else 1.5) + 3 * (alpha / 20_000) ** 0.5

    def test_inside_the_null_it_is_conservative(self):
        a, b = self.draw(20, 20, 0.4)
        for test in (student(a, b, min_effect=0.8), welch(a, b, min_effect=0.8), paired(a, min_effect=0.8)):
            assert (test.p < 0.05).double().mean() < 0.01

    def test_is_scipys_noncentral_t_and_grows_from_the_ordinary_p(self):
        a, b = self.draw(10, 14, 1.0, units=50)
        ordinary = student(a, b)
        assert torch.equal(student(a, b, min_effect=0.0).p, ordinary.p)
        torch.testing.assert_close(student(a, b, min_effect=1e-9).p, ordinary.p, rtol=1e-6, atol=0)
        test = student(a, b, min_effect=0.5)
        shift = 0.5 / (1 / 10 + 1 / 14) ** 0.5
        size = test.t.abs().numpy()
        expected = stats.nct.sf(size, 22, shift) + stats.nct.sf(size, 22, -shift)
        np.testing.assert_allclose(test.p, expected, rtol=SAME)
        assert (test.p > ordinary.p).all()
        assert (test.min_effect, ordinary.min_effect) == (0.5, 0.0)
        assert torch.equal(test.t, ordinary.t)
