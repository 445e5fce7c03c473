"""The check of types and shapes, at a fraction of its cost where a function states no shape.

jaxtyping calls every function inside a frame that remembers the sizes of named axes: it binds the arguments, checks
them on a copy of the function, and once more with what is returned. Most functions state no shape, and for these
beartype's own check of arguments and result says the same. With frames around them all, tests took twice as long.
"""

import inspect
import typing
from collections.abc import Callable
from functools import partial
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

with_shapes = jaxtyping.jaxtyped
_AS_JAXTYPING = beartype(conf=BeartypeConf(violation_type=TypeError))
"""beartype, with the kind of error that jaxtyping raises."""


def jaxtyped(*given: Any, **options: Any) -> Any:
    """Stands where `jaxtyping.jaxtyped` does, and hands on to it whatever may have shapes."""
    if not given:
        return partial(jaxtyped, **options)
    check: Callable[..., Any] | None = options.get("typechecker")
    if check is not None and inspect.isfunction(given[0]) and not may_state_a_shape(given[0]):
        return given[0] if jaxtyping.config.jaxtyping_disable else _AS_JAXTYPING(given[0])
    return with_shapes(*given, **options)


def may_state_a_shape(function: Callable[..., Any]) -> bool:
    """Whether an annotation has a shape in it, or a name that is not yet known, which jaxtyping knows how to take."""
    return any(_has_shape(hint) for hint in function.__annotations__.values())


def _has_shape(hint: Any) -> bool:
    if isinstance(hint, str | typing.ForwardRef):
        return True
    if isinstance(hint, list | tuple):  # the arguments of a Callable
        return any(map(_has_shape, hint))
    if isinstance(hint, type) and not typing.get_origin(hint):
        return issubclass(hint, jaxtyping.AbstractArray)
    return any(map(_has_shape, typing.get_args(hint)))


def put_in_place() -> None:
    """Before anything of tlesion is imported: the hook asks for `jaxtyping.jaxtyped` whenever it meets a function."""
    jaxtyping.jaxtyped = jaxtyped
    jaxtyping._decorator.jaxtyped = jaxtyped  # which classes and properties are handed to
