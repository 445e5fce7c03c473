"""Double dissociation: by hand, and what must not count as one."""

import numpy as np
import pytest
import torch
from scipy import stats

from tlesion.inference import bootstrap_mean, double_dissociation, sign_flip_p


def drops(*, a, b, n=14, seed=0):
    """Two layers of noisy drops of masks a and b, around (target a, target b): ``[mask, layer, sample, target]``."""
    noise = torch.from_numpy(np.random.default_rng(seed).normal(0, 0.3, (2, 2, n, 2)))
    return torch.tensor([a, b], dtype=torch.float64)[:, None, None, :] + noise


def test_by_hand():
    drop = torch.tensor([[[[2.0, 1.0], [4.0, 0.0]]], [[[1.0, 1.0], [0.0, 3.0]]]])
    found = double_dissociation(drop, method="t")
    # Sample 0: (2 − 1) − (1 − 1) = 1; sample 1: (4 − 0) − (0 − 3) = 7.
    assert found.interaction.item() == 4.0
    assert found.advantage.flatten().tolist() == [2.5, 1.5]
    low, high = stats.ttest_1samp([1.0, 7.0], 0).confidence_interval()
    assert (found.interval.low.item(), found.interval.high.item()) == pytest.approx((low, high))
    assert found.p.item() == found.p_corrected.item() == 0.5  # both flips of the same sign, out of four
    assert found.p_both.item() == 0.5  # mask a: (1, 4): 1 of 4; mask b: (0, 3): 2 of 4


def test_interval_and_p_are_those_of_the_samples_interactions():
    drop = drops(a=(1.0, 0.2), b=(0.1, 0.9))
    groups = [i // 2 for i in range(14)]
    own = (drop[0, ..., 0] - drop[0, ..., 1]) - (drop[1, ..., 0] - drop[1, ..., 1])
    found = double_dissociation(drop, groups=groups, n_resamples=300, seed=2)
    interval = bootstrap_mean(own, groups=groups, n_resamples=300, seed=2)
    assert found.interval.low.equal(interval.low)
    assert found.interval.high.equal(interval.high)
    assert found.p.equal(sign_flip_p(own, groups=groups, seed=2))
    assert (found.p_corrected >= found.p).all()
    torch.testing.assert_close(found.advantage.sum(dim=0), found.interaction)


def test_masks_that_each_cost_their_own_target_are_a_double_dissociation():
    found = double_dissociation(drops(a=(1.0, 0.2), b=(0.1, 0.9)))
    assert (found.interval.low > 0).all()
    assert (found.p_both < 0.01).all()


@pytest.mark.parametrize("damage", [0.0, 5.0])
def test_damage_to_both_targets_alike_is_none(damage):
    found = double_dissociation(drops(a=(damage, damage), b=(damage / 2, damage / 2)))
    assert (found.p > 0.05).all()
    assert (found.p_both > 0.05).all()
    shifted = double_dissociation(drops(a=(1.0, 0.2), b=(0.1, 0.9)) + damage)
    torch.testing.assert_close(shifted.interaction, double_dissociation(drops(a=(1.0, 0.2), b=(0.1, 0.9))).interaction)


def test_one_mask_alone_makes_an_interaction_but_no_double_dissociation():
    found = double_dissociation(drops(a=(2.0, 0.0), b=(0.0, 0.0)))
    assert (found.p < 0.01).all()
    assert (found.p_both > 0.05).all()


def test_exchanging_masks_and_targets_together_changes_nothing_and_one_of_them_the_sign():
    drop = drops(a=(1.0, 0.2), b=(0.1, 0.9))
    found, both, one = (double_dissociation(x) for x in (drop, drop.flip(0, 3), drop.flip(3)))
    torch.testing.assert_close(both.interaction, found.interaction)
    torch.testing.assert_close(one.interaction, -found.interaction)
    assert (one.p_both > 0.9).all()


@pytest.mark.parametrize("shape", [(2, 3, 5), (3, 1, 5, 2), (2, 1, 5, 3)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"drop has shape .*; give \[mask, layer, sample, target\] with two masks"):
        double_dissociation(torch.zeros(shape))
