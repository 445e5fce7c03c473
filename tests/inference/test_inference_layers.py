"""Sign flips over samples: single, max-statistic and clusters, against scipy, mne, plain loops and the null."""

import itertools
from typing import Any

import mne
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from tlesion.inference import LayerCluster, cluster_permutation, max_statistic, sign_flip_p

TAILS = {"two-sided": 0, "larger": 1, "smaller": -1}


def effects(n_layers, n_samples, seed=0, where=slice(0, 0), size=1.0):
    """Noise that neighbouring layers share, and an effect in some of them: ``[layer, sample]``."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n_layers, n_samples)) + rng.standard_normal(n_samples)
    noise[where] += size
    return noise


@pytest.mark.parametrize(("tail", "scipys"), [("two-sided", "two-sided"), ("larger", "greater"), ("smaller", "less")])
def test_single_p_equals_scipys_exact_test(tail, scipys):
    values = effects(4, 9, where=slice(0, 2))
    all_of_them: Any = np.inf  # allowed, and not in its type stub
    expected = stats.permutation_test(
        (values,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", vectorized=True, axis=1,
        alternative=scipys, n_resamples=all_of_them,
    ).pvalue  # fmt: skip
    np.testing.assert_allclose(sign_flip_p(torch.from_numpy(values), tail=tail), expected, rtol=1e-12)


def test_max_statistic_equals_mne_where_all_flips_are_counted():
    """Two-sided alone: with a tail, mne compares t with the largest |t| all the same."""
    values = effects(5, 9, seed=1, where=slice(1, 3), size=1.2)
    _, expected, _ = mne.stats.permutation_t_test(values.T.copy(), 1000, verbose=False)
    np.testing.assert_allclose(max_statistic(torch.from_numpy(values)), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("tail", "directed"), [("two-sided", np.abs), ("larger", np.positive), ("smaller", np.negative)]
)
def test_max_statistic_equals_a_plain_loop(tail, directed):
    values = effects(3, 6, seed=2, where=slice(1, 2))
    observed = directed(stats.ttest_1samp(values, 0, axis=1).statistic)
    flips = [values * np.array(signs) for signs in itertools.product((1, -1), repeat=6)]
    largest = np.array([directed(stats.ttest_1samp(one, 0, axis=1).statistic).max() for one in flips])
    expected = [(largest >= t - 1e-9).mean() for t in observed]
    np.testing.assert_allclose(max_statistic(torch.from_numpy(values), tail=tail), expected, rtol=1e-12)


def by_mne(values, *, threshold, tail, n_permutations):
    if threshold is not None and tail == "smaller":
        threshold = -threshold
    _, clusters, p, _ = mne.stats.permutation_cluster_1samp_test(
        values.T.copy(), threshold=threshold, tail=TAILS[tail], n_permutations=n_permutations, adjacency=None,
        out_type="indices", seed=0, verbose=False,
    )  # fmt: skip
    return {(int(rows[0][0]), int(rows[0][-1])): one for rows, one in zip(clusters, p, strict=True)}


@pytest.mark.slow
@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("threshold", [None, 0.8])
@pytest.mark.parametrize("seed", range(4))
def test_clusters_equal_mnes_where_all_flips_are_counted(tail, threshold, seed):
    values = effects(9, 8, seed=seed, where=slice(2, 5), size=1.5)
    values[7:] -= 1.2
    expected = by_mne(values, threshold=threshold, tail=tail, n_permutations=2000)
    found = cluster_permutation(torch.from_numpy(values), threshold=threshold, tail=tail)
    assert {(one.first, one.last) for one in found} == set(expected)
    t = np.asarray(stats.ttest_1samp(values, 0, axis=1).statistic)
    # With a tail, mne leaves out the flip of all samples and has the observed signs twice (once with other rounding).
    slack = 0.0 if tail == "two-sided" else 1 / 2**8
    for one in found:
        assert one.p == pytest.approx(expected[one.first, one.last], abs=slack + 1e-12)
        assert one.mass == pytest.approx(t[one.first : one.last + 1].sum(), rel=1e-9)
    assert [one.first for one in found] == sorted(one.first for one in found)


def clusters_of(values, c, tail):
    """Clusters of samples as they are, by scipy's labelling: {(first, last): mass}."""
    t = np.asarray(stats.ttest_1samp(values, 0, axis=1).statistic)
    found = {}
    for sign in {"two-sided": (1, -1), "larger": (1,), "smaller": (-1,)}[tail]:
        labels, n = ndimage.label(sign * t > c)
        for rows in (np.flatnonzero(labels == number) for number in range(1, n + 1)):
            found[int(rows[0]), int(rows[-1])] = t[rows].sum()
    return found


@pytest.mark.parametrize("tail", TAILS)
def test_clusters_equal_a_plain_loop(tail):
    values = effects(6, 6, seed=3, where=slice(1, 3), size=2.5)
    values[4:] -= 1.5
    observed = clusters_of(values, 1.2, tail)
    flips = [clusters_of(values * np.array(signs), 1.2, tail) for signs in itertools.product((1, -1), repeat=6)]
    largest = np.array([max(map(abs, one.values()), default=0.0) for one in flips])
    found = cluster_permutation(torch.from_numpy(values), threshold=1.2, tail=tail)
    assert {(one.first, one.last) for one in found} == set(observed) != set()
    for one in found:
        assert one.mass == pytest.approx(observed[one.first, one.last])
        assert one.p == pytest.approx((largest >= abs(one.mass) - 1e-9).mean(), rel=1e-12)


def test_drawn_flips_agree_with_mnes_drawn_ones():
    values = effects(8, 30, seed=3, where=slice(2, 6), size=0.45)
    values[0] = -values[0]
    expected = by_mne(values, threshold=None, tail="two-sided", n_permutations=4000)
    found = cluster_permutation(torch.from_numpy(values), n_permutations=4000, seed=1)
    assert found
    for one in found:
        # Two independent estimates from 4000 flips each: a standard error of at most 1.1 % for their difference.
        assert abs(one.p - expected[one.first, one.last]) < 0.045


def test_a_planted_stretch_is_found_and_reported_as_one():
    found = cluster_permutation(torch.from_numpy(effects(12, 40, seed=5, where=slice(5, 10), size=2.0)))
    best = min(found, key=lambda one: one.p)
    assert isinstance(best, LayerCluster)
    assert (best.first, best.last) == (5, 9)
    assert best.p < 0.001


@pytest.mark.slow
@pytest.mark.parametrize("test", ["max", "cluster"])
def test_under_the_null_one_study_in_twenty_claims_a_layer(test):
    """1000 studies of 8 layers that share noise; the share has a standard error of 0.7 %."""
    smallest_of_each = []
    for seed in range(1000):
        values = torch.from_numpy(effects(8, 15, seed=seed))
        if test == "max":
            smallest = max_statistic(values, n_permutations=199, seed=seed).min().item()
        else:
            smallest = min((one.p for one in cluster_permutation(values, n_permutations=199, seed=seed)), default=1.0)
        smallest_of_each.append(smallest)
    claims = np.array(smallest_of_each)
    assert (claims <= 0.05).mean() < 0.075
    if test == "max":  # the smallest corrected p is uniform: the correction wastes nothing
        assert stats.kstest(claims, "uniform").pvalue > 1e-3
    else:  # and so is the largest cluster's, where there is one
        assert (claims <= 0.05).mean() > 0.025


def test_single_p_is_uniform_under_the_null():
    values = torch.from_numpy(np.random.default_rng(8).laplace(size=(2000, 11)))
    assert stats.kstest(sign_flip_p(values).numpy(), "uniform").pvalue > 1e-3


def test_variants_of_a_template_add_no_evidence_if_they_are_grouped():
    """Every sample five times over: grouped, nothing changes; ungrouped, p is far too small."""
    values = torch.from_numpy(effects(4, 8, seed=6, where=slice(1, 3), size=0.8))
    copies, groups = values.repeat_interleave(5, dim=1), [i for i in range(8) for _ in range(5)]
    torch.testing.assert_close(max_statistic(copies, groups=groups), max_statistic(values), rtol=1e-12, atol=0)
    grouped, plain = (cluster_permutation(v, groups=g, threshold=1.0) for v, g in ((copies, groups), (values, None)))
    assert [(one.first, one.last, one.p) for one in grouped] == [(one.first, one.last, one.p) for one in plain] != []
    assert max_statistic(copies).min() < max_statistic(values).min() / 5


def test_a_layer_without_effect_is_in_no_family_and_divides_clusters():
    values = torch.from_numpy(effects(5, 8, seed=7, where=slice(0, 5), size=3.0))
    values[2] = 0.0
    p = max_statistic(values)
    assert p.isnan().tolist() == [False, False, True, False, False]
    torch.testing.assert_close(p[[0, 1, 3, 4]], max_statistic(values[[0, 1, 3, 4]]), rtol=0, atol=0)
    assert [(one.first, one.last) for one in cluster_permutation(values)] == [(0, 1), (3, 4)]
    values[2, 0] = torch.nan
    assert max_statistic(values).isnan().tolist() == [False, False, True, False, False]
    assert [(one.first, one.last) for one in cluster_permutation(values)] == [(0, 1), (3, 4)]
    assert sign_flip_p(values).isnan().tolist() == [False, False, True, False, False]
    assert max_statistic(torch.zeros(3, 8)).isnan().all()
    assert cluster_permutation(torch.zeros(3, 8)) == ()


def test_equal_effects_on_all_samples_have_a_finite_mass_and_the_smallest_p():
    found = cluster_permutation(torch.full((2, 6), 0.1))
    assert [(one.first, one.last, one.p) for one in found] == [(0, 1, 2 / 64)]
    assert np.isfinite(found[0].mass)
    assert max_statistic(torch.full((2, 6), 0.1)).tolist() == [2 / 64] * 2


@settings(max_examples=30, deadline=None)
@given(
    n_layers=st.integers(1, 5),
    n_samples=st.integers(2, 14),
    seed=st.integers(0, 1000),
    tail=st.sampled_from(list(TAILS)),
    scale=st.floats(1e-6, 1e6),
)
def test_properties_of_corrected_p(n_layers, n_samples, seed, tail, scale):
    values = torch.from_numpy(effects(n_layers, n_samples, seed=seed, where=slice(0, 1)))
    options = {"n_permutations": 200, "seed": seed, "tail": tail}
    corrected, single = max_statistic(values, **options), sign_flip_p(values, **options)
    assert (corrected >= single).all(), "looking at more layers cannot make p smaller"
    assert (single >= 1 / 201).all()
    assert (corrected <= 1).all()
    assert max_statistic(values * scale, **options).equal(corrected), "units of the effect do not matter"
    assert max_statistic(values.flip(0), **options).flip(0).equal(corrected), "nor does the order of layers"
    if tail == "two-sided":
        assert max_statistic(-values, **options).equal(corrected)


def test_a_seed_means_its_flips():
    values = torch.from_numpy(effects(3, 20, where=slice(1, 2), size=0.5))
    first, again, other = (max_statistic(values, n_permutations=300, seed=seed) for seed in (1, 1, 2))
    assert first.equal(again)
    assert not first.equal(other)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda v: max_statistic(v[0]), r"values have shape \(10,\); give \[layer, sample\]"),
        (lambda v: cluster_permutation(v[None]), r"values have shape \(1, 3, 10\)"),
        (lambda v: max_statistic(v, tail="greater"), "tail 'greater' is unknown; allowed: 'two-sided'"),
        (lambda v: max_statistic(v, n_permutations=0), "n_permutations must be 1 or more, got 0"),
        (lambda v: max_statistic(v[:, :1]), r"1 sample\(s\) cannot show how much samples vary"),
        (lambda v: cluster_permutation(v, groups=[1] * 10), r"1 group\(s\)"),
        (lambda v: cluster_permutation(v, threshold=-2.0), "threshold -2.0 of t; give a number above zero"),
        (lambda v: sign_flip_p(v[0, 0]), "values are a single number"),
    ],
)
def test_errors_say_what_came_and_what_is_allowed(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.ones(3, 10))
