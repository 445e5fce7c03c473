"""Streamed moments against exact arithmetic, and under every way of cutting the rows into batches."""

from fractions import Fraction

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tlesion.stats import Moments

# Float32 values of very different sizes: what activations are, at their worst.
VALUES = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)
ROWS = hnp.arrays(np.float32, st.tuples(st.integers(2, 12), st.integers(1, 3)), elements=VALUES)
CUTS = st.lists(st.integers(1, 5), min_size=1, max_size=12)

# 12 rows: each sum of 12 rounds 12 times by 1.1e-16, and the subtraction loses a factor of up to 12.
EXACT = 1e-13


def exact_m2(values: np.ndarray) -> Fraction:
    """Sum of squared distances from the mean, in rational arithmetic."""
    fractions = [Fraction(float(value)) for value in values]
    mean = sum(fractions, Fraction(0)) / len(fractions)
    return sum(((value - mean) ** 2 for value in fractions), Fraction(0))


def streamed(rows: torch.Tensor, sizes: list[int]) -> Moments:
    """Moments of the rows given in batches of these sizes, the last one taking what is left."""
    moments = Moments.zeros(rows.shape[1:])
    start = 0
    for size in sizes:
        moments.update(rows[start : start + size])
        start += size
    return moments.update(rows[start:])


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(rows=ROWS, sizes=CUTS)
def test_equals_exact_arithmetic_however_the_rows_are_batched(rows, sizes):
    moments = streamed(torch.from_numpy(rows), sizes)
    assert moments.n == len(rows)
    for unit in range(rows.shape[1]):
        expected = exact_m2(rows[:, unit])
        assert abs(Fraction(moments.m2[unit].item()) - expected) <= Fraction(EXACT) * expected
        mean = sum(map(Fraction, rows[:, unit].tolist()), Fraction(0)) / len(rows)
        # The mean is a float64 near values of up to 1e6: half an ulp there is 6e-11.
        assert abs(Fraction(moments.mean[unit].item()) - mean) <= Fraction(1e-9)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(first=ROWS, second=ROWS, seed=st.integers(0, 1000))
def test_merge_is_concatenation_and_order_does_not_matter(first, second, seed):
    width = min(first.shape[1], second.shape[1])
    parts = [torch.from_numpy(part[:, :width].copy()) for part in (first, second)]
    both = torch.cat(parts)
    shuffled = both[torch.randperm(len(both), generator=torch.Generator().manual_seed(seed))]
    merged = Moments.of(parts[0]).merge(Moments.of(parts[1]))
    for other in (Moments.of(both), Moments.of(shuffled)):
        assert merged.n == other.n
        # Each of the two is within 24 rows' worth of rounding of the truth (see EXACT).
        torch.testing.assert_close(merged.m2, other.m2, rtol=5e-13, atol=0)
        torch.testing.assert_close(merged.mean, other.mean, rtol=0, atol=1e-9)
        assert torch.equal(merged.constant, other.constant)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(rows=ROWS, shift=st.integers(-1000, 1000), factor=st.sampled_from([-4.0, 0.5, 1024.0]))
def test_shift_moves_the_mean_alone_and_scale_squares_into_the_variance(rows, shift, factor):
    whole = torch.from_numpy(rows).double().round()  # whole numbers: shifting and scaling round nothing
    before, after = Moments.of(whole), Moments.of(whole * factor + shift)
    torch.testing.assert_close(after.variance, before.variance * factor**2, rtol=EXACT, atol=0)
    torch.testing.assert_close(after.mean, before.mean * factor + shift, rtol=1e-12, atol=1e-6)


@pytest.mark.parametrize("sizes", [[50], [1] * 50, [7, 20]])
def test_tiny_variance_on_a_large_mean(sizes):
    z = torch.from_numpy(np.random.default_rng(0).standard_normal((50, 4)))
    rows = 1e8 + 1e-6 * z  # the spacing of float64 there is 1.5e-8: the rows keep two digits of z
    moments = streamed(rows, sizes)
    expected = [float(exact_m2(rows[:, unit].numpy()) / 49) for unit in range(4)]
    np.testing.assert_allclose(moments.variance.numpy(), expected, rtol=1e-12)
    naive = rows.square().mean(0) - rows.mean(0).square()
    assert not np.allclose(naive.numpy() * 50 / 49, expected, rtol=0.5)  # the textbook formula is useless here


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int32])
def test_every_dtype_is_taken_at_its_own_value(dtype):
    rows = torch.from_numpy(np.random.default_rng(1).standard_normal((30, 5), dtype=np.float32) * 20).to(dtype)
    moments = Moments.of(rows)
    np.testing.assert_allclose(moments.mean, rows.double().numpy().mean(0), rtol=1e-13)
    np.testing.assert_allclose(moments.variance, rows.double().numpy().var(0, ddof=1), rtol=1e-13)
    assert moments.mean.dtype == moments.variance.dtype == torch.float64


@pytest.mark.parametrize("value", [0.1, -3.7e4, 1e-30, 0.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_is_exact(value, dtype):
    rows = torch.full((37, 2), value, dtype=dtype)
    rows[20, 1] = torch.nextafter(rows[20, 1], torch.tensor(torch.inf, dtype=dtype))
    if value == 0:
        rows[20, 1] = 1e-40  # next to 0 the neighbour's square would vanish; this one is float32's smallest kind
    moments = streamed(rows, [5, 11, 1])
    assert moments.constant.tolist() == [True, False]
    assert moments.variance[0] == 0
    assert moments.variance[1] > 0
    assert moments.mean[0] == rows[0, 0].double()


def test_merging_two_different_constants_is_not_constant():
    a, b = Moments.of(torch.full((3, 1), 0.1)), Moments.of(torch.full((4, 1), 0.1000001))
    assert a.constant.all()
    assert b.constant.all()
    assert not a.merge(b).constant.any()
    assert a.merge(Moments.of(torch.full((4, 1), 0.1))).constant.all()


@pytest.mark.parametrize("row", [0, 3])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_bad_values_show_in_their_unit_and_no_other(row, bad):
    rows = torch.from_numpy(np.random.default_rng(2).standard_normal((6, 3), dtype=np.float32))
    rows[row, 1] = bad
    moments = streamed(rows, [2, 2])
    assert moments.finite.tolist() == [True, False, True]
    assert not moments.constant.any()
    other = Moments.of(rows[:, 0])
    torch.testing.assert_close(moments.mean[0], other.mean)
    assert not Moments.of(rows).merge(Moments.of(rows[:1])).finite[1]


def test_update_leaves_the_rows_alone_and_keeps_no_graph():
    rows = torch.from_numpy(np.random.default_rng(3).standard_normal((4, 3)))
    rows.requires_grad_()
    before = rows.detach().clone()
    moments = Moments.of(rows)
    rows.data.add_(1)  # the origin must be a copy, not a view of the caller's tensor
    moments.update(before)
    torch.testing.assert_close(moments.mean, before.mean(0))
    assert not moments.mean.requires_grad


def test_update_works_across_inference_mode():
    rows = torch.from_numpy(np.random.default_rng(4).standard_normal((8, 2), dtype=np.float32))
    with torch.inference_mode():
        moments = Moments.zeros((2,)).update(rows[:4])
    moments.update(rows[4:])
    np.testing.assert_allclose(moments.variance, rows.double().numpy().var(0, ddof=1), rtol=1e-13)


def test_empty_batches_and_scalars():
    moments = Moments.zeros(()).update(torch.empty(0)).update(torch.tensor([1.0, 3.0]))
    assert (moments.n, moments.mean.item(), moments.variance.item()) == (2, 2.0, 2.0)
    empty = Moments.zeros((2,))
    assert empty.mean.isnan().all()
    assert Moments.of(torch.ones(1, 2)).variance.isnan().all()
    some = Moments.of(torch.tensor([[1.0, 2.0], [2.0, 5.0]]))
    for merged in (empty.merge(some), some.merge(empty)):
        assert (merged.n, merged.mean.tolist()) == (2, [1.5, 3.5])


def test_stack_puts_layers_first():
    layers = [torch.from_numpy(np.random.default_rng(s).standard_normal((5, 3), dtype=np.float32)) for s in range(2)]
    stacked = Moments.stack([Moments.of(rows) for rows in layers])
    torch.testing.assert_close(stacked.variance, torch.stack([rows.double().var(0) for rows in layers]))


def test_shape_errors_say_what_fits():
    moments = Moments.zeros((3,))
    with pytest.raises(ValueError, match=r"rows of shape \[2, 4\] do not fit moments of shape \[3\]"):
        moments.update(torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"cannot merge moments of shape \[3\] with \[4\]"):
        moments.merge(Moments.zeros((4,)))
    with pytest.raises(ValueError, match=r"cannot stack 2 Moments that saw \[0, 1\] rows"):
        Moments.stack([moments, Moments.of(torch.zeros(1, 3))])
    with pytest.raises(ValueError, match="cannot stack 0 Moments that saw no rows"):
        Moments.stack([])


def test_sums_over_a_device_without_float64_live_on_the_cpu():
    """MPS has no float64. The decision needs no such device."""
    assert Moments.zeros((3,), "mps").origin.device == torch.device("cpu")
    assert Moments.zeros((3,), torch.device("mps:0")).total_sq.device == torch.device("cpu")
    assert Moments.zeros((3,), "meta").origin.device == torch.device("meta"), "any other device keeps its sums"
    assert Moments.zeros((3,)).origin.dtype == torch.float64
