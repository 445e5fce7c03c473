"""One wording for what is refused everywhere: what it is, what came, what is allowed."""

import math
import sys
import warnings
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any


def one_of(what: str, value: object, allowed: Iterable[str], *, otherwise: str = "") -> None:
    """Refuse a value that is not among the allowed names.

    Args:
        what: What the value is, as the message should call it (``"correction"``).
        value: The value received.
        allowed: The names that are allowed.
        otherwise: What else can be done, for a set of names that a user can add to.

    Raises:
        ValueError: The value is not allowed; the message lists what is, and the closest name.

    Example:
        >>> one_of("test", "welsh", ["student", "welch"])
        Traceback (most recent call last):
        ...
        ValueError: test 'welsh' is unknown; allowed: 'student', 'welch' (did you mean 'welch'?)
    """
    names = list(allowed)
    if isinstance(value, str) and value in names:
        return
    closest = get_close_matches(str(value), names, n=1)
    hint = f" (did you mean {closest[0]!r}?)" if closest else ""
    way = f"; {otherwise}" if otherwise else ""
    raise ValueError(f"{what} {value!r} is unknown; allowed: {', '.join(map(repr, names))}{hint}{way}")


def whole_numbers(what: str, values: Any) -> list[int]:
    """A list of indices as Python's own whole numbers, from any list, array or range of them.

    Args:
        what: What they are, as the message should call them (``"layers"``).
        values: The values received.

    Raises:
        TypeError: No list, or one with something in it that is no whole number. A bool is none: a mask of them would
            become the indices 0 and 1.

    Example:
        >>> whole_numbers("layers", range(2)), whole_numbers("layers", (0, -1))
        ([0, 1], [0, -1])
    """
    try:
        return [integer(what, one) for one in (values.tolist() if hasattr(values, "tolist") else values)]
    except TypeError:
        raise TypeError(f"{what} are {shown(values)}; give a list of whole numbers, such as [0, 1]") from None


def warn(message: str, kind: type[Warning] = UserWarning) -> None:
    """Warn, and say that it happened where tlesion was called, however many of its own functions lie between."""
    caller, level, frame = 2, 2, sys._getframe(1).f_back
    while frame is not None:
        level += 1
        if frame.f_globals.get("__name__", "").partition(".")[0] == "tlesion":
            caller = level
        frame = frame.f_back
    warnings.warn(message, kind, stacklevel=caller + 1)


class DoesNotApply(ValueError):
    """A study's own word that it has no meaning for what it was given: a decomposition of an MLP's effect for heads.

    Who gathers several studies beside a profile leaves such a one out, and says so; whoever calls it alone sees an
    ordinary `ValueError`.
    """


def row_of_layer(layer: int, layers: Sequence[int]) -> int:
    """The row of a model's layer in a result that has a row for each of some layers.

    Raises:
        ValueError: The layer is not among them.

    Example:
        >>> row_of_layer(8, (2, 8))
        1
    """
    if layer not in layers:
        raise ValueError(f"layer {layer} is not in this result; it has {list(layers)}")
    return list(layers).index(layer)


def shown(value: object) -> str:
    """A value received, as a message shows it: its type, and its repr, cut off at 120 characters.

    Example:
        >>> shown([1, 2])
        'list, [1, 2]'
    """
    text = " ".join(repr(value).split())
    return f"{type(value).__name__}, {text if len(text) <= 120 else text[:117] + '...'}"


def plain(value: Any) -> Any:
    """A NumPy or torch scalar as Python's own number, truth value or text; anything else as it is.

    Example:
        >>> import numpy as np
        >>> plain(np.int64(3)), plain("him"), plain([3])
        (3, 'him', [3])
    """
    if getattr(value, "ndim", None) == 0 and callable(getattr(value, "item", None)):
        value = value.item()
    # Subclasses of text (NumPy's, enumerations) have a repr of their own, which would show in results and messages.
    return str.__str__(value) if isinstance(value, str) else value


def integer(name: str, value: object, *, least: int | None = None, usual: str = "") -> int:
    """A whole number: Python's, NumPy's or torch's; no truth value, no text, no 2.0.

    Args:
        name: What the value is, as the message should call it.
        value: The value received.
        least: The smallest that is allowed; None: any.
        usual: What is usual, or another way out, for the message.

    Raises:
        TypeError: It is no whole number.
        ValueError: It is too small.

    Example:
        >>> integer("top_k", 2.5)
        Traceback (most recent call last):
        ...
        TypeError: top_k is 2.5 (float); give a whole number
    """
    number = plain(value)
    allowed = ("a whole number" if least is None else f"a whole number, {least} or more") + (usual and f"; {usual}")
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError(f"{name} is {short(value)} ({type(value).__name__}); give {allowed}")
    if least is not None and number < least:
        said = f"{name} {number} is negative" if least == 0 else f"{name} is {number}"
        raise ValueError(f"{said}; give {least} or more" + (usual and f"; {usual}"))
    return number


def number(name: str, value: object, *, finite: bool = True) -> int | float:
    """A number: Python's, NumPy's or torch's; no truth value, no text.

    Args:
        name: What the value is, as the message should call it.
        value: The value received.
        finite: Refuse NaN and infinity as well.

    Raises:
        TypeError: It is no number.
        ValueError: It is NaN or infinite.

    Example:
        >>> number("alpha", "0.05")
        Traceback (most recent call last):
        ...
        TypeError: alpha is '0.05' (str); give a number
    """
    found = plain(value)
    if not isinstance(found, int | float) or isinstance(found, bool):
        raise TypeError(f"{name} is {short(value)} ({type(value).__name__}); give a number")
    if finite and not math.isfinite(found):
        raise ValueError(f"{name} {found} is not finite; give a finite number")
    return found


def flag(name: str, value: object) -> bool:
    """True or False, Python's, NumPy's or torch's.

    Raises:
        TypeError: It is neither.
    """
    found = plain(value)
    if not isinstance(found, bool):
        raise TypeError(f"{name} is {short(value)} ({type(value).__name__}); give True or False")
    return found


def is_label(value: object) -> bool:
    """Whether a value can name a group, a condition or a set of neurons: text, a whole number, True, False or None."""
    found = plain(value)
    return found is None or isinstance(found, str | int) or (isinstance(found, float) and found.is_integer())


def label(value: object, what: str) -> str:
    """A label as text: 1, NumPy's 1, 1.0 and "1" are one label, 0 is one like any other, None is none ("").

    Args:
        value: The label.
        what: What it is the label of, for the message.

    Raises:
        TypeError: It is neither text nor a whole number.

    Example:
        >>> label(0, "group"), label("0", "group"), label(None, "group")
        ('0', '0', '')
    """
    found = plain(value)
    if not is_label(found):
        raise TypeError(
            f"{what} {short(value)} ({type(value).__name__}) is no label; give text or a whole number, such as "
            f"{'-'.join(map(str, found)) if isinstance(found, tuple) else 'template-1'!r}"
        )
    if found is None:
        return ""
    return str(int(found)) if isinstance(found, float) else str(found)


def short(value: object) -> str:
    """A value on one line, in a message that says its type by itself: cut off where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else text[:77] + "..."
