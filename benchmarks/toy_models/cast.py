"""Who plays in one sentence: two people of opposite gender, and third parties."""

import random

from benchmarks.toy_models.lexicon import NEUTRAL_ROLES
from benchmarks.toy_models.people import GENDERS, Person, draw_person, other_gender
from benchmarks.toy_models.vocabulary import CROWDS

# Third parties: share of neutral roles ("the nurse"), and of these and crowds ("the children"); the rest has a gender.
ROLES, ROLES_AND_CROWDS = 0.6, 0.75


class Cast:
    """The people of one sentence.

    Args:
        rng: where the choices come from.
        pattern: the id of the sentence's pattern.
        held_out: only people whom training never puts into this pattern; False: only the others.
        first: the gender of the person called A; B has the other.
        full: everybody has a full name, so that no gender can be told from the other person's.
    """

    def __init__(self, rng: random.Random, pattern: str, held_out: bool, first: str, full: bool) -> None:
        self.rng = rng
        self.pattern = pattern
        self.held_out = held_out
        self.full = full
        self.people = {"A": self.draw_person(first), "B": self.draw_person(other_gender(first))}

    def draw_person(self, gender: str) -> Person:
        """Somebody of this gender."""
        return draw_person(self.rng, pattern=self.pattern, gender=gender, held_out=self.held_out, full=self.full)

    def draw_name(self) -> str:
        """How somebody is called who is neither A nor B."""
        while (third := self.draw_person(self.rng.choice(GENDERS))) in self.people.values():
            pass
        return third.mention

    def draw_party(self) -> str:
        """How a third party is called: a neutral role, a crowd, or a person with a gender."""
        kind = self.rng.random()
        if kind < ROLES:
            return f"the {self.rng.choice(NEUTRAL_ROLES)}"
        return self.rng.choice(CROWDS) if kind < ROLES_AND_CROWDS else self.draw_name()
