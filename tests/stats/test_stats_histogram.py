"""Streamed histograms: numpy's counts, whatever the batches and the range."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tlesion.stats.histogram import Histogram

VALUES = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=60)


def of(values: list[float], *, n_bins: int = 16, cuts: list[int] | None = None) -> Histogram:
    histogram = Histogram.zeros(n_rows=1, n_bins=n_bins)
    for part in np.split(np.array(values), cuts or []):
        histogram.update(0, torch.from_numpy(part))
    return histogram


@pytest.mark.slow
@given(VALUES)
@settings(deadline=None)
def test_counts_are_those_of_numpy(values):
    histogram = of(values)
    # numpy closes its last bin: an edge beyond ours keeps ours half-open there.
    edges = np.append(histogram.edges.numpy(), np.inf)
    expected = np.histogram(values, bins=edges)[0]
    np.testing.assert_array_equal(histogram.counts[0], expected[:-1])
    assert expected[-1] == 0
    assert int(histogram.counts.sum()) == len(values)


@pytest.mark.slow
@given(VALUES, st.lists(st.integers(0, 60), max_size=4))
@settings(deadline=None)
def test_batches_make_no_difference(values, cuts):
    whole, parts = of(values), of(values, cuts=sorted(cuts))
    assert whole.exponent == parts.exponent
    assert torch.equal(whole.counts, parts.counts)


@given(VALUES)
@settings(deadline=None)
def test_the_bins_are_the_finest_that_hold_all_values(values):
    histogram = of(values)
    half = histogram.counts.shape[1] // 2
    finer = np.floor(np.array(values) / (histogram.width / 2))
    too_fine = finer.min() < -half or finer.max() >= half
    assert too_fine or histogram.exponent == Histogram.zeros(n_rows=1).exponent


def test_zero_stays_an_edge_and_rows_share_their_bins():
    histogram = Histogram.zeros(n_rows=2, n_bins=4)
    histogram.update(0, torch.tensor([[-0.5, 0.5], [0.0, -1e-12]]))
    histogram.update(1, torch.tensor([7.0]))
    assert histogram.width == 4.0
    assert histogram.counts.tolist() == [[0, 2, 2, 0], [0, 0, 0, 1]]
    assert histogram.edges.tolist() == [-8.0, -4.0, 0.0, 4.0, 8.0]


def test_nothing_is_counted_for_no_values_and_inputs_stay_as_they_are():
    histogram = Histogram.zeros(n_rows=1)
    histogram.update(0, torch.empty(0, 3))
    assert int(histogram.counts.sum()) == 0
    values = torch.tensor([1.5, -2.5], dtype=torch.float16)
    histogram.update(0, values)
    assert values.tolist() == [1.5, -2.5]


def test_what_fits_no_bin_is_refused():
    with pytest.raises(ValueError, match=r"2 of 3 values are NaN or infinite and fit no bin"):
        Histogram.zeros(n_rows=1).update(0, torch.tensor([1.0, torch.nan, torch.inf]))
    with pytest.raises(ValueError, match="n_bins 7 puts no edge at zero; give an even number"):
        Histogram.zeros(n_rows=1, n_bins=7)
