"""The people of the toy language: who there is, how they are called, and the pronouns for them."""

import functools
import itertools
import random
import zlib
from typing import NamedTuple

from tlesion.toy import lexicon

# A name and a pattern are kept apart in training when their checksum is a multiple of this.
HELD_OUT_EVERY = 12
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
    """All people with a gender, by gender, the most frequent first."""
    named = {"male": lexicon.MALE_NAMES, "female": lexicon.FEMALE_NAMES}
    roles = {"male": lexicon.MALE_ROLES, "female": lexicon.FEMALE_ROLES}
    return {
        gender: tuple(Person(name, gender) for name in named[gender])
        + tuple(Person(f"the {role}", gender) for role in roles[gender])
        for gender in GENDERS
    }


def is_held_out(pattern: str, mention: str) -> bool:
    """Whether this person is never put into this pattern while training.

    Args:
        pattern: a pattern's id.
        mention: how the person is called.

    Returns:
        True for about one person in twelve, the same ones on every machine (a checksum decides).

    Example:
        >>> sum(is_held_out("deed-00", person.mention) for person in everybody()["male"]) > 3
        True
    """
    return zlib.crc32(f"{pattern}|{mention}".encode()) % HELD_OUT_EVERY == 0


@functools.cache
def _pool(pattern: str, gender: str, held_out: bool) -> tuple[tuple[Person, ...], tuple[float, ...]]:
    ranked = [
        (person, 1 / (rank + RANK_OFFSET))
        for rank, person in enumerate(everybody()[gender])
        if is_held_out(pattern, person.mention) == held_out
    ]
    people, weights = zip(*ranked, strict=True)
    return people, tuple(itertools.accumulate(weights))


def draw_person(rng: random.Random, *, pattern: str, gender: str, held_out: bool) -> Person:
    """Draw somebody of this gender who may (or, held out, must not) meet this pattern in training."""
    people, cumulative = _pool(pattern, gender, held_out)
    return rng.choices(people, cum_weights=cumulative)[0]
