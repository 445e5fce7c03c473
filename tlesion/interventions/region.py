"""Which part of an activation an edit touches: units, heads and positions.

An activation is ``[batch, pos, unit]`` or, inside attention, ``[batch, pos, head, unit]``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import index
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    Part: TypeAlias = slice | int | Sequence[Any] | np.ndarray | Tensor | None
    Units: TypeAlias = Part
    Positions: TypeAlias = Part | str
else:
    # At run time anything gets through to the check, whose message names what is allowed.
    Units = Positions = Any

READOUT = "readout"


@dataclass(frozen=True, eq=False)
class Region:
    """Units, heads and positions of one activation; None means all of them.

    Whole numbers are indices, and negative ones count from the end; an index may come twice. An empty list, an empty
    slice and a mask without a True name nothing: the edit then changes nothing at all. A slice that is not empty as it
    stands must lie within its axis, as an index must; ``slice(5, None)`` goes to the end of any.

    Args:
        units: A bool mask over the last axis, indices into it, a slice, or None. Inside attention a bool mask may
            also span all heads side by side, ``head * d_head + i``, as a selection at such a point does.
        heads: An index, indices, a slice or a bool mask over the head axis, or None.
        positions: An index, indices, a slice, a bool mask over the positions, ``"readout"`` (each prompt's readout
            position: the sweep fills it in), or None.

    What is given is copied: a mask that changes later does not change the region.

    Raises:
        ValueError: A part is none of these, or a mask of whole numbers, 0 and 1: as indices it would name two units.
    """

    units: Units = None
    heads: Units = None
    positions: Positions = None

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, _canonical(getattr(self, field.name), field.name))

    @property
    def is_empty(self) -> bool:
        """True where it is certain, without knowing the activation, that nothing is touched."""
        return any(_is_empty(part) for part in (self.units, self.heads, self.positions))

    def channel_mask(self, shape: torch.Size, device: torch.device, hook_name: str) -> Tensor | None:
        """Bool mask over the axes after the positions, or None where all of them are touched.

        Args:
            shape: Of the activation, ``[batch, pos, ...]``.
            device: Where the mask is made.
            hook_name: For the wording of errors.

        Returns:
            ``[unit]`` or ``[head, unit]``, or None.

        Raises:
            ValueError: Heads are given where the activation has none, or an index or mask does not fit.
        """
        if self.heads is None and self.units is None:
            return None
        side_by_side = None if self.heads is not None else _over_all_heads(self.units, shape)
        if side_by_side is not None:
            return side_by_side.to(device)
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

        Args:
            n_positions: How many the activation has.
            device: Where the indices are made.
            hook_name: For the wording of errors.

        Returns:
            ``[touched]``, or None.

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


def _canonical(part: Any, what: str) -> slice | Tensor | str | None:
    """Every way to name part of an axis in one form: None, a slice, 1-D indices, a 1-D mask, or ``"readout"``."""
    if part is None or (what == "positions" and isinstance(part, str) and part == READOUT):
        return part
    if isinstance(part, slice):
        return _whole_slice(part, what)
    values = part.detach().clone() if isinstance(part, Tensor) else _tensor(part, what)
    if values.dtype == torch.bool and values.ndim == 1:
        return values
    whole = not (values.is_floating_point() or values.is_complex() or values.dtype == torch.bool)
    if values.ndim <= 1 and (whole or values.numel() == 0):
        values = values.reshape(-1).long()
        _refuse_mask_of_numbers(values, what)
        return values
    hint = "; a mask [layer, unit] is given a layer at a time, mask[layer]" if values.ndim == 2 else ""
    raise ValueError(
        f"{what} of shape {tuple(values.shape)} and type {values.dtype} name no part of one axis; "
        f"give {_ALLOWED[what]}{hint}"
    )


def _whole_slice(part: slice, what: str) -> slice:
    """A slice of Python's own whole numbers."""
    try:
        start, stop, step = (None if one is None else index(one) for one in (part.start, part.stop, part.step))
    except TypeError:
        raise ValueError(f"{what} {part} are not understood; a slice is between whole numbers, slice(0, 5)") from None
    if step is not None and step < 1:
        raise ValueError(
            f"{what} {part} have a {'negative step' if step else 'step of 0'}; give a slice with a step of 1 or more"
        )
    return slice(start, stop, step)


def _refuse_mask_of_numbers(values: Tensor, what: str) -> None:
    """Refuse zeros and ones of which one comes again: no list of indices is like that, and any longer mask is."""
    if len(values) > 1 and bool(((values == 0) | (values == 1)).all()) and len(values.unique()) < len(values):
        raise ValueError(
            f"{what} are {len(values)} whole numbers, all 0 or 1: they look like a mask, and would be taken for "
            "indices; make it a mask of bools (mask.astype(bool), mask.bool()), or give each index once"
        )


_ONE_AXIS = "an index, a list of indices, a slice, a bool mask over the axis, or None for all"
_ALLOWED = {"units": _ONE_AXIS, "heads": _ONE_AXIS, "positions": f"{READOUT!r}, {_ONE_AXIS}"}


def _tensor(part: Any, what: str) -> Tensor:
    try:
        if isinstance(part, Sequence) and len({isinstance(one, bool | np.bool_) for one in part}) > 1:
            raise TypeError("bools among numbers, which would become 0 and 1")
        return torch.from_numpy(np.array(part))
    except (TypeError, ValueError):
        raise ValueError(f"{what} {part!r} are not understood; give {_ALLOWED[what]}") from None


def _over_all_heads(units: Any, shape: torch.Size) -> Tensor | None:
    """A mask over all heads side by side as ``[head, unit]``; None if the units are something else."""
    if not isinstance(units, Tensor) or units.dtype != torch.bool or len(shape) != 4:
        return None
    return units.view(shape[2], shape[3]) if len(units) == shape[2] * shape[3] else None


def _is_empty(part: Any) -> bool:
    if isinstance(part, Tensor):
        return not bool(part.any()) if part.dtype == torch.bool else part.numel() == 0
    if isinstance(part, slice) and part.stop is not None:
        start = part.start or 0
        return bool((start < 0) == (part.stop < 0) and part.stop <= start)
    return False


def _axis_mask(part: Any, size: int, device: torch.device, *, what: str, hook_name: str) -> Tensor:
    """A bool mask over an axis, from any of the canonical ways to name a part of it."""
    if isinstance(part, Tensor) and part.dtype == torch.bool:
        if len(part) != size:
            raise ValueError(
                f"{what} mask of shape {tuple(part.shape)} at {hook_name!r}; the activation there has {size} {what}, "
                f"so the mask must have shape ({size},)"
            )
        return part.to(device)
    mask = torch.zeros(size, dtype=torch.bool, device=device)
    if isinstance(part, slice):
        _require_inside(part, size, what, hook_name)
    if not isinstance(part, Tensor):
        mask[slice(None) if part is None else part] = True
        return mask
    if len(part) and (int(part.min()) < -size or int(part.max()) >= size):
        outside = part[(part < -size) | (part >= size)]
        raise ValueError(
            f"{what} {outside.tolist()} at {hook_name!r} do not exist; the activation there has {size} {what}, "
            f"0 to {size - 1}"
        )
    mask[part.to(device)] = True
    return mask


def _require_inside(part: slice, size: int, what: str, hook_name: str) -> None:
    """Refuse a slice of which a part, or all, lies outside an axis; Python would quietly take what is left of it."""
    if _is_empty(part):
        return
    bounds = [bound for bound in (part.start, part.stop) if bound is not None]
    if any(not -size <= bound <= size for bound in bounds):
        raise ValueError(
            f"{what} {part} at {hook_name!r} go outside; the activation there has {size} {what}, 0 to {size - 1} "
            "(slice(5, None) goes to the end of any, slice(None, 5) begins at its beginning)"
        )
    if not range(size)[part]:
        raise ValueError(
            f"{what} {part} at {hook_name!r} name none of the {size} {what} there; give a slice that begins before it "
            "ends, or an empty list to change nothing"
        )
