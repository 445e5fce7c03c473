"""Subspace: construction from directions, projection, removal."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tlesion.subspace import ObliqueEraser, Subspace, fit_subspace


def gaussian(*shape, seed=0, dtype=torch.float64):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape)).to(dtype)


# By hand


def test_removal_by_hand():
    """One direction (3, 4)/5 through (1, 1): (6, 8) has 11 of it − 1.4 of the mean's."""
    subspace = Subspace.from_directions(torch.tensor([3.0, 4.0]), mean=torch.tensor([1.0, 1.0]))
    x = torch.tensor([[6.0, 8.0]], dtype=torch.float64)
    # (x − m)·b = (5·3 + 7·4)/5 = 8.6;  the part is 8.6 · (0.6, 0.8)
    torch.testing.assert_close(subspace.project(x), torch.tensor([[5.16, 6.88]], dtype=torch.float64))
    torch.testing.assert_close(subspace.remove(x), torch.tensor([[0.84, 1.12]], dtype=torch.float64))
    torch.testing.assert_close(
        subspace.remove(x, restore_mean=False), torch.tensor([[-0.16, 0.12]], dtype=torch.float64)
    )


def test_directions_keep_order_and_sign():
    directions = torch.tensor([[0.0, -2.0, 0.0], [1.0, 5.0, 0.0]])
    subspace = Subspace.from_directions(directions)
    expected = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(subspace.basis, expected)
    assert (subspace.rank, subspace.width, subspace.n_rows, subspace.components) == (2, 3, 0, (0, 1))
    assert subspace.variance_ratio.isnan().all()
    assert torch.equal(subspace.mean, torch.zeros(3, dtype=torch.float64))


def test_directions_with_activations_have_their_mean_and_ratios():
    activations = torch.tensor([[1.0, 0.0], [3.0, 0.0], [2.0, 1.0], [2.0, -1.0]]) + torch.tensor([5.0, 7.0])
    subspace = Subspace.from_directions(torch.eye(2), activations=activations)
    torch.testing.assert_close(subspace.mean, torch.tensor([7.0, 7.0], dtype=torch.float64))
    torch.testing.assert_close(subspace.variance_ratio, torch.tensor([0.5, 0.5], dtype=torch.float64))
    given_mean = Subspace.from_directions(torch.eye(2), torch.zeros(2), activations=activations)
    assert torch.equal(given_mean.mean, torch.zeros(2, dtype=torch.float64))


def test_no_directions_at_all():
    x = gaussian(4, 3)
    subspace = Subspace.from_directions(torch.zeros(0, 3), activations=x)
    assert subspace.rank == 0
    assert torch.equal(subspace.remove(x), x)
    # Without the mean there is no null removal: the mean goes whatever the rank.
    torch.testing.assert_close(subspace.remove(x, restore_mean=False), x - x.mean(dim=0), rtol=0, atol=1e-15)


def test_an_oblique_eraser_reads_one_direction_and_moves_along_another():
    eraser = ObliqueEraser(
        left=torch.tensor([[1.0, 1.0]]),
        right=torch.tensor([[1.0, 0.0]]),
        mean=torch.tensor([2.0, 0.0]),
        variance_lost=0.0,
        method="given",
        n_rows=0,
    )
    x = torch.tensor([[5.0, 5.0]])
    assert torch.equal(eraser.project(x), torch.tensor([[3.0, 3.0]]))
    assert torch.equal(eraser.remove(x), torch.tensor([[2.0, 2.0]]))
    assert torch.equal(eraser.remove(x, restore_mean=False), torch.tensor([[0.0, 2.0]]))
    assert (eraser.rank, eraser.width) == (1, 2)


# Properties


@st.composite
def data_and_rank(draw):
    """Activations of a drawn shape and true rank, and a rank to remove that they have."""
    tokens, units = draw(st.integers(3, 12)), draw(st.integers(2, 12))
    true_rank = draw(st.integers(1, min(tokens - 1, units)))
    rank = draw(st.integers(1, true_rank))
    seed = draw(st.integers(0, 2**31))
    scale = draw(st.sampled_from([1e-3, 1.0, 1e3]))
    factors = gaussian(tokens, true_rank, seed=seed), gaussian(true_rank, units, seed=seed + 1)
    return scale * (factors[0] @ factors[1] + gaussian(units, seed=seed + 2)), true_rank, rank


def centred_rank(x, *, scale):
    """Rank about the mean; singular values 1e-9 of the data's own size are float64 rounding of this recipe."""
    return int((torch.linalg.svdvals(x - x.mean(dim=0)) > 1e-9 * scale).sum())


@given(data_and_rank())
@settings(max_examples=60, deadline=None)
def test_removal_is_a_projection_that_lowers_the_rank_and_keeps_the_mean(case):
    x, true_rank, rank = case
    size = float(x.norm())
    subspace = fit_subspace(x, rank)
    removed = subspace.remove(x)
    # 1e-12 of the data's size: some hundred float64 roundings.
    torch.testing.assert_close(subspace.remove(removed), removed, rtol=0, atol=1e-12 * size)
    torch.testing.assert_close(removed.mean(dim=0), x.mean(dim=0), rtol=0, atol=1e-12 * size)
    torch.testing.assert_close(x - removed, subspace.project(x), rtol=0, atol=1e-12 * size)
    assert centred_rank(removed, scale=size) == centred_rank(x, scale=size) - rank == true_rank - rank


@given(data_and_rank(), st.data())
@settings(max_examples=40, deadline=None)
def test_two_orthogonal_parts_remove_what_one_removes(case, data):
    x, true_rank, _ = case
    both = data.draw(st.lists(st.integers(0, true_rank - 1), unique=True, min_size=1))
    cut = data.draw(st.integers(0, len(both)))
    first, second = (fit_subspace(x, components=part) for part in (both[:cut], both[cut:]))
    once = fit_subspace(x, components=both).remove(x)
    torch.testing.assert_close(second.remove(first.remove(x)), once, rtol=0, atol=1e-12 * float(x.norm()))
    torch.testing.assert_close(first.remove(second.remove(x)), once, rtol=0, atol=1e-12 * float(x.norm()))


@given(data_and_rank())
@settings(max_examples=40, deadline=None)
def test_without_the_mean_removal_differs_by_the_mean(case):
    x, _, rank = case
    subspace = fit_subspace(x, rank)
    bare = subspace.remove(x, restore_mean=False)
    torch.testing.assert_close(bare + x.mean(dim=0), subspace.remove(x), rtol=0, atol=1e-12 * float(x.norm()))


# Precision, shapes, hygiene


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_is_kept_and_computed_no_coarser_than_float32(dtype):
    x = gaussian(30, 16).to(dtype)
    subspace = fit_subspace(x, rank=3)
    removed = subspace.remove(x)
    exact = subspace.remove(x.double())
    # One rounding of the result to the dtype, and float32's own rounding of the products (16 units).
    tolerance = torch.finfo(dtype).eps * 4 + (3e-6 if dtype != torch.float64 else 0)
    assert removed.dtype == dtype
    assert subspace.project(x).dtype == dtype
    torch.testing.assert_close(removed.double(), exact, rtol=0, atol=tolerance)
    if dtype in (torch.float16, torch.bfloat16):
        # No rounding but the last one: not of the mean, the basis, or the products.
        assert torch.equal(removed, subspace.remove(x.float()).to(dtype))
        assert torch.equal(subspace.project(x), subspace.project(x.float()).to(dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_rank_zero_is_bit_identical(dtype):
    x = (gaussian(5, 7, 6) * 1e3).to(dtype)
    x[0, 0, 0] = -0.0
    subspace = fit_subspace(x.flatten(0, 1), rank=0)
    removed = subspace.remove(x)
    assert torch.equal(removed, x)
    assert torch.equal(removed.signbit(), x.signbit())
    assert removed.data_ptr() != x.data_ptr()


def test_leading_axes_are_free_and_nothing_is_changed_in_place():
    x = gaussian(2, 5, 3, 8, dtype=torch.float32)
    subspace = fit_subspace(x.flatten(0, 2), rank=2)
    before, basis = x.clone(), subspace.basis.clone()
    for restore_mean in (True, False):
        removed = subspace.remove(x, restore_mean=restore_mean)
        flat = subspace.remove(x.flatten(0, 2), restore_mean=restore_mean)
        # Another shape may take another summation order: a few float32 roundings.
        torch.testing.assert_close(removed.flatten(0, 2), flat, rtol=1e-5, atol=1e-6)
    assert torch.equal(x, before)
    assert torch.equal(subspace.basis, basis)


def test_units_outside_the_directions_keep_their_bits():
    x = gaussian(20, 6, dtype=torch.float32) * 1e3
    removed = Subspace.from_directions(torch.eye(6)[2], mean=torch.full((6,), 0.1)).remove(x)
    others = [0, 1, 3, 4, 5]
    assert torch.equal(removed[:, others], x[:, others])


def test_gradients_pass_through_removal():
    x = gaussian(4, 3).requires_grad_()
    subspace = Subspace.from_directions(torch.eye(3)[0])
    subspace.remove(x).sum().backward()
    assert torch.equal(x.grad, torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64).expand(4, 3))


# Errors


def test_wrong_width_or_kind_is_refused():
    subspace = Subspace.from_directions(torch.eye(3)[:1])
    with pytest.raises(ValueError, match=r"subspace of width 3 was applied to activations of shape \(2, 4\)"):
        subspace.remove(torch.zeros(2, 4))
    with pytest.raises(ValueError, match="fit it on activations of the same hook point"):
        subspace.project(torch.zeros(2, 4))
    with pytest.raises(ValueError, match="width 3"):
        subspace.remove(torch.tensor(1.0))
    with pytest.raises(ValueError, match=r"floating point, got torch.int64"):
        subspace.remove(torch.zeros(2, 3, dtype=torch.int64))


def test_directions_that_span_less_are_refused():
    with pytest.raises(ValueError, match=r"direction 2 of 3 \(counted from 0\) depends linearly"):
        Subspace.from_directions(torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0], [3.0, 4.0, 6.0]]))
    with pytest.raises(ValueError, match=r"direction 1 of 2 \(counted from 0\) is zero"):
        Subspace.from_directions(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    with pytest.raises(ValueError, match="3 directions in a space of 2 units"):
        Subspace.from_directions(torch.ones(3, 2))
    with pytest.raises(ValueError, match="not finite"):
        Subspace.from_directions(torch.tensor([[1.0, torch.nan]]))
    with pytest.raises(ValueError, match=r"shape \[direction, unit\], got shape \(2, 2, 2\)"):
        Subspace.from_directions(torch.ones(2, 2, 2))


def test_mean_of_another_width_or_not_finite_is_refused():
    with pytest.raises(ValueError, match=r"directions of 3 units need a mean of shape \(3,\), got shape \(4,\)"):
        Subspace.from_directions(torch.eye(3)[:1], mean=torch.zeros(4))
    with pytest.raises(ValueError, match="the mean holds NaN or infinite values"):
        Subspace.from_directions(torch.eye(2)[:1], mean=torch.tensor([0.0, torch.inf]))
    with pytest.raises(ValueError, match="width 3"):
        Subspace.from_directions(torch.eye(3)[:1], activations=gaussian(5, 4))


def test_a_basis_that_is_not_orthonormal_is_refused():
    with pytest.raises(ValueError, match=r"not orthonormal.*use Subspace\.from_directions"):
        Subspace(torch.tensor([[1.0, 1.0]]), torch.zeros(2), torch.ones(1), "given", 0, (0,))


def test_factors_that_are_no_projection_are_refused():
    vector, mean = torch.tensor([[1.0, 1.0]]), torch.zeros(2)
    with pytest.raises(ValueError, match="must be the identity, or removal is not a projection; it is 1 off"):
        ObliqueEraser(vector, vector, mean, variance_lost=0.0, method="given", n_rows=0)
