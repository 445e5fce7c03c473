"""Copies: sentences of which the model has read the very same. They are one observation, however often they come."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from tlesion.anatomy.assumptions import looks_ahead
from tlesion.checks import warn
from tlesion.encoding import EncodedSentence, what_is_read
from tlesion.hooks import Model
from tlesion.stimuli import Contrast


@dataclass(frozen=True)
class Rows:
    """The sentences of a contrast that make rows of a test, each observation once.

    Attributes:
        a, b: The sentences of both conditions.
        pairs: Whether ``b[i]`` belongs to ``a[i]``.
        n_identical: In how many pairs the model has read the same in both sentences.
        n_copies: How many sentences, or pairs, were left out, because they are copies of others.
        places_a, places_b: Where in the contrast the sentences stand.
    """

    a: tuple[EncodedSentence, ...]
    b: tuple[EncodedSentence, ...]
    pairs: bool
    n_identical: int
    n_copies: int
    places_a: tuple[int, ...]
    places_b: tuple[int, ...]


def counted_once(
    model: Model, contrast: Contrast, a: Sequence[EncodedSentence], b: Sequence[EncodedSentence], *, within_pairs: bool
) -> Rows:
    """Leave out copies: sentences, or pairs of them, of which the model has read the same by the tested position.

    Args:
        model: The model.
        contrast: Where the sentences are from.
        a, b: Its sentences, encoded.
        within_pairs: The test is of differences within pairs, so that a copy is a pair whose two sentences both are.

    Raises:
        ValueError: Fewer than two different ones are left.

    Warns:
        UserWarning: Some are copies as a whole, not only up to the tested position.
    """
    ahead = looks_ahead(model, [one.ids for one in (*a, *b)])
    reads_a, reads_b = ([what_is_read(one, ahead=ahead) for one in side] for side in (a, b))
    shown = [[repr(sentence.text) for sentence in side] for side in (contrast.a, contrast.b)]
    among = partial(sides_of, conditions=contrast.conditions, shown=shown, within_pairs=within_pairs)
    first_a, first_b = different(among(reads_a, reads_b))
    n_copies = len(a) - len(first_a) + (0 if within_pairs else len(b) - len(first_b))
    if n_copies:
        whole = ([what_is_read(one, ahead=True) for one in side] for side in (a, b))
        warn_of_copies(among(*whole))
    return Rows(
        a=tuple(a[i] for i in first_a),
        b=tuple(b[i] for i in first_b),
        pairs=within_pairs or (contrast.paired and not n_copies),
        n_identical=sum(reads_a[i] == reads_b[i] for i in first_a) if contrast.paired else 0,
        n_copies=n_copies,
        places_a=tuple(first_a),
        places_b=tuple(first_b),
    )


Side: TypeAlias = tuple[str, Sequence[Hashable], Sequence[str]]
"""What its members are, what tells them apart, and what messages call each."""


def sides_of(
    a: Sequence[Hashable],
    b: Sequence[Hashable],
    conditions: Sequence[str],
    shown: Sequence[Sequence[str]],
    *,
    within_pairs: bool,
) -> list[Side]:
    """Those among which copies are looked for: the sentences of each condition, or the pairs.

    Args:
        a, b: What tells sentences apart.
        conditions: Names of the conditions.
        shown: What messages call each sentence, for both conditions.
        within_pairs: A copy is a pair whose two sentences both are.
    """
    if within_pairs:
        return [(f"pairs of {conditions[0]!r} and {conditions[1]!r}", list(zip(a, b, strict=True)), shown[0])]
    return [(f"sentences of {conditions[0]!r}", a, shown[0]), (f"sentences of {conditions[1]!r}", b, shown[1])]


def different(sides: Sequence[Side]) -> tuple[list[int], list[int]]:
    """Where each different sentence of both conditions, or each different pair, comes first.

    Raises:
        ValueError: Fewer than two different ones are left.
    """
    found = []
    for what, keys, texts in sides:
        first = _firsts(keys)
        if len(first) < 2 <= len(keys):
            raise ValueError(
                f"all {len(keys)} {what} are the same to the model at the tested position (such as {texts[0]}): they "
                "are one observation, and a test needs two at least; give sentences that differ before it, or another "
                "position"
            )
        found.append(first)
    return found[0], found[-1]


def warn_of_copies(sides: Sequence[Side]) -> None:
    """Say which sentences, or pairs, are given more than once.

    Warns:
        UserWarning: Some are.
    """
    for what, keys, texts in sides:
        first = _firsts(keys)
        if len(first) < len(keys):
            copy = next(i for i in range(len(keys)) if i not in first)
            warn(
                f"{len(keys) - len(first)} of {len(keys)} {what} are copies of others (the first: {texts[copy]}); "
                "each counts once"
            )


def _firsts(keys: Sequence[Hashable]) -> list[int]:
    first: dict[Hashable, int] = {}
    for i, key in enumerate(keys):
        first.setdefault(key, i)
    return list(first.values())
