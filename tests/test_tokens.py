"""Tokens and their places in the text, against the Hugging Face tokenizer's own offsets and its decoding."""

import dataclasses
import inspect
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tlesion import load_model
from tlesion.tokens import Encoded, collate, encode, find_word, is_masked, require_tokenizer, target_token

FAMILIES = ("bert", "gpt2", "gpt-neox", "llama")
TEXTS = [
    ("We saw him in the garden today.", "him"),
    ("Him and her, we saw.", "her"),
    ("The (old) teacher gave the boy an apple!", "boy"),
    ("If the nurse had called Überbrückung, fine.", "Überbrückung"),
    ("He asked: 'naïve?' and left.", "naïve"),
    ("The girl saw the crocodile by the river yesterday.", "crocodile"),
    ("  Spaces  before   him and after. ", "him"),
    ("Emoji 🙂 stand between us and him.", "him"),
]


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, checkpoint_folder):
    return load_model(checkpoint_folder(request.param))


@pytest.fixture(scope="module")
def bert(checkpoint_folder):
    return load_model(checkpoint_folder("bert"))


@pytest.fixture(scope="module")
def gpt2(checkpoint_folder):
    return load_model(checkpoint_folder("gpt2"))


def plain(text: str) -> str:
    """As an uncased BERT reads it: without case and accents."""
    import unicodedata

    decomposed = unicodedata.normalize("NFD", text.lower())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


@pytest.mark.parametrize("prepend_bos", [None, True, False])
@pytest.mark.parametrize(("text", "word"), TEXTS)
def test_a_word_is_found_where_the_tokenizers_own_offsets_have_it(model, text, word, prepend_bos):
    encoded = encode(model, text, prepend_bos=prepend_bos)
    found = encoded.tokens_within(*find_word(text, word))
    tokenizer = model.tokenizer
    content = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    found_at = re.search(rf"\b{word}\b", text)
    assert found_at is not None
    start = found_at.start()
    # Independent of spans and leading tokens: the word's own letters, each with the tokens that hold it.
    holding = {
        index
        for index, (first, last) in enumerate(content.offset_mapping)
        if any(first <= letter < last for letter in range(start, start + len(word)))
    }
    lead = encoded.ids.tolist().index(content.input_ids[0])
    assert found == [lead + index for index in sorted(holding)]
    decoded = tokenizer.decode(encoded.ids[found]).strip()
    assert plain(decoded) == plain(word) if is_masked(model) else decoded == word
    assert len(encoded.spans) == len(encoded.ids)


@pytest.mark.parametrize(("text", "word"), TEXTS)
def test_ids_are_those_of_hugging_face_or_of_the_models_own_to_tokens(model, text, word):
    tokenizer, ids = model.tokenizer, encode(model, text).ids
    content = tokenizer(text, add_special_tokens=False).input_ids
    if is_masked(model):
        assert ids.tolist() == tokenizer(text).input_ids == [tokenizer.cls_token_id, *content, tokenizer.sep_token_id]
        assert torch.equal(encode(model, text, prepend_bos=False).ids, ids), "masked models ignore prepend_bos"
        return
    assert torch.equal(ids, model.to_tokens(text)[0])
    assert encode(model, text, prepend_bos=False).ids.tolist() == content
    assert encode(model, text, prepend_bos=True).ids.tolist() == [tokenizer.bos_token_id, *content]
    model.cfg.default_prepend_bos = False
    try:
        assert encode(model, text).ids.tolist() == content
    finally:
        model.cfg.default_prepend_bos = True


@settings(max_examples=80, deadline=None)
@given(
    before=st.lists(st.sampled_from(["We", "saw", "the old teacher,", "“", "naïve", "(", "her"]), max_size=6),
    word=st.sampled_from(["him", "garden", "xylophone", "naïveté"]),
    after=st.lists(st.sampled_from(["today", ".", ", and", "by the river", ")"]), max_size=4),
    glue=st.sampled_from(["", " "]),
)
def test_the_tokens_of_a_word_decode_to_the_word(bert, gpt2, before, word, after, glue):
    text = f"{' '.join(before)}{' ' if before else ''}{word}{glue if after and not after[0][0].isalnum() else ' '}" + (
        " ".join(after)
    )
    for model in (bert, gpt2):
        encoded = encode(model, text)
        found = encoded.tokens_within(*find_word(text, word))
        assert found == list(range(found[0], found[-1] + 1))
        decoded = model.tokenizer.decode(encoded.ids[found]).strip()
        assert plain(decoded) == plain(word)


def test_the_mask_is_the_tokenizers_own(bert):
    encoded = encode(bert, "We saw [MASK] today.")
    place = encoded.ids.tolist().index(bert.tokenizer.mask_token_id)
    assert encoded.spans[place] == (7, 13)
    assert encoded.spans[0] is encoded.spans[-1] is None


def test_targets_are_the_word_in_a_masked_model_and_its_continuation_in_a_causal_one(bert, gpt2):
    assert target_token(bert, "him", text="She thanked [MASK].") == bert.tokenizer.convert_tokens_to_ids("him")
    assert target_token(bert, "Him", text="[MASK]") == bert.tokenizer.convert_tokens_to_ids("him"), "uncased"
    token = target_token(gpt2, "him", text="She thanked")
    assert gpt2.tokenizer.decode([token]) == " him"
    # The continuation is what the tokenizer itself makes of the whole text.
    assert gpt2.tokenizer("She thanked him").input_ids[-1] == token


@pytest.mark.parametrize("text", ["", "  \n "])
def test_empty_texts_are_refused(model, text):
    with pytest.raises(ValueError, match=r"text '.*' is empty; give at least one word"):
        encode(model, text)


def test_texts_longer_than_the_context_are_refused_and_nothing_is_printed(model, capfd):
    longest = model.cfg.n_ctx
    lead = 2 if is_masked(model) else 1
    assert len(encode(model, " the" * (longest - lead)).ids) == longest
    message = rf"of {longest + 1} tokens is longer than this model's context of {longest}; shorten it: ' the the"
    with pytest.raises(ValueError, match=message):
        encode(model, " the" * (longest - lead + 1))
    assert capfd.readouterr() == ("", "")


def test_a_mask_in_a_causal_model_is_refused(gpt2):
    with pytest.raises(ValueError, match=r"holds \[MASK\], and this is a causal model.*\(Prompt\.before_mask\(\)"):
        encode(gpt2, "We saw [MASK].")


@pytest.mark.parametrize(
    ("word", "text", "message"),
    [
        ("crocodile", "We saw", r"target 'crocodile' is \d+ tokens \[.*\] in this model; a target has to be one token"),
        ("him her", "We saw", r"target 'him her' is 2 tokens"),
    ],
)
def test_targets_of_several_tokens_are_refused_in_both_kinds(bert, gpt2, word, text, message):
    with pytest.raises(ValueError, match=message):
        target_token(gpt2, word, text=text)
    with pytest.raises(ValueError, match=message):
        target_token(bert, word, text="[MASK]")


def test_targets_that_a_model_cannot_say_are_refused(bert, gpt2):
    with pytest.raises(
        ValueError, match=r"target '🙂' is not in this model's vocabulary; choose a word that is one token"
    ):
        target_token(bert, "🙂", text="[MASK]")
    with pytest.raises(ValueError, match=r"target 'him' does not continue 'We saw ': .* without trailing spaces"):
        target_token(gpt2, "him", text="We saw ")


def test_models_without_a_usable_tokenizer_say_so(gpt2):
    unchecked = inspect.unwrap(require_tokenizer)  # without the check that a model is one

    class Bare:
        tokenizer = None

    class Slow:
        tokenizer = dataclasses.make_dataclass("SlowTokenizer", [])()

    with pytest.raises(
        ValueError, match=r"has no tokenizer, and text was given; load it with tokenizer=\.\.\., or pass"
    ):
        unchecked(Bare(), instead="token ids")
    with pytest.raises(ValueError, match=r"load it with tokenizer=\.\.\.$"):
        unchecked(Bare())
    with pytest.raises(ValueError, match=r"tokenizer SlowTokenizer gives no character offsets"):
        unchecked(Slow())


def test_collating_pads_on_the_right():
    tokens, real = collate([torch.tensor([5, 6]), torch.tensor([7, 8, 9])], pad_id=1)
    assert tokens.tolist() == [[5, 6, 1], [7, 8, 9]]
    assert real.tolist() == [[True, True, False], [True, True, True]]


def test_tokens_within_takes_every_token_that_holds_a_letter():
    encoded = Encoded(text="abcdef", ids=torch.arange(4), spans=(None, (0, 2), (2, 4), (4, 6)))
    assert encoded.tokens_within(2, 4) == [2]
    assert encoded.tokens_within(1, 5) == [1, 2, 3]
    assert encoded.tokens_within(0, 0) == []
