"""SubspaceFitter: equal to the fit in memory where it says so, within its bounds where it does not."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tlesion.subspace import SubspaceFitter, fit_subspace
from tlesion.subspace.stream import EXACT_WIDTH, KEPT_WHEN_WIDER


def gaussian(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def decaying(tokens, units, *, decay, seed=0):
    """Activations of geometrically falling variance, whose mean drifts over the stream."""
    spectrum = decay ** torch.arange(units, dtype=torch.float64)
    rotation = torch.linalg.qr(gaussian(units, units, seed=seed + 1)).Q
    drift = torch.linspace(-1, 1, tokens, dtype=torch.float64)[:, None]
    return (gaussian(tokens, units, seed=seed) * spectrum) @ rotation + 5 + drift * rotation[1]


def stream(x, sizes, kept=None):
    fitter = SubspaceFitter(kept)
    for batch in x.split(sizes):
        assert fitter.update(batch) is fitter
    return fitter


def largest_sine(a, b):
    """Sine of the largest angle between two spans of equal rank."""
    return float(torch.linalg.matrix_norm(a - a @ b.T @ b, ord=2))


# Exact


@st.composite
def streams(draw):
    """Activations, their true rank, and batch sizes from 1 that sum to the tokens."""
    tokens, units = draw(st.integers(3, 60)), draw(st.integers(1, 12))
    rank = draw(st.integers(1, min(tokens - 1, units)))
    seed = draw(st.integers(0, 2**31))
    x = gaussian(tokens, rank, seed=seed) @ gaussian(rank, units, seed=seed + 1) + gaussian(units, seed=seed + 2)
    cuts = sorted(draw(st.sets(st.integers(1, tokens - 1), max_size=8)))
    sizes = [end - start for start, end in zip([0, *cuts], [*cuts, tokens], strict=True)]
    return x, rank, sizes


@pytest.mark.slow
@given(streams(), st.data())
@settings(max_examples=80, deadline=None)
def test_exact_where_the_data_has_no_more_dimensions_than_are_kept(case, data):
    x, rank, sizes = case
    kept = data.draw(st.one_of(st.none(), st.integers(rank, 20)))
    fitter = stream(x, sizes, kept)
    streamed, whole = fitter.fit(rank), fit_subspace(x, rank)
    scale = float(x.norm())
    # Rounding of some tens of merges in float64.
    torch.testing.assert_close(streamed.mean, whole.mean, rtol=0, atol=1e-13 * scale)
    torch.testing.assert_close(streamed.variance_ratio, whole.variance_ratio, rtol=0, atol=1e-12)
    # The span of all true components is well separated from nothing: no gap enters.
    smallest = float(whole.variance_ratio[-1]) ** 0.5
    assert largest_sine(streamed.basis, whole.basis) < 1e-11 / max(smallest, 1e-6)
    assert streamed.n_rows == whole.n_rows == len(x) == fitter.n_rows
    assert (streamed.method, streamed.components) == (whole.method, whole.components)
    assert fitter.discarded_ratio == 0.0
    assert fitter.angle_bound(rank) == 0.0


@pytest.mark.parametrize("sizes", [1, 7, 64, 500])
def test_each_direction_equals_the_fit_in_memory(sizes):
    x = decaying(500, 20, decay=0.8)
    fitter = stream(x.float(), sizes)
    streamed, whole = fitter.fit(6), fit_subspace(x.float(), 6)
    # Float64 rounding over gaps of at least a tenth of the variance, signs included.
    torch.testing.assert_close(streamed.basis, whole.basis, rtol=0, atol=1e-12)
    torch.testing.assert_close(streamed.variance_ratio, whole.variance_ratio, rtol=1e-12, atol=0)
    chosen = fitter.fit(components=[2, 5])
    torch.testing.assert_close(chosen.basis, whole.basis[[2, 5]], rtol=0, atol=1e-12)


def test_fit_between_updates_and_removal():
    x = decaying(300, 10, decay=0.7)
    fitter = SubspaceFitter().update(x[:100])
    torch.testing.assert_close(fitter.fit(2).basis, fit_subspace(x[:100], 2).basis, rtol=0, atol=1e-12)
    streamed = fitter.update(x[100:]).fit(2)
    torch.testing.assert_close(streamed.remove(x), fit_subspace(x, 2).remove(x), rtol=0, atol=1e-12)


# Truncated


@pytest.mark.slow
@pytest.mark.parametrize("decay", [0.9, 0.97])
@pytest.mark.parametrize("kept", [5, 12])
@pytest.mark.parametrize("sizes", [3, 50])
def test_truncated_fit_is_within_its_bounds(decay, kept, sizes):
    x = decaying(600, 60, decay=decay)
    fitter = stream(x, sizes, kept)
    centred = x - x.mean(dim=0)
    singular, true = torch.linalg.svd(centred, full_matrices=False)[1:]
    total = float(singular.square().sum())
    assert 0 < fitter.discarded_ratio < 1
    torch.testing.assert_close(fitter.fit(1).mean, x.mean(dim=0), rtol=0, atol=1e-12)
    for rank in (1, 2, 4):
        streamed = fitter.fit(rank)
        # What the sketch sees of a direction's variance is no more than what there is ...
        true_ratio = (centred @ streamed.basis.T).square().sum(dim=0) / total
        assert (streamed.variance_ratio <= true_ratio + 1e-12).all()
        # ... and short of it by no more than what was discarded.
        assert (true_ratio - streamed.variance_ratio <= fitter.discarded_ratio).all()
        assert largest_sine(streamed.basis, true[:rank]) <= fitter.angle_bound(rank) + 1e-9


def test_the_bound_says_something_and_more_rows_make_it_tighter():
    x = decaying(600, 60, decay=0.8)
    bounds = [stream(x, 50, kept).angle_bound(2) for kept in (8, 16, 32, 60)]
    assert bounds == sorted(bounds, reverse=True)
    assert 0 < bounds[1] < 0.05
    assert bounds[-1] == 0.0


def test_discarded_and_kept_variance_sum_to_all():
    x = decaying(400, 40, decay=0.95)
    fitter = stream(x, 30, kept=10)
    kept = float(fitter.fit(10).variance_ratio.sum())
    assert kept + fitter.discarded_ratio == pytest.approx(1, rel=1e-12)


def test_memory_does_not_grow_with_tokens():
    """What is held is the sketch and less than one more sketch of tokens that wait, whatever comes."""
    kept, width = 20, 50
    fitter = SubspaceFitter(kept)
    held = []
    for seed in range(12):
        fitter.update(gaussian(130, width, seed=seed).float())
        tensors = [tensor for tensor in (fitter._sketch, *fitter._pending) if tensor is not None]
        held.append(sum(tensor.untyped_storage().nbytes() for tensor in tensors))
    assert max(held) <= 2 * kept * width * 8
    assert fitter.fit(1).n_rows == 12 * 130


def test_rows_kept_by_default():
    exact = stream(gaussian(40, EXACT_WIDTH, seed=1), 40)
    assert exact.fit(39).rank == 39
    wide = stream(gaussian(KEPT_WHEN_WIDER + 40, EXACT_WIDTH + 1, seed=1), 100)
    assert wide.fit(KEPT_WHEN_WIDER).rank == KEPT_WHEN_WIDER
    with pytest.raises(ValueError, match=f"{KEPT_WHEN_WIDER} rows kept"):
        wide.fit(KEPT_WHEN_WIDER + 1)
    assert wide.discarded_ratio > 0


def test_empty_batches_change_nothing():
    """A batch whose tokens were all padding, at the start, in between and at the end."""
    x = decaying(40, 6, decay=0.8)
    empty = x[:0]
    fitter = SubspaceFitter(kept=2).update(empty).update(x[:3]).update(empty).update(x[3:]).update(empty)
    other = SubspaceFitter(kept=2).update(x[:3]).update(x[3:])
    assert fitter.n_rows == 40
    torch.testing.assert_close(fitter.fit().basis, other.fit().basis, rtol=0, atol=1e-12)
    assert fitter.discarded_ratio == pytest.approx(other.discarded_ratio, rel=1e-12)
    with pytest.raises(ValueError, match="at least 2 tokens, got 0"):
        SubspaceFitter().update(empty).fit()


def test_batches_are_copied_not_kept():
    x = decaying(40, 6, decay=0.8)
    batch = x.clone()
    fitter = SubspaceFitter().update(batch)
    assert torch.equal(batch, x)
    batch.zero_()
    torch.testing.assert_close(fitter.fit().basis, fit_subspace(x).basis, rtol=0, atol=1e-12)


# Errors


def test_errors():
    fitter = SubspaceFitter()
    with pytest.raises(ValueError, match="at least 2 tokens, got 0; call update"):
        fitter.fit()
    fitter.update(torch.ones(1, 4))
    with pytest.raises(ValueError, match="at least 2 tokens, got 1"):
        fitter.fit()
    fitter.update(torch.ones(3, 4))
    with pytest.raises(ValueError, match="constant over the 4 tokens"):
        fitter.fit()
    with pytest.raises(ValueError, match="seen activations of 4 units, got a batch of 5"):
        fitter.update(torch.ones(3, 5))
    with pytest.raises(ValueError, match="not finite, the first at token 0, unit 2"):
        fitter.update(torch.tensor([[1.0, 2.0, torch.nan, 0.0]]))
    assert fitter.n_rows == 4
    with pytest.raises(ValueError, match=r"shape \[token, unit\]"):
        fitter.update(torch.ones(4))
    with pytest.raises(ValueError, match="kept must be at least 1 row, got 0"):
        SubspaceFitter(0)


def test_rank_above_the_data_or_the_rows_kept():
    x = decaying(50, 10, decay=0.9)
    with pytest.raises(ValueError, match=r"rank 6 is more than the data has: 5 components .*5 rows kept"):
        stream(x, 10, kept=5).fit(6)
    with pytest.raises(ValueError, match="rank 3 is more than the data has: 2 components"):
        stream(x[:3].float(), 1).fit(3)
    with pytest.raises(ValueError, match="rank must be from 1 to 5, the rows of the sketch; got 6"):
        stream(x, 10, kept=5).angle_bound(6)
