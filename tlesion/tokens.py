"""Text to tokens, with the place of every token in the text: positions are stated, never guessed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from tlesion.anatomy.model import Model, is_masked

__all__ = [
    "MASK",
    "Encoded",
    "collate",
    "encode",
    "find_word",
    "is_masked",
    "prepends_bos",
    "require_tokenizer",
    "target_token",
]

MASK = "[MASK]"


@dataclass(frozen=True, eq=False)
class Encoded:
    """One text as the model reads it.

    Attributes:
        text: The text that was encoded, with the tokenizer's own mask token where ``[MASK]`` stood.
        ids: Token ids, special tokens included.
        spans: For every token its characters ``(start, end)`` in ``text``; ``None`` for special tokens.
    """

    text: str
    ids: Int[Tensor, " pos"]
    spans: tuple[tuple[int, int] | None, ...]

    def tokens_within(self, start: int, end: int) -> list[int]:
        """Positions of the tokens that hold any character of ``text[start:end]``."""
        return [i for i, span in enumerate(self.spans) if span and span[0] < end and span[1] > start]


def prepends_bos(model: Model, prepend_bos: bool | None = None) -> bool | None:
    """What ``prepend_bos`` means for a model: None stands for its default; masked models have no such token (None)."""
    if is_masked(model):
        return None
    return bool(model.cfg.default_prepend_bos) if prepend_bos is None else prepend_bos


def require_tokenizer(model: Model) -> Any:
    """The model's tokenizer.

    Raises:
        ValueError: The model has none, or one without character offsets.
    """
    tokenizer = model.tokenizer
    if tokenizer is None:
        raise ValueError(
            "this model has no tokenizer, and text was given; load it with tokenizer=..., or pass token ids"
        )
    if not getattr(tokenizer, "is_fast", False):
        raise ValueError(
            f"tokenizer {type(tokenizer).__name__} gives no character offsets, which are needed to find words; "
            "use its fast version (transformers.AutoTokenizer gives that one by default)"
        )
    return tokenizer


def encode(model: Model, text: str, *, prepend_bos: bool | None = None) -> Encoded:
    """Encode one text exactly as ``model.to_tokens`` does, and say where each token stands in it.

    Args:
        model: The model whose tokenizer is used.
        text: The text; ``[MASK]`` in it becomes the mask token of a masked model.
        prepend_bos: For causal models: None follows the model's TransformerLens default, False gives the
            tokens without a beginning-of-sequence token. Masked models keep their special tokens and ignore it.

    Raises:
        ValueError: The text is empty, longer than the context, or holds ``[MASK]`` in a causal model.
    """
    tokenizer = require_tokenizer(model)
    if not text.strip():
        raise ValueError(f"text {text!r} is empty; give at least one word")
    if is_masked(model):
        text = text.replace(MASK, tokenizer.mask_token)
        ids = tokenizer(text).input_ids
    else:
        if MASK in text:
            raise ValueError(
                f"text {text!r} holds {MASK}, and this is a causal model, which has no mask token; "
                "give the text up to that place (Prompt.before_mask() makes such a prompt)"
            )
        ids = model.to_tokens(text, prepend_bos=prepend_bos, move_to_device=False, truncate=False)[0].tolist()
    if len(ids) > model.cfg.n_ctx:
        raise ValueError(
            f"text of {len(ids)} tokens is longer than this model's context of {model.cfg.n_ctx}; "
            f"shorten it: {text[:60]!r}..."
        )
    return Encoded(text=text, ids=torch.tensor(ids), spans=_spans(tokenizer, text, ids))


def target_token(model: Model, word: str, *, text: str) -> int:
    """The one token that stands for a target word at the readout position.

    In a masked model it is the token of the word; in a causal one the token by which the word continues the
    text (``" him"`` after a word).

    Raises:
        ValueError: The word is not exactly one token there.
    """
    tokenizer = require_tokenizer(model)
    if is_masked(model):
        pieces = tokenizer(word, add_special_tokens=False).input_ids
        if len(pieces) == 1 and pieces[0] == tokenizer.unk_token_id:
            raise ValueError(f"target {word!r} is not in this model's vocabulary; choose a word that is one token")
    else:
        before = tokenizer(text, add_special_tokens=False).input_ids
        joined = text + word if text[-1:].isspace() else f"{text} {word}"
        after = tokenizer(joined, add_special_tokens=False).input_ids
        if after[: len(before)] != before:
            raise ValueError(
                f"target {word!r} does not continue {text[-40:]!r}: adding it changes the tokens before it; "
                "end the text at a word's end, without trailing spaces"
            )
        pieces = after[len(before) :]
    if len(pieces) != 1:
        shown = tokenizer.convert_ids_to_tokens(pieces)
        raise ValueError(
            f"target {word!r} is {len(pieces)} tokens {shown} in this model; a target has to be one token: "
            "choose another word"
        )
    return int(pieces[0])


def find_word(text: str, word: str) -> tuple[int, int]:
    """The characters ``(start, end)`` of a word that occurs exactly once, as a whole word.

    Raises:
        ValueError: The word does not occur, or occurs more than once.

    Example:
        >>> find_word("She saw him at the hymn.", "him")
        (8, 11)
    """
    found = [match.span() for match in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", text)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise ValueError(f"the sentence {text!r} does not contain the word {word!r} as a whole word; it has to, once")
    raise ValueError(
        f"the sentence {text!r} contains the word {word!r} {len(found)} times; it has to occur once, "
        "so that the position that matters is clear"
    )


def collate(sequences: Sequence[Tensor], *, pad_id: int) -> tuple[Int[Tensor, "batch pos"], Bool[Tensor, "batch pos"]]:
    """Right-padded token ids of sequences of any lengths, and the mask that is True at real tokens."""
    longest = max(len(ids) for ids in sequences)
    tokens = torch.full((len(sequences), longest), pad_id, dtype=torch.long)
    real = torch.zeros(len(sequences), longest, dtype=torch.bool)
    for row, ids in enumerate(sequences):
        tokens[row, : len(ids)] = ids
        real[row, : len(ids)] = True
    return tokens, real


def _spans(tokenizer: Any, text: str, ids: list[int]) -> tuple[tuple[int, int] | None, ...]:
    """Character spans aligned with ids that may begin and end with special tokens."""
    plain = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    content = plain.input_ids
    for lead in range(len(ids) - len(content) + 1):
        if ids[lead : lead + len(content)] == content:
            tail = len(ids) - lead - len(content)
            offsets = [(int(start), int(end)) for start, end in plain.offset_mapping]
            return (*[None] * lead, *(_trimmed(text, span) for span in offsets), *[None] * tail)
    raise ValueError(
        f"the tokens of {text[:60]!r} in a model's input differ from those of its text alone, so that words "
        "cannot be found in it; pass token ids and positions instead"
    )


def _trimmed(text: str, span: tuple[int, int]) -> tuple[int, int] | None:
    """A span without the space that byte-level tokenizers count to the word after it."""
    start, end = span
    while start < end and text[start].isspace():
        start += 1
    return (start, end) if start < end else None
