"""What cannot be selected from is refused, in words that say what came, what is allowed and what to do."""

from typing import Any

import numpy as np
import pytest
import torch

from tlesion import Contrast, load_model, select_from_cache, select_neurons
from tlesion.anatomy.runners import runner_for

PAIRS = [("We saw him.", "We saw her."), ("Ask him.", "Ask her."), ("Call him.", "Call her.")]
CONTRAST = Contrast.from_pairs(PAIRS, ("him", "her"))
UNPAIRED = Contrast.from_sentences([a for a, _ in PAIRS], [b for _, b in PAIRS[:2]], ("him", "her"))
LONG = Contrast.from_pairs([("him " + "the " * 70, "her " + "the " * 70)] * 2, ("him", "her"))


@pytest.fixture(scope="module")
def bert(checkpoint_folder):
    return load_model(checkpoint_folder("bert"))


@pytest.fixture(scope="module")
def gpt2(checkpoint_folder):
    return load_model(checkpoint_folder("gpt2"))


@pytest.mark.parametrize(
    ("contrast", "options", "message"),
    [
        (CONTRAST, {"test": "welsh"}, r"test 'welsh' is unknown; allowed: 'student', .*did you mean 'welch'"),
        (CONTRAST, {"correction": "fdr"}, r"correction 'fdr' is unknown; allowed: 'none', 'bonferroni'"),
        (CONTRAST, {"family": "block"}, r"family 'block'.*'layer'.*'model'"),
        (CONTRAST, {"alpha": 1}, r"alpha must lie between 0 and 1, got 1"),
        (CONTRAST, {"alpha": -0.1}, r"alpha must lie between 0 and 1, got -0\.1"),
        (CONTRAST, {"top_k": 0}, r"top_k 0 selects nothing; give 1 or more, or None for no limit"),
        (CONTRAST, {"min_effect": -1}, r"min_effect must be a finite number of standard deviations, 0 or more, got -1"),
        (CONTRAST, {"batch_size": 0}, r"batch_size is 0; give 1 or more"),
        (CONTRAST, {"hook_point": "mlp.hook_per"}, r"'blocks\.0\.mlp\.hook_per' is not in this model \(3 layers, 0 to "
         r"2\); did you mean 'blocks\.0\.mlp\.hook_pre'\?; see tlesion\.hooks\.names\(model\)"),
        (CONTRAST, {"hook_point": "blocks.7.mlp.hook_pre"}, r"'blocks\.7\.mlp\.hook_pre' is not in this model"),
        (CONTRAST, {"hook_point": "hook_embed"}, r"'blocks\.0\.hook_embed' is not in this model"),
        (CONTRAST, {"hook_point": "attn.hook_pattern"}, r"has no \[batch, pos, unit\] activation"),
        (CONTRAST, {"hook_point": "ln1.hook_scale"}, r"has no \[batch, pos, unit\] activation"),
        (CONTRAST, {"layers": [3]}, r"layers \[3\] do not exist; this model has 3 layers, 0 to 2"),
        (CONTRAST, {"layers": [1, 1]}, r"layers \[1, 1\] name a layer twice"),
        (CONTRAST, {"position": "middle"}, r"position 'middle' is unknown; allowed: 'word', 'mask', 'before'"),
        (CONTRAST, {"position": -50}, r"position -50 lies outside the \d+ tokens of"),
        (UNPAIRED, {"test": "paired"}, r"test 'paired' needs pairs, and this contrast has 3 sentences against 2 "
         r"without pairing; build it with Contrast\.from_pairs, or use test='welch' or 'moderated'"),
        (UNPAIRED, {"test": "moderated_paired"}, r"test 'moderated_paired' needs pairs"),
        (LONG, {}, r"text of 73 tokens is longer than this model's context of 64; shorten it: 'him the the"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(bert, contrast, options, message):
    with pytest.raises(ValueError, match=message):
        select_neurons(bert, contrast, **options)
    assert not any(point.fwd_hooks for point in bert.hook_dict.values())


def test_positions_of_the_other_kind_of_model(bert, gpt2):
    with pytest.raises(
        ValueError, match=r"position 'before' needs a causal model; for a masked one use position='mask'"
    ):
        select_neurons(bert, CONTRAST, position="before")
    with pytest.raises(
        ValueError, match=r"position 'mask' needs a masked model; for a causal one use position='before'"
    ):
        select_neurons(gpt2, CONTRAST, position="mask")


@pytest.mark.parametrize("test", ["welch", "paired", "permutation"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_nan_and_infinity_in_activations_are_refused(checkpoint_folder, test, value):
    model: Any = load_model(checkpoint_folder("gpt2"))
    with torch.no_grad():
        model.blocks[1].mlp.b_in[3] = value
    message = r"activations at 'blocks\.1\.mlp\.hook_pre' are NaN or infinite in 1 of 128 neurons \(first: neuron 3\)"
    with pytest.raises(ValueError, match=message):
        select_neurons(model, CONTRAST, test=test)


def test_a_model_of_another_make_is_refused():
    # __wrapped__: the tests' type checker would speak first.
    unchecked: Any = runner_for
    with pytest.raises(TypeError, match=r"model is a Linear; tlesion runs transformer_lens' HookedTransformer and"):
        unchecked.__wrapped__(torch.nn.Linear(1, 1))


def cache(n_sentences: int = 4, n_positions: int = 3, **other: torch.Tensor) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(n_sentences)
    names = ("blocks.0.mlp.hook_pre", "blocks.1.mlp.hook_pre", "hook_embed")
    made = {name: torch.from_numpy(rng.standard_normal((n_sentences, n_positions, 5))).float() for name in names}
    made["blocks.0.attn.hook_pattern"] = torch.from_numpy(rng.random((n_sentences, 2, n_positions, n_positions)))
    return {**made, **other}


@pytest.mark.parametrize(
    ("a", "b", "where", "options", "message"),
    [
        (cache(), cache(), -1, {"hook_point": "mlp.hook_post"}, r"hook point 'mlp\.hook_post' is not in both caches; "
         r"they share \['attn\.hook_pattern', 'hook_embed', 'mlp\.hook_pre'\]: run_with_cache\(names_filter="),
        (cache(), cache(), -1, {"hook_point": "hook_embed"}, r"hook point 'hook_embed' is not in both caches"),
        (cache(), cache(), -1, {"hook_point": "attn.hook_pattern"}, r"a test needs \[sentence, pos, unit\] there"),
        (cache(), cache(), 3, {}, r"positions \[3, 3, 3, 3\] at 'blocks\.0\.mlp\.hook_pre' do not exist; sent"),
        (cache(), cache(), [0, 1, -4, 2], {}, r"positions \[-4\] at 'blocks\.0\.mlp\.hook_pre' do not exist"),
        (cache(), cache(), [0, 1], {}, r"positions of shape \(2,\) and type torch\.int64 for 4 sentences at .*; give "
         r"one index for all, or one for each sentence"),
        (cache(), cache(), torch.rand(4), {}, r"positions of shape \(4,\) and type torch\.float32"),
        (cache(), cache(), torch.ones(4, dtype=torch.bool), {}, r"positions of shape \(4,\) and type torch\.bool"),
        (cache(), cache(5), 0, {"test": "paired"}, r"test 'paired' needs pairs, and the caches hold 4 and 5 sentences; "
         r"give equally many in the same order, or use test='welch' or 'moderated'"),
        (cache(1), cache(), 0, {}, r"the cache at .* holds 1 sentence\(s\); a test needs two in each condition"),
        (cache(), cache(), 0, {"conditions": ("x", "x")}, r"conditions \('x', 'x'\): give two different names"),
        (cache(), cache(), 0, {"conditions": ("any", "x")}, r"condition name 'any' is taken"),
        (cache(), cache(), 0, {"test": "welsh"}, r"test 'welsh' is unknown"),
        (cache(), cache(4, 3, **{"blocks.1.mlp.hook_pre": torch.full((4, 3, 5), torch.nan)}), 0, {}, r"activations at "
         r"'blocks\.1\.mlp\.hook_pre' are NaN or infinite in 5 of 5 neurons"),
        (cache(4, 3, **{"blocks.0.mlp.hook_pre": torch.randn(3, 5)}), cache(), 0, {}, r"the cache at 'blocks\.0\.ml"
         r"p\.hook_pre' has shape \(3, 5\); a test needs \[sentence, pos, unit\] there "
         r"\(run_with_cache\(remove_batch_dim="),
    ],
)  # fmt: skip
def test_caches_that_cannot_be_tested_are_refused(a, b, where, options, message):
    with pytest.raises(ValueError, match=message):
        select_from_cache(a, b, where, 0, **options)
