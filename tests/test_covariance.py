"""measure_covariance_change against the explicit unit-by-unit matrices."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tlesion.covariance import measure_covariance_change
from tlesion.subspace import Subspace, fit_subspace

SHAPES = [(12, 40), (40, 12), (20, 20), (2, 5), (5, 1)]


def gaussian(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def explicit_change(before, after, matrix):
    start, end = (np.atleast_2d(matrix(x.numpy(), rowvar=False)) for x in (before, after))
    return np.linalg.norm(end - start) / np.linalg.norm(start)


# Oracle: numpy's covariance and correlation


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1.0, 1e-3])
def test_changes_equal_the_explicit_matrices(shape, size):
    before = gaussian(*shape) * 3 + 5
    after = before + size * gaussian(*shape, seed=1) - 2
    change = measure_covariance_change(before, after)
    # Float64; explicit differences of matrices lose up to three digits at a change of 1e-3.
    assert change.covariance_change == pytest.approx(explicit_change(before, after, np.cov), rel=1e-9)
    if shape[1] > 1 and shape[0] > 2:
        expected = explicit_change(before, after, np.corrcoef)
        assert change.correlation_change == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_spectrum_effective_rank_and_unit_changes_equal_the_explicit_ones(shape):
    before = gaussian(*shape) * torch.linspace(0.1, 3, shape[1]).double() + 5
    after = before * 0.7 + gaussian(*shape, seed=1)
    change = measure_covariance_change(before, after)
    for x, spectrum, rank in (
        (before, change.spectrum_before, change.effective_rank_before),
        (after, change.spectrum_after, change.effective_rank_after),
    ):
        covariance = np.atleast_2d(np.cov(x.numpy(), rowvar=False))
        eigenvalues = np.linalg.eigvalsh(covariance)[::-1][: min(shape)]
        # Rounding of an eigenvalue is relative to the largest one.
        np.testing.assert_allclose(spectrum, eigenvalues, rtol=1e-12, atol=1e-13 * eigenvalues[0])
        assert rank == pytest.approx(np.trace(covariance) ** 2 / np.linalg.norm(covariance) ** 2, rel=1e-12)
    difference = (after - before).abs().mean(dim=0)
    torch.testing.assert_close(change.unit_change, difference, rtol=1e-13, atol=0)
    torch.testing.assert_close(change.unit_change_relative, difference / before.std(dim=0), rtol=1e-12, atol=0)
    assert change.mean_unit_change == pytest.approx(float(difference.mean()), rel=1e-13)
    assert change.mean_unit_change_relative == pytest.approx(float((difference / before.std(dim=0)).mean()), rel=1e-12)
    assert change.n_tokens == shape[0]


def test_sampled_block_is_a_seeded_part_of_the_correlation_matrix():
    before, after = gaussian(30, 50), gaussian(30, 50, seed=1)
    change = measure_covariance_change(before, after, n_sampled=8, seed=3)
    units = change.sampled.numpy()
    assert len(set(units)) == 8
    assert (np.diff(units) > 0).all()
    for x, block in ((before, change.correlation_before), (after, change.correlation_after)):
        np.testing.assert_allclose(block, np.corrcoef(x.numpy(), rowvar=False)[np.ix_(units, units)], atol=1e-13)
    again, other = (measure_covariance_change(before, after, n_sampled=8, seed=seed) for seed in (3, 4))
    assert torch.equal(again.sampled, change.sampled)
    assert not torch.equal(other.sampled, change.sampled)
    everything = measure_covariance_change(before, after, n_sampled=1000)
    assert everything.sampled.tolist() == list(range(50))


# By hand


def test_by_hand():
    """Two uncorrelated units of variance 4/3; the second is halved: its variance falls to 1/3."""
    before = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    change = measure_covariance_change(before, before * torch.tensor([1.0, 0.5]))
    assert change.covariance_change == pytest.approx((4 / 3 - 1 / 3) / (4 / 3 * math.sqrt(2)), rel=1e-12)
    assert change.correlation_change == pytest.approx(0, abs=1e-15)
    assert change.effective_rank_before == pytest.approx(2, rel=1e-12)
    assert change.effective_rank_after == pytest.approx((5 / 3) ** 2 / ((4 / 3) ** 2 + (1 / 3) ** 2), rel=1e-12)
    assert change.unit_change.tolist() == [0.0, 0.5]
    assert change.mean_unit_change == 0.25


@pytest.mark.slow
def test_a_shared_direction_is_small_in_each_unit_and_deep_in_the_covariance():
    """300 units share one factor of a third of their deviation: 1/10 of each variance, nearly all of ‖C‖."""
    factor = gaussian(2000, 1)
    before = factor / 3 + gaussian(2000, 300, seed=1)
    subspace = fit_subspace(before, rank=1)
    change = measure_covariance_change(before, subspace.remove(before))
    assert change.mean_unit_change_relative < 0.35
    assert change.covariance_change > 0.8
    assert change.effective_rank_after > 2.5 * change.effective_rank_before
    # Removing a principal direction takes exactly its variance out of C: ‖C' − C‖ = λ₁.
    covariance = np.cov(before.numpy(), rowvar=False)
    expected = np.linalg.eigvalsh(covariance)[-1] / np.linalg.norm(covariance)
    assert change.covariance_change == pytest.approx(expected, rel=1e-9)


# Properties


@given(st.integers(2, 12), st.integers(1, 12), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_no_change_and_shifts_are_exactly_none(tokens, units, seed):
    before = gaussian(tokens, units, seed=seed)
    same = measure_covariance_change(before, before)
    assert same.covariance_change == same.correlation_change == same.mean_unit_change == 0
    assert same.effective_rank_before == same.effective_rank_after
    shifted = measure_covariance_change(before, before + gaussian(units, seed=seed + 1))
    # The shift costs the last digits of float64.
    assert shifted.covariance_change < 1e-13
    assert shifted.mean_unit_change > 0


@given(st.integers(3, 12), st.integers(1, 12), st.floats(0.1, 10), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_a_common_scale_changes_covariance_by_its_square_and_correlation_not(tokens, units, scale, seed):
    before = gaussian(tokens, units, seed=seed)
    change = measure_covariance_change(before, before * scale)
    assert change.covariance_change == pytest.approx(abs(scale**2 - 1), rel=1e-9, abs=1e-12)
    assert change.correlation_change < 1e-12
    assert 1 - 1e-9 <= change.effective_rank_before <= min(tokens - 1, units) + 1e-9


@pytest.mark.parametrize("shape", [(12, 40), (40, 12)])
def test_small_changes_keep_their_digits(shape):
    """First order: scaling one half of the units by 1 + ε changes C by a known multiple of ε."""
    before = gaussian(*shape)
    half = torch.arange(shape[1]) < shape[1] // 2
    direction = before * half
    epsilon = 1e-11
    change = measure_covariance_change(before, before + epsilon * direction).covariance_change
    covariance = np.cov(before.numpy(), rowvar=False)
    mask = half.double().numpy()
    expected = epsilon * np.linalg.norm(covariance * (mask[:, None] + mask)) / np.linalg.norm(covariance)
    # before + ε·direction is itself rounded to 1e-16 of before, 1e-5 of the change.
    assert change == pytest.approx(expected, rel=1e-3)


# Constant units


def test_constant_units_are_left_out_of_correlations_and_counted():
    before, after = gaussian(20, 6), gaussian(20, 6, seed=1)
    before[:, 1] = 3.0
    after[:, 4] = 0.0
    change = measure_covariance_change(before, after)
    assert change.constant_before.tolist() == [False, True, False, False, False, False]
    assert change.constant_after.tolist() == [False, False, False, False, True, False]
    live = [0, 2, 3, 5]
    assert change.sampled.tolist() == live
    expected = explicit_change(before[:, live], after[:, live], np.corrcoef)
    assert change.correlation_change == pytest.approx(expected, rel=1e-9)
    assert change.unit_change_relative.isnan().tolist() == change.constant_before.tolist()
    assert math.isfinite(change.mean_unit_change_relative)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_unit_cut_down_to_its_mean_counts_as_constant(dtype):
    before = (gaussian(30, 5) * 10).to(dtype)
    after = Subspace.from_directions(torch.eye(5)[3], activations=before).remove(before)
    change = measure_covariance_change(before, after)
    assert change.constant_after.tolist() == [False, False, False, True, False]


def test_everything_silenced():
    before = gaussian(20, 6).float()
    change = measure_covariance_change(before, torch.zeros(20, 6))
    assert change.covariance_change == pytest.approx(1, rel=1e-12)
    assert change.effective_rank_after == 0
    assert math.isnan(change.correlation_change)
    assert change.correlation_after.shape == (0, 0)


def test_inputs_stay():
    before, after = gaussian(10, 4), gaussian(10, 4, seed=1)
    copies = before.clone(), after.clone()
    measure_covariance_change(before, after)
    assert torch.equal(before, copies[0])
    assert torch.equal(after, copies[1])


@pytest.mark.slow
def test_never_forms_unit_by_unit():
    """A million units: 8 TB for the covariance, 4 × 4 for what is computed."""
    before = gaussian(4, 1_000_000)
    change = measure_covariance_change(before, before * 0.5)
    assert change.covariance_change == pytest.approx(0.75, rel=1e-12)
    assert change.spectrum_before.shape == (4,)


# Errors


def test_errors():
    x = gaussian(6, 4)
    with pytest.raises(ValueError, match=r"same tokens and units, got shapes \(6, 4\) and \(5, 4\)"):
        measure_covariance_change(x, x[:5])
    with pytest.raises(ValueError, match="at least 2 tokens, got 1"):
        measure_covariance_change(x[:1], x[:1])
    with pytest.raises(ValueError, match="no unit varies over the tokens before the lesion"):
        measure_covariance_change(torch.ones(6, 4), x)
    with pytest.raises(ValueError, match=r"after hold 1 values that are not finite, the first at token 0, unit 0"):
        measure_covariance_change(x, torch.where(x == x[0, 0], torch.nan, x))
    with pytest.raises(ValueError, match=r"before must have the shape \[token, unit\], got \(4,\)"):
        measure_covariance_change(x[0], x)
    with pytest.raises(TypeError, match="after must be a torch tensor"):
        measure_covariance_change(x, x.numpy())
    with pytest.raises(ValueError, match="n_sampled must be 0 or more units, got -1"):
        measure_covariance_change(x, x, n_sampled=-1)
