"""Special tokens of every kind: [CLS] and [SEP], an EOS at the end, no BOS, one that is the EOS as well. Plain Hugging
Face says what stands where."""

import inspect
from typing import Any

import pytest
import torch
from tokenizers import pre_tokenizers
from transformer_lens import HookedTransformer, HookedTransformerConfig

import tlesion
from tlesion import Offset, Prompt, Sentence
from tlesion import interventions as iv
from tlesion.encoding import encode_prompt, encode_sentence
from tlesion.tokens import encode, prepends_bos

pytestmark = pytest.mark.slow

TEXT, TARGETS = "she thanked", ("him", "her")
BOS = {"bos_token": "<s>", "eos_token": "</s>"}
# What a tokenizer puts around a text, its special tokens, what may stand before the text, whether it does by default.
KINDS = {
    "nothing at all": (None, {}, []),
    "cls and sep": ("[CLS] $A [SEP]", {}, ["[CLS]"]),
    "cls and sep, and a bos": ("[CLS] $A [SEP]", BOS, ["[CLS]"]),
    "two before": ("[CLS] <s> $A", BOS, ["[CLS]", "<s>"]),
    "bos by the template": ("<s> $A", BOS, ["<s>"]),
    "bos and eos": ("<s> $A </s>", BOS, ["<s>"]),
    "eos only, no bos": ("$A </s>", {"eos_token": "</s>"}, []),
    "eos at the end, bos known": ("$A </s>", BOS, ["<s>"]),
    "bos known": (None, BOS, ["<s>"]),
    "bos is eos": (None, {"bos_token": "</s>", "eos_token": "</s>"}, ["</s>"]),
    "bos is eos, at the end": ("$A </s>", {"bos_token": "</s>", "eos_token": "</s>"}, ["</s>"]),
}


@pytest.fixture(scope="module", params=KINDS)
def kind(request, make):
    template, special, before = KINDS[request.param]
    tokenizer = make.words(template, **special)
    return make.causal(tokenizer), tokenizer.convert_tokens_to_ids(before), template or "$A"


def plain(pair, text=TEXT):
    return pair.tokenizer(text, add_special_tokens=False).input_ids


@pytest.mark.parametrize("prepend_bos", [None, True, False])
def test_the_readout_is_the_texts_last_own_token(kind, prepend_bos):
    pair, before, template = kind
    lesions = [[iv.zero("blocks.0.mlp.hook_post")]]
    if prepend_bos and not before:
        with pytest.raises(ValueError, match=r"prepend_bos=True needs a beginning-of-sequence token, .* has none"):
            tlesion.sweep(pair.model, [Prompt(TEXT, TARGETS)], lesions, prepend_bos=True)
        return
    stands = [] if prepend_bos is False else before
    result = tlesion.sweep(pair.model, [Prompt(TEXT, TARGETS)], lesions, prepend_bos=prepend_bos)
    two = pair.tokenizer.convert_tokens_to_ids(list(TARGETS))
    torch.testing.assert_close(
        result.clean_logits[0], pair.logits([*stands, *plain(pair)])[-1, two], rtol=1e-4, atol=1e-5
    )
    settings = result.provenance.settings
    assert settings["prepend_bos"] is bool(stands)
    # What is not simply a BOS, there or not, is recorded by name.
    named = pair.tokenizer.convert_ids_to_tokens
    own = template.split()
    left_out = own[own.index("$A") + 1 :] if stands else [one for one in own if one != "$A"]
    usual = own[-1] == "$A" and (not before or named(before) == [pair.tokenizer.bos_token])
    expected = None if usual else {"before": named(stands), "left_out": left_out}
    assert settings.get("special_tokens") == expected


@pytest.mark.parametrize("prepend_bos", [None, False])
def test_positions_count_from_what_really_stands_there(kind, prepend_bos):
    pair, before, _ = kind
    lead = [] if prepend_bos is False else before
    sentence = Sentence("she thanked him for it", "him")
    ids, n = [*lead, *plain(pair, sentence.text)], len(lead)
    places: dict[Any, int] = {"word": n + 2, "before": n + 1, Offset(1): n + 3, Offset(-2): n, 0: 0, -1: n + 4}
    for position, at in places.items():
        found = encode_sentence(pair.model, sentence, position=position, prepend_bos=prepend_bos)
        assert found.ids.tolist() == ids
        assert found.positions == (at,), position
    first = Sentence("him she thanked", "him")
    if lead:
        found = encode_sentence(pair.model, first, position="before", prepend_bos=prepend_bos)
        assert found.positions == (n - 1,)
    else:
        with pytest.raises(ValueError, match="position -1 lies outside"):
            encode_sentence(pair.model, first, position="before", prepend_bos=prepend_bos)


def test_an_isolated_token_stands_where_a_texts_first_token_stands(kind):
    pair, before, _ = kind
    text = "she thanked him for it"
    result = tlesion.context_modulation(pair.model, text, hook_point="hook_resid_post")
    ids = plain(pair, text)
    assert result.texts.ids.tolist() == ids
    with torch.no_grad():
        whole = pair.hf(torch.tensor([[*before, *ids]]), output_hidden_states=True).hidden_states[1][0, len(before) :]
        alone = [
            pair.hf(torch.tensor([[*before, token]]), output_hidden_states=True).hidden_states[1][0, -1]
            for token in ids
        ]
    torch.testing.assert_close(result.in_context[0].float(), whole, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(result.isolated[0].float(), torch.stack(alone), rtol=1e-4, atol=1e-4)


def test_token_ids_are_taken_as_they_are_and_no_bos_is_recorded_for_them(kind):
    pair, _, _ = kind
    ids = pair.tokenizer("she thanked him for it").input_ids
    result = tlesion.subspace_removal(pair.model, ids, rank=1, layers=[0])
    assert "prepend_bos" not in result.provenance.settings
    prompt = Prompt.from_tokens(ids, targets=(7, 8))
    swept = tlesion.sweep(pair.model, [prompt], [[iv.zero("blocks.0.mlp.hook_post")]])
    assert "prepend_bos" not in swept.provenance.settings
    torch.testing.assert_close(swept.clean_logits[0], pair.logits(ids)[-1, [7, 8]], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("template", ["[CLS] $A [SEP]", "$A </s>", "<s> $A </s>"])
def test_a_model_made_by_hand_reads_the_same(make, template):
    """TransformerLens takes any special token that its tokenizer adds for a BOS, and drops a first token for it."""
    tokenizer = make.words(template, eos_token="</s>")
    cfg = HookedTransformerConfig(
        n_layers=1, d_model=8, n_heads=2, d_head=4, d_mlp=16, n_ctx=16, d_vocab=len(tokenizer), act_fn="gelu", seed=0
    )
    with pytest.warns(DeprecationWarning, match="HookedTransformer is deprecated"):
        model = HookedTransformer(cfg, tokenizer)
    assert model.tokenizer is not None
    # Where a tokenizer has an EOS and no BOS, TransformerLens makes the one the other.
    lead = tokenizer.convert_tokens_to_ids(template.split("$A")[0].split() or [model.tokenizer.bos_token])
    content = tokenizer("she thanked him", add_special_tokens=False).input_ids
    assert encode(model, "she thanked him").ids.tolist() == [*lead, *content]
    assert encode(model, "she thanked him", prepend_bos=False).ids.tolist() == content


def test_tokens_are_the_given_tokenizers_own(make, toy_gpt):
    """Reading a tokenizer again with a BOS added would rebuild the rules by which it cuts texts."""
    tokenizer = make.byte_level(toy_gpt, bos_token="<|endoftext|>", eos_token="<|endoftext|>")
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=True)]
    )
    pair = make.causal(tokenizer)
    for text in ("Robert thanked Lucy in 1984.", " him", "naïve  “her”\n"):
        content = tokenizer(text, add_special_tokens=False).input_ids
        assert encode(pair.model, text).ids.tolist() == [tokenizer.bos_token_id, *content]
        assert encode(pair.model, text, prepend_bos=False).ids.tolist() == content
    assert pair.model.tokenizer is not tokenizer, "the caller's own is not changed"


def test_a_special_token_is_never_put_before_a_text_twice(make):
    pair = make.causal(make.words("<s> $A </s>", **BOS))
    with pytest.raises(ValueError, match=r"text '<s> she thanked' begins with '<s>', .* twice; leave it out .*=False"):
        encode(pair.model, "<s> she thanked")
    assert encode(pair.model, "<s> she thanked", prepend_bos=False).ids.tolist() == plain(pair, "<s> she thanked")
    bert = make.masked(make.wordpiece(["she", "thanked"]))
    with pytest.raises(ValueError, match=r"begins with '\[CLS\]', which is put there anyway"):
        encode(bert.model, "[CLS] she thanked")
    with pytest.raises(ValueError, match=r"ends with '\[SEP\]'"):
        encode(bert.model, "she thanked [SEP]")


def test_a_padding_token_beyond_the_models_vocabulary_is_not_used(make):
    tokenizer = make.words(None, **BOS)
    size = len(tokenizer)
    tokenizer.add_special_tokens({"pad_token": "<new pad>"})
    pair = make.causal(tokenizer, size=size)
    texts = [("she thanked him", "she thanked her"), ("we saw him in the garden today", "we saw her in the garden")]
    contrast = tlesion.Contrast.from_pairs(texts, ("him", "her"))
    selection = tlesion.select_neurons(pair.model, contrast, test="welch")
    alone = tlesion.select_neurons(pair.model, contrast, test="welch", batch_size=1)
    torch.testing.assert_close(selection.t, alone.t, rtol=1e-3, atol=1e-3, equal_nan=True)


@pytest.mark.parametrize("value", [1, "yes", 0])
def test_prepend_bos_is_true_false_or_none(make, value):
    pair = make.causal(make.words(None, **BOS))
    unchecked = inspect.unwrap(prepends_bos)  # without the check of types that the tests add
    with pytest.raises(TypeError, match=r"prepend_bos is a (int|str), .*; give True, False, or None"):
        unchecked(pair.model, value)


def test_a_prompts_target_may_be_read_at_a_chat_templates_end(make):
    """Text that ends in markup with a new line: the next word follows without a space."""
    tokenizer = make.words("<s> $A", **BOS)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|user|>", "<|assistant|>"]})
    pair = make.causal(tokenizer)
    text = "<|user|>\nwho was it\n<|assistant|>\n"
    found = encode_prompt(pair.model, Prompt(text, TARGETS))
    assert found.ids.tolist() == tokenizer(text).input_ids
    assert found.readout == len(found.ids) - 1
