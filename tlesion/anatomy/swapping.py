"""A module's `forward`, or another attribute, swapped for a while: afterwards exactly what was there is there again.

A module usually takes `forward` from its class. Where somebody has set one on the module itself (a wrapper, a patch,
a quantized layer), that one belongs to them: deleting whatever stands there after a fast path would undo their work.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from torch import nn

_ABSENT = object()


def swapped(module: nn.Module, forward: Callable[..., Any]) -> AbstractContextManager[None]:
    """While the ``with`` block lasts, a module computes something else.

    Args:
        module: The module. Its hooks fire as usual.
        forward: What it is called with instead, without ``self``.
    """
    return swapped_attributes((module, "forward", forward))


def swapped_forwards(*pairs: tuple[nn.Module, Callable[..., Any]]) -> AbstractContextManager[None]:
    """The same for several modules, each with its own ``forward``."""
    return swapped_attributes(*((module, "forward", forward) for module, forward in pairs))


@contextmanager
def swapped_attributes(*swaps: tuple[nn.Module, str, Any]) -> Iterator[None]:
    """While the ``with`` block lasts, modules have other attributes of their own: ``(module, name, value)`` each.

    What a module had itself is put back, the very same object. What it had from its class, or among its parameters
    and submodules, is merely covered, and comes to light again.
    """
    before = [(vars(module), name, vars(module).get(name, _ABSENT)) for module, name, _ in swaps]
    try:
        for module, name, value in swaps:
            # Not by setattr, which puts an nn.Module among the submodules, or refuses it there.
            vars(module)[name] = value
        yield
    finally:
        for own, name, value in before:
            if value is _ABSENT:
                own.pop(name, None)
            else:
                own[name] = value
