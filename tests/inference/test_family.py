"""p over a family of masks and layers: the single-mask test, by hand, and its error rate."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from tlesion.inference import max_statistic
from tlesion.inference.family import family_sign_flip_p
from tlesion.inference.groups import group_error


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


@pytest.mark.parametrize("n", [9, 30])
def test_one_mask_is_the_maximum_statistic(n):
    rows = drawn(4, n) + 0.3
    torch.testing.assert_close(family_sign_flip_p(rows), max_statistic(rows), atol=0, rtol=0)
    torch.testing.assert_close(family_sign_flip_p(rows.reshape(2, 2, n)).flatten(), max_statistic(rows))


def test_masks_on_prompts_of_their_own_by_plain_loops():
    nan = torch.full((4,), torch.nan, dtype=torch.float64)
    first, second = drawn(4, seed=1) + 1, drawn(5, seed=2)
    rows = torch.stack([torch.cat([first, nan, nan[:1]]), torch.cat([nan, second])])
    size = [abs(float(one.sum())) / float(one.square().sum()) ** 0.5 for one in (first, second)]
    count = [0, 0]
    for signs in itertools.product((1.0, -1.0), repeat=9):
        flips = torch.tensor(signs).double()
        largest = max(
            abs(float((flips[:4] * first).sum())) / float(first.square().sum()) ** 0.5,
            abs(float((flips[4:] * second).sum())) / float(second.square().sum()) ** 0.5,
        )
        count = [n + (largest >= one - 1e-9) for n, one in zip(count, size, strict=True)]
    assert family_sign_flip_p(rows).tolist() == pytest.approx([n / 512 for n in count])


def test_what_cannot_be_tested_is_nan_and_in_no_maximum():
    rows = drawn(3, 12) + 0.5
    rows[1] = 0.0
    alone = family_sign_flip_p(rows[[0, 2]])
    found = family_sign_flip_p(rows)
    assert found[1].isnan()
    torch.testing.assert_close(found[[0, 2]], alone)
    rows[1, 0] = torch.inf
    assert family_sign_flip_p(rows)[1].isnan()
    rows[1] = torch.nan
    rows[1, 3] = 2.0
    assert family_sign_flip_p(rows)[1].isnan(), "one group"


@pytest.mark.slow
def test_the_family_wise_error_is_kept():
    """Eight masks of six layers, correlated over layers, 1000 studies; four standard errors of 0.05 are 0.0276."""
    rng = np.random.default_rng(5)
    hits = 0
    for seed in range(1000):
        common = rng.standard_t(3, (8, 1, 12))
        rows = torch.from_numpy(common + 0.5 * rng.standard_t(3, (8, 6, 12)))
        hits += bool((family_sign_flip_p(rows, n_permutations=500, seed=seed) <= 0.05).any())
    assert 0.02 < hits / 1000 < 0.05 + 0.0276


def test_the_error_of_groups_is_that_of_their_means():
    values = drawn(3, 12)
    error, dof = group_error(values, None)
    assert dof == 11
    torch.testing.assert_close(error, torch.from_numpy(stats.sem(values.numpy(), axis=-1)))
    labels = [str(i // 3) for i in range(12)]
    error, dof = group_error(values, labels)
    assert dof == 3
    means = values.reshape(3, 4, 3).mean(dim=-1)
    torch.testing.assert_close(error, torch.from_numpy(stats.sem(means.numpy(), axis=-1)))
