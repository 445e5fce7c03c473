"""Stimuli as a model reads them: token ids, and the positions that matter in them, found once and up front."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from tlesion.checks import one_of
from tlesion.hooks import Model
from tlesion.positions import Offset, SentencePosition, check_sentence_position
from tlesion.stimuli import SUBWORDS, Prompt, Sentence, require_one_mask
from tlesion.tokens import (
    MASK,
    Encoded,
    encode,
    is_masked,
    require_fits,
    require_known,
    require_tokenizer,
    target_token,
    written,
)


@dataclass(frozen=True, eq=False)
class EncodedPrompt:
    """A prompt as a model reads it: token ids, readout position, token ids of the targets."""

    ids: Int[Tensor, " pos"]
    readout: int
    targets: Int[Tensor, " target"]


def encode_prompt(model: Model, prompt: Prompt, *, prepend_bos: bool | None = None) -> EncodedPrompt:
    """Tokens, readout position (``[MASK]``, or the text's last own token) and target tokens of a prompt.

    A prompt of token ids is taken as it is.

    Raises:
        ValueError: No mask token, or more than one, in a masked model; a target that is not one token, or the same
            token as another; a text longer than the context, or with tokens that the model does not have.
    """
    if prompt.ids:
        return _of_ids(model, prompt)
    encoded = encode(model, prompt.text, prepend_bos=prepend_bos, instead="token ids: tlesion.Prompt.from_tokens(...)")
    readout = _mask(model, encoded, prompt.text) if is_masked(model) else len(encoded.ids) - 1
    words = [str(word) for word in prompt.targets]
    tokens = [target_token(model, word, text=prompt.text, whole=prompt.whole) for word in words]
    for i, token in enumerate(tokens):
        if token in tokens[:i]:
            named = require_tokenizer(model).convert_ids_to_tokens(token)
            raise ValueError(
                f"targets {words[tokens.index(token)]!r} and {words[i]!r} are the same token, {named!r}, to this "
                "model's tokenizer; give words that it tells apart"
            )
    return EncodedPrompt(ids=encoded.ids, readout=readout, targets=torch.tensor(tokens))


def _of_ids(model: Model, prompt: Prompt) -> EncodedPrompt:
    ids, targets = list(prompt.ids), [int(target) for target in prompt.targets]
    require_fits(model, ids, prompt.text)
    require_known(model, ids, f"prompt {prompt.text[:80]!r}")
    require_known(model, targets, f"the targets {tuple(targets)}", d_vocab=model.cfg.d_vocab_out)
    return EncodedPrompt(ids=torch.tensor(ids), readout=prompt.readout % len(ids), targets=torch.tensor(targets))


def _mask(model: Model, encoded: Encoded, text: str) -> int:
    """The position of the one mask token of a text."""
    mask = require_tokenizer(model).mask_token_id
    places = [] if mask is None else (encoded.ids == mask).nonzero().flatten().tolist()
    require_one_mask(text, len(places))
    return int(places[0])


def bos_setting(prompts: Sequence[Prompt], prepend_bos: bool | None) -> dict[str, bool | None]:
    """What a record says of ``prepend_bos``: nothing where all prompts are token ids, which are taken as they are."""
    return {} if all(prompt.ids for prompt in prompts) else {"prepend_bos": prepend_bos}


class PromptLabel(NamedTuple):
    """A prompt as a result shows it; see :class:`tlesion.Prompt`."""

    text: str
    targets: tuple[str, ...]
    correct: str | None
    group: str


def label_of(model: Model, prompt: Prompt) -> PromptLabel:
    """A prompt as a result shows it: token ids as text, where the model has a tokenizer that tells them apart."""
    words = tuple(map(str, prompt.targets))
    text, right = prompt.text, None if prompt.correct is None else str(prompt.correct)
    if prompt.ids:
        targets = [int(target) for target in prompt.targets]
        named = tuple(word.strip() for word in written(model, targets))
        telling = len(set(named)) == len(named) and all(word and "\ufffd" not in word for word in named)
        words = named if telling else tuple(f"[{target}]" for target in targets)
        right = None if prompt.correct is None else words[prompt.targets.index(prompt.correct)]
        text = prompt.text if model.tokenizer is None else str(model.tokenizer.decode(list(prompt.ids)))
    return PromptLabel(text, words, right, prompt.group)


@dataclass(frozen=True, eq=False)
class EncodedSentence:
    """A sentence as a model reads it: token ids, and the positions whose mean is the sentence's row."""

    ids: Int[Tensor, " pos"]
    positions: tuple[int, ...]


def what_is_read(sentence: EncodedSentence, *, ahead: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """All that a sentence's row can depend on: its positions, and the tokens that the model has read by then.

    Where this is equal, rows are the same activations, and any difference between them is rounding.

    Args:
        sentence: The sentence.
        ahead: Whether the model has read the whole sentence by then, see
            :func:`tlesion.anatomy.assumptions.looks_ahead`; otherwise it has read the tokens up to the last position.
    """
    end = None if ahead else max(sentence.positions) + 1
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
        return EncodedSentence(encoded.ids, (_mask(model, encoded, sentence.masked),))
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
    """Where the word's tokens are; a word is refused that the tokenizer does not know, or cuts together with others."""
    tokenizer = require_tokenizer(model)
    start, end = sentence.span
    if is_masked(model) and tokenizer.mask_token is not None:
        # The tokenizer's own mask token may be longer or shorter than the one that the text was given with.
        longer = (len(tokenizer.mask_token) - len(MASK)) * sentence.text[:start].count(MASK)
        start, end = start + longer, end + longer
    word = encoded.tokens_within(start, end)
    if not word or tokenizer.unk_token_id in encoded.ids[word].tolist():
        raise ValueError(
            f"the word {sentence.word!r} of {sentence.text!r} has no token of its own in this model's vocabulary; "
            "choose another word"
        )
    spans = [span for span in (encoded.spans[word[0]], encoded.spans[word[-1]]) if span]
    beside = encoded.text[min(span[0] for span in spans) : start] + encoded.text[end : max(span[1] for span in spans)]
    if beside.strip():
        raise ValueError(
            f"the word {sentence.word!r} of {sentence.text!r} has no token of its own: this model's tokenizer cuts it "
            f"together with {beside!r}; choose another word, or set it off with spaces"
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
