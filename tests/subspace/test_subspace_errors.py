"""fit_subspace on bad input: one clear error each."""

import numpy as np
import pytest
import torch

from tlesion.subspace import fit_subspace


def gaussian(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))


@pytest.mark.parametrize("method", ["svd", "ica", "random_in_span"])
def test_rank_above_what_the_data_has(method):
    with pytest.raises(ValueError, match=r"rank 5 is more than the data has: 4 components \(5 tokens of 8 units"):
        fit_subspace(gaussian(5, 8), 5, method=method)
    # Uniform: with Gaussian sources it hangs on the last digit whether ICA settles.
    low = torch.from_numpy(np.random.default_rng(0).random((400, 2), dtype=np.float32)) @ gaussian(2, 9, seed=1)
    # float32 products are of rank 9 to the last bit; the floor tells rounding from data.
    with pytest.raises(ValueError, match="rank 3 is more than the data has: 2 components"):
        fit_subspace(low, 3, method=method)
    assert fit_subspace(low, 2, method=method).rank == 2
    # In float64 the decomposition's own rounding, which grows with the matrix, is what has to be told apart.
    large = gaussian(300, 2).double() @ gaussian(2, 400, seed=1).double()
    with pytest.raises(ValueError, match="rank 3 is more than the data has: 2 components"):
        fit_subspace(large, 3, method=method)


def test_rank_above_the_units_or_below_zero():
    for rank in (9, -1):
        with pytest.raises(ValueError, match=f"rank must be from 0 to the number of units, 8; got {rank}"):
            fit_subspace(gaussian(50, 8), rank)
    with pytest.raises(ValueError, match="number of units, 8; got 9"):
        fit_subspace(gaussian(50, 8), 9, method="random")


def test_components():
    x = gaussian(4, 8)
    with pytest.raises(ValueError, match="component 5 is more than the data has: 3 components"):
        fit_subspace(x, components=[0, 5])
    with pytest.raises(ValueError, match=r"distinct and counted from 0.*got \[1, 1\]"):
        fit_subspace(x, components=[1, 1])
    with pytest.raises(ValueError, match=r"got \[-1\]"):
        fit_subspace(x, components=[-1])
    with pytest.raises(ValueError, match=r"rank 1 and components \[0, 1\] disagree"):
        fit_subspace(x, 1, components=[0, 1])
    with pytest.raises(ValueError, match="method 'random' has no components to choose from"):
        fit_subspace(x, method="random", components=[1])


def test_fewer_than_two_tokens():
    for n in (0, 1):
        with pytest.raises(ValueError, match=f"at least 2 tokens, got {n}"):
            fit_subspace(gaussian(n, 8))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_constant_activations(dtype):
    same = gaussian(1, 8).to(dtype).expand(20, 8)
    with pytest.raises(ValueError, match="constant over the 20 tokens, so no direction varies"):
        fit_subspace(same)
    with pytest.raises(ValueError, match="constant"):
        fit_subspace(torch.zeros(5, 3, dtype=dtype))


def test_constant_up_to_the_rounding_of_float32():
    same = (gaussian(1, 8) * 100).expand(20, 8).clone()
    same[::2] *= 1 + torch.finfo(torch.float32).eps
    with pytest.raises(ValueError, match="constant"):
        fit_subspace(same)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_activations_that_are_not_finite(bad):
    x = gaussian(6, 8)
    x[2, 3] = x[4, 1] = bad
    with pytest.raises(ValueError, match="2 values that are not finite, the first at token 2, unit 3"):
        fit_subspace(x)


def test_shape_and_kind_of_activations():
    with pytest.raises(ValueError, match=r"shape \[token, unit\], got \(2, 5, 8\); flatten batch and position"):
        fit_subspace(gaussian(2, 5, 8))
    with pytest.raises(ValueError, match=r"floating point, got torch\.int64"):
        fit_subspace(torch.ones(4, 4, dtype=torch.int64))
    with pytest.raises(TypeError, match=r"torch tensor \[token, unit\], got list"):
        fit_subspace([[1.0, 2.0], [2.0, 1.0]])


def test_unknown_method_names_the_closest():
    with pytest.raises(ValueError, match=r"method 'sdv' is unknown; allowed: 'svd', 'ica'.*did you mean 'svd'"):
        fit_subspace(gaussian(6, 8), method="sdv")
    with pytest.raises(ValueError, match=r"LEACE is an oblique eraser.*tlesion\.fit_leace"):
        fit_subspace(gaussian(6, 8), method="leace")


@pytest.mark.parametrize("method", ["mean_difference", "lda"])
def test_labels(method):
    x, labels = gaussian(6, 8), torch.tensor([True, True, False, False, False, True])
    with pytest.raises(ValueError, match=f"method '{method}' needs labels: a bool per token"):
        fit_subspace(x, method=method)
    with pytest.raises(ValueError, match=r"one per token, shape \(6,\), got shape \(5,\)"):
        fit_subspace(x, method=method, labels=labels[:5])
    for one in (torch.ones(6, dtype=torch.bool), torch.zeros(6, dtype=torch.bool)):
        with pytest.raises(ValueError, match=r"one condition only \((6|0) of 6 tokens are condition a\)"):
            fit_subspace(x, method=method, labels=one)
    with pytest.raises(ValueError, match=r"labels must be bool, True for condition a, got torch\.int64"):
        fit_subspace(x, method=method, labels=labels.long())
    with pytest.raises(ValueError, match="gives one direction; rank must be 0 or 1, got 2"):
        fit_subspace(x, 2, method=method, labels=labels)
    with pytest.raises(ValueError, match="the two conditions have the same mean"):
        fit_subspace(torch.cat([x, x]), method=method, labels=torch.arange(12) < 6)
    assert fit_subspace(x, method=method, labels=labels.tolist()).rank == 1


def test_lda_without_variance_within_conditions():
    labels = torch.arange(8) < 4
    with pytest.raises(ValueError, match=r'nothing varies within the conditions.*use "mean_difference"'):
        fit_subspace(labels[:, None] * torch.ones(3) + 5, method="lda", labels=labels)


def test_n_sources():
    x = gaussian(9, 20)
    with pytest.raises(ValueError, match="n_sources is an option of method 'ica', and the method is 'svd'"):
        fit_subspace(x, n_sources=3)
    for n_sources, found in ((0, 0), (2, 2), (9, 8)):
        with pytest.raises(ValueError, match=rf"at least 3.*that the data has; got {n_sources}, and found {found}"):
            fit_subspace(x, 3, method="ica", n_sources=n_sources)
