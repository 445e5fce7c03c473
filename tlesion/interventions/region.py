"""Which part of an activation an edit touches: units, heads and positions.

An activation is ``[batch, pos, unit]`` or, inside attention, ``[batch, pos, head, unit]``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Units = slice | int | Sequence[int] | Tensor | None
Positions = slice | int | Sequence[int] | Tensor | str | None

READOUT = "readout"


@dataclass(frozen=True, eq=False)
class Region:
    """Units, heads and positions of one activation; None means all of them.

    Args:
        units: A bool mask over the last axis, indices into it, a slice, or None.
        heads: An index, indices, a slice or a bool mask over the head axis, or None.
        positions: An index (negative ones count from the end), indices, a slice, a bool mask over the
            positions, ``"readout"`` (each prompt's readout position: the sweep fills it in), or None.
    """

    units: Units = None
    heads: Units = None
    positions: Positions = None

    @property
    def is_empty(self) -> bool:
        """True where it is certain, without knowing the activation, that nothing is touched."""
        return any(_is_empty(part) for part in (self.units, self.heads, self.positions))

    def channel_mask(self, shape: torch.Size, device: torch.device, hook_name: str) -> Tensor | None:
        """Bool mask over the axes after the positions, or None where all of them are touched.

        Raises:
            ValueError: Heads are given where the activation has none, or an index or mask does not fit.
        """
        if self.heads is None and self.units is None:
            return None
        mask = _axis_mask(self.units, shape[-1], device, what="units", hook_name=hook_name)
        if self.heads is None:
            return mask
        if len(shape) != 4:
            raise ValueError(
                f"heads={self.heads!r} at {hook_name!r}, whose activation has no head axis (shape {tuple(shape)}); "
                "heads exist at attn.hook_q, hook_k, hook_v, hook_z and hook_result"
            )
        heads = _axis_mask(self.heads, shape[2], device, what="heads", hook_name=hook_name)
        return heads[:, None] & mask[None, :]

    def position_index(self, n_positions: int, device: torch.device, hook_name: str) -> Tensor | None:
        """Indices of the touched positions, the same for every row, or None where all are touched.

        Raises:
            ValueError: A position does not exist, or ``"readout"`` was left for a plain run to resolve.
        """
        if self.positions is None:
            return None
        if isinstance(self.positions, str):
            raise ValueError(
                f"positions={self.positions!r} at {hook_name!r} is known only where prompts are: run the "
                "intervention with tlesion.sweep, or give an index, a list, a slice or a mask"
            )
        mask = _axis_mask(self.positions, n_positions, device, what="positions", hook_name=hook_name)
        return mask.nonzero().flatten()


def _is_empty(part: Positions) -> bool:
    if part is None or isinstance(part, int | slice | str):
        return False
    if isinstance(part, Tensor):
        return not bool(part.any()) if part.dtype == torch.bool else part.numel() == 0
    return len(part) == 0


def _axis_mask(part: Positions, size: int, device: torch.device, *, what: str, hook_name: str) -> Tensor:
    """A bool mask over an axis, from any of the ways to name a part of it."""
    if part is None:
        return torch.ones(size, dtype=torch.bool, device=device)
    if isinstance(part, Tensor) and part.dtype == torch.bool:
        if tuple(part.shape) != (size,):
            raise ValueError(
                f"{what} mask of shape {tuple(part.shape)} at {hook_name!r}; the activation there has {size} {what}, "
                f"so that the mask has to have shape ({size},)"
            )
        return part.to(device)
    mask = torch.zeros(size, dtype=torch.bool, device=device)
    if isinstance(part, slice):
        mask[part] = True
        return mask
    index = torch.as_tensor([part] if isinstance(part, int) else part, dtype=torch.long, device=device)
    outside = index[(index < -size) | (index >= size)]
    if len(outside):
        raise ValueError(
            f"{what} {outside.tolist()} at {hook_name!r} do not exist; the activation there has {size} {what}, "
            f"0 to {size - 1}"
        )
    mask[index] = True
    return mask
