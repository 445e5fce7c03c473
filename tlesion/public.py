"""What stands on every function that users call: its options are settled, and nothing around it enters its numbers."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from tlesion.options import checked_options
from tlesion.undisturbed import undisturbed

P = ParamSpec("P")
R = TypeVar("R")


def public(function: Callable[P, R]) -> Callable[P, R]:
    """A decorator for what users call: see :mod:`tlesion.options` and :mod:`tlesion.undisturbed`.

    Args:
        function: The function.

    Returns:
        A function of the same name and signature.

    Example:
        >>> import numpy as np, torch
        >>> @public
        ... def zeros(*, n: int) -> torch.Tensor:
        ...     return torch.zeros(n)
        >>> torch.set_default_dtype(torch.float64)
        >>> zeros(n=np.int64(2)).dtype
        torch.float32
        >>> torch.set_default_dtype(torch.float32)
    """
    return checked_options(undisturbed(function))
