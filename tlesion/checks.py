"""One wording for what is refused everywhere: what it is, what came, what is allowed."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from operator import index
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
        given = list(values)
        if any(str(getattr(one, "dtype", type(one).__name__)).endswith("bool") for one in given):
            raise TypeError
        return [index(one) for one in given]
    except TypeError:
        raise TypeError(f"{what} are {shown(values)}; give a list of whole numbers, such as [0, 1]") from None


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
    text = repr(value)
    return f"{type(value).__name__}, {text if len(text) <= 120 else text[:117] + '...'}"
