"""Intervals of means: against scipy, resample for resample; grouped samples; coverage of the truth."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tlesion.inference import bootstrap, bootstrap_mean


def skewed(*shape, seed=0):
    return np.random.default_rng(seed).exponential(2.0, shape) - 1.0


@pytest.mark.parametrize(("method", "scipys"), [("bca", "BCa"), ("percentile", "percentile")])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_bootstraps_equal_scipys_resample_for_resample(method, scipys, level):
    values = skewed(2, 3, 30)
    found = bootstrap_mean(torch.from_numpy(values), level=level, method=method, n_resamples=999, seed=7)
    expected = stats.bootstrap(
        (values,), np.mean, axis=-1, confidence_level=level, method=scipys, n_resamples=999,
        rng=np.random.default_rng(7),
    ).confidence_interval  # fmt: skip
    # The same resamples, summed in another order; BCa divides by sums of cubes.
    np.testing.assert_allclose(found.low, expected.low, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.high, expected.high, rtol=1e-9, atol=1e-12)
    assert (found.level, found.method) == (level, method)


def test_students_interval_equals_scipys():
    values = skewed(4, 12)
    found = bootstrap_mean(torch.from_numpy(values), method="t", level=0.9)
    expected = stats.ttest_1samp(values, 0, axis=1).confidence_interval(0.9)
    np.testing.assert_allclose(found.low, expected.low, rtol=1e-12)
    np.testing.assert_allclose(found.high, expected.high, rtol=1e-12)


GROUPS = ["a"] * 4 + ["b"] * 2 + ["c"] + ["d"] * 5 + list("efghijklmnopqrs")


@pytest.mark.parametrize(("method", "scipys"), [("bca", "BCa"), ("percentile", "percentile")])
def test_groups_are_resampled_whole(method, scipys):
    values = skewed(len(GROUPS), seed=1)
    members = [np.flatnonzero(np.array(GROUPS) == label) for label in dict.fromkeys(GROUPS)]

    def mean_of(numbers):
        return np.concatenate([values[members[int(i)]] for i in numbers]).mean()

    expected = stats.bootstrap(
        (np.arange(len(members)),), mean_of, vectorized=False, method=scipys, n_resamples=499,
        rng=np.random.default_rng(3),
    ).confidence_interval  # fmt: skip
    found = bootstrap_mean(torch.from_numpy(values), method=method, groups=GROUPS, n_resamples=499, seed=3)
    assert found.low.item() == pytest.approx(expected.low, rel=1e-9)
    assert found.high.item() == pytest.approx(expected.high, rel=1e-9)


def test_students_interval_of_equal_groups_is_that_of_their_means():
    values = torch.from_numpy(skewed(2, 24))
    groups = torch.arange(8).repeat(3)
    found = bootstrap_mean(values, method="t", groups=groups)
    by_means = bootstrap_mean(values.reshape(2, 3, 8).mean(dim=1), method="t")
    torch.testing.assert_close(found.low, by_means.low)
    torch.testing.assert_close(found.high, by_means.high)


@pytest.mark.parametrize("method", bootstrap.METHODS)
@pytest.mark.parametrize("value", [0.0, 0.1, -1e9])
def test_equal_samples_give_that_value_and_no_warning(method, value):
    values = torch.full((2, 9), value, dtype=torch.float64)
    found = bootstrap_mean(values, method=method, n_resamples=50, groups=[0, 0, 1, 1, 1, 2, 3, 3, 3])
    assert found.low.tolist() == found.high.tolist() == [value, value]


@pytest.mark.parametrize("method", bootstrap.METHODS)
def test_groups_with_one_mean_give_that_mean(method):
    values = torch.tensor([0.1, 0.3, 0.2, 0.0, 0.4, 0.2])
    found = bootstrap_mean(values, method=method, n_resamples=50, groups=[0, 0, 1, 2, 2, 3])
    for end in (found.low, found.high):
        assert end.item() == pytest.approx(0.2, abs=1e-7)  # float32 samples: 0.1 + 0.3 is 0.4 to 3e-8


def test_two_samples_are_enough_and_nan_stays_in_its_row():
    values = torch.tensor([[1.0, 3.0], [torch.nan, 1.0], [torch.inf, 1.0], [-torch.inf, 2.0]])
    for method in bootstrap.METHODS:
        found = bootstrap_mean(values, method=method, n_resamples=200)
        assert 1 - 12 < found.low[0] <= 2 <= found.high[0] < 3 + 12  # Student's reaches 12.7 deviations of 1
        assert found.low[1:].isnan().all()
        assert found.high[1:].isnan().all()


@settings(max_examples=25, deadline=None)
@given(
    shift=st.floats(-1e3, 1e3),
    scale=st.floats(1e-3, 1e3),
    method=st.sampled_from(bootstrap.METHODS),
    seed=st.integers(0, 1000),
)
def test_the_interval_moves_and_stretches_with_the_samples(shift, scale, method, seed):
    values = torch.from_numpy(skewed(15, seed=seed))
    options = {"method": method, "n_resamples": 200, "seed": seed}
    plain, moved = bootstrap_mean(values, **options), bootstrap_mean(values * scale + shift, **options)
    for end in ("low", "high"):
        # Adding 1e3 to numbers of 1e-3 leaves ten digits of them.
        torch.testing.assert_close(
            getattr(moved, end), getattr(plain, end) * scale + shift, rtol=1e-8, atol=1e-9 + 1e-9 * abs(shift)
        )
    assert plain.low <= values.mean() <= plain.high


def test_rows_are_the_same_alone_and_in_pieces(monkeypatch):
    values = torch.from_numpy(skewed(5, 20))
    whole = bootstrap_mean(values, n_resamples=100, seed=1)
    monkeypatch.setattr(bootstrap, "N_VALUES", 200)
    pieces = bootstrap_mean(values, n_resamples=100, seed=1)
    alone = bootstrap_mean(values[3], n_resamples=100, seed=1)
    torch.testing.assert_close(pieces.low, whole.low, rtol=1e-12, atol=0)
    torch.testing.assert_close(alone.high, whole.high[3], rtol=1e-12, atol=0)
    assert alone.low.shape == ()


def coverage(found, truth):
    return float(((found.low <= truth) & (truth <= found.high)).double().mean())


@pytest.mark.parametrize("method", bootstrap.METHODS)
def test_95_percent_cover_the_truth_in_about_95(method):
    """2000 studies of 60 prompts, mildly skewed as logit drops are: the share has a standard error of 0.5 %."""
    values = torch.from_numpy(np.random.default_rng(2).gamma(4.0, 0.5, (2000, 60)))
    share = coverage(bootstrap_mean(values, method=method, n_resamples=1000), 2.0)
    assert 0.925 < share < 0.97  # at n = 60 the methods themselves lie between 93.5 and 95 %


def test_ignoring_templates_would_not_cover_and_naming_them_does():
    """20 templates of 5 prompts whose effects share most of their variance."""
    rng = np.random.default_rng(4)
    template, own = rng.standard_normal((1000, 20, 1)), 0.3 * rng.standard_normal((1000, 20, 5))
    values = torch.from_numpy((template + own).reshape(1000, 100))
    groups = np.arange(20).repeat(5)
    options: dict[str, Any] = {"method": "t"}
    assert coverage(bootstrap_mean(values, **options), 0.0) < 0.75
    assert 0.93 < coverage(bootstrap_mean(values, groups=groups, **options), 0.0) < 0.97  # se 0.7 %
    assert 0.88 < coverage(bootstrap_mean(values, groups=groups, n_resamples=1000), 0.0) < 0.96  # BCa of 20: narrow


def test_inputs_and_global_random_state_stay():
    values = torch.from_numpy(skewed(10))
    state: Any = np.random.get_state()  # noqa: NPY002
    before, words = values.clone(), state[1].copy()
    bootstrap_mean(values)
    assert values.equal(before)
    state = np.random.get_state()  # noqa: NPY002
    assert (state[1] == words).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "basic"}, "method 'basic' is unknown; allowed: 'bca', 'percentile', 't'"),
        ({"level": 1.0}, "level must lie between 0 and 1, got 1.0"),
        ({"n_resamples": 0}, "n_resamples is 0"),
        ({"seed": -1}, "seed -1 is negative"),
        ({"groups": [0, 1]}, "2 group labels for 5 samples"),
        ({"groups": [0] * 5}, r"1 group\(s\) of samples cannot show how much samples vary"),
        ({"values": torch.tensor([1.0])}, r"1 sample\(s\) cannot show"),
        ({"values": torch.tensor(1.0)}, "a single number"),
        ({"values": torch.ones(2, 0)}, r"0 sample\(s\)"),
    ],
)
def test_errors_say_what_came_and_what_is_allowed(options, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_mean(**({"values": torch.arange(5.0)} | options))
