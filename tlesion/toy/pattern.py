"""Sentence patterns: parse the small notation of the pattern files, and fill a pattern with words."""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from tlesion.toy import morphology
from tlesion.toy.people import PRONOUNS, Person
from tlesion.toy.vocabulary import (
    AGREEMENT,
    PLURAL_DETERMINERS,
    SINGULAR_DETERMINERS,
    VERB_CLASSES,
    WORD_CLASSES,
)

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


@dataclass(frozen=True)
class Pronoun:
    """A pronoun in a sentence: where it stands, its form ("him" for him and her), and whom it means."""

    start: int
    end: int
    form: str
    referent: Person


@dataclass(frozen=True)
class Sentence:
    """A filled pattern."""

    text: str
    pattern: str
    pronouns: tuple[Pronoun, ...]
    people: tuple[Person, Person]


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
            end = LITERAL.match(source, at).end()
            pieces.append(source[at:end])
            at = end
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
        raise ValueError(f"slot {{{text}}} is not understood; see tlesion.toy.people_patterns for the notation")
    return Slot(match["name"], match["form"] or "", match["bind"] or "", bool(match["article"]), bool(match["np"]))


@dataclass
class Filling:
    """One pattern being filled: the words so far, and who and what has been named."""

    rng: random.Random
    people: dict[str, Person]
    draw_name: Callable[[], str]
    draw_party: Callable[[], str]
    nouns: dict[str, tuple[str, bool]] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    length: int = 0
    pronouns: list[Pronoun] = field(default_factory=list)

    def fill(self, pieces: Pieces) -> None:
        """Append the words of these pieces."""
        for piece in pieces:
            if isinstance(piece, str):
                self._add(piece)
            elif isinstance(piece, Choice):
                self.fill(self.rng.choice(piece.options))
            elif piece.name in self.people:
                self._add_person(piece)
            else:
                self._add(self._word(piece))

    def _add(self, text: str) -> None:
        self.words.append(text)
        self.length += len(text)

    def _add_person(self, slot: Slot) -> None:
        person = self.people[slot.name]
        if slot.form in PRONOUNS:
            word = PRONOUNS[slot.form][person.gender]
            self.pronouns.append(Pronoun(self.length, self.length + len(word), slot.form, person))
            self._add(word)
        else:
            self._add(person.mention)

    def _word(self, slot: Slot) -> str:
        if slot.name in self.nouns:
            return self._repeat(slot)
        if slot.name in ("who", "name"):
            return self.draw_party() if slot.name == "who" else self.draw_name()
        if slot.name in VERB_CLASSES:
            return morphology.VERB_FORMS[slot.form or "past"](self.rng.choice(VERB_CLASSES[slot.name]))
        noun = self.rng.choice(WORD_CLASSES[slot.name])
        if slot.noun_phrase:
            return self._noun_phrase(slot, noun)
        if slot.bind:
            self.nouns[slot.bind] = (noun, False)
        if slot.article:
            return morphology.indefinite(noun)
        return morphology.plural(noun) if slot.form == "pl" else noun

    def _noun_phrase(self, slot: Slot, noun: str) -> str:
        many = self.rng.random() < 0.5
        self.nouns[slot.bind] = (noun, many)
        determiners = PLURAL_DETERMINERS if many else SINGULAR_DETERMINERS
        return f"{self.rng.choice(determiners)} {morphology.plural(noun) if many else noun}"

    def _repeat(self, slot: Slot) -> str:
        noun, many = self.nouns[slot.name]
        if slot.form.startswith("v "):
            verb = self.rng.choice(VERB_CLASSES[slot.form[2:]])
            return verb if many else morphology.third_person(verb)
        return AGREEMENT[slot.form][many] if slot.form else noun
