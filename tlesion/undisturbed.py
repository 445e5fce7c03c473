"""What surrounds a call does not enter its numbers: torch's defaults and modes, and other threads on the same model.

The defaults of a user's session (`torch.set_default_dtype`, `torch.set_default_device`, autocast, inference mode) are
there again when the call is over. Of two calls on one model the second waits: while a lesion is swept, the model
carries hooks, and its blocks other `forward`s, which another thread would see.
"""

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import ParamSpec, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import nn

P = ParamSpec("P")
R = TypeVar("R")

_GUARD = threading.Lock()
_LOCKS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()
_dtypes: list[torch.dtype] = []
"""The user's default dtype, once for each call under way: it belongs to the process, not to a thread."""


def undisturbed(function: Callable[P, R]) -> Callable[P, R]:
    """A decorator for what users call: see the module.

    Args:
        function: If its first argument is a model, calls on one model come after one another.

    Returns:
        A function of the same name and signature.

    Example:
        >>> import torch
        >>> @undisturbed
        ... def zeros():
        ...     return torch.zeros(2)
        >>> torch.set_default_dtype(torch.float64)
        >>> zeros().dtype, torch.zeros(2).dtype
        (torch.float32, torch.float64)
        >>> torch.set_default_dtype(torch.float32)
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        model = args[0] if args else kwargs.get("model")
        with ExitStack() as stack:
            if isinstance(model, nn.Module):
                stack.enter_context(_lock_of(model))
            stack.enter_context(torch_as_it_comes())
            return function(*args, **kwargs)

    return call


def _lock_of(model: nn.Module) -> threading.RLock:
    with _GUARD:
        return _LOCKS.setdefault(model, threading.RLock())


@contextmanager
def torch_as_it_comes() -> Iterator[None]:
    """Torch's own defaults for as long as the ``with`` block lasts: float32, the CPU, no autocast, no gradients."""
    with ExitStack() as stack:
        stack.enter_context(_float32())
        if torch.get_default_device() != torch.device("cpu"):
            stack.enter_context(torch.device("cpu"))
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        yield


@contextmanager
def _float32() -> Iterator[None]:
    with _GUARD:
        _dtypes.append(_dtypes[0] if _dtypes else torch.get_default_dtype())
        torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        with _GUARD:
            dtype = _dtypes.pop()
            if not _dtypes:
                torch.set_default_dtype(dtype)
