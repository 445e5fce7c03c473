"""Named masks of units, checked once and stacked: what every study that cuts neurons takes."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

WHOLE = "whole MLP"
"""The name of the mask that stands in where no mask is given."""


def stack_masks(masks: Any, n_layers: int, n_units: int) -> tuple[tuple[str, ...], Bool[Tensor, "mask layer unit"]]:
    """Names and masks of a dict; None stands for one mask of all units, `WHOLE`.

    Raises:
        TypeError: The masks are neither a dict nor None.
        ValueError: The dict is empty, or a mask is not bool or has another shape.

    Example:
        >>> stack_masks(None, 2, 3)[0]
        ('whole MLP',)
    """
    if masks is None:
        return (WHOLE,), torch.ones(1, n_layers, n_units, dtype=torch.bool)
    stack = stack_named(masks, n_layers, n_units, otherwise=", or None for whole MLPs")
    return tuple(masks), stack


def stack_named(masks: Any, n_layers: int, n_units: int, *, otherwise: str = "") -> Bool[Tensor, "mask layer unit"]:
    """The masks of a dict, in its order.

    Args:
        masks: The dict, ``[layer, unit]`` by name.
        n_layers: Layers of the model.
        n_units: Units of a layer.
        otherwise: What else the caller takes, for the wording of errors.

    Raises:
        TypeError: The masks are no dict.
        ValueError: The dict is empty, or a mask is not bool or has another shape.

    Example:
        >>> stack_named({"him": torch.ones(2, 3, dtype=torch.bool)}, 2, 3).shape
        torch.Size([1, 2, 3])
    """
    if not isinstance(masks, Mapping):
        raise TypeError(
            f"masks are a {type(masks).__name__}; give a dict of named masks, {{'him': mask}} for one{otherwise}"
        )
    if not masks:
        raise ValueError(
            f"no mask was given; give a dict of named masks, such as {{'him': selection.mask('him')}}{otherwise}"
        )
    for name, mask in masks.items():
        if tuple(mask.shape) != (n_layers, n_units) or mask.dtype != torch.bool:
            raise ValueError(
                f"mask {name!r} has shape {tuple(mask.shape)} and dtype {mask.dtype}; this model needs a bool mask of "
                f"shape ({n_layers}, {n_units}), [layer, unit]"
            )
    return torch.stack([mask.cpu() for mask in masks.values()])
