"""Exact hashes of readings and lesions, by which a checkpoint recognises its run."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from tlesion.function_id import function_id
from tlesion.keep.hashing import tensor_hash
from tlesion.registry import Entry, is_ours
from tlesion.sweeps.groups import Reading
from tlesion.sweeps.lesions import Lesion


def hashes_of_readings(readings: Sequence[Reading]) -> list[str]:
    """A hash of each reading: of its tokens, of where it is read, and of its targets."""
    return [_hash([tensor_hash(part) for part in (one.ids, one.readout, one.targets)]) for one in readings]


def hashes_of_lesions(lesions: Sequence[Lesion]) -> list[str]:
    """A hash of each lesion: of its hook names and of all that its edits hold.

    Raises:
        TypeError: A hook function of the user's own, which cannot be compared between runs.
    """
    return [_hash([[name, _described(function, name)] for name, function in one.all_pairs]) for one in lesions]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _described(value: Any, name: str) -> Any:
    """A value of an edit as JSON has it."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        return tensor_hash(value)
    if isinstance(value, Entry):
        return [value.name, function_id(value.function)]
    if isinstance(value, slice):
        return ["slice", *(_described(part, name) for part in (value.start, value.stop, value.step))]
    if isinstance(value, list | tuple):
        return [_described(part, name) for part in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # A field that does not count in comparisons is no part of what the edit is.
        telling = [field.name for field in dataclasses.fields(value) if field.compare]
        return {"kind": _kind(type(value)), **{field: _described(getattr(value, field), name) for field in telling}}
    raise TypeError(
        f"the hook function {value!r} at {name!r} is one of your own, and a checkpoint cannot tell whether it is the "
        "same when the run continues; use tlesion.interventions, write yours as a frozen dataclass, or leave "
        "checkpoint out"
    )


def _kind(cls: type) -> str:
    """The name of an edit's class; of a user's own class also what it does."""
    return cls.__qualname__ if is_ours(cls) else function_id(cls)
