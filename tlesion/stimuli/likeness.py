"""Likeness of texts: which of them say the same but for names and a few words, as texts made from one template do.

Three measures, each looser than the one before:

- *The same text* (`normalised`): but for case, punctuation, spaces, and how its characters are coded.
- *The same frame* (`frame`): names, numbers and the words asked about are left open. A name is a capitalised word.
- *Alike*: frames that share many of their word pairs (each word with the one after it), where a noun, a verb or a
  clause differs. `template_labels` puts these together, and `near_copies` finds those that share almost all.

Words are what Unicode calls letters, marks and digits in a row, and single characters in scripts without spaces.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import regex
from numpy.typing import NDArray
from scipy.sparse import coo_array, csgraph, csr_array

from tlesion.keep.hashing import stimulus_hash
from tlesion.tokens import MASK

LIKE = 0.4
"""Frames are made from one template that share this part of their word pairs (Jaccard: of those in either).

In a frame of twelve words, one noun exchanged leaves 0.69, two leave 0.47. Different templates among the shipped texts
share at most 0.39, but for three pairs of them, which differ in one to three words (0.41 to 0.67).
"""

NEAR = 0.8
"""A text is a near-copy of another where this part of the shorter one's word pairs is in the other."""

N_PAIRS = 4
"""The fewest word pairs in common that say anything: short sentences share "was a" by chance."""

N_KNOWN = 3
"""The fewest fixed words by which two texts are said to come from one template."""

N_FIXED = 2
"""The fewest words besides names and the word asked about by which a frame is known again."""

Places: TypeAlias = NDArray[np.int64]
"""Whole numbers in a row: places in a list, or counts."""

_OPEN = "..."
_BLOCK = 512  # frames that are compared with all others at once: with ten thousand 100 MB at most
_WORD = regex.compile(
    rf"{regex.escape(MASK)}|[\p{{Han}}\p{{Hiragana}}\p{{Katakana}}\p{{Thai}}\p{{Lao}}\p{{Khmer}}\p{{Myanmar}}]\p{{M}}*"
    r"|[\p{L}\p{N}\p{M}]+(?:['’][\p{L}\p{N}\p{M}]+)*"
)


def normalised(text: str) -> str:
    """A text's words in lower case, with one space between them and nothing else; ``[MASK]`` is one of the words.

    Example:
        >>> normalised("Yes,  she THANKED [MASK]!")
        'yes she thanked [MASK]'
    """
    return " ".join(word if word == MASK else word.casefold() for word in _words(text))


def frame(text: str, *, words: Sequence[str] = ()) -> str:
    """A text as a template: what its makers exchange first is left open.

    Args:
        text: The text.
        words: Words that are asked about (targets), whose places count as that of the mask.

    Returns:
        Its words as `normalised` has them, with ``...`` for one or several capitalised words or numbers in a row, the
        first word among them. A text in which that leaves nothing is given as `normalised` has it.

    Example:
        >>> frame("Then Robert helped Clara, so in 1990 they praised him.", words=("him", "her"))
        '... helped ... so in ... they praised [MASK]'
    """
    asked = {normalised(word) for word in words}
    parts: list[str] = []
    for word in _words(text):
        part = word.casefold()
        if word == MASK or part in asked:
            part = MASK
        elif word[0].isupper() or word[0].istitle() or any(map(str.isnumeric, word)):
            part = _OPEN
        if part != _OPEN or parts[-1:] != [_OPEN]:
            parts.append(part)
    return " ".join(parts) if set(parts) - {_OPEN, MASK} else normalised(text)


def n_fixed(text: str) -> int:
    """How many words of a `frame` are neither open nor asked about."""
    return sum(part not in (_OPEN, MASK) for part in text.split())


def marks(text: str, *, words: Sequence[str] = (), least: int = N_FIXED) -> tuple[str, ...]:
    """Short hashes by which a record knows a text again: as it is but for punctuation and case, and but for its names.

    Args:
        text: The text.
        words: See `frame`.
        least: A frame with fewer fixed words gives no hash: "... saw [MASK]" would be known in far too much.

    Example:
        >>> marks("Robert told him a joke.", words=["him"])[1] == marks("Karl told [MASK] a joke")[1]
        True
    """
    level, opened = normalised(text), frame(text, words=words)
    found = [one for one in (level, opened) if one and (one == level or n_fixed(one) >= least)]
    return tuple(dict.fromkeys(map(stimulus_hash, found)))


def template_labels(texts: Sequence[str], *, words: Sequence[str] = ()) -> list[int]:
    """Which texts are made from one template, numbered from 0 in the order of their first texts.

    Two texts belong together whose frames are the same and have `N_KNOWN` fixed words, or share `LIKE` of their word
    pairs, or `NEAR` of the shorter one's, and `N_PAIRS` at least. If a text belongs to two others, all three belong
    together.

    What cannot be seen in the words is not found: a template of few words, or one with a slot beside every other word
    ("The {noun} near the {noun} [MASK]"). Give labels where you know them.

    Args:
        texts: The texts, some thousand if need be.
        words: See `frame`.

    Example:
        >>> texts = [f"{a} helped {b} with the {noun}, so she thanked [MASK]."
        ...          for a, b, noun in (("Robert", "Lucy", "ladder"), ("Karl", "Olga", "translation"))]
        >>> template_labels([*texts, "Nobody in the village knew [MASK]."])
        [0, 0, 1]
    """
    frames = [_known_frame(text, words) for text in texts]
    place = {one: i for i, one in enumerate(dict.fromkeys(frames))}
    links: list[tuple[Places, Places]] = []
    for rows, columns, shared, n_row, n_column in _overlaps(list(place), list(place)):
        like = (shared >= LIKE * (n_row + n_column - shared)) | (shared >= NEAR * np.minimum(n_row, n_column))
        like &= shared >= N_PAIRS
        links.append((rows[like], columns[like]))
    component = components(len(place), *map(np.concatenate, zip(*links, strict=True))) if links else []
    return [component[place[one]] for one in frames]


def _known_frame(text: str, words: Sequence[str]) -> str:
    """A text's frame, or its words where the frame is too short to tell a template: "prompt 3", "Lucy saw him"."""
    opened = frame(text, words=words)
    return opened if n_fixed(opened) >= N_KNOWN else normalised(text)


def near_copies(texts: Sequence[str], of: Sequence[str], *, words: Sequence[str] = ()) -> list[int]:
    """For each text, which of others it says almost the same as: `NEAR` of the word pairs of the shorter one's frame.

    Args:
        texts: The texts.
        of: The others.
        words: See `frame`.

    Returns:
        The place of the first such other, for each text; -1 where there is none.

    Example:
        >>> of = ["Karl guided Olga through the forest, so the tourists thanked him.", "Nobody asked him why."]
        >>> near_copies(["Lucy guided Otto through the forest, and so the tourists thanked [MASK]."], of, words=["him"])
        [0]
    """
    frames, others = ([frame(text, words=words) for text in side] for side in (texts, of))
    found = [-1] * len(frames)
    for rows, columns, shared, n_row, n_column in _overlaps(frames, others):
        near = (shared >= N_PAIRS) & (shared >= NEAR * np.minimum(n_row, n_column))
        for row, column in zip(rows[near].tolist(), columns[near].tolist(), strict=True):
            found[row] = column if found[row] < 0 else min(column, found[row])
    return found


def components(n: int, rows: Sequence[int] | Places, columns: Sequence[int] | Places) -> list[int]:
    """What is linked, directly or over others, numbered from 0 in the order of the first members.

    Args:
        n: How many members there are.
        rows: One end of each link.
        columns: Its other end.

    Example:
        >>> components(4, [0, 1], [3, 1])
        [0, 1, 2, 0]
    """
    ends = np.asarray(rows, dtype=np.int64), np.asarray(columns, dtype=np.int64)
    graph = coo_array((np.ones(len(ends[0])), ends), shape=(n, n))
    label = csgraph.connected_components(graph, directed=False)[1] if n else np.array([])
    number: dict[int, int] = {}
    return [number.setdefault(one, len(number)) for one in label.tolist()]


def _words(text: str) -> list[str]:
    found: list[str] = _WORD.findall(unicodedata.normalize("NFKC", text))
    return found


def _overlaps(frames: Sequence[str], others: Sequence[str]) -> Iterator[tuple[Places, Places, Places, Places, Places]]:
    """Where a frame shares word pairs with another: the places of both, how many they share, and how many each has.

    In blocks of frames, and found over the word pairs, not by comparing all frames with all others.
    """
    sides = [[_word_pairs(one) for one in side] for side in (frames, others)]
    column = {pair: i for i, pair in enumerate(dict.fromkeys(pair for side in sides for one in side for pair in one))}
    a, b = (_incidence(side, column) for side in sides)
    n_a, n_b = (np.array([len(one) for one in side]) for side in sides)
    across = csr_array(b.T)
    for start in range(0, len(frames), _BLOCK):
        shared = (a[start : start + _BLOCK] @ across).tocoo()
        rows, columns, counts = (one.astype(np.int64) for one in (shared.row + start, shared.col, shared.data))
        yield rows, columns, counts, n_a[rows], n_b[columns]


def _incidence(held: Sequence[Sequence[tuple[str, str]]], column: dict[tuple[str, str], int]) -> csr_array:
    """Which word pairs each frame has, 1 or 0."""
    indices = np.array([column[pair] for pairs in held for pair in pairs], dtype=np.int32)
    ends = np.cumsum([0, *map(len, held)], dtype=np.int32)
    return csr_array((np.ones(len(indices), dtype=np.int32), indices, ends), shape=(len(held), len(column)))


def _word_pairs(text: str) -> list[tuple[str, str]]:
    words = text.split()
    return list(dict.fromkeys(pairwise(words)))
