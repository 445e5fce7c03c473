"""One text as a model reads it: Hugging Face's own tokens, between the special tokens that are stated."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from tlesion.anatomy.model import Model, is_masked, require_model
from tlesion.checks import short, shown
from tlesion.models.tokenizer import around, beginning, cut

MASK = "[MASK]"


@dataclass(frozen=True, eq=False)
class Encoded:
    """One text as the model reads it.

    Attributes:
        text: The text that was encoded, with the tokenizer's own mask token where ``[MASK]`` stood.
        ids: Token ids, special tokens included.
        spans: For every token its characters ``(start, end)`` in ``text``; ``None`` for special tokens, and for tokens
            that stand for a space only.
    """

    text: str
    ids: Int[Tensor, " pos"]
    spans: tuple[tuple[int, int] | None, ...]

    def tokens_within(self, start: int, end: int) -> list[int]:
        """Positions of the tokens that hold any character of ``text[start:end]``."""
        return [i for i, span in enumerate(self.spans) if span and span[0] < end and span[1] > start]


def prepends_bos(model: Model, prepend_bos: bool | None = None) -> bool | None:
    """What ``prepend_bos`` means for a model: whether a special token stands before its texts.

    Args:
        model: The model.
        prepend_bos: None stands for the model's default.

    Returns:
        None for masked models, which keep their special tokens, and for models that take no text.

    Raises:
        TypeError: Neither a bool nor None.
        ValueError: True, and the tokenizer has no token to prepend.
    """
    if prepend_bos is not None and not isinstance(prepend_bos, bool):
        raise TypeError(f"prepend_bos is a {shown(prepend_bos)}; give True, False, or None for the model's default")
    if is_masked(model) or model.tokenizer is None:
        return None
    asked = bool(model.cfg.default_prepend_bos) if prepend_bos is None else prepend_bos
    found = beginning(model.tokenizer, around(model.tokenizer)[0])
    if prepend_bos and not found:
        raise ValueError(
            "prepend_bos=True needs a beginning-of-sequence token, and this model's tokenizer has none; leave "
            "prepend_bos out, or give the tokenizer one (tokenizer.bos_token = ...)"
        )
    return asked and bool(found)


def special_tokens(model: Model) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ids of the special tokens that may stand before and after a text of this model.

    In a masked model these are the tokenizer's own, ``[CLS]`` and ``[SEP]``; in a causal one only what comes before:
    what the tokenizer puts there, else its BOS token. A model without a tokenizer has none.
    """
    tokenizer = model.tokenizer
    if tokenizer is None:
        return (), ()
    lead, tail = around(tokenizer)
    return (lead, tail) if is_masked(model) else (beginning(tokenizer, lead), ())


def unusual_special_tokens(model: Model, prepend_bos: bool | None) -> dict[str, list[str]]:
    """What stands around a causal model's texts, and what the tokenizer would have added, where a BOS is not all.

    Args:
        model: The model.
        prepend_bos: As `prepends_bos` returned it.

    Returns:
        Empty where nothing but the BOS token can stand before a text and the tokenizer adds nothing after it; else the
        tokens "before" the text, and those of the tokenizer that are "left_out".
    """
    if prepend_bos is None:
        return {}
    tokenizer: Any = model.tokenizer
    lead, tail = around(tokenizer)
    before = beginning(tokenizer, lead)
    if not tail and (not before or before == beginning(tokenizer, ())):
        return {}
    named = tokenizer.convert_ids_to_tokens
    left_out = tail if prepend_bos else (*lead, *tail)
    return {"before": named(list(before)) if prepend_bos else [], "left_out": named(list(left_out))}


def require_tokenizer(model: Model, *, instead: str = "") -> Any:
    """The model's tokenizer.

    Args:
        model: The model.
        instead: What the caller takes in place of text, for the message.

    Raises:
        ValueError: The model has none, or one without character offsets.
    """
    tokenizer = model.tokenizer
    if tokenizer is None:
        way = f", or pass {instead}" if instead else ""
        raise ValueError(f"this model has no tokenizer, and text was given; load it with tokenizer=...{way}")
    if not getattr(tokenizer, "is_fast", False):
        raise ValueError(
            f"tokenizer {type(tokenizer).__name__} gives no character offsets, which are needed to find words; "
            "use its fast version (transformers.AutoTokenizer gives that one by default)"
        )
    return tokenizer


def encode(model: Model, text: str, *, prepend_bos: bool | None = None, instead: str = "") -> Encoded:
    """Encode one text as Hugging Face does, and say where each token stands in it.

    The tokens of the text are the tokenizer's own. Before them stands, in a causal model, what the tokenizer puts
    there, else its BOS token; what it puts after the text (an EOS, a ``[SEP]``) is left out, so that the last token is
    the text's own. In a masked model all special tokens stay.

    Args:
        model: The model whose tokenizer is used.
        text: The text; ``[MASK]`` in it becomes the mask token of a masked model.
        prepend_bos: For causal models: None follows the model's TransformerLens default, False gives the
            tokens without anything before them. Masked models keep their special tokens and ignore it.
        instead: See `require_tokenizer`.

    Raises:
        TypeError: The text is no string, or the model of another kind.
        ValueError: The text is empty, longer than the context, begins or ends with the special token that is put there
            anyway, holds a token that the model has no embedding for, or ``[MASK]`` in a causal model; ``prepend_bos``
            cannot be met.
    """
    require_model(model)
    tokenizer = require_tokenizer(model, instead=instead)
    if not isinstance(text, str):
        raise TypeError(f"the text is a {shown(text)}; give a string")
    if not text.strip():
        raise ValueError(f"text {text!r} is empty; give at least one word")
    text = with_mask(model, text)
    found = cut(tokenizer, text)
    if not found.ids:
        raise ValueError(f"text {text!r} is empty to this model's tokenizer, which drops all of it; give another text")
    lead, tail = found.lead, found.tail
    if not is_masked(model):
        lead, tail = (beginning(tokenizer, lead) if prepends_bos(model, prepend_bos) else ()), ()
    _require_single(tokenizer, text, found.ids, lead, tail)
    ids = [*lead, *found.ids, *tail]
    require_known(model, ids, f"text {short(text)}")
    require_fits(model, ids, text)
    spans = [_own_letters(tokenizer, text, span, token) for span, token in zip(found.offsets, found.ids, strict=True)]
    return Encoded(text=text, ids=torch.tensor(ids), spans=(*[None] * len(lead), *spans, *[None] * len(tail)))


def with_mask(model: Model, text: str) -> str:
    """A text with the tokenizer's own mask token where ``[MASK]`` stands.

    Raises:
        ValueError: ``[MASK]`` in a causal model, or where the tokenizer has no mask token.
    """
    if MASK not in text:
        return text
    if not is_masked(model):
        raise ValueError(
            f"text {text!r} holds {MASK}, and this is a causal model, which has no mask token; "
            "give the text up to that place (Prompt.before_mask() makes such a prompt)"
        )
    mask = model.tokenizer.mask_token
    if mask is None:
        raise ValueError(
            f"text {text!r} holds {MASK}, and this model's tokenizer has no mask token; tell it which token that is "
            "(tokenizer.mask_token = ...)"
        )
    return text.replace(MASK, str(mask))


def require_known(model: Model, ids: Iterable[int], what: str, *, d_vocab: int | None = None) -> None:
    """Refuse tokens that the model has no embedding for: its tokenizer may be larger than the model.

    Args:
        model: The model.
        ids: Token ids.
        what: What holds them, as the message should call it.
        d_vocab: How many tokens there are, where it is not the model's embedding that they are looked up in.

    Raises:
        ValueError: Such a token; the message names it.
    """
    size = model.cfg.d_vocab if d_vocab is None else d_vocab
    wrong = [token for token in ids if not 0 <= token < size]
    if not wrong:
        return
    named = (
        {} if model.tokenizer is None else dict(zip(wrong, model.tokenizer.convert_ids_to_tokens(wrong), strict=True))
    )
    shown_ids = ", ".join(f"{named[one]!r} (id {one})" if named.get(one) else str(one) for one in wrong[:5])
    raise ValueError(
        f"{what} holds tokens that this model does not have: {shown_ids}; its vocabulary has {size} tokens, ids 0 to "
        f"{size - 1}: use other words, or the tokenizer that belongs to the model"
    )


def require_fits(model: Model, ids: list[int], text: str) -> None:
    """Refuse a text that is longer than the model's context.

    Raises:
        ValueError: It is.
    """
    if len(ids) > model.cfg.n_ctx:
        raise ValueError(
            f"text of {len(ids)} tokens is longer than this model's context of {model.cfg.n_ctx}; "
            f"shorten it: {text[:60]!r}..."
        )


def _require_single(tokenizer: Any, text: str, ids: list[int], lead: tuple[int, ...], tail: tuple[int, ...]) -> None:
    """Refuse a text that brings along the special tokens that are put around it."""
    before = lead if lead and tuple(ids[: len(lead)]) == lead else ()
    after = tail if tail and tuple(ids[-len(tail) :]) == tail else ()
    for where, token in (("begins", before), ("ends", after)):
        if token:
            written = "".join(tokenizer.convert_ids_to_tokens(list(token)))
            otherwise = ", or give prepend_bos=False" if not tail else ""
            raise ValueError(
                f"text {short(text)} {where} with {written!r}, which is put there anyway, so that it would stand "
                f"there twice; leave it out of the text{otherwise}"
            )


def _own_letters(tokenizer: Any, text: str, span: tuple[int, int], token: int) -> tuple[int, int] | None:
    """A token's characters without the space that some tokenizers count to the word after it."""
    start, end = span
    while start < end and text[start].isspace():
        start += 1
    piece = tokenizer.convert_ids_to_tokens(token)
    if not piece.strip("▁Ġ ") and text[start:end] != piece:
        return None  # It stands for a space that is put before the text, and is counted to the first letter.
    return (start, end) if start < end else None
