"""Tokens that a model does not have, texts that are too long, token ids in place of text, other kinds of models."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

import tlesion
from tlesion import Contrast, Prompt
from tlesion import interventions as iv
from tlesion.encoding import encode_prompt, label_of

LESIONS = [[iv.zero("blocks.0.mlp.hook_post")]]


@pytest.fixture(scope="module", params=["causal", "masked"])
def larger(request, make):
    """A model with a tokenizer that has a token more than it."""
    tokenizer = make.words("<s> $A </s>", bos_token="<s>", mask_token="[MASK]")
    size = len(tokenizer)
    tokenizer.add_tokens(["zebra"])
    return getattr(make, request.param)(tokenizer, size=size), request.param == "masked"


@pytest.fixture(scope="module")
def bare(make):
    """A causal model without a tokenizer."""
    pair = make.causal(make.words(None))
    return pair._replace(model=tlesion.load_model(hf_model=pair.hf))


CALLS = {
    "sweep, in the text": lambda model, end: tlesion.sweep(model, [Prompt(f"she zebra{end}", ("him", "her"))], LESIONS),
    "sweep, a target": lambda model, end: tlesion.sweep(
        model, [Prompt(f"she thanked{end}", ("him", "zebra"))], LESIONS
    ),
    "profile": lambda model, end: tlesion.laminar_profile(
        model,
        {"him": torch.ones(2, 64 if not end else 24, dtype=torch.bool)},
        [Prompt(f"she zebra{end}", ("him", "her"))],
        n_controls=0,
    ),
    "selection": lambda model, end: tlesion.select_neurons(
        model, Contrast.from_pairs([("we zebra him", "we zebra her"), ("she saw him", "she saw her")], ("him", "her"))
    ),
    "context": lambda model, end: tlesion.context_modulation(model, "she thanked zebra"),
    "subspaces": lambda model, end: tlesion.subspace_removal(model, "she thanked zebra for it"),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_token_without_an_embedding_is_named(larger, call):
    pair, is_masked = larger
    with pytest.raises(
        ValueError, match=r"holds tokens that this model does not have: 'zebra' \(id \d+\); its vocabulary"
    ):
        CALLS[call](pair.model, " [MASK]" if is_masked else "")


def test_words_by_themselves_are_checked_too(make, toy_gpt):
    tokenizer = make.byte_level(toy_gpt, bos_token="<|endoftext|>")
    pair = make.causal(tokenizer, size=300)
    with pytest.raises(ValueError, match="does not have"):
        tlesion.space_modulation(pair.model, ["apple", "dog", "house"])


@pytest.mark.parametrize("ids", [[-1, 5], [5, 10**6], [5.0, 6.0], [], [[5, 6], []], [True, False]])
def test_ids_that_are_none_are_refused(bare, ids):
    with pytest.raises((ValueError, TypeError), match=r"token ids|no token|no text was given|empty"):
        tlesion.context_modulation(bare.model, ids)


@pytest.mark.parametrize(
    "ids", [np.array([5, 6, 7]), [np.int64(5), np.int64(6), np.int64(7)], torch.tensor([5, 6, 7]), (5, 6, 7)]
)
def test_ids_of_any_kind_are_read_alike(bare, ids):
    plain = tlesion.context_modulation(bare.model, [5, 6, 7])
    assert torch.equal(tlesion.context_modulation(bare.model, ids).in_context, plain.in_context)
    prompt = Prompt.from_tokens(ids, targets=np.array([8, 9]), correct=9)
    assert prompt == Prompt.from_tokens([5, 6, 7], targets=(8, 9), correct=9)


@pytest.mark.parametrize("readout", [-1, 0, 1, -3])
def test_a_prompt_of_token_ids_is_run_as_it_is(bare, readout):
    ids, targets = [5, 6, 7], (11, 12)
    prompt = Prompt.from_tokens(ids, targets, readout=readout, correct=11, group="first")
    result = tlesion.sweep(bare.model, [prompt], LESIONS)
    torch.testing.assert_close(result.clean_logits[0], bare.logits(ids)[readout, list(targets)], rtol=1e-4, atol=1e-5)
    assert result.prompts == ("[5] [6] [7]",)
    assert result.targets == (("[11]", "[12]"),)


def test_profiles_of_token_ids_equal_those_of_the_same_text(make, tmp_path):
    tokenizer = make.words("<s> $A", bos_token="<s>")
    pair = make.causal(tokenizer)
    words = tuple(tokenizer.convert_tokens_to_ids(["him", "her"]))
    ids = tokenizer("she thanked").input_ids
    by_id = Prompt.from_tokens(ids, words, correct=words[0], group="one")
    by_text = Prompt("she thanked", ("him", "her"), correct="him", group="one")
    masks = {"him": torch.ones(2, 64, dtype=torch.bool)}
    profiles = [tlesion.laminar_profile(pair.model, masks, [one], n_controls=0) for one in (by_id, by_text)]
    assert torch.equal(profiles[0].logit_drop, profiles[1].logit_drop)
    assert profiles[0].targets == profiles[1].targets == (("him", "her"),)
    assert profiles[0].correct == ("him",)
    assert profiles[0].prompts == ("<s> she thanked",)
    again = tlesion.load_result(profiles[0].save(tmp_path / "profile"))
    assert (again.prompts, again.targets, again.correct) == (("<s> she thanked",), (("him", "her"),), ("him",))
    assert by_id.stimuli != by_text.stimuli


def test_labels_of_tokens_that_read_alike_are_their_ids(make, toy_gpt):
    tokenizer = make.byte_level(toy_gpt)
    pair = make.causal(tokenizer)
    ids = tokenizer.convert_tokens_to_ids(["him", "Ġhim"])
    assert label_of(pair.model, Prompt.from_tokens([5], ids, correct=ids[1])).targets == (f"[{ids[0]}]", f"[{ids[1]}]")


@pytest.mark.parametrize(
    ("ids", "options", "error", "message"),
    [
        ([], {"targets": (1,)}, ValueError, "0 token ids"),
        ([5], {"targets": ()}, ValueError, "one or more different"),
        ([5], {"targets": (1, 1)}, ValueError, "one or more different"),
        ([5], {"targets": (1,), "readout": 1}, ValueError, "readout 1 lies outside the 1 tokens"),
        ([5], {"targets": (1,), "correct": 2}, ValueError, "correct 2 is no target"),
        ([5.0], {"targets": (1,)}, TypeError, "ids are list.*whole numbers"),
        ([True], {"targets": (1,)}, TypeError, "ids are list.*whole numbers"),
        ([5], {"targets": ("him",)}, TypeError, "targets are tuple.*whole numbers"),
    ],
)
def test_what_is_no_prompt_of_token_ids_is_refused(ids, options, error, message):
    with pytest.raises(error, match=message):
        Prompt.from_tokens(ids, **options)


@pytest.mark.parametrize(
    ("ids", "targets", "message"),
    [
        ([5, 999], (1,), r"prompt .* does not have: 999"),
        ([5, -3], (1,), r"prompt .* does not have: -3"),
        ([5], (999,), r"the targets \(999,\) .* does not have: 999"),
        ([5] * 33, (1,), "text of 33 tokens is longer than this model's context of 32"),
    ],
)
def test_ids_are_checked_against_the_model_before_it_runs(bare, ids, targets, message):
    with pytest.raises(ValueError, match=message):
        encode_prompt(bare.model, Prompt.from_tokens(ids, targets))


def test_words_need_a_text_and_ids_need_ids():
    with pytest.raises(TypeError, match=r"targets are words, .*; for token ids .*Prompt\.from_tokens"):
        Prompt("She thanked", (11, 12))


LONG = "she thanked him for the apple " * 8
TOO_LONG = {
    "sweep": lambda model: tlesion.sweep(model, [Prompt(LONG.strip(), ("him", "her"))], LESIONS),
    "selection": lambda model: tlesion.select_neurons(
        model, Contrast.from_sentences([f"{LONG} boy", f"boy {LONG}"], ["we saw it", "she saw it"], ("boy", "it"))
    ),
    "reference": lambda model: tlesion.measure_reference(
        model, Contrast.from_sentences([f"{LONG} boy", f"boy {LONG}"], ["we saw it", "she saw it"], ("boy", "it"))
    ),
    "context": lambda model: tlesion.context_modulation(model, LONG),
    "subspaces": lambda model: tlesion.subspace_removal(model, LONG),
    "generation": lambda model: tlesion.generate_tokens(model, LONG, 3),
    "heads": lambda model: tlesion.head_variants(model, ablation="mean", reference=[LONG]),
}


@pytest.mark.parametrize("call", TOO_LONG)
def test_a_text_longer_than_the_context_is_refused_by_name(make, call):
    pair = make.causal(make.words("<s> $A </s>", bos_token="<s>"))
    with pytest.raises(ValueError, match=r"text of \d+ tokens is longer than this model's context of 32; .*(she|boy)"):
        TOO_LONG[call](pair.model)


def test_only_what_takes_token_ids_says_so(bare):
    with pytest.raises(ValueError, match=r"no tokenizer, .* pass token ids: tlesion\.Prompt\.from_tokens\(\.\.\.\)"):
        tlesion.sweep(bare.model, [Prompt("she", ("him",))], LESIONS)
    with pytest.raises(ValueError, match=r"no tokenizer, .* pass token ids$"):
        tlesion.context_modulation(bare.model, "she thanked him")
    contrast = Contrast.from_pairs([("we saw him", "we saw her"), ("she saw him", "she saw her")], ("him", "her"))
    for call in (
        lambda: tlesion.select_neurons(bare.model, contrast),
        lambda: tlesion.measure_reference(bare.model, contrast),
        lambda: tlesion.generate_tokens(bare.model, "she", 3),
        lambda: tlesion.space_modulation(bare.model, ["apple", "boy"]),
    ):
        with pytest.raises(ValueError, match=r"no tokenizer, and text was given; load it with tokenizer=\.\.\.$"):
            call()


OTHER_KIND = """
    import inspect, warnings
    import torch, tlesion
    from transformer_lens import HookedEncoderDecoder
    from transformer_lens.config.hooked_transformer_config import HookedTransformerConfig

    warnings.simplefilter("ignore")
    cfg = HookedTransformerConfig(
        n_layers=1, d_model=8, n_heads=2, d_head=4, d_mlp=16, n_ctx=16, d_vocab=20, act_fn="gelu",
        normalization_type="RMS", relative_attention_num_buckets=8, relative_attention_max_distance=16,
    )
    model = HookedEncoderDecoder(cfg, move_to_device=False)
    contrast = tlesion.contrasts.him_her()
    prompts = [tlesion.Prompt("She thanked", ("him", "her"))]
    masks = {"him": torch.ones(1, 16, dtype=torch.bool)}
    calls = [
        (tlesion.select_neurons, contrast), (tlesion.measure_reference, contrast), (tlesion.sweep, prompts, [[]]),
        (tlesion.laminar_profile, masks, prompts), (tlesion.cumulative_lesion, masks, prompts),
        (tlesion.decompose_drop, masks, prompts), (tlesion.cross_fit, contrast), (tlesion.generate_tokens, "She"),
        (tlesion.context_modulation, "She saw"), (tlesion.context_modulation, [5, 6]),
        (tlesion.subspace_removal, [5, 6]), (tlesion.space_modulation, ["apple"]), (tlesion.head_variants,),
        (tlesion.scale_variants,), (tlesion.hooks.names,), (tlesion.models.info,),
    ]
    for function, *given in calls:
        try:
            function(model, *given)
        except TypeError as error:
            assert "model is a HookedEncoderDecoder; its decoder reads along" in str(error), (function, error)
        else:
            raise AssertionError(function)
"""


@pytest.mark.slow
def test_another_kind_of_model_is_refused_by_every_function():
    """In a process of its own: here, the tests' check of types would refuse it first."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(OTHER_KIND)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
