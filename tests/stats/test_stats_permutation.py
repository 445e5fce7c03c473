"""Permutation tests against scipy, a plain double loop, and data without any effect."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from tlesion.stats import Moments, paired, permutation, student, welch
from tlesion.stats import permutation as permutation_function
from tlesion.stats.relabelling import all_labels, drawn_labels, n_relabellings, relabelled_size


@pytest.fixture(autouse=True)
def one_thread():
    """Thousands of small products: threads that wait for each other cost more than they save."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


def rows_of(n, units, seed, shift=0.0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((n, units)) + shift)


def t_abs(statistic, a, b, axis=-1):
    if statistic == "paired":
        return np.abs(stats.ttest_rel(a, b, axis=axis).statistic)
    return np.abs(stats.ttest_ind(a, b, equal_var=statistic == "student", axis=axis).statistic)


@pytest.mark.parametrize(
    ("statistic", "n_a", "n_b"),
    [("student", 4, 5), ("welch", 4, 5), ("student", 4, 4), ("welch", 5, 3), ("paired", 8, 8)],
)
def test_exact_p_equals_scipy(statistic, n_a, n_b):
    a, b = rows_of(n_a, 6, 0, 0.8), rows_of(n_b, 6, 1)
    test = permutation(a, b, statistic=statistic)
    exactly: Any = np.inf  # allowed, and not in its type stub
    expected = stats.permutation_test(
        (a.numpy(), b.numpy()),
        lambda x, y, axis: t_abs(statistic, x, y, axis),
        permutation_type="samples" if statistic == "paired" else "independent",
        vectorized=True,
        n_resamples=exactly,
        alternative="greater",
        axis=0,
    )
    assert test.exact
    assert test.n_permutations == len(expected.null_distribution)
    np.testing.assert_allclose(test.p, expected.pvalue, rtol=1e-12)  # a ratio of two whole numbers
    np.testing.assert_allclose(test.log_p, np.log(expected.pvalue), rtol=1e-12)


@pytest.mark.parametrize("statistic", ["student", "welch", "paired"])
@pytest.mark.parametrize("family", ["layer", "model"])
def test_max_t_equals_a_plain_loop(statistic, family):
    a, b = rows_of(4, 6, 2, 0.5).reshape(4, 2, 3), rows_of(4, 6, 3).reshape(4, 2, 3)
    test = permutation(a, b, statistic=statistic, family=family)
    both = torch.cat([a, b]).numpy()
    if statistic == "paired":
        d = (a - b).numpy()
        null = [
            np.abs(stats.ttest_1samp(d * np.array(s)[:, None, None], 0).statistic)
            for s in itertools.product((1, -1), repeat=4)
        ]
    else:
        picks = [list(pick) for pick in itertools.combinations(range(8), 4)]
        rest = [[i for i in range(8) if i not in pick] for pick in picks]
        null = [t_abs(statistic, both[i], both[j], 0) for i, j in zip(picks, rest, strict=True)]
    largest = np.array([x.max(-1, keepdims=True) if family == "layer" else np.full((1, 1), x.max()) for x in null])
    observed = test.t.abs().numpy() * (1 - 1e-9)
    np.testing.assert_allclose(test.p_max_t, (largest >= observed).mean(0), rtol=1e-12)
    np.testing.assert_allclose(test.p, (np.array(null) >= observed).mean(0), rtol=1e-12)


@pytest.mark.parametrize("statistic", ["student", "welch", "paired"])
def test_observed_fields_are_those_of_the_t_test(statistic):
    a, b = rows_of(6, 5, 4), rows_of(6, 5, 5)
    test = permutation(a, b, statistic=statistic, n_permutations=50)
    plain = {
        "student": lambda: student(Moments.of(a), Moments.of(b)),
        "welch": lambda: welch(Moments.of(a), Moments.of(b)),
        "paired": lambda: paired(Moments.of(a - b)),
    }[statistic]()
    for name in ("t", "dof", "difference", "std_error", "effect_size", "dead"):
        assert torch.equal(getattr(test, name), getattr(plain, name))


@pytest.mark.parametrize("statistic", ["student", "welch", "paired"])
def test_size_is_one_increasing_function_of_t(statistic):
    # With it, comparing sizes (within a unit and across units) is comparing |t|.
    a, b = rows_of(7, 300, 6, 1.0), rows_of(5 if statistic != "paired" else 7, 300, 7) * 3
    test = permutation(a, b, statistic=statistic, n_permutations=1)
    rows = a - b if statistic == "paired" else torch.cat([a, b]) - torch.cat([a, b]).mean(0)
    labels = torch.ones(1, 7).double() if statistic == "paired" else (torch.arange(12) < 7).double()[None]
    size = relabelled_size(labels, rows, statistic=statistic)[0]
    extra = {"student": 10, "paired": 6, "welch": 1}[statistic]
    torch.testing.assert_close(size, test.t.abs() / (test.t**2 + extra).sqrt(), rtol=1e-11, atol=0)


@pytest.mark.parametrize("statistic", ["student", "welch", "paired"])
def test_drawn_relabellings_come_near_the_exact_p(statistic):
    a, b = rows_of(8, 40, 8, 0.7), rows_of(8, 40, 9)
    exact = permutation(a, b, statistic=statistic, n_permutations=13_000)
    drawn = permutation(a, b, statistic=statistic, n_permutations=(250 if statistic == "paired" else 5000))
    assert exact.exact
    assert not drawn.exact
    n = drawn.n_permutations
    for p, q in ((drawn.p, exact.p), (drawn.p_max_t, exact.p_max_t)):
        # 80 comparisons, each within 4 standard errors of a binomial share (and the added 1).
        assert ((p - q).abs() < 4 * (q * (1 - q) / n).sqrt() + 1.5 / n).all()
    assert drawn.p.min() >= 1 / (1 + n)


def test_seeds_decide_and_nothing_global_is_touched():
    a, b = rows_of(12, 4, 10), rows_of(12, 4, 11)
    before = torch.random.get_rng_state()
    first, again, other = (permutation(a, b, n_permutations=300, seed=s) for s in (1, 1, 2))
    assert torch.equal(first.p, again.p)
    assert not torch.equal(first.p, other.p)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_pieces_change_nothing(monkeypatch):
    a, b = rows_of(12, 30, 12).reshape(12, 2, 15), rows_of(10, 30, 13).reshape(10, 2, 15)
    whole = permutation(a, b, n_permutations=1500)
    module = __import__("sys").modules[permutation_function.__module__]
    monkeypatch.setattr(module, "N_UNITS", 4)
    pieces = permutation(a, b, n_permutations=1500)
    assert torch.equal(whole.p, pieces.p)
    assert torch.equal(whole.p_max_t, pieces.p_max_t)


def test_dead_units_are_left_out_of_the_family():
    a, b = rows_of(5, 4, 14, 1.0), rows_of(5, 4, 15)
    dead_a, dead_b = (torch.cat([rows, torch.full((5, 2), 0.1).double()], 1) for rows in (a, b))
    for statistic in ("student", "welch", "paired"):
        test = permutation(dead_a, dead_b, statistic=statistic)
        plain = permutation(a, b, statistic=statistic)
        assert test.dead.tolist() == [False] * 4 + [True] * 2
        assert test.p[4:].isnan().all()
        assert test.p_max_t[4:].isnan().all()
        assert torch.equal(test.p_max_t[:4], plain.p_max_t)


def test_large_mean_and_large_t_lose_nothing():
    a, b = rows_of(5, 8, 16, 2.0), rows_of(5, 8, 17)
    for statistic in ("student", "welch", "paired"):
        plain = permutation(a, b, statistic=statistic)
        moved = permutation(a + 2.0**20, b + 2.0**20, statistic=statistic)
        assert torch.equal(plain.p, moved.p)
        assert torch.equal(plain.p_max_t, moved.p_max_t)
        far = permutation(a + 1e6, b, statistic=statistic)  # the observed labelling and its mirror alone
        np.testing.assert_allclose(far.p, 2 / far.n_permutations, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("statistic", ["student", "welch", "paired"])
def test_max_t_holds_the_family_wise_error_on_heavy_tailed_dependent_units(statistic):
    generator = np.random.default_rng(18)
    n_studies, false = 300, 0
    for study in range(n_studies):
        common = generator.standard_t(3, size=(14, 1))
        rows = torch.from_numpy(generator.standard_t(3, size=(14, 40)) + common)
        test = permutation(rows[:7], rows[7:], statistic=statistic, n_permutations=199, seed=study)
        false += bool((test.p_max_t <= 0.05).any())
    # The size is exactly 0.05 for exchangeable rows: neither more nor less, within three standard errors.
    assert abs(false / n_studies - 0.05) <= 3 * (0.05 * 0.95 / n_studies) ** 0.5


def test_all_relabellings_are_listed_once():
    for n_a, n_b, pairs in ((3, 4, False), (5, 5, True)):
        labels = torch.cat(list(all_labels(n_a, n_b, pairs=pairs)))
        assert len(labels) == n_relabellings(n_a, n_b, pairs=pairs) == len(labels.unique(dim=0))
        drawn = torch.cat(list(drawn_labels(n_a, n_b, 1100, 0, pairs=pairs)))
        assert len(drawn) == 1100
        seen = {tuple(row) for row in drawn.tolist()}
        assert seen == {tuple(row) for row in labels.tolist()}  # 1100 draws miss one of 35 with p = 1e-12


def test_errors():
    a, b = rows_of(4, 3, 19), rows_of(5, 3, 20)
    with pytest.raises(ValueError, match="as many rows of a as of b, got 4 and 5"):
        permutation(a, b, statistic="paired")
    with pytest.raises(ValueError, match="unknown statistic 'wilcoxon'; allowed are student, welch, paired"):
        permutation(a, b, statistic="wilcoxon")
    with pytest.raises(ValueError, match="unknown family 'head'"):
        permutation(a, b, family="head")
    with pytest.raises(ValueError, match="n_permutations must be 1 or more, got 0"):
        permutation(a, b, n_permutations=0)
    with pytest.raises(ValueError, match=r"shapes \[4, 3\] and \[5, 2\]"):
        permutation(a, b[:, :2])
    with pytest.raises(ValueError, match="at least 2 rows"):
        permutation(a[:1], b)
