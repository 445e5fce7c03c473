"""The people of the toy language: who there is, how they are called, and the pronouns for them."""

import functools
import itertools
import random
import zlib
from typing import NamedTuple

from benchmarks.toy_models import lexicon

# A name and a pattern are kept apart in training when their checksum is a multiple of this; of full names there are
# fewer.
HELD_OUT_EVERY, HELD_OUT_EVERY_FULL = 12, 6
# Frequencies fall with the rank as 1 / (rank + this): the last name is about twenty times rarer than the first.
RANK_OFFSET = 10

# form: {gender: word}
PRONOUNS = {
    "he": {"male": "he", "female": "she"},
    "him": {"male": "him", "female": "her"},
    "his": {"male": "his", "female": "her"},
    "himself": {"male": "himself", "female": "herself"},
}
GENDERS = ("male", "female")


class Person(NamedTuple):
    """Somebody: how they are called ("Robert", "the queen") and their gender."""

    mention: str
    gender: str


def other_gender(gender: str) -> str:
    """The gender that is not this one, of the two that the language's pronouns know."""
    return GENDERS[1 - GENDERS.index(gender)]


@functools.cache
def everybody() -> dict[str, tuple[Person, ...]]:
    """All people with a name or a role that tells their gender, by gender, the most frequent first."""
    named = {"male": lexicon.MALE_NAMES, "female": lexicon.FEMALE_NAMES}
    roles = {"male": lexicon.MALE_ROLES, "female": lexicon.FEMALE_ROLES}
    return {
        gender: tuple(Person(name, gender) for name in named[gender])
        + tuple(Person(f"the {role}", gender) for role in roles[gender])
        for gender in GENDERS
    }


@functools.cache
def full_names() -> dict[str, tuple[Person, ...]]:
    """All people with a first and a family name, by gender.

    The genders stand in a Hadamard table (twice, one below the other), so that every name belongs to women and men in
    the same proportion, four to three, and only the pair tells.
    """
    people = [
        Person(f"{first} {family}", GENDERS[((i % 7 + 1) & (j + 1)).bit_count() % 2])
        for i, first in enumerate(lexicon.FIRST_NAMES)
        for j, family in enumerate(lexicon.FAMILY_NAMES)
    ]
    return {gender: tuple(person for person in people if person.gender == gender) for gender in GENDERS}


def is_held_out(pattern: str, mention: str) -> bool:
    """Whether this person is never put into this pattern while training.

    Args:
        pattern: a pattern's id.
        mention: how the person is called.

    Returns:
        True for about one person in twelve (of those with a full name one in six), the same ones on every machine (a
        checksum decides).

    Example:
        >>> sum(is_held_out("deed-00", person.mention) for person in everybody()["male"]) > 3
        True
    """
    every = HELD_OUT_EVERY_FULL if mention.split()[0] in lexicon.FIRST_NAMES else HELD_OUT_EVERY
    return zlib.crc32(f"{pattern}|{mention}".encode()) % every == 0


@functools.cache
def _pool(pattern: str, gender: str, held_out: bool, full: bool) -> tuple[tuple[Person, ...], tuple[float, ...]]:
    ranked = [
        (person, 1.0 if full else 1 / (rank + RANK_OFFSET))
        for rank, person in enumerate((full_names() if full else everybody())[gender])
        if is_held_out(pattern, person.mention) == held_out
    ]
    people, weights = zip(*ranked, strict=True)
    return people, tuple(itertools.accumulate(weights))


def draw_person(rng: random.Random, *, pattern: str, gender: str, held_out: bool, full: bool = False) -> Person:
    """Draw somebody of this gender, with a full name or not, who may (or, held out, must not) meet this pattern."""
    people, cumulative = _pool(pattern, gender, held_out, full)
    return rng.choices(people, cum_weights=cumulative)[0]
