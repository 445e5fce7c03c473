"""Fill a sentence pattern with people and words."""

import random
from typing import NamedTuple

from benchmarks.toy_models import morphology
from benchmarks.toy_models.cast import Cast
from benchmarks.toy_models.pattern import Choice, Pattern, Pieces, Slot
from benchmarks.toy_models.people import PRONOUNS, Person
from benchmarks.toy_models.vocabulary import (
    AGREEMENT,
    PLURAL_DETERMINERS,
    SINGULAR_DETERMINERS,
    VERB_CLASSES,
    WORD_CLASSES,
)


class Pronoun(NamedTuple):
    """A pronoun in a sentence: where it stands, its form ("him" for him and her), and whom it means."""

    start: int
    end: int
    form: str
    referent: Person


class Sentence(NamedTuple):
    """A filled pattern: its text, the pattern's id, the pronouns, and the people called A and B."""

    text: str
    pattern: str
    pronouns: tuple[Pronoun, ...]
    people: tuple[Person, Person]


def fill_once(pattern: Pattern, rng: random.Random, *, held_out: bool, first: str, full: bool) -> Sentence:
    """Fill a pattern.

    Args:
        pattern: the pattern.
        rng: where the choices come from.
        held_out: take only people whom training never puts into this pattern; False takes only the others.
        first: the gender of the person called A.
        full: the people have full names.

    Returns:
        The sentence.
    """
    cast = Cast(rng, pattern.id, held_out, first, full)
    filling = Filling(rng, cast)
    filling.fill(pattern.pieces)
    text = _capitalise("".join(filling.words))
    return Sentence(text, pattern.id, tuple(filling.pronouns), (cast.people["A"], cast.people["B"]))


def _capitalise(text: str) -> str:
    return ". ".join(part[0].upper() + part[1:] for part in text.split(". "))


class Filling:
    """One pattern being filled: the words so far, and the nouns that can be taken up again."""

    def __init__(self, rng: random.Random, cast: Cast) -> None:
        self.rng = rng
        self.cast = cast
        self.nouns: dict[str, tuple[str, bool]] = {}
        self.words: list[str] = []
        self.pronouns: list[Pronoun] = []
        self.length = 0

    def fill(self, pieces: Pieces) -> None:
        """Append the words of these pieces."""
        for piece in pieces:
            if isinstance(piece, str):
                self._add(piece)
            elif isinstance(piece, Choice):
                self.fill(self.rng.choice(piece.options))
            elif piece.name in self.cast.people:
                self._add_person(piece)
            else:
                self._add(self._word(piece))

    def _add(self, text: str) -> None:
        self.words.append(text)
        self.length += len(text)

    def _add_person(self, slot: Slot) -> None:
        person = self.cast.people[slot.name]
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
            return self.cast.draw_party() if slot.name == "who" else self.cast.draw_name()
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
