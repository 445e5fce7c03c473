"""Downstream measures against scipy, by hand, and by their properties."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tlesion.measures import cosine, kl_divergence, recovery_index, top_k, top_k_kept


def logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return 3 * torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def test_kl_equals_scipy_and_points_from_clean_to_lesioned():
    clean, lesioned = logits(4, 3, 50), logits(4, 3, 50, seed=1)
    expected = stats.entropy(clean.softmax(-1).numpy(), lesioned.softmax(-1).numpy(), axis=-1)
    np.testing.assert_allclose(kl_divergence(clean, lesioned).numpy(), expected, rtol=1e-10)
    assert not np.allclose(kl_divergence(lesioned, clean).numpy(), expected)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), shift=st.floats(-50, 50))
def test_kl_is_zero_for_equal_predictions_and_never_negative(seed, shift):
    clean = logits(20, seed=seed)
    # Adding a constant to all logits predicts the same.
    assert kl_divergence(clean, clean + shift).item() < 1e-12
    assert kl_divergence(clean, logits(20, seed=seed + 1)).item() > 0


def test_one_clean_run_stands_beside_many_lesioned_ones():
    clean, lesioned = logits(3, 50), logits(4, 3, 50, seed=1)
    before = clean.clone(), lesioned.clone()
    assert torch.equal(kl_divergence(clean, lesioned), kl_divergence(clean.expand_as(lesioned), lesioned))
    assert torch.equal(clean, before[0])
    assert torch.equal(lesioned, before[1])


def test_kl_of_tokens_that_are_ruled_out():
    clean = torch.tensor([0.0, 0.0, -torch.inf])
    assert kl_divergence(clean, clean).item() == 0
    assert kl_divergence(clean, torch.tensor([0.0, -torch.inf, 0.0])).item() == math.inf


def test_cosine_by_hand():
    assert cosine(torch.tensor([3.0, 4.0]), torch.tensor([-30.0, -40.0])).item() == -1
    assert abs(cosine(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0])).item() - math.sqrt(0.5)) < 1e-12
    assert cosine(torch.zeros(2), torch.ones(2)).isnan()


def test_top_k_counts_ties_once_and_order_does_not_matter():
    tied = torch.tensor([1.0, 1.0, 1.0, 0.0])
    assert top_k(tied, 2).tolist() == [0, 1]
    clean = torch.tensor([[4.0, 3.0, 2.0, 1.0]])
    assert top_k_kept(clean, torch.tensor([[3.0, 4.0, 1.0, 2.0]]), 2).tolist() == [1.0]
    assert top_k_kept(clean, -clean, 2).tolist() == [0.0]
    assert top_k_kept(clean, -clean, 3).item() == pytest.approx(2 / 3)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), start=st.integers(0, 4), unit=st.floats(1e-3, 1e3))
def test_recovery_does_not_depend_on_the_unit_and_starts_at_zero(seed, start, unit):
    deviation = logits(5, 3, seed=seed).abs()
    recovered = recovery_index(deviation, start)
    assert recovered[:start].isnan().all()
    assert (recovered[start] == 0).all()
    torch.testing.assert_close(recovery_index(unit * deviation, start), recovered, equal_nan=True)


def test_recovery_where_there_is_nothing_to_undo():
    assert recovery_index(torch.tensor([0.0, 1.0]), 0).isnan().all()
    assert recovery_index(torch.tensor([2.0, 0.0]), 0).tolist() == [0.0, 1.0]
