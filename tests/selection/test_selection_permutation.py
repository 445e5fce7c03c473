"""Selection by permutation: the same rows as scipy relabels, pairs swapped or labels shuffled, and max-T as it is."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.stats import permutation_test

import tlesion
from tlesion.stats import permutation


@pytest.fixture(scope="module")
def planted():
    return tlesion.toy.planted_model("masked", n_layers=2, d_mlp=12, layers=(1,), n_causal=2, n_decoys=2, n_token=2)


def rows(planted, sentences):
    """hook_pre at the mask, by TransformerLens alone: [sentence, layer, neuron]."""
    tokenizer = planted.model.tokenizer
    tokens = torch.tensor([tokenizer(one.masked).input_ids for one in sentences])
    place = int((tokens[0] == tokenizer.mask_token_id).nonzero())
    _, cache = planted.model.run_with_cache(tokens)
    return torch.stack([cache[f"blocks.{layer}.mlp.hook_pre"][:, place] for layer in (0, 1)], dim=1).double()


def select(planted, contrast, **options):
    given: dict[str, Any] = {"position": "mask", "test": "permutation", "batch_size": 6} | options
    return tlesion.select_neurons(planted.model, contrast, **given)


def test_pairs_are_swapped_and_p_is_scipys(planted):
    contrast = planted.language.contrast(7, seed=1, n_shared=4)
    selection = select(planted, contrast)
    a, b = rows(planted, contrast.a).numpy(), rows(planted, contrast.b).numpy()

    def t(x, y, axis):
        return np.abs(stats.ttest_rel(x, y, axis=axis).statistic)

    # 2^7 relabellings: all of them, in both.
    oracle = permutation_test((a, b), t, permutation_type="samples", alternative="greater", vectorized=True, axis=0)
    np.testing.assert_allclose(selection.t.abs(), oracle.statistic, rtol=1e-6)  # float32 activations, batched otherwise
    np.testing.assert_array_equal(selection.p.numpy(), oracle.pvalue)
    largest = oracle.null_distribution.max(axis=2)
    by_hand = (largest[:, :, None] >= oracle.statistic[None] * (1 - 1e-9)).mean(axis=0)
    np.testing.assert_allclose(selection.p_adjusted.numpy(), by_hand, rtol=1e-12)
    assert selection.correction == "max_t"
    assert selection.is_paired


def test_without_pairs_labels_are_shuffled(planted):
    contrast = planted.language.contrast(9, seed=2)
    unpaired = tlesion.Contrast(a=contrast.a, b=contrast.b[:6], conditions=contrast.conditions, paired=False)
    selection = select(planted, unpaired, n_permutations=300, seed=5, family="model")
    a, b = rows(planted, unpaired.a), rows(planted, unpaired.b)
    welch = stats.ttest_ind(a.numpy(), b.numpy(), equal_var=False)
    np.testing.assert_allclose(selection.t, welch.statistic, rtol=1e-6)
    # Rows reach the test sorted by length, all of one length here: the same relabellings as of these rows.
    expected = permutation(a, b, statistic="welch", n_permutations=300, seed=5, family="model")
    torch.testing.assert_close(selection.p, expected.p, rtol=0.0, atol=0.0)
    torch.testing.assert_close(selection.p_adjusted, expected.p_max_t, rtol=0.0, atol=0.0)
    assert not selection.is_paired


def test_another_correction_takes_the_single_p_values(planted):
    contrast = planted.language.contrast(12, seed=3)
    selection = select(planted, contrast, correction="fdr_bh", n_permutations=500, seed=1)
    expected = stats.false_discovery_control(selection.p.numpy(), axis=1)
    np.testing.assert_allclose(selection.p_adjusted.numpy(), expected, rtol=1e-12)


def test_seed_and_number_are_recorded_and_decide(planted):
    contrast = planted.language.contrast(20, seed=4)
    one, again = (select(planted, contrast, n_permutations=200, seed=8) for _ in range(2))
    other = select(planted, contrast, n_permutations=200, seed=9)
    assert one.content_hash == again.content_hash
    assert not torch.equal(one.p, other.p)
    assert torch.equal(one.t, other.t)
    assert (one.provenance.settings["seed"], one.provenance.settings["n_permutations"]) == (8, 200)
    assert one.p.min() >= 1 / 201
    assert torch.equal(one.p.log(), one.log_p)


def test_from_caches_labels_are_shuffled(planted):
    contrast = planted.language.contrast(8, seed=5)
    caches = []
    for sentences in (contrast.a, contrast.b):
        tokens = torch.tensor([planted.model.tokenizer(one.masked).input_ids for one in sentences])
        caches.append(planted.model.run_with_cache(tokens)[1])
    selection = tlesion.select_from_cache(caches[0], caches[1], 10, 10, test="permutation", n_permutations=100, seed=2)
    a, b = rows(planted, contrast.a), rows(planted, contrast.b)
    expected = permutation(a, b, statistic="welch", n_permutations=100, seed=2)
    torch.testing.assert_close(selection.p_adjusted, expected.p_max_t, rtol=0.0, atol=0.0)


def test_shuffled_labels_select_nothing(planted):
    contrast = planted.language.contrast(16, seed=6)
    mixed = contrast.a[::2] + contrast.b[::2], contrast.a[1::2] + contrast.b[1::2]
    shuffled = tlesion.Contrast(a=mixed[0], b=mixed[1], conditions=("even", "odd"), paired=False)
    assert not select(planted, shuffled, n_permutations=400).mask("any").any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"test": "welch", "correction": "max_t"},
            r"correction 'max_t' needs test='permutation', got test='welch'; use 'holm' with it",
        ),
        (
            {"min_effect": 0.5},
            r"min_effect 0.5 with test='permutation', which tests whether there is any difference",
        ),
        ({"n_permutations": 0}, r"n_permutations is 0; give 1 or more, 10000 is usual"),
    ],
)
def test_options_that_exclude_each_other(planted, options, message):
    with pytest.raises(ValueError, match=message):
        select(planted, planted.language.contrast(4, seed=0), **options)
