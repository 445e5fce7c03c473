"""Labels of stimuli: names of conditions, words and groups, as text whatever they were given as."""

from collections.abc import Iterable
from typing import Any

from tlesion.checks import label, plain

RESERVED = ("any", "none")
"""Names that a condition cannot have: masks and tables use them for "either" and "neither"."""


def check_conditions(conditions: Any) -> tuple[str, str]:
    """The names of two conditions as text, once it is clear that they can name two masks.

    Raises:
        ValueError: Not two names, the same name twice (0 and "0" are the same), or one of `RESERVED`.
        TypeError: A name that is neither text nor a whole number.
    """
    names = () if isinstance(conditions, str) else labels_of(conditions, "condition")
    if len(names) != 2 or names[0] == names[1]:
        raise ValueError(
            f"conditions {conditions!r}: give two different names, that of a and that of b, conditions=(..., ...)"
        )
    taken = [name for name in names if name in RESERVED]
    if taken:
        raise ValueError(
            f"condition name {taken[0]!r} is taken (masks use it); give other names, conditions=(..., ...)"
        )
    if "" in names:
        raise ValueError(f"conditions {conditions!r}: a name is empty; give two names, conditions=(..., ...)")
    return names[0], names[1]


def check_words(words: Any) -> tuple[str, str]:
    """The words of two conditions, one pair for all sentences.

    Raises:
        ValueError: They are not two words.
    """
    given = () if isinstance(words, str) else tuple(map(plain, words))
    if len(given) != 2 or not all(isinstance(word, str) and word for word in given):
        raise ValueError(f"words {words!r} are not two words; give (word of a's sentences, word of b's)")
    return given[0], given[1]


def labels_of(labels: Any, what: str = "group") -> tuple[str, ...]:
    """Labels as text.

    Raises:
        TypeError: They are no list, or one of them is neither text nor a whole number.

    Example:
        >>> labels_of([0, "0", 1.0])
        ('0', '0', '1')
    """
    if not isinstance(labels, Iterable):
        raise TypeError(f"{what}s are {labels!r}; give a list with a label for each")
    return tuple(label(one, what) for one in labels)
