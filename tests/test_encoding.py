"""Positions of sentences and prompts, worked out by hand from the tokenizer's own pieces."""

import pytest

from tlesion import Offset, Prompt, Sentence, load_model
from tlesion.encoding import encode_prompt, encode_sentence
from tlesion.tokens import is_masked


@pytest.fixture(scope="module")
def bert(checkpoint_folder):
    return load_model(checkpoint_folder("bert"))


@pytest.fixture(scope="module")
def gpt2(checkpoint_folder):
    return load_model(checkpoint_folder("gpt2"))


HIM = Sentence("We saw him in the garden.", "him")  # bert: [CLS] we saw him in the garden . [SEP]
LONG = Sentence("We saw herbs here.", "herbs")  # several pieces in both models: her, b, s


def pieces(model, encoded):
    return model.tokenizer.convert_ids_to_tokens(encoded.ids)


def test_positions_in_a_masked_model(bert):
    word = encode_sentence(bert, HIM)
    assert pieces(bert, word) == ["[CLS]", "we", "saw", "him", "in", "the", "garden", ".", "[SEP]"]
    assert word.positions == (3,)
    masked = encode_sentence(bert, HIM, position="mask")
    assert pieces(bert, masked) == ["[CLS]", "we", "saw", "[MASK]", "in", "the", "garden", ".", "[SEP]"]
    assert masked.positions == (3,)
    for offset in (-3, -1, 0, 2, 5):
        assert encode_sentence(bert, HIM, position=Offset(offset)).positions == (3 + offset,)
    for index in (0, 3, 8, -1, -9):
        assert encode_sentence(bert, HIM, position=index).positions == (index % 9,), "whatever the word"


def test_positions_in_a_causal_model(gpt2):
    with_bos = encode_sentence(gpt2, HIM, prepend_bos=True)
    assert pieces(gpt2, with_bos)[:4] == ["<|endoftext|>", "We", "Ġsaw", "Ġhim"]
    assert with_bos.positions == (3,)
    assert encode_sentence(gpt2, HIM).positions == (3,), "None follows the model's default, which is True"
    assert encode_sentence(gpt2, HIM, prepend_bos=False).positions == (2,)
    assert encode_sentence(gpt2, HIM, position="before").positions == (2,)
    assert encode_sentence(gpt2, HIM, position="before", prepend_bos=False).positions == (1,)
    assert encode_sentence(gpt2, HIM, position=Offset(2), prepend_bos=False).positions == (4,)
    assert encode_sentence(gpt2, HIM, position=2, prepend_bos=False).positions == (2,)
    assert encode_sentence(gpt2, HIM, position=-1).positions == (len(with_bos.ids) - 1,)
    first = Sentence("We saw him.", "We")
    assert encode_sentence(gpt2, first, position="before", prepend_bos=True).positions == (0,)


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_words_of_several_tokens(kind, request):
    model = request.getfixturevalue(kind)
    tokenizer = model.tokenizer
    n_pieces = len(tokenizer("herbs" if is_masked(model) else " herbs", add_special_tokens=False).input_ids)
    assert n_pieces == 3
    whole = tuple(range(3, 3 + n_pieces))
    assert encode_sentence(model, LONG, subword="mean").positions == whole
    assert encode_sentence(model, LONG, subword="first").positions == whole[:1]
    assert encode_sentence(model, LONG, subword="last").positions == whole[-1:]
    # Offsets count from the token that stands for the word; what predicts it stands before its first.
    assert encode_sentence(model, LONG, subword="first", position=Offset(-1)).positions == (2,)
    assert encode_sentence(model, LONG, subword="last", position=Offset(1)).positions == (whole[-1] + 1,)
    if not is_masked(model):
        for subword in ("first", "last", "mean"):
            assert encode_sentence(model, LONG, subword=subword, position="before").positions == (2,)
    else:
        masked = encode_sentence(model, LONG, position="mask", subword="mean")
        assert masked.positions == (3,), "one mask stands for the whole word"


def test_a_lone_space_is_no_part_of_a_word(gpt2):
    """Where " Greta" begins with a token of its own for the space, that token is what comes before the word."""
    sentence = Sentence("We saw Greta.", "Greta")
    whole = encode_sentence(gpt2, sentence, subword="mean")
    assert pieces(gpt2, whole)[2:5] == ["Ġsaw", "Ġ", "G"]
    assert whole.positions[0] == 4
    assert encode_sentence(gpt2, sentence, position="before").positions == (3,)


def test_the_readout_is_the_mask_or_the_last_token(bert, gpt2):
    prompt = Prompt("She thanked [MASK] for his work.", ("him", "her"))
    masked = encode_prompt(bert, prompt)
    assert pieces(bert, masked)[masked.readout] == "[MASK]"
    assert bert.tokenizer.convert_ids_to_tokens(masked.targets) == ["him", "her"]
    causal = encode_prompt(gpt2, prompt.before_mask())
    assert causal.readout == len(causal.ids) - 1
    assert gpt2.tokenizer.convert_ids_to_tokens(causal.targets) == ["Ġhim", "Ġher"]
    without = encode_prompt(gpt2, prompt.before_mask(), prepend_bos=False)
    assert without.ids.tolist() == causal.ids[1:].tolist()
    assert without.readout == causal.readout - 1


@pytest.mark.parametrize(
    ("kind", "sentence", "options", "message"),
    [
        ("bert", HIM, {"position": "middle"}, r"position 'middle' is unknown; allowed: 'word', 'mask', 'before'"),
        ("bert", HIM, {"subword": "middle"}, r"subword 'middle' is unknown; allowed: 'last', 'first', 'mean'"),
        ("bert", HIM, {"position": "before"}, r"position 'before' needs a causal model; .* use position='mask'"),
        ("gpt2", HIM, {"position": "mask"}, r"position 'mask' needs a masked model; .* use position='before'"),
        ("bert", HIM, {"position": "readout"}, r"position 'readout' is unknown; allowed: 'word', 'mask', 'before'"),
        ("bert", HIM, {"position": 9}, r"position 9 lies outside the 9 tokens of .*; a number is "
         r"the index of a token, and tlesion\.Offset\(9\) is counted from the word"),
        ("bert", HIM, {"position": -10}, r"position -10 lies outside the 9 tokens"),
        ("bert", HIM, {"position": Offset(6)}, r"position 9 lies outside the 9 tokens of "
         r"'We saw him in the garden\.'; choose"),
        ("bert", HIM, {"position": Offset(-4)}, r"position -1 lies outside the 9 tokens"),
        ("gpt2", Sentence("Him we saw.", "Him"), {"position": "before", "prepend_bos": False}, r"position -1 lies "
         r"outside .* nothing before it without prepend_bos=True"),
        ("bert", Sentence("We saw him [MASK].", "him"), {"position": "mask"}, r"holds 2 mask tokens; .* exactly one"),
        ("gpt2", Sentence("We saw him [MASK].", "him"), {}, r"holds \[MASK\], and this is a causal model"),
        ("bert", Sentence("We saw \u200b here.", "\u200b"), {}, r"has no token of its own in this model's vocabulary"),
        ("bert", Sentence("We saw him🙂.", "him"), {}, r"the word 'him' of 'We saw him🙂\.' has no token of its own"),
        ("bert", Sentence("the " * 80 + "him", "him"), {}, r"text of 83 tokens is longer than this model's context"),
    ],
)  # fmt: skip
def test_positions_that_do_not_exist_are_refused(kind, sentence, options, message, request):
    with pytest.raises(ValueError, match=message):
        encode_sentence(request.getfixturevalue(kind), sentence, **options)


@pytest.mark.parametrize(
    ("kind", "text", "targets", "message"),
    [
        ("bert", "She thanked him.", ("him",), r"'She thanked him\.' holds 0 mask tokens; .* exactly one \[MASK\]"),
        ("bert", "[MASK] thanked [MASK].", ("him",), r"holds 2 mask tokens; a masked model's prompt holds exactly one"),
        ("gpt2", "She thanked [MASK].", ("him",), r"holds \[MASK\], and this is a causal model"),
        ("bert", "She thanked [MASK].", ("him", "Greta"), r"target 'Greta' is \d tokens \['g', .* choose another word"),
        ("gpt2", "She thanked", ("him", "Greta"), r"target 'Greta' is \d tokens"),
        ("gpt2", "the " * 70 + "end", ("him",), r"text of \d+ tokens is longer than this model's context of 64"),
    ],
)
def test_prompts_that_cannot_be_read_are_refused(kind, text, targets, message, request):
    with pytest.raises(ValueError, match=message):
        encode_prompt(request.getfixturevalue(kind), Prompt(text, targets))
