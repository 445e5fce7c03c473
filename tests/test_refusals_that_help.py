"""What people pass by mistake: refused with what came, what is allowed, and the way out."""

# What types allow is not the question here: people pass what they have.
# mypy: disable-error-code="arg-type, list-item, call-arg, attr-defined"

import numpy as np
import pandas as pd
import pytest
import torch
from transformer_lens import HookedEncoderDecoder
from transformer_lens.supported_models import OFFICIAL_MODEL_NAMES
from transformers import GemmaConfig, GemmaForCausalLM, GPT2Config, GPT2LMHeadModel

import tlesion
from tlesion import interventions as iv
from tlesion.anatomy.model import require_model
from tlesion.models.checkpoint import BY_NAME
from tlesion.stimuli.contrast import require_contrast

PLANTED = tlesion.toy.planted_model("causal", n_layers=2, d_mlp=16, layers=(1,), n_causal=2, n_decoys=2, n_token=2)
MODEL, CONTRAST = PLANTED.model, PLANTED.language.contrast(6, seed=0)
PROMPTS = PLANTED.language.prompts(4, seed=1)
MASK = torch.zeros(2, 16, dtype=torch.bool)
POINT = "blocks.0.mlp.hook_post"
FRAME = pd.DataFrame({"text": ["She thanked"], "targets": ["him"]})


@pytest.fixture(scope="module")
def hf_model():
    return GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=8, n_head=1, vocab_size=20))


T5 = HookedEncoderDecoder.__new__(HookedEncoderDecoder)
torch.nn.Module.__init__(T5)


class Pipeline:
    """What transformers' pipelines look like from outside."""

    model = tokenizer = None


Pipeline.__module__ = "transformers.pipelines.text_generation"


@pytest.mark.parametrize(
    ("value", "way"),
    [
        ("gpt2", r"model is a str, 'gpt2'; load it first: tlesion\.load_model\('gpt2'\)"),
        (None, r"model is a NoneType; give a HookedTransformer or HookedEncoder: tlesion\.load_model\('toy-bert'\)"),
        (type(MODEL), "model is a type; give a HookedTransformer"),
        (torch.nn.Linear(1, 1), "model is a Linear; give a HookedTransformer"),
        (Pipeline(), r"tlesion\.load_model\(hf_model=pipeline\.model, tokenizer=pipeline\.tokenizer\)"),
        (T5, "its decoder reads along with an encoder.*load a causal or a masked"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_model_of_transformer_lens(value, way):
    with pytest.raises(TypeError, match=way):
        tlesion.select_neurons(value, CONTRAST)
    with pytest.raises(TypeError, match=way):
        tlesion.hooks.names(value)


def test_a_model_of_transformers_is_to_be_converted(hf_model):
    with pytest.raises(TypeError, match=r"model is a GPT2LMHeadModel; convert it: tlesion\.load_model\(hf_model=model"):
        tlesion.laminar_profile(hf_model, {"him": MASK}, PROMPTS, n_controls=0)
    with pytest.raises(TypeError, match="GPT2LMHeadModel"):
        tlesion.load_model(hf_model)
    with pytest.raises(TypeError, match="HookedTransformer"):
        tlesion.load_model(MODEL)
    assert require_model(MODEL) is MODEL


def test_types_that_transformer_lens_knows_by_name_are_not_said_to_have_no_converter(tmp_path):
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "head_dim": 16, "vocab_size": 32}
    gemma = GemmaForCausalLM(GemmaConfig(num_attention_heads=1, num_key_value_heads=1, **sizes))
    gemma.save_pretrained(tmp_path)
    for options in ({"hf_model": gemma}, {"name": tmp_path}):
        with pytest.raises(
            ValueError, match=r"the name of a model on the hub.*load_model\('google/gemma-2b'\)"
        ) as raised:
            tlesion.load_model(**options)
        assert "no converter" not in str(raised.value)
    assert set(BY_NAME.values()) <= set(OFFICIAL_MODEL_NAMES)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ([("We saw him.", "We saw her.")], "contrast is a list"),
        (["We saw him.", "We saw her."], "contrast is a list"),
        ("him_her", "contrast is a str, 'him_her'"),
        ({"a": ["We saw him."]}, "contrast is a dict"),
        (tlesion.contrasts.him_her, "contrast is a function"),
        (FRAME, "contrast is a DataFrame"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_contrast(value, what):
    with pytest.raises(TypeError, match=rf"{what}.*give a tlesion\.Contrast: Contrast\.from_pairs\("):
        tlesion.select_neurons(MODEL, value)
    assert require_contrast("contrast", CONTRAST) is CONTRAST


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ("She thanked", r"prompts is a single str, 'She thanked'; give a list of tlesion\.Prompt"),
        (PROMPTS[0], r"prompts is a single Prompt.*\[prompt\]"),
        ({"text": "She thanked"}, "prompts is a dict"),
        (None, "prompts is a NoneType"),
        (FRAME, r"prompts is a DataFrame.*tlesion\.files\.read_prompts\(file\)"),
        (iter(PROMPTS), r"give a list of tlesion\.Prompt: list\(prompts\)"),
        (np.array(PROMPTS, dtype=object), r"prompts is a ndarray.*list\(prompts\)"),
        (["She thanked"], r"prompt 0 is a str, 'She thanked'; every prompt"),
        ([], "no prompt was given"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_are_no_prompts(prompts, message):
    for study in (tlesion.laminar_profile, tlesion.cumulative_lesion, tlesion.decompose_drop):
        with pytest.raises((TypeError, ValueError), match=message):
            study(MODEL, {"him": MASK}, prompts)
    with pytest.raises((TypeError, ValueError), match=message):
        tlesion.sweep(MODEL, prompts, [[iv.zero(POINT)]])


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (MASK, r"masks are a Tensor; give a dict of named masks, \{'him': mask\}"),
        ([MASK], "masks are a list"),
        ({}, "no mask was given"),
        ({"him": [3, 4]}, r"mask 'him' has shape \(2,\) and dtype torch\.int64; this model needs a bool mask"),
        ({"him": None}, r"mask 'him' is a NoneType.*selection\.mask\('him'\)"),
        ({"him": MASK[0]}, r"mask 'him' has shape \(16,\) and dtype torch\.bool; .* shape \(2, 16\), \[layer, unit\]"),
        ({"him": MASK.T}, r"mask 'him' has shape \(16, 2\)"),
        ({"him": MASK.float()}, r"dtype torch\.float32; this model needs a bool mask"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_are_no_masks(masks, message):
    with pytest.raises((TypeError, ValueError), match=message):
        tlesion.laminar_profile(MODEL, masks, PROMPTS, n_controls=0)


@pytest.mark.parametrize(
    ("lesions", "message"),
    [
        ("zero", r"lesions is a str, 'zero'; give a list of lesions.*\[\[intervention\]\]"),
        (None, "lesions is a NoneType"),
        ({"one": [iv.zero(POINT)]}, "lesions is a dict"),
        (iv.zero(POINT), "lesions is a Intervention"),
        ([iv.zero(POINT)], "lesion 0 is a single intervention"),
        ([[POINT]], "lesion 0 contains 'blocks.0.mlp.hook_post', which is not a"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_are_no_lesions(lesions, message):
    with pytest.raises(TypeError, match=message):
        tlesion.sweep(MODEL, PROMPTS, lesions)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: iv.zero(None), "the hook name is a NoneType, None; give a full name"),
        (lambda: iv.zero(3), "the hook name is a int, 3"),
        (lambda: iv.scale(POINT, "0.5"), "factor is '0.5'"),
        (lambda: iv.gaussian(POINT, std=None), "std is None"),
        (lambda: iv.gaussian(POINT, seed="a"), "seed is 'a'"),
        (lambda: iv.remove_leading(POINT, 1.5), "rank is 1.5"),
        (lambda: tlesion.scale_variants(MODEL, factors=0.1), r"factors is 0\.1.*factors=\[1, 2\]"),
        (lambda: tlesion.head_variants(MODEL, heads=[0.5]), r"heads are list, \[0\.5\]; give a list of whole numbers"),
        (lambda: tlesion.replacement(MODEL, PROMPTS, tlesion.scale_variants(MODEL)[0]), "variants is a Variant"),
        (lambda: tlesion.dose_response(MODEL, MASK, PROMPTS), r"the selection is a Tensor; give what tlesion\.select"),
        (lambda: tlesion.verdict("folder"), "profile is a str, 'folder'; give a LaminarProfile"),
        (lambda: tlesion.load_result(None), "the folder is a NoneType"),
        (lambda: tlesion.Report("folder"), r"results is the path 'folder'; read them with tlesion\.Report\.read"),
        (lambda: tlesion.Report([3]), "there is a int, 3; give what studies returned"),
        (lambda: tlesion.plots.laminar_profile("folder"), r"draws a LaminarProfile, and was given a str.*load_result"),
        (lambda: tlesion.compare_selections([1, 2]), "selections is a list"),
        (lambda: tlesion.generate_tokens(MODEL, None), "the opening is a NoneType"),
        (lambda: tlesion.Prompt("x", "him"), r"targets 'him' is one word; give a tuple of words, \('him',\)"),
        (lambda: tlesion.Prompt("x", {"him", "her"}), "targets is a set"),
        (lambda: tlesion.Prompt("x", (3, 4)), "target 3 is a int, and targets are words"),
        (lambda: tlesion.Prompt(None, ("him",)), "the text of a prompt is a NoneType"),
    ],
)
def test_other_values_of_the_wrong_kind(make, message):
    # In tests the annotations are enforced as well, and may speak first; they raise the same kind of error.
    with pytest.raises((TypeError, ValueError)) as raised:
        make()
    if not any(said in str(raised.value) for said in ("Type-check error", "violates type hint")):
        assert raised.match(message)


@pytest.mark.parametrize(
    ("pairs", "options", "message"),
    [
        ("We saw him", {}, "pairs is a str"),
        (FRAME, {}, "pairs is a DataFrame"),
        ([{"a": "him", "b": "her"}] * 2, {}, "pair 1 is {.*a pair is "),
        ([("him",), ("her",)], {}, "pair 1 is"),
        ([(1, 2)] * 2, {}, "pair 1 is"),
        ([("him", "her")] * 2, {"words": None}, "no words were given"),
        ([("him", "her")] * 2, {"words": "him"}, "words 'him' is one word"),
        ([("him", "her")] * 2, {"groups": 3}, "groups are 3; give a list"),
        ([("him", "her")] * 2, {"groups": [1]}, "1 groups for 2 sentences"),
        ([("him", "her")] * 2, {"conditions": 3}, "conditions are 3|conditions 3"),
    ],
)
def test_pairs_that_are_none(pairs, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        tlesion.Contrast.from_pairs(pairs, **{"words": ("him", "her")} | options)
