"""Edits: frozen, callable descriptions of what happens to one activation.

Every edit says *where* (a :class:`Region`) and *what* (its own fields), so that a sweep can reason about it and
a result can record it. Called as a TransformerLens hook function it returns a new activation and leaves its input
unchanged; an edit that changes nothing returns the very same tensor.
"""

import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from tlesion.hooks import HookPoint, without_units
from tlesion.interventions.region import READOUT, Positions, Region


@dataclass(frozen=True, eq=False, repr=False)
class Edit(ABC):
    """What an edit shares: where it works, when it does nothing, and how it is applied.

    Args:
        region: Units, heads and positions that the edit touches.
        hook_name: The hook point that the edit was made for; part of error messages and of noise seeds.
    """

    region: Region
    hook_name: str

    def __call__(self, activation: Tensor, hook: HookPoint | None = None) -> Tensor:
        """The edited activation, as a new tensor; the input is not changed."""
        if self.is_null:
            return activation
        edited = activation.clone()
        self.apply_(edited)
        return edited

    def __repr__(self) -> str:
        """Short and without tensors: TransformerLens asks for it at every registration."""
        return f"<{type(self).__name__} at {self.hook_name}>"

    @property
    def is_null(self) -> bool:
        """True where the edit certainly changes nothing."""
        return self.region.is_empty

    @abstractmethod
    def new_values(self, part: Tensor, positions: Tensor) -> Tensor:
        """What the touched positions become, for all of their units; the region's units are picked later.

        Args:
            part: The activation at the touched positions, ``[batch, touched, ...]``.
            positions: Their indices in the sequence, ``[touched]`` or ``[batch, touched]``.

        Returns:
            As ``part``, ``[batch, touched, ...]``.
        """

    def apply_(self, activation: Tensor, *, at: Tensor | None = None, offset: int = 0) -> None:
        """Edit an activation in place: for a caller that owns it.

        Args:
            activation: ``[batch, pos, unit]`` or ``[batch, pos, head, unit]``.
            at: One position for each row, ``[batch]``, instead of the region's own positions.
            offset: Sequence index of the activation's first position, where only a tail of it is present.

        Raises:
            ValueError: The activation has other axes, or not one row for each of the positions.
        """
        if activation.ndim not in (3, 4):
            raise ValueError(f"{without_units(self.hook_name)} (shape {tuple(activation.shape)})")
        batch, n_here = activation.shape[:2]
        if at is not None and len(at) != batch:
            raise ValueError(
                f"{self.hook_name!r} has {batch} rows, and a position was given for each of {len(at)} prompts: its "
                "rows are not the prompts"
            )
        device = activation.device
        if at is not None:
            positions = at[:, None].to(device)
        else:
            index = self.region.position_index(n_here + offset, device, self.hook_name)
            positions = (
                torch.arange(offset, n_here + offset, device=device) if index is None else index[index >= offset]
            )
            if len(positions) == n_here:
                activation.copy_(self._edited(activation, positions))
                return
        here = (torch.arange(batch, device=device)[:, None], positions - offset)
        activation[here] = self._edited(activation[here], positions)

    def _edited(self, part: Tensor, positions: Tensor) -> Tensor:
        mask = self.region.channel_mask(part.shape, part.device, self.hook_name)
        new = self.new_values(part, positions).to(part.dtype)
        return new if mask is None else torch.where(mask, new, part)

    def with_positions(self, positions: Positions) -> "Edit":
        """The same edit at other positions."""
        return replace(self, region=replace(self.region, positions=positions))

    @property
    def mixes_prompts(self) -> bool:
        """True where what happens to one prompt depends on the others in its batch."""
        return False

    @property
    def at_readout(self) -> bool:
        """True where the edit waits for each prompt's readout position."""
        return isinstance(self.region.positions, str) and self.region.positions == READOUT


@dataclass(frozen=True, eq=False, repr=False)
class Zero(Edit):
    """Set to zero."""

    def new_values(self, part: Tensor, positions: Tensor) -> Tensor:
        return torch.zeros_like(part)


@dataclass(frozen=True, eq=False, repr=False)
class Replace(Edit):
    """Set to given values.

    Args:
        values: Whatever broadcasts against ``[batch, pos, ...]``: a number, ``[unit]``, ``[pos, unit]``,
            or a whole activation, for example of another prompt. Inside attention units may also be those of all
            heads side by side.
    """

    values: Tensor

    def new_values(self, part: Tensor, positions: Tensor) -> Tensor:
        values = self.values.to(part.device)
        channels = part.ndim - 2
        heads = part.shape[2:]
        if channels == 2 and values.shape[-1:] == (heads.numel(),) and values.shape[-2:] != heads:
            values = values.unflatten(-1, heads)
        try:
            if values.ndim > channels and values.shape[-channels - 1] != 1:
                values = self._at_positions(values, positions, channels)
            return values.expand(part.shape)
        except RuntimeError:
            raise ValueError(
                f"values of shape {tuple(self.values.shape)} for {self.hook_name!r} do not fit the activation's "
                f"{tuple(part.shape[-channels:])} at {part.shape[1]} edited positions; give a number, one value per "
                "unit, or one per position and unit"
            ) from None

    def _at_positions(self, values: Tensor, positions: Tensor, channels: int) -> Tensor:
        axis = values.ndim - channels - 1
        last = int(positions.max()) if positions.numel() else 0
        if last >= values.shape[axis]:
            raise ValueError(
                f"values for {self.hook_name!r} cover {values.shape[axis]} positions, and position {last} is edited; "
                "give values for every position of the prompt, or for none (one value per unit)"
            )
        if positions.ndim == 1:
            return values.index_select(axis, positions)
        if axis == 0:
            return values[positions]
        rows = torch.arange(len(positions), device=positions.device)[:, None]
        return values.expand(len(positions), *values.shape[1:])[rows, positions]


@dataclass(frozen=True, eq=False, repr=False)
class Scale(Edit):
    """Multiply by a factor.

    Args:
        factor: What to multiply by.
    """

    factor: float

    @property
    def is_null(self) -> bool:
        return self.factor == 1 or self.region.is_empty

    def new_values(self, part: Tensor, positions: Tensor) -> Tensor:
        return part * self.factor


@dataclass(frozen=True, eq=False, repr=False)
class Gaussian(Edit):
    """Substitute, or add, Gaussian noise.

    The noise is a function of seed, hook point, position and unit alone: neither the batch around a prompt nor
    the path by which it is run changes it, and every prompt gets the same.

    Args:
        mean: Mean of the noise.
        std: Standard deviation of the noise, at least 0.
        seed: Seed of the noise.
        mode: ``"substitute"`` puts noise in place of the values, ``"add"`` on top of them.
    """

    mean: float
    std: float
    seed: int
    mode: str

    @property
    def is_null(self) -> bool:
        return self.region.is_empty or (self.mode == "add" and self.mean == 0 and self.std == 0)

    def new_values(self, part: Tensor, positions: Tensor) -> Tensor:
        n_positions = int(positions.max()) + 1 if positions.numel() else 0
        draws = _standard_normal(self.seed, self.hook_name, n_positions, tuple(part.shape[2:]))
        # float64 on the CPU first: the same numbers then round to whatever dtype and device the model has.
        noise = (self.mean + self.std * draws[positions.cpu()]).to(part.device, part.dtype)
        return part + noise if self.mode == "add" else noise.expand(part.shape)


@lru_cache(maxsize=16)
def _standard_normal(seed: int, hook_name: str, n_positions: int, shape: tuple[int, ...]) -> Tensor:
    """Draws that do not depend on how many positions are asked for: numpy fills them one after the other."""
    generator = np.random.default_rng([seed, zlib.crc32(hook_name.encode())])
    return torch.from_numpy(generator.standard_normal((n_positions, *shape), dtype=np.float64))
