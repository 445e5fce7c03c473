"""The fields of a record, taken apart into tensors and JSON, and put together again.

A record is a frozen dataclass. Its fields are tensors, what JSON holds (text, finite numbers, tuples, dicts), or
*parts*: frozen dataclasses of the same kind, or tuples of them. The tensor ``t`` of a part in the field ``power`` is
kept as ``power.t``; the rest of a part stands in JSON as a dict.
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from torch import Tensor

from tlesion.checks import plain

Record = TypeVar("Record")


def taken_apart(record: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a record by name, on the CPU, and everything else as JSON has it.

    Raises:
        TypeError: A field holds something else, or a part that its annotation does not name.
        ValueError: A field holds a number that JSON has not: NaN, or infinity.
    """
    tensors: dict[str, Tensor] = {}
    return tensors, _taken_apart(record, type(record).__name__, "", tensors)


def put_together(kind: type[Record], values: Mapping[str, Any]) -> Record:
    """A record from what :func:`taken_apart` gave, tensors and the rest in one mapping.

    Args:
        kind: Its class.
        values: Lists in it become tuples. What the class does not know is left out; what is missing takes its default.

    Raises:
        ValueError: A field is missing that has no default.
    """
    hints, built = _hints(kind), {}
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name in values:
            built[field.name] = _restored(hints[field.name], values[field.name], _below(values, field.name))
        elif field.init and field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{kind.__name__} needs the field {field.name!r}, which is not there")
    return kind(**built)


def tuples(value: Any) -> Any:
    """JSON has lists where results have tuples."""
    return tuple(tuples(item) for item in value) if isinstance(value, list) else value


def parts_of(record: Any) -> dict[str, Any]:
    """The fields of a record that hold parts."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    return {name: value for name, value in values.items() if _is_parts(value)}


def missing_fields(kind: type, values: Mapping[str, Any]) -> list[str]:
    """The fields of a class that have no value."""
    return [field.name for field in fields(kind) if field.init and field.name not in values]


def _taken_apart(record: Any, owner: str, prefix: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    hints = _hints(type(record))
    plain: dict[str, Any] = {}
    for field in fields(record):
        name, value = f"{prefix}{field.name}", getattr(record, field.name)
        if isinstance(value, Tensor):
            tensors[name] = value.detach().cpu()
        elif is_dataclass(value):
            _require_part(value, hints[field.name], f"{owner}.{name}")
            plain[field.name] = _taken_apart(value, owner, f"{name}.", tensors)
        elif _is_parts(value):
            below = []
            for place, one in enumerate(value):
                _require_part(one, hints[field.name], f"{owner}.{name}[{place}]")
                below.append(_taken_apart(one, owner, f"{name}.{place}.", tensors))
            plain[field.name] = below
        else:
            plain[field.name] = _as_json(value, f"{owner}.{name}")
    return plain


def _restored(hint: Any, value: Any, below: Mapping[str, Any]) -> Any:
    """A field's value from JSON, with the tensors of its parts."""
    part = _part_of(hint)
    if part is not None and isinstance(value, dict):
        return put_together(part, {**value, **below})
    if part is not None and isinstance(value, list | tuple):
        return tuple(_restored(part, one, _below(below, str(place))) for place, one in enumerate(value))
    return tuples(value)


def _is_parts(value: Any) -> bool:
    return is_dataclass(value) or (isinstance(value, tuple) and any(map(is_dataclass, value)))


def _below(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The values whose names begin with a name and a dot, without it."""
    return {key.removeprefix(f"{name}."): value for key, value in values.items() if key.startswith(f"{name}.")}


def _hints(kind: type) -> dict[str, Any]:
    """Annotations by field; where one is text that names nothing at hand, as they stand."""
    try:
        return get_type_hints(kind)
    except NameError:
        return {field.name: field.type for field in fields(kind)}


def _part_of(hint: Any) -> type | None:
    """The class of the parts that an annotation allows: ``Part``, ``Part | None`` or ``tuple[Part, ...]``."""
    if isinstance(hint, type) and is_dataclass(hint):
        return hint
    if get_origin(hint) in (Union, UnionType, tuple):
        found = [part for part in map(_part_of, get_args(hint)) if part is not None]
        return found[0] if len(found) == 1 else None
    return None


def _require_part(value: Any, hint: Any, name: str) -> None:
    # Reading goes by the annotation alone: nothing that a file names is ever looked up.
    own = type(value).__name__
    if not getattr(getattr(value, "__dataclass_params__", None), "frozen", False):
        raise TypeError(f"{name} holds an object of class {own}, which is no frozen dataclass; make it one")
    if _part_of(hint) is not type(value):
        raise TypeError(
            f"{name} holds an object of class {own} and is annotated {hint!r}, by which it could not be read back; "
            f"annotate the field with {own}, defined at the top of a module"
        )


def _as_json(value: Any, name: str) -> Any:
    allowed = "a result keeps tensors, text, finite numbers, tuples and dicts of them, and frozen dataclasses"
    try:
        return json.loads(json.dumps(value, allow_nan=False, default=_python_number))
    except TypeError as error:
        raise TypeError(f"{name} cannot be kept: {error}; {allowed}") from None
    except ValueError as error:
        raise ValueError(f"{name} cannot be kept: {error}; {allowed}; put NaN and infinity into tensors") from None


def _python_number(value: Any) -> Any:
    """What JSON has for a number of NumPy or torch, which may stand in the settings of a study of one's own."""
    number = plain(value)
    if number is value:
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
    return number
