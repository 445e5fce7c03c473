"""Stimuli as a model reads them: token ids, and the positions that matter in them, found once and up front."""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from tlesion.checks import one_of
from tlesion.hooks import Model
from tlesion.positions import Offset, SentencePosition, check_sentence_position
from tlesion.stimuli import SUBWORDS, Prompt, Sentence, require_one_mask
from tlesion.tokens import Encoded, encode, is_masked, require_tokenizer, target_token


@dataclass(frozen=True, eq=False)
class EncodedPrompt:
    """A prompt as a model reads it: token ids, readout position, token ids of the targets."""

    ids: Int[Tensor, " pos"]
    readout: int
    targets: Int[Tensor, " target"]


def encode_prompt(model: Model, prompt: Prompt, *, prepend_bos: bool | None = None) -> EncodedPrompt:
    """Tokens, readout position (``[MASK]``, or the last token) and target tokens of a prompt.

    Raises:
        ValueError: No mask token, or more than one, in a masked model; a target that is not one token; a text
            longer than the context.
    """
    encoded = encode(model, prompt.text, prepend_bos=prepend_bos)
    if is_masked(model):
        masks = (encoded.ids == require_tokenizer(model).mask_token_id).nonzero().flatten().tolist()
        require_one_mask(prompt.text, len(masks))
        readout = masks[0]
    else:
        readout = len(encoded.ids) - 1
    targets = [target_token(model, word, text=prompt.text) for word in prompt.targets]
    return EncodedPrompt(ids=encoded.ids, readout=readout, targets=torch.tensor(targets))


@dataclass(frozen=True, eq=False)
class EncodedSentence:
    """A sentence as a model reads it: token ids, and the positions whose mean is the sentence's row."""

    ids: Int[Tensor, " pos"]
    positions: tuple[int, ...]


def what_is_read(model: Model, sentence: EncodedSentence) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """All that a sentence's row can depend on: its positions, and the tokens that the model has read by then.

    A causal model has read the tokens up to the position, a masked one the whole sentence. Where this is equal, rows
    are the same activations, and any difference between them is rounding.
    """
    end = None if is_masked(model) else max(sentence.positions) + 1
    return sentence.positions, tuple(sentence.ids[:end].tolist())


def encode_sentence(
    model: Model,
    sentence: Sentence,
    *,
    position: SentencePosition = "word",
    subword: str = "last",
    prepend_bos: bool | None = None,
) -> EncodedSentence:
    """Tokens of a sentence and the position that matters in it.

    Args:
        model: The model that will read it.
        sentence: The sentence and its word.
        position: ``"word"``: the word's own token. ``"mask"``: the word replaced by the mask token (masked
            models). ``"before"``: the token before the word, which predicts it (causal models). ``Offset(n)``: n
            tokens after the word's token, or before it where negative. An int: that token of the sentence, special
            tokens counted, from the end where negative.
        subword: Which token stands for a word of several.
        prepend_bos: See :func:`tlesion.tokens.encode`.

    Raises:
        ValueError: An unknown position or subword; a position that this kind of model does not have, or that lies
            outside the sentence; a word that the tokenizer drops or does not know.
    """
    one_of("subword", subword, SUBWORDS)
    check_sentence_position(position)
    if position == "mask":
        if not is_masked(model):
            raise ValueError("position 'mask' needs a masked model; for a causal one use position='before'")
        encoded = encode(model, sentence.masked)
        mask = (encoded.ids == require_tokenizer(model).mask_token_id).nonzero().flatten().tolist()
        require_one_mask(sentence.masked, len(mask))
        return EncodedSentence(encoded.ids, (mask[0],))
    encoded = encode(model, sentence.text, prepend_bos=prepend_bos)
    word = _tokens_of_word(model, encoded, sentence)
    if position == "word":
        return EncodedSentence(encoded.ids, tuple(_of_subword(word, subword)))
    if position == "before":
        if is_masked(model):
            raise ValueError("position 'before' needs a causal model; for a masked one use position='mask'")
        return EncodedSentence(encoded.ids, (_inside(encoded, word[0] - 1, sentence),))
    if isinstance(position, Offset):
        base = word[0] if subword == "first" else word[-1]
        return EncodedSentence(encoded.ids, (_inside(encoded, base + position.n, sentence),))
    return EncodedSentence(encoded.ids, (_token(encoded, int(position), sentence),))


def _tokens_of_word(model: Model, encoded: Encoded, sentence: Sentence) -> list[int]:
    """Where the word's tokens are; a word that the tokenizer does not know is refused."""
    word = encoded.tokens_within(*sentence.span)
    if not word or require_tokenizer(model).unk_token_id in encoded.ids[word].tolist():
        raise ValueError(
            f"the word {sentence.word!r} of {sentence.text!r} has no token of its own in this model's vocabulary; "
            "choose another word"
        )
    return word


def _of_subword(positions: list[int], subword: str) -> list[int]:
    return {"last": positions[-1:], "first": positions[:1], "mean": positions}[subword]


def _token(encoded: Encoded, index: int, sentence: Sentence) -> int:
    """A token by its index, from the end where negative."""
    n_tokens = len(encoded.ids)
    if -n_tokens <= index < n_tokens:
        return index % n_tokens
    raise ValueError(
        f"position {index} lies outside the {n_tokens} tokens of {sentence.text!r}; a number is the index of a token, "
        f"and tlesion.Offset({index}) is counted from the word"
    )


def _inside(encoded: Encoded, position: int, sentence: Sentence) -> int:
    if 0 <= position < len(encoded.ids):
        return position
    raise ValueError(
        f"position {position} lies outside the {len(encoded.ids)} tokens of {sentence.text!r}; choose an offset that "
        "every sentence has (a word that begins its sentence has nothing before it without prepend_bos=True)"
    )
