"""Streamed correlations against scipy and exact arithmetic; intervals against scipy and by simulated coverage."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tlesion.correlation import CoMoments, fisher_interval, jackknife_interval, spearman, spearman_without_each


def pairs(n: int, *units: int, seed: int = 0, offset: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, *units))
    return torch.from_numpy(x + offset), torch.from_numpy(0.6 * x + rng.standard_normal((n, *units)) - 3 * offset)


def streamed(x: torch.Tensor, y: torch.Tensor, cuts: list[int]) -> CoMoments:
    edges = [0, *sorted({cut % (len(x) - 1) + 1 for cut in cuts}), len(x)]
    parts = [CoMoments.of(x[a:b], y[a:b]) for a, b in itertools.pairwise(edges)]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.merge(part)
    return whole


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**16), cuts=st.lists(st.integers(0, 500), max_size=6), offset=st.sampled_from([0.0, 1e4]))
def test_streaming_equals_scipy_on_stored_values_however_they_are_cut(seed, cuts, offset):
    x, y = pairs(97, seed=seed, offset=offset)
    expected = stats.pearsonr(x.numpy(), y.numpy()).statistic
    # An offset of 1e4 standard deviations costs scipy itself four of its 16 digits.
    assert abs(streamed(x, y, cuts).r.item() - expected) < 1e-10


def test_equals_exact_arithmetic():
    x, y = pairs(40, seed=3, offset=100.0)
    exact_x, exact_y = ([Fraction(value) for value in part.tolist()] for part in (x, y))
    mean_x, mean_y = Fraction(sum(exact_x)) / 40, Fraction(sum(exact_y)) / 40
    expected = Fraction(sum((a - mean_x) * (b - mean_y) for a, b in zip(exact_x, exact_y, strict=True)))
    got = streamed(x, y, [7, 20])
    # Forty products of size 1, each rounded at 1e-16 of numbers near 300: 300² · 1e-16 · 40.
    assert abs(Fraction(got.xy.item()) - expected) < 4e-10
    assert abs(Fraction(got.mean_y.item()) - mean_y) < 1e-12


def test_units_are_kept_apart_and_pooling_takes_them_together():
    x, y = pairs(30, 5, seed=1)
    by_unit = CoMoments.of(x, y)
    for unit in range(5):
        expected = stats.pearsonr(x[:, unit].numpy(), y[:, unit].numpy()).statistic
        assert abs(by_unit.r[unit].item() - expected) < 1e-12
    expected = stats.pearsonr(x.flatten().numpy(), y.flatten().numpy()).statistic
    assert abs(by_unit.pooled().r.item() - expected) < 1e-12
    assert abs(by_unit[1:3].pooled().r - CoMoments.of(x[:, 1:3].flatten(), y[:, 1:3].flatten()).r) < 1e-12


def test_leaving_one_group_out_is_computing_without_it():
    x, y = pairs(8, 11, seed=2, offset=50.0)
    groups = CoMoments.of(x.T, y.T)
    without = groups.without_each().r
    for row in range(8):
        rest = [other for other in range(8) if other != row]
        expected = stats.pearsonr(x[rest].flatten().numpy(), y[rest].flatten().numpy()).statistic
        assert abs(without[row].item() - expected) < 1e-10


def test_float32_activations_are_summed_in_float64():
    x, y = pairs(5000, seed=4, offset=30.0)
    x, y = x.float(), y.float()
    expected = stats.pearsonr(x.double().numpy(), y.double().numpy()).statistic
    assert abs(streamed(x, y, [100, 2500]).r.item() - expected) < 1e-10


def test_what_does_not_vary_has_no_correlation():
    x = torch.full((9, 2), 0.1)
    y = torch.arange(18.0).reshape(9, 2)
    assert CoMoments.of(x, y).r.isnan().all()
    assert CoMoments.of(y, x).r.isnan().all()
    assert CoMoments.of(x[:4], y[:4]).merge(CoMoments.of(x[4:], y[4:])).r.isnan().all()
    assert CoMoments.of(x[:1], y[:1]).r.isnan().all()


def test_pairs_that_are_no_pairs_are_refused():
    with pytest.raises(ValueError, match=r"x of shape \(3,\) and y of shape \(2,\) are not pairs"):
        CoMoments.of(torch.zeros(3), torch.zeros(2))
    with pytest.raises(ValueError, match="at least one row"):
        CoMoments.of(torch.zeros(0, 2), torch.zeros(0, 2))
    with pytest.raises(ValueError, match="are not pairs"):
        spearman(torch.zeros(3), torch.zeros(2))


def test_spearman_equals_scipy_with_ties_and_without():
    x, y = pairs(60, 4, seed=5)
    x, y = (x * 2).round(), (y * 2).round()
    for unit in range(4):
        expected = stats.spearmanr(x[:, unit].numpy(), y[:, unit].numpy()).statistic
        assert abs(spearman(x, y)[unit].item() - expected) < 1e-12
    assert spearman(torch.ones(5), torch.arange(5.0)).isnan()


def test_spearman_without_each_group_is_ranked_anew():
    x, y = pairs(7, 9, seed=6)
    x = (x * 3).round()
    whole, without = spearman_without_each(x, y)
    assert abs(whole.item() - stats.spearmanr(x.flatten().numpy(), y.flatten().numpy()).statistic) < 1e-12
    for row in range(7):
        rest = [other for other in range(7) if other != row]
        expected = stats.spearmanr(x[rest].flatten().numpy(), y[rest].flatten().numpy()).statistic
        assert abs(without[row].item() - expected) < 1e-12


def test_fisher_interval_equals_scipy():
    x, y = pairs(40, seed=7)
    result = stats.pearsonr(x.numpy(), y.numpy())
    for level in (0.9, 0.95):
        low, high = fisher_interval(torch.tensor(result.statistic), 40, level=level)
        expected = result.confidence_interval(level)
        assert abs(low.item() - expected.low) < 1e-12
        assert abs(high.item() - expected.high) < 1e-12


def test_intervals_exist_only_where_there_is_something_to_say():
    low, high = fisher_interval(torch.tensor([0.5, torch.nan]), 3)
    assert low.isnan().all()
    assert high.isnan().all()
    low, high = fisher_interval(torch.tensor([1.0, torch.nan]), 20)
    assert low[0] == high[0] == 1
    assert low[1].isnan()
    assert jackknife_interval(torch.tensor(0.5), torch.tensor([torch.nan]))[0].isnan()
    with pytest.raises(ValueError, match="level must lie between 0 and 1, got 95"):
        fisher_interval(torch.tensor(0.5), 10, level=95.0)
    with pytest.raises(ValueError, match="coefficient 'kendall' is unknown"):
        fisher_interval(torch.tensor(0.5), 10, coefficient="kendall")


def test_spearman_interval_covers_where_pearsons_would_be_too_narrow():
    rng = np.random.default_rng(8)
    true = 6 / np.pi * np.arcsin(0.8 / 2)  # Spearman's correlation of a bivariate normal with r = 0.8
    x = torch.from_numpy(rng.standard_normal((40, 2000)))
    y = 0.8 * x + 0.6 * torch.from_numpy(rng.standard_normal((40, 2000)))
    low, high = fisher_interval(spearman(x, y), 40, coefficient="spearman")
    # 2000 draws of a share of 0.95 scatter by 0.005; the formula is itself an approximation.
    assert abs(((low <= true) & (true <= high)).double().mean().item() - 0.95) < 0.015


def test_jackknife_over_groups_covers_where_counting_every_pair_would_not():
    """Pairs of a group share an offset: 20 groups of 30 pairs are not 600 independent pairs."""
    rng = np.random.default_rng(9)
    n_studies, n_groups, n_pairs = 800, 20, 30
    shared = rng.standard_normal((2, n_groups, 1, n_studies))
    shared[1] = 0.5 * shared[0] + np.sqrt(0.75) * shared[1]
    own = rng.standard_normal((2, n_groups, n_pairs, n_studies))
    x, y = (torch.from_numpy(part) for part in shared + own)
    true = 0.5 / 2  # covariance 0.5 of the shared parts, variances 2
    groups = CoMoments.stack([CoMoments.of(a, b) for a, b in zip(x, y, strict=True)])
    r = groups.pooled().r
    low, high = jackknife_interval(r, groups.without_each().r)
    naive_low, naive_high = fisher_interval(r, n_groups * n_pairs)
    # The jackknife is a large-sample method: at 20 groups it covers within three points of 95 %.
    assert abs(((low <= true) & (true <= high)).double().mean().item() - 0.95) < 0.03
    assert ((naive_low <= true) & (true <= naive_high)).double().mean() < 0.6
