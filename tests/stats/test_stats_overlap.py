"""Mask overlap by hand, and its expectation by listing every pair of masks."""

import itertools

import numpy as np
import pytest
import torch

from tlesion.stats import jaccard, jaccard_by_chance


def masks(*rows):
    return torch.tensor([[c == "x" for c in row] for row in rows])


def test_by_hand():
    assert jaccard(masks("xx..", "...."), masks(".xx.", "x...")) == 0.25
    assert jaccard(masks("xx"), masks("xx")) == 1
    assert jaccard(masks("x."), masks(".x")) == 0
    assert np.isnan(jaccard(masks(".."), masks("..")))
    assert jaccard(masks("x."), masks("..")) == 0


def every_mask(n, size):
    return [torch.tensor([i in pick for i in range(n)]) for pick in itertools.combinations(range(n), size)]


@pytest.mark.parametrize(("n", "size_a", "size_b"), [(5, 2, 3), (6, 1, 6), (4, 0, 2), (5, 5, 5), (6, 3, 3)])
def test_chance_is_the_mean_over_all_masks_of_these_sizes(n, size_a, size_b):
    a, b = every_mask(n, size_a), every_mask(n, size_b)
    expected = np.mean([jaccard(x, y) for x in a for y in b])
    assert jaccard_by_chance(a[0], b[0]) == pytest.approx(expected, rel=1e-12)


def test_chance_by_layer_keeps_each_layers_size():
    a, b = masks("xx..", "x..."), masks("xxx.", "x...")
    pairs = itertools.product(every_mask(4, 2), every_mask(4, 1), every_mask(4, 3), every_mask(4, 1))
    expected = np.mean([jaccard(torch.cat([p, q]), torch.cat([r, s])) for p, q, r, s in pairs])
    assert jaccard_by_chance(a, b) == pytest.approx(expected, rel=1e-12)
    model = np.mean([jaccard(p, q) for p in every_mask(8, 3) for q in every_mask(8, 4)])
    assert jaccard_by_chance(a, b, family="model") == pytest.approx(model, rel=1e-12)


def test_chance_of_a_shared_profile_over_layers():
    # Both masks fill the first layer: by layer that is no coincidence of neurons, over the model it is.
    a = masks("xxxx", "....")
    assert jaccard_by_chance(a, a) == 1
    assert jaccard_by_chance(a, a, family="model") < 0.5


def test_large_masks_equal_a_simulation():
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(6, 2000, generator=generator) < rate for rate in (0.3, 0.1))
    drawn = [jaccard(a[:, torch.randperm(2000, generator=generator)], b) for _ in range(200)]
    # The same permutation in all layers keeps their sizes; 200 draws of a spread near 0.003.
    assert jaccard_by_chance(a, b) == pytest.approx(np.mean(drawn), abs=5 * np.std(drawn) / 200**0.5)


def test_very_large_masks_equal_the_expansion_around_the_mean():
    a, b = torch.zeros(2, 60_000, dtype=torch.bool)
    a[:30_000], b[:12_000] = True, True
    # k has mean 6000 and variance 12000 · ½ · ½ · 48000 / 59999; f(k) = k / (42000 - k) bends by f'' there.
    variance, bend = 3000 * 48_000 / 59_999, 2 * 42_000 / 36_000**3
    # The next terms of the expansion are smaller by (49 / 36000)², times three.
    assert jaccard_by_chance(a, b) == pytest.approx(1 / 6 + bend * variance / 2, abs=1e-10)


def test_empty_masks():
    assert np.isnan(jaccard_by_chance(masks(".."), masks("..")))
    assert np.isnan(jaccard_by_chance(torch.zeros(0, 3, dtype=torch.bool), torch.zeros(0, 3, dtype=torch.bool)))


def test_errors():
    with pytest.raises(ValueError, match=r"masks of shapes \[1, 2\] and \[1, 3\] cannot be compared"):
        jaccard(masks("xx"), masks("xxx"))
    with pytest.raises(ValueError, match="unknown family 'head'"):
        jaccard_by_chance(masks("xx"), masks("xx"), family="head")
    with pytest.raises(TypeError, match=r"masks must be bool tensors, got torch.float32"):
        jaccard(torch.ones(2), torch.ones(2))
