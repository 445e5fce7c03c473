"""Which function a user has registered: an id that changes when its work may change."""

import dataclasses
import hashlib
import inspect
import json
import os
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor

from tlesion.registry import is_ours, module_of, qualname_of


def function_id(function: Callable[..., Any]) -> str:
    """Which function this is, for records and checkpoints: where it is defined, and a hash of what decides its work.

    The hash covers the source, and the source or the values of what the function takes from around it: defaults, values
    of an enclosing function, and names of its own module. What comes from another module counts by its name. Where
    something cannot be read (a function that was typed at a prompt, a model, an open file), the id holds for this
    process alone, so that no checkpoint is continued on a guess.

    Example:
        >>> function_id(print)
        'builtins.print'
    """
    module = module_of(function)
    where = f"{module}.{qualname_of(function)}"
    if is_ours(function) or module == "builtins":
        return where
    try:
        described = _described(function, module, ())
    except (OSError, TypeError, ValueError):
        process = psutil.Process(os.getpid())
        return f"{where} (source unknown, process {process.pid} of {process.create_time():.2f})"
    text = json.dumps(described, sort_keys=True)
    return f"{where} ({hashlib.sha256(text.encode()).hexdigest()[:16]})"


def _described(value: Any, module: str, above: tuple[int, ...]) -> Any:
    """A value as JSON has it; of functions and classes of the module their source and what they refer to.

    Raises:
        OSError, TypeError: The source is not at hand, or nobody can tell what the value is.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, complex | bytes | slice | range | np.generic | torch.dtype | torch.device):
        return [type(value).__name__, repr(value)]
    if isinstance(value, Tensor | np.ndarray):
        return _described_array(value)
    if id(value) in above:
        return "itself"
    above = (*above, id(value))
    if isinstance(value, list | tuple | set | frozenset):
        parts = [_described(part, module, above) for part in value]
        return [type(value).__name__, *(sorted(parts, key=str) if isinstance(value, set | frozenset) else parts)]
    if isinstance(value, dict):
        return ["dict", *([_described(one, module, above) for one in pair] for pair in value.items())]
    if isinstance(value, types.ModuleType):
        return ["module", value.__name__]
    if isinstance(value, type) or inspect.isroutine(value):
        own = module_of(value) == module
        return _described_source(value, module, above) if own else ["named", module_of(value), qualname_of(value)]
    return _described_object(value, module, above)


def _described_array(value: Tensor | np.ndarray) -> list[Any]:
    tensor = value.detach().cpu().contiguous() if isinstance(value, Tensor) else torch.from_numpy(value.copy())
    raw = tensor.reshape(-1).view(torch.uint8).numpy().tobytes()
    return ["array", str(tensor.dtype), list(tensor.shape), hashlib.sha256(raw).hexdigest()]


def _described_object(value: Any, module: str, above: tuple[int, ...]) -> list[Any]:
    """An object by its class and fields, where these are all that it holds."""
    if dataclasses.is_dataclass(value) or module_of(type(value)) == module:
        return [_described(type(value), module, above), _described(vars(value), module, above)]
    raise TypeError(f"nobody can tell what a {type(value).__name__} holds")


def _described_source(value: Any, module: str, above: tuple[int, ...]) -> list[Any]:
    described: list[Any] = ["source", inspect.getsource(value)]
    parts = vars(value).values() if isinstance(value, type) else [value]
    for function in (getattr(part, "__func__", part) for part in parts):
        if isinstance(function, types.FunctionType):
            described.append(_described(_surroundings(function), module, above))
    return described


def _surroundings(function: types.FunctionType) -> dict[str, Any]:
    """What a function takes from around it: defaults, the values of an enclosing function, names of its module."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    names = dict.fromkeys(_names(function.__code__))
    return {
        "defaults": [function.__defaults__, function.__kwdefaults__],
        "enclosed": {name: cell.cell_contents for name, cell in cells},
        "globals": {name: function.__globals__[name] for name in names if name in function.__globals__},
    }


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)
