"""Word classes that patterns draw from, and the list of every word that the language can produce."""

import re

from benchmarks.toy_models import lexicon, morphology, people_patterns, scene_patterns
from benchmarks.toy_models.people import PRONOUNS, everybody, full_names

VERB_CLASSES = {name: verbs.split() for name, verbs in lexicon.VERBS.items()} | {"walk": lexicon.NOUN_VERBS}

_NOUNS = {name: nouns.split() for name, nouns in lexicon.NOUNS.items()}

WORD_CLASSES: dict[str, list[str]] = _NOUNS | {
    "anything": [noun for nouns in _NOUNS.values() for noun in nouns],
    "neutral": lexicon.NEUTRAL_ROLES,
    "mass": lexicon.MASS_NOUNS,
    "abstract": lexicon.ABSTRACT,
    "subject": lexicon.SUBJECTS,
    "weather": lexicon.WEATHER,
    "season": lexicon.SEASONS,
    "day": lexicon.DAYS,
    "month": lexicon.MONTHS,
    "colour": lexicon.COLOURS,
    "number": lexicon.NUMBERS,
    "size": lexicon.SIZES,
    "mood": lexicon.MOODS,
    "job": lexicon.JOB_THINGS,
    "good": lexicon.GOOD_COMPARATIVES,
    "bad": lexicon.BAD_COMPARATIVES,
    "time": lexicon.TIMES,
    "Time": lexicon.TIMES,
    "contest": "race contest game match tournament competition election debate".split(),
    "proud": "proud glad happy pleased thankful delighted".split(),
    "tired": "tired thirsty hungry weary exhausted".split(),
    "sad": "sad angry lonely upset bitter".split(),
    "happy": "happy cheerful calm glad".split(),
    "ill": "ill sick injured weak unwell".split(),
    "hot": "hot cold salty sweet sour spicy".split(),
}
SINGULAR_DETERMINERS = ("the", "the", "this", "that", "one")
PLURAL_DETERMINERS = ("the", "the", "these", "those", "many", "some", "two", "three", "seven")
# What agrees with a noun phrase: (singular, plural).
AGREEMENT = {
    "is": ("is", "are"),
    "was": ("was", "were"),
    "has": ("has", "have"),
    "does": ("does", "do"),
    "it": ("it", "they"),
    "it2": ("it", "them"),
}
CROWDS = ["everybody", "everyone", "people", "the children", "the neighbours", "the whole class", "the police"]


def all_words() -> list[str]:
    """Every word that the language can produce, as it is written inside a sentence, each once.

    Returns:
        Names with their capital, everything else in lower case, in a fixed order.

    Example:
        >>> words = all_words()
        >>> len(words) >= 1000, "apples" in words, "Lucy" in words
        (True, True, True)
    """
    words = [word for forms in PRONOUNS.values() for word in forms.values()]
    people = [person for group in (everybody(), full_names()) for same in group.values() for person in same]
    words += [part for person in people for part in person.mention.split()]
    for verbs in VERB_CLASSES.values():
        words += [form(verb) for verb in verbs for form in morphology.VERB_FORMS.values()]
    for entries in WORD_CLASSES.values():
        words += [word for entry in entries for word in entry.split()]
    for nouns in (WORD_CLASSES["anything"], WORD_CLASSES["neutral"]):
        words += [morphology.plural(noun) for noun in nouns]
    words += [word for crowd in CROWDS for word in crowd.split()] + [*SINGULAR_DETERMINERS, *PLURAL_DETERMINERS]
    words += [word for pair in AGREEMENT.values() for word in pair] + ["a", "an"]
    words += _literal_words()
    return list(dict.fromkeys(words))


def _literal_words() -> list[str]:
    """The words that patterns spell out, those at a sentence's start in lower case."""
    words = []
    groups = [people_patterns.NEAR, *people_patterns.GROUPS.values(), *scene_patterns.GROUPS.values()]
    for line in "\n".join(groups).splitlines():
        words += re.findall(r"[A-Za-z]+", re.sub(r"\{.*?\}", " ", line))
    return [word if word == "I" else word.lower() for word in words]
