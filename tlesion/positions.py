"""Where along a text: one type for every function that takes a position, and one meaning for each of its values.

============  ========================================================================  ============================
value         meaning                                                                   taken by
============  ========================================================================  ============================
``"word"``    the word's own token                                                      functions of sentences
``"mask"``    the mask token put in the word's place (masked models)                    functions of sentences
``"before"``  the token before the word, which predicts it (causal models)              functions of sentences
``Offset(n)`` n tokens after the word's token, or before it where n is negative         functions of sentences
``"readout"`` where a prompt's logits are read: the mask token, or the last token       functions of prompts
``"all"``     every token                                                               functions of prompts
an int        that token of the text, special tokens counted; negative: from the end    both
============  ========================================================================  ============================

The command line and saved results write ``Offset(1)`` as ``word+1`` and ``Offset(-2)`` as ``word-2``.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, no_type_check

from tlesion.checks import one_of, plain


@no_type_check  # NumPy's whole numbers are welcome.
@dataclass(frozen=True)
class Offset:
    """A number of tokens from the word of a sentence: ``Offset(1)`` is the token after it, ``Offset(-1)`` before it.

    Args:
        n: How many tokens; 0 is the word's own token.

    Raises:
        TypeError: Not a whole number.

    Example:
        >>> str(Offset(1)), str(Offset(-2))
        ('word+1', 'word-2')
    """

    n: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", plain(self.n))
        if not isinstance(self.n, int) or isinstance(self.n, bool):
            raise TypeError(f"an offset is a whole number of tokens, got {self.n!r}; give Offset(1) or Offset(-1)")

    def __str__(self) -> str:
        return f"word{self.n:+d}"


OF_SENTENCES = ("word", "mask", "before")
OF_PROMPTS = ("readout", "all")

if TYPE_CHECKING:
    SentencePosition: TypeAlias = Literal["word", "mask", "before"] | Offset | int
    """Where in a sentence of a contrast."""
    PromptPosition: TypeAlias = Literal["readout", "all"] | int
    """Where in a prompt."""
    Position: TypeAlias = SentencePosition | PromptPosition
    """Any position; a function says with one of the other two what it takes."""
else:
    # At run time any text gets through to the check, whose message names what is allowed.
    SentencePosition = str | Offset | int
    PromptPosition = str | Offset | int
    Position = str | Offset | int


def settled_position(name: str, position: Any) -> Any:
    """A position with NumPy's and torch's numbers as Python's; whether it is one here, the two checks below say.

    Args:
        name: What the option is called.
        position: The value received.

    Raises:
        TypeError: Neither a name, an offset nor a whole number.

    Example:
        >>> import numpy as np
        >>> settled_position("position", np.int64(-1)), settled_position("position", "mask")
        (-1, 'mask')
    """
    position = position if isinstance(position, Offset) else plain(position)
    if not isinstance(position, Offset | str | int) or isinstance(position, bool):
        raise TypeError(
            f"{name} {position!r} is a {type(position).__name__}; give a name, such as {OF_SENTENCES[0]!r} or "
            f"{OF_PROMPTS[0]!r}, an Offset(n) from the word, or the index of a token"
        )
    return position


def check_sentence_position(position: Any) -> None:
    """Refuse what is no position in a sentence.

    Raises:
        ValueError: A name that is unknown, or one of a prompt's positions.
        TypeError: Neither a name, an offset nor a whole number.
    """
    if not isinstance(position, Offset):
        _check(position, OF_SENTENCES, "an Offset(n) from the word, or the index of a token")


def check_prompt_position(position: Any) -> None:
    """Refuse what is no position in a prompt.

    Raises:
        ValueError: A name that is unknown, or one of a sentence's positions; an offset.
        TypeError: Neither a name nor a whole number.
    """
    if isinstance(position, Offset):
        raise ValueError(
            f"position {str(position)!r} counts from a word, and no word of a prompt is marked; give 'readout', 'all' "
            "or the index of a token"
        )
    _check(position, OF_PROMPTS, "or the index of a token")


def read_position(text: str) -> Any:
    """A position as the command line and saved results write it.

    Args:
        text: A name, an index (``-1``), or an offset (``word+1``).

    Returns:
        The position; any other text as it is, for the function that takes a position to refuse.

    Example:
        >>> read_position("word"), read_position("-1"), read_position("word+2")
        ('word', -1, Offset(n=2))
    """
    if match := re.fullmatch(r"word([+-]\d+)", text):
        return Offset(int(match[1]))
    try:
        return int(text)
    except ValueError:
        return text


def recorded(position: SentencePosition) -> dict[str, Any]:
    """What a selection's record says of its position.

    Example:
        >>> recorded(Offset(1)), recorded(3)
        ({'position': 'word+1'}, {'position': 3, 'position_counts': 'tokens of the sentence'})
    """
    if isinstance(position, int):
        # Without this, the number is one of tlesion 0.1, which counted from the word.
        return {"position": position, "position_counts": "tokens of the sentence"}
    return {"position": str(position)}


def position_of_record(settings: Mapping[str, Any]) -> SentencePosition:
    """The position that `recorded` wrote, or an older version of tlesion.

    Example:
        >>> position_of_record(recorded(-1)), position_of_record({"position": -1})
        (-1, Offset(n=-1))
    """
    position = settings["position"]
    if isinstance(position, int):
        return position if "position_counts" in settings else Offset(position)
    found: SentencePosition = read_position(position)
    return found


def _check(position: Any, names: Iterable[str], otherwise: str) -> None:
    if isinstance(position, str):
        one_of("position", position, names)
    elif not isinstance(position, int) or isinstance(position, bool):
        raise TypeError(
            f"position {position!r} is a {type(position).__name__}; give {', '.join(map(repr, names))}, {otherwise}"
        )
