"""Planted models: what the truth says is what the model does, by plain hooks and in large samples."""

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

import tlesion
from tlesion.models import info
from tlesion.stats import Moments, d_z
from tlesion.stats.moderated import fit_variance_prior
from tlesion.toy.planted.circuit import Stream, balanced

AT: dict[str, Any] = {"masked": "mask", "causal": "before"}
pytestmark = pytest.mark.slow

SIZES = [0.5, 1.0, 2.0]


@pytest.fixture(scope="module", params=["masked", "causal"])
def planted(request):
    return tlesion.toy.planted_model(request.param, effect_size=SIZES, n_causal=6, n_decoys=4, n_token=4, seed=3)


def measured(planted, position, *, about="context", n_pairs=400, n_shared=0):
    """Rows of both conditions at every layer, taken with TransformerLens' own hooks: [layer, sentence, neuron]."""
    contrast = planted.language.contrast(n_pairs, seed=11, about=about, n_shared=n_shared)
    tokenizer = planted.model.tokenizer
    sides = []
    for sentences in (contrast.a, contrast.b):
        texts = [one.masked if position == "mask" else one.text for one in sentences]
        tokens = torch.tensor([tokenizer(text).input_ids for text in texts])
        word = {"him", "her", "[MASK]"} & set(tokenizer.get_vocab())
        ids = torch.tensor([tokenizer.convert_tokens_to_ids(one) for one in word])
        column = int(torch.isin(tokens[0], ids).nonzero()[0]) - (position == "before")
        rows: list[Any] = []

        def keep(activation, hook, rows=rows, column=column):
            rows.append(activation[:, column])

        with torch.no_grad():
            planted.model.run_with_hooks(tokens, fwd_hooks=[(lambda name: name.endswith("mlp.hook_pre"), keep)])
        sides.append(torch.stack(rows).double())
    return sides


def cohens_d(a, b):
    """By its formula, over sentences: [layer, neuron]."""
    return (a.mean(1) - b.mean(1)) / ((a.var(1) + b.var(1)) / 2).sqrt()


@pytest.mark.parametrize("about", ["context", "word"])
@pytest.mark.parametrize("where", ["word", "answer"])
def test_effect_sizes_are_those_of_the_truth(planted, where, about):
    position = "word" if where == "word" else AT[planted.language.kind]
    n = 400
    a, b = measured(planted, position, about=about, n_pairs=n)
    truth = planted.truth.effect_size(position, about)
    # Standard error of d over n sentences in each condition; 192 neurons: 4.5 of them are exceeded once in 750 runs.
    error = ((2 / n) + truth.square() / (4 * n)).sqrt()
    assert ((cohens_d(a, b) - truth) / error).abs().max() < 4.5
    expected_zero = {"word": 0 if about == "context" else 20, "answer": 8 if about == "context" else 28}[where]
    assert (truth == 0).sum() == 192 - 28 + expected_zero


def test_pairs_that_share_fillers_have_the_stated_paired_effect(planted):
    n, shared = 400, 4
    a, b = measured(planted, AT[planted.language.kind], n_pairs=n, n_shared=shared)
    truth = planted.truth.paired_effect_size(AT[planted.language.kind], n_shared=shared)
    found = torch.stack([d_z(Moments.of(one)).estimate for one in a - b])
    error = ((1 / n) + truth.square() / (2 * n)).sqrt()
    assert ((found - truth) / error).abs().max() < 4.5
    # Half the fillers are shared, so that a difference has the variance of one sentence, not of two.
    assert torch.equal(truth, planted.truth.effect_size("mask"))


def test_every_activation_is_the_equation_of_the_docstring(planted):
    ids = planted.model.tokenizer.get_vocab()
    position = AT[planted.language.kind]
    a, _ = measured(planted, position, n_pairs=400)
    contrast = planted.language.contrast(400, seed=11)
    table = dict(planted.model.named_parameters())
    embedding = table["embed.embed.W_E" if planted.language.kind == "masked" else "embed.W_E"].double()
    truth, stream = planted.truth, Stream(4, 48)
    for i in (0, 7, 99):
        fillers = contrast.a[i].text.split()[1:9]
        for layer in range(4):
            noise = embedding[[ids[word] for word in fillers]][:, stream.own_noise(layer)].sum(0) / math.sqrt(8)
            carries = (truth.causal | truth.decoy)[layer]
            expected = truth.baseline[layer] + truth.std[layer] * (noise + carries * truth.effect[layer] / 2)
            # The layer norms' part, as the docstring of the truth states it; all deviations are 1 here.
            torch.testing.assert_close(a[layer, i], expected, rtol=0.0, atol=0.05)


@pytest.mark.parametrize("tails", ["normal", "heavy"])
def test_noise_is_uncorrelated_and_has_the_stated_tails(tails):
    planted = tlesion.toy.planted_model(n_causal=0, n_decoys=0, n_token=0, tails=tails, seed=1)
    assert not planted.truth.effect.any()
    model: Any = planted.model
    stream, ids = Stream(4, 48), model.tokenizer.get_vocab()
    words = model.embed.embed.W_E[[ids[word] for word in planted.language.fillers]].double()
    words = torch.cat([words[:, stream.own_noise(layer)] for layer in range(4)], dim=1)
    # Over the words exactly: only float32's rounding is left, of sums over 512 words.
    torch.testing.assert_close(words.mean(0), torch.zeros(192, dtype=torch.float64), rtol=0.0, atol=1e-6)
    torch.testing.assert_close(words.T @ words / 512, torch.eye(192, dtype=torch.float64), rtol=0.0, atol=1e-5)
    a, b = measured(planted, "mask")
    rows = torch.cat([a, b], dim=1).permute(1, 0, 2).flatten(1).numpy()
    rows = (rows - rows.mean(0)) / rows.std(0)
    excess = (rows**4).mean(0) - 3
    # 800 normal rows: standard error 0.17 for a neuron, 0.013 for the mean of 192.
    assert (abs(excess.mean()) < 0.05) if tails == "normal" else (np.median(excess) > 1.5)


def test_zeroing_a_neuron_costs_what_the_truth_says(planted):
    truth = planted.truth
    prompts = planted.language.prompts(80, seed=2)
    readout = 10 if planted.language.kind == "masked" else -1
    columns = [planted.model.tokenizer.convert_tokens_to_ids(word) for word in ("him", "her")]
    tokens = torch.tensor([planted.model.tokenizer(prompt.text).input_ids for prompt in prompts])

    def logits(layer=None, neurons=None):
        def zero(activation, hook):
            activation[:, :, neurons] = 0
            return activation

        hooks = [] if layer is None else [(f"blocks.{layer}.mlp.hook_post", zero)]
        with torch.no_grad():
            return planted.model.run_with_hooks(tokens, fwd_hooks=hooks)[:, readout][:, columns].double()

    clean = logits()
    # It knows the answer: the 12 carriers' summed context is 2 standard deviations of their noise, 2 % errors.
    assert (clean.argmax(1) == torch.arange(80) % 2).double().mean() > 0.9
    for layer in (1, 2):
        for role, direction in (("causal", "him"), ("causal", "her"), ("decoy", "any"), ("token", "any")):
            chosen = truth.mask(role, direction)[layer]
            drop = clean - logits(layer, chosen)
            expected = truth.logit_drop[layer, chosen].sum(0)
            spread = (truth.std[layer, chosen, None] * truth.write[layer, chosen]).square().sum(0).sqrt()
            for context in (0, 1):
                # Five standard errors over the 40 prompts, and the layer norms' rescaling.
                error = (drop[context::2].mean(0) - expected[context]).abs()
                assert (error <= 5 * spread / math.sqrt(40) + 0.01 * expected[context].abs() + 2e-4).all()
    own = truth.logit_drop[truth.mask("causal", "him")][:, 0, 0]
    torch.testing.assert_close(own, torch.full_like(own, 0.5))


def test_both_kinds_compute_the_same():
    both = [tlesion.toy.planted_model(kind, seed=4) for kind in ("masked", "causal")]
    (a, _), (c, _) = (measured(planted, AT[planted.language.kind], n_pairs=20) for planted in both)
    torch.testing.assert_close(a, c, rtol=0.0, atol=0.1)  # their layer norms stand in different places


def test_a_decoy_is_selected_and_its_lesion_does_nothing(planted):
    position = AT[planted.language.kind]
    contrast = planted.language.contrast(100, seed=8)
    selection = tlesion.select_neurons(planted.model, contrast, position=position, correction="holm")
    decoys = planted.truth.mask("decoy") & (planted.truth.effect.abs() >= 1)
    assert selection.mask("any")[decoys].all()
    profile = tlesion.laminar_profile(
        planted.model, {"decoys": decoys}, planted.language.prompts(6, seed=8), n_controls=0
    )
    # Nothing is written, so nothing can change but the last bit of a sum.
    assert profile.global_change.abs().max() < 1e-4


def test_word_and_answer_position_ask_different_questions(planted):
    """Token carriers differ at the word alone; context carriers wherever the context is known, and only then."""
    truth, answer = planted.truth, AT[planted.language.kind]
    strong = truth.effect.abs() >= 2
    context = (truth.causal | truth.decoy) & strong
    token = truth.token & strong

    def selected(about, position):
        contrast = planted.language.contrast(60, seed=9, about=about)
        return tlesion.select_neurons(planted.model, contrast, position=position, correction="holm").mask("any")

    at_word = selected("context", "word")
    assert at_word[context].all()
    assert at_word[token].all()
    at_answer = selected("context", answer)
    assert at_answer[context].all()
    assert not at_answer[truth.token].any()
    only_word = selected("word", "word")
    assert only_word[token].all()
    assert not only_word[truth.causal | truth.decoy].any()
    if planted.language.kind == "masked":
        # Both sentences of a pair read the same but for chance: there is nothing to find.
        assert selected("word", answer).sum() <= 1


def test_noise_variances_follow_the_prior_they_are_drawn_from():
    planted = tlesion.toy.planted_model(variance_dof=6.0, d_mlp=200, n_layers=2, layers=(0,), seed=2)
    a, b = measured(planted, "mask", n_pairs=400)
    rows = torch.cat([a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)], 1)
    torch.testing.assert_close(rows.std(1), planted.truth.std, rtol=0.15, atol=0.0)  # 800 rows: 6 standard errors
    variance = planted.truth.std.square().flatten()
    prior = fit_variance_prior(variance, 10_000, usable=torch.ones_like(variance, dtype=torch.bool))
    assert 4.5 < prior.dof.item() < 8.0
    assert 0.85 < prior.variance.item() < 1.15


def test_language_shares_what_it_says_and_separates_prompts_from_sentences():
    language = tlesion.toy.planted_model(seed=0).language
    contrast = language.contrast(30, seed=1, n_shared=3)
    for one, other in zip(contrast.a, contrast.b, strict=True):
        left, right = one.text.split(), other.text.split()
        assert len(left) == len(right) == 11
        assert left[1:4] == right[1:4]
        assert left[4:9] != right[4:9]
        assert (left[-2:], right[-2:]) == (["him", "."], ["her", "."])
    prompts = language.prompts(30, seed=1)
    assert not {s for p in prompts for s in p.stimuli} & set(contrast.stimuli)
    assert [p.correct for p in prompts[:3]] == ["him", "her", "him"]
    assert language.contrast(30, seed=1, n_shared=3) == contrast
    assert language.contrast(30, seed=2, n_shared=3) != contrast


def test_same_seed_same_model_and_no_global_randomness():
    before = torch.get_rng_state()
    one, two, other = (tlesion.toy.planted_model(seed=seed) for seed in (5, 5, 6))
    assert torch.equal(before, torch.get_rng_state())
    assert info(one.model).fingerprint == info(two.model).fingerprint != info(other.model).fingerprint
    assert info(one.model).name == "planted-masked"


def test_results_from_a_planted_model_can_be_kept(tmp_path):
    planted = tlesion.toy.planted_model("causal")
    selection = tlesion.select_neurons(planted.model, planted.language.contrast(5, seed=0), position="before")
    assert tlesion.load_result(selection.save(tmp_path / "s")).content_hash == selection.content_hash


def test_balanced_vectors_sum_to_zero():
    vectors = balanced(np.random.default_rng(0).normal(size=(3, Stream(1, 4).d_model)), Stream(1, 4))
    np.testing.assert_allclose(vectors.sum(-1), 0, atol=1e-12)  # rounding of a sum of 24 numbers


def test_importing_the_package_stays_light():
    code = "import sys, tlesion.toy as toy; assert 'planted_model' in dir(toy); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "mask"}, r"kind 'mask' is unknown; allowed: 'masked', 'causal' \(did you mean 'masked'\?\)"),
        ({"tails": "fat"}, r"tails 'fat' is unknown; allowed: 'normal', 'heavy'"),
        ({"layers": (1, 4)}, r"layers \[1, 4\] to plant in; give different ones of 0 to 3"),
        ({"layers": (1, 1)}, r"layers \[1, 1\] to plant in"),
        ({"n_causal": 50}, r"58 carriers per layer; give 0 to d_mlp = 48 altogether"),
        ({"effect_size": [1.0, -1.0]}, r"effect_size \[1.0, -1.0\] is out of range; give positive numbers"),
        ({"variance_dof": 0.0}, r"variance_dof 0.0 is out of range; give a positive number, or math.inf"),
    ],
)
def test_errors_say_what_is_allowed(options, message):
    with pytest.raises(ValueError, match=message):
        tlesion.toy.planted_model(**options)


def test_errors_of_the_language_and_the_truth():
    planted = tlesion.toy.planted_model()
    with pytest.raises(ValueError, match="about 'gender' is unknown; allowed: 'context', 'word'"):
        planted.language.contrast(5, seed=0, about="gender")
    with pytest.raises(ValueError, match=r"n_shared 8 is out of range; 0 to 7 of the 8 fillers can be shared"):
        planted.language.contrast(5, seed=0, n_shared=8)
    with pytest.raises(ValueError, match="role 'noise' is unknown; allowed: 'causal', 'decoy', 'token'"):
        planted.truth.mask("noise")
