"""A result in a few lines: what it is of, how it was made, and how large its arrays are; never their numbers."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor

MOST_LINES = 15
MOST_COLUMNS = 120

_LINES_OF_ARRAYS = 8
_LINES_OF_VALUES = 4
_LINES_OF_SETTINGS = 2
_MOST_ITEMS = 4
_MOST_LETTERS = 48


def outline(record: Any) -> str:
    """A result as text of at most 15 lines of at most 120 characters."""
    arrays: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    values = []
    for name, value, hint in _leaves(record):
        if isinstance(value, Tensor):
            arrays.setdefault((_dtype(value), _axes(value, hint)), []).append(name)
        else:
            values.append(f"{name}={_short(value)}")
    provenance = getattr(record, "provenance", None)
    model, settings = getattr(provenance, "model", {}), getattr(provenance, "settings", {})
    about = ", ".join(str(model[key]) for key in ("name", "dtype") if model.get(key))
    lines = [_cut(f"{type(record).__name__} of {about}" if about else type(record).__name__)]
    lines += _filled("settings: ", [f"{key}={_short(value)}" for key, value in settings.items()], _LINES_OF_SETTINGS)
    lines += _filled("", values, _LINES_OF_VALUES)
    return "\n".join([*lines, *_rows(arrays)])


def _leaves(record: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Name, value and annotation of every field, those of parts by their own names, and without the provenance."""
    for field in fields(record):
        name = f"{prefix}{field.name}"
        if name == "provenance" or not hasattr(record, field.name):
            continue  # A debugger may look at a result that is half made.
        value = getattr(record, field.name)
        if is_dataclass(value):
            yield from _leaves(value, f"{name}.")
        else:
            yield name, value, field.type


def _dtype(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _axes(value: Tensor, hint: Any) -> tuple[str, ...]:
    """Sizes, with the names of the axes where the annotation has one for each."""
    names = [getattr(dim, "name", None) for dim in getattr(hint, "dims", ())]
    if len(names) == value.ndim and all(names):
        return tuple(f"{name} {size}" for name, size in zip(names, value.shape, strict=True))
    return tuple(map(str, value.shape))


def _rows(arrays: Mapping[tuple[str, tuple[str, ...]], list[str]]) -> list[str]:
    """A line for the arrays of each type and shape; a last one says how many did not fit."""
    rows = [_cut(f"  {_row(dtype, axes, names)}") for (dtype, axes), names in arrays.items()]
    if len(rows) <= _LINES_OF_ARRAYS:
        return rows
    more = sum(map(len, list(arrays.values())[_LINES_OF_ARRAYS - 1 :]))
    return [*rows[: _LINES_OF_ARRAYS - 1], f"  and {more} more arrays"]


def _row(dtype: str, axes: tuple[str, ...], names: list[str]) -> str:
    shape = f": {dtype} [{', '.join(axes)}]"
    room = MOST_COLUMNS - len(shape) - 2
    for shown in range(len(names), 0, -1):
        listed = ", ".join(names[:shown])
        listed += f" and {len(names) - shown} more" if shown < len(names) else ""
        if len(listed) <= room:
            return listed + shape
    return f"{len(names)} arrays{shape}"


def _short(value: Any) -> str:
    """A value in a few letters; of a long collection how many items it has."""
    if isinstance(value, tuple) and any(map(is_dataclass, value)):
        return f"<{len(value)} parts>"
    if isinstance(value, tuple | list | dict) and len(value) > _MOST_ITEMS:
        return f"<{len(value)} items>"
    text = " ".join(repr(value).split())
    if len(text) <= _MOST_LETTERS:
        return text
    return f"<{len(value)} items>" if isinstance(value, tuple | list | dict) else f"{text[: _MOST_LETTERS - 2]} …"


def _filled(lead: str, items: Iterable[str], most: int) -> list[str]:
    """Items side by side in a few lines; a last one says how many did not fit."""
    lines: list[str] = []
    waiting = list(items)
    while waiting and len(lines) < most:
        line = f"  {lead}{waiting.pop(0)}" if not lines else f"  {waiting.pop(0)}"
        # Room for what says that there are more.
        while waiting and len(line) + 2 + len(waiting[0]) <= MOST_COLUMNS - 16:
            line += f", {waiting.pop(0)}"
        lines.append(line)
    if waiting:
        lines[-1] += f" and {len(waiting)} more"
    return [_cut(line) for line in lines]


def _cut(line: str) -> str:
    line = " ".join(line.split("\n"))
    return line if len(line) <= MOST_COLUMNS else f"{line[: MOST_COLUMNS - 2]} …"
