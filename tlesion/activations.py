"""The check that every statistic of activations shares: tokens by units, finite, in float64."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def check_activations(activations: Any, *, name: str = "activations") -> Float[Tensor, "token unit"]:
    """Activations as a new float64 tensor without a graph, on their own device (on the CPU for MPS).

    Args:
        activations: ``[token, unit]``, floating point, without padding.
        name: What messages call them.

    Raises:
        TypeError: If they are not a tensor.
        ValueError: If they are not two-dimensional, not floating point, or not finite.

    Example:
        >>> import torch
        >>> check_activations(torch.zeros(2, 3, 4))
        Traceback (most recent call last):
        ...
        ValueError: activations must have the shape [token, unit], got (2, 3, 4); flatten batch and position...
    """
    if not isinstance(activations, Tensor):
        raise TypeError(f"{name} must be a torch tensor [token, unit], got {type(activations).__name__}")
    if activations.ndim != 2 or activations.shape[1] == 0:
        raise ValueError(
            f"{name} must have the shape [token, unit], got {tuple(activations.shape)}; flatten batch and "
            "position and leave padding out, for example cache[name][attention_mask.bool()]"
        )
    if not activations.is_floating_point():
        raise ValueError(f"{name} must be floating point, got {activations.dtype}; convert with .float()")
    finite = torch.isfinite(activations)
    if not bool(finite.all()):
        token, unit = torch.nonzero(~finite)[0].tolist()
        raise ValueError(
            f"{name} hold {int((~finite).sum())} values that are not finite, the first at token {token}, "
            f"unit {unit}; leave those tokens out, or run the model in float32"
        )
    return copy_in_float64(activations)


def copy_in_float64(values: Tensor) -> Float[Tensor, "*axes"]:
    """A float64 copy without a graph, on the CPU where the device (MPS) has no float64."""
    return _where_float64_is(values).to(dtype=torch.float64, copy=True)


def in_float64(values: Tensor) -> Float[Tensor, "*axes"]:
    """As :func:`copy_in_float64`, but what is float64 already is not copied."""
    return _where_float64_is(values).to(dtype=torch.float64)


def _where_float64_is(values: Tensor) -> Tensor:
    # In two steps: MPS cannot hold what it is to hand over.
    return values.detach().to(device="cpu" if values.device.type == "mps" else values.device)
