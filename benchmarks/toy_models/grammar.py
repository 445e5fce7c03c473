"""The toy language: texts to train on, and sentences with pronouns to resolve, drawn from a seed.

Held out are combinations of names and patterns: a checksum of pattern and name picks, for every pattern, about one
name in twelve, and training texts never have such a name in such a pattern. A held-out sentence has nobody else: each
of its people is new to its pattern. Sentences that ship with the package (`tlesion/data`) are never drawn either.
"""

import functools
import random
from dataclasses import dataclass, replace

from benchmarks.toy_models import people_patterns, scene_patterns
from benchmarks.toy_models.filling import Pronoun, Sentence, fill_once
from benchmarks.toy_models.pattern import Pattern, parse_pattern
from benchmarks.toy_models.people import GENDERS, PRONOUNS, other_gender
from benchmarks.toy_models.reserved import reserved_sentences


@dataclass(frozen=True)
class Mix:
    """What texts are made of: shares of all texts, and of the stories (sentences about people) in them.

    Attributes:
        near: share of the stories in which a pronoun means the person named last.
        bare: share of the texts that are one story and nothing else.
        scenes: share of the texts without people to resolve.
        two: share of the texts with two stories.
        long: share of the texts of six to fourteen sentences.
        full: share of the sentences whose people have full names ("Robin Smith"), whose gender only both names tell.
    """

    near: float
    bare: float
    scenes: float = 0.0
    two: float = 0.0
    long: float = 0.0
    full: float = 0.0


USUAL = Mix(near=0.05, bare=0.45, scenes=0.12, two=0.10, long=0.03)
WITH_FULL_NAMES = replace(USUAL, full=0.5)


@dataclass(frozen=True)
class PronounItem:
    """A text in which one pronoun is to be told from the other gender's.

    Attributes:
        text: the text, pronoun included.
        start, end: the pronoun's characters, ``text[start:end]``.
        pronoun, wrong: the right word, and the same form of the other gender.
        pattern: the id of the pronoun's sentence pattern.
        lone: no other he, she, his ... stands anywhere in the text.
        referent_first: the person meant is named before the other one.
    """

    text: str
    start: int
    end: int
    pronoun: str
    wrong: str
    pattern: str
    lone: bool
    referent_first: bool


@functools.cache
def story_patterns() -> tuple[Pattern, ...]:
    """The patterns about two people, whose pronouns have to be resolved."""
    return _parse_groups(people_patterns.GROUPS)


@functools.cache
def near_patterns() -> tuple[Pattern, ...]:
    """The easy patterns about two people, in which a pronoun means the person named last."""
    return _parse_groups({"near": people_patterns.NEAR})


@functools.cache
def all_scene_patterns() -> tuple[Pattern, ...]:
    """The patterns about things, agreement, negation, and the openings."""
    return _parse_groups(scene_patterns.GROUPS)


def _parse_groups(groups: dict[str, str]) -> tuple[Pattern, ...]:
    return tuple(
        parse_pattern(line, id=f"{group}-{number:02}")
        for group, lines in groups.items()
        for number, line in enumerate(lines.strip().splitlines())
    )


def fill_pattern(
    pattern: Pattern, rng: random.Random, *, held_out: bool = False, first: str = "", full: float = 0.0
) -> Sentence:
    """Fill a pattern with words.

    Args:
        pattern: the pattern.
        rng: where the choices come from.
        held_out: take only people whom training never puts into this pattern; False takes only the others.
        first: the gender of the person called A; by default drawn.
        full: the chance that the people have full names.

    Returns:
        The sentence (a few patterns have two or three), never one of those that ship with the package.
    """
    while True:
        gender, named = first or rng.choice(GENDERS), rng.random() < full
        sentence = fill_once(pattern, rng, held_out=held_out, first=gender, full=named)
        if sentence.text not in reserved_sentences():
            return sentence


def sample_texts(n: int, *, seed: int, held_out: bool = False, mix: Mix = USUAL) -> list[str]:
    """Draw texts of one to sixteen sentences.

    Args:
        n: how many.
        seed: the same seed gives the same texts.
        held_out: only combinations of names and patterns that are never trained on (see the module's docstring).
        mix: what the texts are made of.

    Returns:
        The texts.

    Example:
        >>> sample_texts(3, seed=0) == sample_texts(3, seed=0)
        True
    """
    rng = random.Random(seed)
    return [" ".join(s.text for s in _sample_sentences(rng, mix, held_out)) for _ in range(n)]


def _sample_sentences(rng: random.Random, mix: Mix, held_out: bool) -> list[Sentence]:
    kinds = {"bare": mix.bare, "scenes": mix.scenes, "two": mix.two, "long": mix.long}
    kind = rng.choices([*kinds, "usual"], [*kinds.values(), 1 - sum(kinds.values())])[0]
    if kind == "bare":
        return [_story(rng, mix, held_out)]
    if kind == "scenes":
        return _scenes(rng, mix, held_out, 1, 1, 2, 3)
    if kind == "two":
        first = [*_scenes(rng, mix, held_out, 0, 1), _story(rng, mix, held_out)]
        return [*first, *_scenes(rng, mix, held_out, 0, 1), _story(rng, mix, held_out)]
    if kind == "long":
        return [
            _story(rng, mix, held_out) if rng.random() < 0.5 else _scenes(rng, mix, held_out, 1)[0]
            for _ in range(rng.randint(6, 14))
        ]
    before = _scenes(rng, mix, held_out, 0, 1, 1, 2)
    return [*before, _story(rng, mix, held_out), *_scenes(rng, mix, held_out, 0, 0, 1)]


def _story(rng: random.Random, mix: Mix, held_out: bool) -> Sentence:
    patterns = near_patterns() if rng.random() < mix.near else story_patterns()
    return fill_pattern(rng.choice(patterns), rng, held_out=held_out, full=mix.full)


def _scenes(rng: random.Random, mix: Mix, held_out: bool, *numbers: int) -> list[Sentence]:
    """As many scenes as one of these numbers says."""
    n = rng.choice(numbers)
    return [fill_pattern(rng.choice(all_scene_patterns()), rng, held_out=held_out, full=mix.full) for _ in range(n)]


def sample_items(
    n: int, *, seed: int, held_out: bool = True, form: str = "him", full: float = 0.0
) -> list[PronounItem]:
    """Draw texts with one pronoun each to be resolved, half of them male.

    Args:
        n: how many.
        seed: the same seed gives the same items.
        held_out: only combinations of names and patterns that are never trained on.
        form: "him" asks for him or her (the object), "he", "his" and "himself" likewise.
        full: the chance that the people of a sentence have full names.

    Returns:
        The items, every pattern that has the form in turn; a scene precedes one in three.

    Raises:
        ValueError: the form is not one of the four.

    Example:
        >>> item = sample_items(1, seed=0)[0]
        >>> item.text[item.start : item.end] == item.pronoun
        True
    """
    if form not in PRONOUNS:
        raise ValueError(f"form is {form!r}; allowed are {', '.join(PRONOUNS)}: choose one of these")
    rng = random.Random(seed)
    patterns = [p for p in story_patterns() if f":{form}}}" in p.source]
    items: list[PronounItem] = []
    while len(items) < n:
        pattern = patterns[len(items) // 2 % len(patterns)]
        wanted = GENDERS[len(items) % 2]
        sentence = fill_pattern(pattern, rng, held_out=held_out, full=full)
        candidates = [p for p in sentence.pronouns if p.form == form and p.referent.gender == wanted]
        if candidates:
            items.append(_item(sentence, rng.choice(candidates), rng, held_out))
    return items


def _item(sentence: Sentence, pronoun: Pronoun, rng: random.Random, held_out: bool) -> PronounItem:
    scene = ""
    if rng.random() < 1 / 3:
        scene = fill_pattern(rng.choice(all_scene_patterns()), rng, held_out=held_out).text + " "
    words, shift = PRONOUNS[pronoun.form], len(scene)
    gender = pronoun.referent.gender
    return PronounItem(
        text=scene + sentence.text,
        start=shift + pronoun.start,
        end=shift + pronoun.end,
        pronoun=words[gender],
        wrong=words[other_gender(gender)],
        pattern=sentence.pattern,
        lone=len(sentence.pronouns) == 1,
        referent_first=pronoun.referent == sentence.people[0],
    )
