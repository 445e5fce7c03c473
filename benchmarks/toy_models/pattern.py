"""Sentence patterns: the small notation of the pattern files, and how it is read."""

import re
from dataclasses import dataclass

SLOT = re.compile(r"(?:(?P<article>a):)?(?:(?P<bind>[A-Z])=)?(?:(?P<np>np):)?(?P<name>\w+)(?::(?P<form>.+))?")
LITERAL = re.compile(r"[^{(|)]+")


@dataclass(frozen=True)
class Slot:
    """A place in a pattern that a word fills."""

    name: str
    form: str = ""
    bind: str = ""
    article: bool = False
    noun_phrase: bool = False


@dataclass(frozen=True)
class Choice:
    """Alternatives, of which one is taken."""

    options: tuple["Pieces", ...]


Pieces = tuple[str | Slot | Choice, ...]


@dataclass(frozen=True)
class Pattern:
    """One sentence pattern: an id such as ``"deed-03"``, its notation, and the parsed pieces."""

    id: str
    source: str
    pieces: Pieces


def parse_pattern(source: str, *, id: str) -> Pattern:
    """Read the notation of the pattern files.

    Args:
        source: one line, for example ``"{A} {help} {B}, and {who} {reward} {A:him}( today|)."``.
        id: the pattern's name.

    Returns:
        The pattern.

    Raises:
        ValueError: a bracket is not closed, or a slot is not understood.

    Example:
        >>> [len(piece.options) for piece in parse_pattern("It is (old|new).", id="x").pieces[1:2]]
        [2]
    """
    pieces, end = _parse_sequence(source, 0)
    if end != len(source):
        raise ValueError(f"pattern {source!r} has a ')' or '|' without '('; remove it")
    return Pattern(id, source, pieces)


def _parse_sequence(source: str, at: int) -> tuple[Pieces, int]:
    pieces: list[str | Slot | Choice] = []
    while at < len(source) and source[at] not in "|)":
        if source[at] == "{":
            end = source.index("}", at)
            pieces.append(_parse_slot(source[at + 1 : end]))
            at = end + 1
        elif source[at] == "(":
            choice, at = _parse_choice(source, at + 1)
            pieces.append(choice)
        else:
            literal = LITERAL.findall(source, at)[0]
            pieces.append(literal)
            at += len(literal)
    return tuple(pieces), at


def _parse_choice(source: str, at: int) -> tuple[Choice, int]:
    options = []
    while True:
        option, at = _parse_sequence(source, at)
        options.append(option)
        if at >= len(source):
            raise ValueError(f"pattern {source!r} has a '(' that is not closed; add ')'")
        if source[at] == ")":
            return Choice(tuple(options)), at + 1
        at += 1


def _parse_slot(text: str) -> Slot:
    match = SLOT.fullmatch(text)
    if match is None:
        raise ValueError(f"slot {{{text}}} is not understood; see toy_models/people_patterns.py for the notation")
    return Slot(match["name"], match["form"] or "", match["bind"] or "", bool(match["article"]), bool(match["np"]))
