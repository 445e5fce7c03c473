"""Inflection for the toy language: plurals, verb forms and articles, by rule and by a list of exceptions."""

from collections.abc import Callable

PLURALS = {
    "knife": "knives", "shelf": "shelves", "wolf": "wolves", "mouse": "mice", "man": "men", "woman": "women",
    "potato": "potatoes", "tomato": "tomatoes", "mango": "mangoes", "hero": "heroes", "wife": "wives",
    "gentleman": "gentlemen", "cactus": "cactuses", "child": "children",
}  # fmt: skip

# base form: (past, past participle)
IRREGULAR = {
    "teach": ("taught", "taught"), "feed": ("fed", "fed"), "hurt": ("hurt", "hurt"), "bite": ("bit", "bitten"),
    "beat": ("beat", "beaten"), "outrun": ("outran", "outrun"), "overtake": ("overtook", "overtaken"),
    "meet": ("met", "met"), "see": ("saw", "seen"), "find": ("found", "found"), "give": ("gave", "given"),
    "lend": ("lent", "lent"), "send": ("sent", "sent"), "sell": ("sold", "sold"), "bring": ("brought", "brought"),
    "show": ("showed", "shown"), "steal": ("stole", "stolen"), "buy": ("bought", "bought"),
    "take": ("took", "taken"), "run": ("ran", "run"), "swim": ("swam", "swum"), "sleep": ("slept", "slept"),
    "hide": ("hid", "hidden"), "sit": ("sat", "sat"), "eat": ("ate", "eaten"), "drink": ("drank", "drunk"),
    "sing": ("sang", "sung"), "make": ("made", "made"), "build": ("built", "built"), "draw": ("drew", "drawn"),
    "ride": ("rode", "ridden"), "fight": ("fought", "fought"),
}  # fmt: skip

DOUBLING = frozenset({"rob", "outwit", "slap"})
VOWELS = "aeiou"


def plural(noun: str) -> str:
    """The plural of a noun.

    Args:
        noun: a singular noun.

    Returns:
        Its plural.

    Example:
        >>> plural("cherry"), plural("fox"), plural("mouse"), plural("monkey")
        ('cherries', 'foxes', 'mice', 'monkeys')
    """
    return PLURALS.get(noun) or _with_s(noun)


def past(verb: str) -> str:
    """The past tense of a verb, for example ``past("carry") == "carried"``."""
    return IRREGULAR[verb][0] if verb in IRREGULAR else _with_ed(verb)


def participle(verb: str) -> str:
    """The past participle of a verb, for example ``participle("bite") == "bitten"``."""
    return IRREGULAR[verb][1] if verb in IRREGULAR else _with_ed(verb)


def third_person(verb: str) -> str:
    """The third person singular of a verb, for example ``third_person("push") == "pushes"``."""
    return _with_s(verb)


VERB_FORMS: dict[str, Callable[[str], str]] = {
    "past": past,
    "pp": participle,
    "third": third_person,
    "inf": str,
}


def indefinite(noun: str) -> str:
    """A noun with its indefinite article, for example ``indefinite("apple") == "an apple"``."""
    return f"an {noun}" if noun[0] in VOWELS else f"a {noun}"


def _with_s(word: str) -> str:
    if word.endswith("y") and word[-2] not in VOWELS:
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "z", "ch", "sh")) else "s")


def _with_ed(verb: str) -> str:
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2] not in VOWELS:
        return verb[:-1] + "ied"
    return verb + (verb[-1] if verb in DOUBLING else "") + "ed"
