"""What a study of texts reads: texts or token ids, with the special tokens around them told from the tokens in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from tlesion.checks import one_of
from tlesion.hooks import Model
from tlesion.keep.hashing import tensor_hash
from tlesion.stimuli import stimulus_hash
from tlesion.studies.common.frame import Frame
from tlesion.sweeps.groups import Reading
from tlesion.sweeps.identity import hashes_of_readings
from tlesion.tokens import encode, special_tokens, written

ALONE = ("as_text", "special", "bare")


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts of one study, all between the same special tokens.

    Attributes:
        sequences: Token ids of every text, special tokens included.
        lead, tail: The special tokens before and after each text's own tokens.
        text: The text of every token of all texts.
        position: Its position in the sequence of that text.
        ids: Its id.
        words: Every token, as the tokenizer writes it.
        bos_setting: What a record says of ``prepend_bos``; nothing where all texts are token ids, taken as they are.
    """

    sequences: tuple[Int[Tensor, " _"], ...]
    lead: tuple[int, ...]
    tail: tuple[int, ...]
    text: Int[Tensor, " token"]
    position: Int[Tensor, " token"]
    ids: Int[Tensor, " token"]
    words: tuple[str, ...]
    bos_setting: Mapping[str, bool | None]


@dataclass(frozen=True)
class Alone:
    """The tokens around a token that is run by itself.

    Attributes:
        lead, tail: Ids of the tokens before and after it.
        label: In words.
    """

    lead: tuple[int, ...]
    tail: tuple[int, ...]
    label: str

    def sequence(self, token: int) -> Int[Tensor, " pos"]:
        """The token between them."""
        return torch.tensor([*self.lead, token, *self.tail])


def read_texts(model: Model, text_or_tokens: Any, *, prepend_bos: bool | None = None) -> Texts:
    """Encode and check the texts of a context study.

    Args:
        model: The model that will read them.
        text_or_tokens: A text, a list of texts, or token ids ``[pos]`` or ``[text, pos]``, or a list of such.
        prepend_bos: For texts; token ids are taken as they are.

    Raises:
        TypeError: Neither texts nor token ids.
        ValueError: An empty text, one that is longer than the context, ids that the model does not know.
    """
    listed = _listed(text_or_tokens)
    sequences = [_sequence(model, one, prepend_bos) for one in listed]
    lead, tail = _specials(model, sequences)
    inner = [range(len(lead), len(ids) - len(tail)) for ids in sequences]
    for ids, positions in zip(sequences, inner, strict=True):
        if not positions:
            raise ValueError(f"the text {ids.tolist()} has only special tokens; give at least one word")
    token_ids = torch.cat(
        [ids[positions.start : positions.stop] for ids, positions in zip(sequences, inner, strict=True)]
    )
    return Texts(
        sequences=tuple(sequences),
        lead=lead,
        tail=tail,
        text=torch.cat([torch.full((len(positions),), index) for index, positions in enumerate(inner)]),
        position=torch.cat([torch.arange(positions.start, positions.stop) for positions in inner]),
        ids=token_ids,
        words=written(model, token_ids.tolist()),
        bos_setting={"prepend_bos": prepend_bos} if any(isinstance(one, str) for one in listed) else {},
    )


def text_frame(
    model: Model,
    texts: Texts,
    *,
    study: str,
    settings: Mapping[str, Any],
    readings: Sequence[Reading] = (),
    plan: str = "auto",
    max_bytes: int | None,
) -> Frame:
    """The frame of a study that reads texts.

    Args:
        model: The model.
        texts: The texts, from `read_texts`.
        study: Name of the function that runs.
        settings: What the provenance records of it.
        readings: Where logits of the texts are read, if they are swept.
        plan, max_bytes: See :func:`tlesion.sweep`.
    """
    exact = hashes_of_readings(readings) if readings else [tensor_hash(ids) for ids in texts.sequences]
    return Frame(
        model=model,
        study=study,
        readings=tuple(readings),
        stimuli=tuple(stimulus_hash(" ".join(map(str, ids.tolist()))) for ids in texts.sequences),
        identities=tuple(exact),
        settings=settings,
        plan=plan,
        max_bytes=max_bytes,
    )


def ways_of_being_alone(model: Model, texts: Texts, alone: str) -> list[Alone]:
    """The ways in which a token can be run by itself; the one that was asked for comes first.

    Args:
        model: The model.
        texts: The texts that the tokens are from.
        alone: ``"as_text"``: between the special tokens that the texts have. ``"special"``: after the
            beginning-of-sequence token; in a masked model between ``[CLS]`` and ``[SEP]``. ``"bare"``: nothing else.

    Raises:
        ValueError: An unknown way, or ``"special"`` where the tokenizer has no such token.
    """
    one_of("alone", alone, ALONE)
    lead, tail = special_tokens(model)
    ways = {"bare": Alone((), (), "by itself, without any other token")}
    if lead:
        shown = " and ".join(written(model, [*lead, *tail]))
        ways["special"] = Alone(lead, tail, f"between {shown}" if tail else f"after {shown}")
    if alone == "as_text":
        alone = "special" if texts.lead else "bare"
    if alone not in ways:
        raise ValueError(
            "alone 'special' needs a beginning-of-sequence token, and this model's tokenizer has none; use alone='bare'"
        )
    return sorted(ways.values(), key=lambda way: way is not ways[alone])


def _listed(text_or_tokens: Any) -> list[Any]:
    if isinstance(text_or_tokens, str):
        return [text_or_tokens]
    if isinstance(text_or_tokens, np.ndarray):
        text_or_tokens = torch.from_numpy(text_or_tokens)
    if isinstance(text_or_tokens, Tensor):
        return [text_or_tokens] if text_or_tokens.ndim == 1 else list(text_or_tokens)
    if isinstance(text_or_tokens, Sequence) and text_or_tokens:
        return (
            [torch.tensor(text_or_tokens)] if isinstance(text_or_tokens[0], int | np.integer) else list(text_or_tokens)
        )
    if isinstance(text_or_tokens, Sequence):
        raise ValueError("no text was given; give a text, a list of texts, or token ids")
    raise TypeError(f"the text is a {type(text_or_tokens).__name__}; give a text, a list of texts, or token ids [pos]")


def _sequence(model: Model, one: Any, prepend_bos: bool | None) -> Int[Tensor, " pos"]:
    if isinstance(one, str):
        return encode(model, one, prepend_bos=prepend_bos, instead="token ids").ids
    ids = torch.as_tensor(one).cpu()
    if ids.ndim != 1 or ids.is_floating_point() or ids.dtype == torch.bool:
        raise TypeError(
            f"token ids are integers [pos], got shape {tuple(ids.shape)} and dtype {ids.dtype}; give a text, or ids "
            "of one text at a time"
        )
    if len(ids) == 0:
        raise ValueError("the text is empty: it holds no token; give at least one")
    if len(ids) > model.cfg.n_ctx:
        raise ValueError(
            f"text of {len(ids)} tokens is longer than this model's context of {model.cfg.n_ctx}; cut it into several"
        )
    wrong = ids[(ids < 0) | (ids >= model.cfg.d_vocab)]
    if len(wrong):
        raise ValueError(
            f"token ids {wrong.tolist()[:5]} do not exist; this model's vocabulary has {model.cfg.d_vocab} tokens"
        )
    return ids.long()


def _specials(model: Model, sequences: Sequence[Tensor]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The special tokens around every text.

    Raises:
        ValueError: Some texts have them and others do not.
    """
    lead, tail = special_tokens(model)
    n_lead, n_tail = len(lead), len(tail)
    having = [
        bool(lead) and tuple(ids[:n_lead].tolist()) == lead and tuple(ids[len(ids) - n_tail :].tolist()) == tail
        for ids in sequences
    ]
    if any(having) and not all(having):
        raise ValueError(
            f"text {having.index(True)} stands between special tokens and text {having.index(False)} does not; "
            "give all of them with, or all of them without"
        )
    return (lead, tail) if all(having) else ((), ())
