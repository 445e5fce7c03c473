"""Edits that cut directions out of an activation: given ones, or the leading ones of the running batch."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from tlesion.interventions.edits import Edit
from tlesion.interventions.make import Intervention, region_at
from tlesion.interventions.region import Positions, Units
from tlesion.public import public
from tlesion.subspace import ObliqueEraser, Subspace, fit_subspace


@dataclass(frozen=True, eq=False, repr=False)
class RemoveSubspace(Edit):
    """Cut a fitted subspace.

    Args:
        subspace: What is cut: `Subspace` or `ObliqueEraser`.
        restore_mean: Whether the mean of the fitted activations is added back.
    """

    subspace: Subspace | ObliqueEraser
    restore_mean: bool

    @property
    def is_null(self) -> bool:
        return self.region.is_empty or (self.subspace.rank == 0 and self.restore_mean)

    def new_values(self, part: Tensor, positions: Tensor) -> Tensor:
        rows = part
        if part.ndim == 4 and self.region.heads is None and self.subspace.width == part.shape[2] * part.shape[3]:
            rows = part.flatten(2)
        if rows.shape[-1] != self.subspace.width:
            raise ValueError(_wrong_width(self.subspace.width, part.shape, self.hook_name))
        return self.subspace.remove(rows, restore_mean=self.restore_mean).reshape(part.shape)


@dataclass(frozen=True, eq=False, repr=False)
class RemoveLeading(Edit):
    """Decompose the tokens of the running batch and cut the leading directions.

    Args:
        rank: How many directions.
        restore_mean: Whether the tokens' mean is added back.
        real: True at tokens, False at padding; None: there is none.
    """

    rank: int
    restore_mean: bool
    real: Bool[Tensor, "batch pos"] | None = None

    @property
    def is_null(self) -> bool:
        return self.region.is_empty or (self.rank == 0 and self.restore_mean)

    @property
    def mixes_prompts(self) -> bool:
        return not self.is_null

    def new_values(self, part: Tensor, positions: Tensor) -> Tensor:
        real = self._real_at(part, positions)
        new = part.clone()
        tokens = part[real]
        if tokens.ndim == 3 and self.region.heads is not None:
            chosen = self.region.channel_mask(part.shape, part.device, self.hook_name)
            for head in [] if chosen is None else chosen.any(dim=-1).nonzero().flatten().tolist():
                tokens[:, head] = self._without_leading(tokens[:, head])
            new[real] = tokens
        else:
            new[real] = self._without_leading(tokens.flatten(1)).reshape(tokens.shape)
        return new

    def _without_leading(self, tokens: Tensor) -> Tensor:
        try:
            subspace = fit_subspace(tokens, self.rank)
        except ValueError as error:
            raise ValueError(f"{self.hook_name!r}: {error}") from None
        return subspace.remove(tokens, restore_mean=self.restore_mean)

    def _real_at(self, part: Tensor, positions: Tensor) -> Bool[Tensor, "batch touched"]:
        if self.real is None:
            return torch.ones(part.shape[:2], dtype=torch.bool, device=part.device)
        last = int(positions.max()) if positions.numel() else 0
        if len(self.real) != len(part) or last >= self.real.shape[1]:
            raise ValueError(
                f"real of shape {tuple(self.real.shape)} for {self.hook_name!r}, whose batch has {len(part)} rows and "
                f"position {last}; give the attention mask of this batch, [batch, pos]"
            )
        real = self.real.to(part.device)
        return real[:, positions] if positions.ndim == 1 else real.gather(1, positions)


@public
def remove_subspace(
    hook_name: str,
    subspace: Any,
    *,
    restore_mean: bool = True,
    heads: Units = None,
    positions: Positions = None,
) -> Intervention:
    """Cut a subspace out of an activation; with B its basis and m its mean, x becomes x − (x − m) Bᵀ B.

    A subspace spans all units of the hook point, so that there are no ``units`` to choose. Inside attention it is
    either as wide as all heads side by side, or as wide as one head and cut from each of ``heads``. Rank 0 changes
    nothing at all; ``restore_mean=False`` also takes the mean away, at any rank.

    Args:
        hook_name: A full hook name, ``blocks.3.mlp.hook_pre``.
        subspace: From :func:`tlesion.fit_subspace`, `SubspaceFitter`, ``Subspace.from_directions`` or
            :func:`tlesion.fit_leace`.
        restore_mean: Add the mean back; False shows why it matters.
        heads: Which heads, for a subspace of the width of one head.
        positions: Which token positions.

    Returns:
        The ``(hook name, edit)`` pair, for ``fwd_hooks=[...]``.

    Raises:
        TypeError: What was given is not a subspace.
        ValueError: As for :func:`tlesion.interventions.zero`; when run, a subspace of another width.

    Example:
        >>> from tlesion import Subspace
        >>> subspace = Subspace.from_directions(torch.tensor([1.0, 0.0]), mean=torch.tensor([1.0, 0.0]))
        >>> name, edit = remove_subspace("blocks.0.mlp.hook_pre", subspace)
        >>> edit(torch.tensor([[[3.0, 2.0]]]))
        tensor([[[1., 2.]]])
    """
    if not isinstance(subspace, Subspace | ObliqueEraser):
        raise TypeError(
            f"subspace is a {type(subspace).__name__}; fit one with tlesion.fit_subspace(activations, rank), "
            "or make one of directions with tlesion.Subspace.from_directions"
        )
    region = region_at(hook_name, None, heads, positions)
    return Intervention(hook_name, RemoveSubspace(region, hook_name, subspace, bool(restore_mean)))


@public
def remove_leading(
    hook_name: str,
    rank: int = 1,
    *,
    restore_mean: bool = True,
    real: Any = None,
    heads: Units = None,
    positions: Positions = None,
) -> Intervention:
    """Decompose the running batch inside the hook, and cut its leading directions.

    The rows of the decomposition are the tokens of the batch, of all its prompts together; so a prompt's numbers depend
    on what else is in the batch. Where it must not, fit once and use :func:`remove_subspace`; fitted on the same
    tokens, the two agree. A sweep, which batches as memory allows, takes this edit for a single prompt only.

    Args:
        hook_name: A full hook name.
        rank: How many directions; 0 changes nothing at all.
        restore_mean: Add the mean of the tokens back.
        real: The attention mask of a padded batch ``[batch, pos]``, 1 or True at tokens: padding is neither decomposed
            nor changed. None: there is no padding.
        heads: Inside attention: decompose each of these heads by itself, instead of all heads side by side.
        positions: Which token positions are decomposed and changed.

    Returns:
        The ``(hook name, edit)`` pair, for ``fwd_hooks=[...]``.

    Raises:
        ValueError: As for :func:`tlesion.interventions.zero`; a negative rank; when run, a rank above what the tokens
            have, fewer than two tokens, constant activations or activations that are not finite.

    Example:
        >>> name, edit = remove_leading("blocks.0.mlp.hook_pre", 1)
        >>> edit(torch.tensor([[[3.0, 1.0], [1.0, 1.0], [2.0, 1.5], [2.0, 0.5]]]))
        tensor([[[2.0000, 1.0000],
                 [2.0000, 1.0000],
                 [2.0000, 1.5000],
                 [2.0000, 0.5000]]])
    """
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 0:
        raise ValueError(f"rank is {rank!r}; give a number of directions, 0 or more")
    mask = None if real is None else torch.as_tensor(real).bool()
    if mask is not None and mask.ndim != 2:
        raise ValueError(f"real has shape {tuple(mask.shape)}; give the attention mask of the batch, [batch, pos]")
    region = region_at(hook_name, None, heads, positions)
    return Intervention(hook_name, RemoveLeading(region, hook_name, rank, bool(restore_mean), mask))


def _wrong_width(width: int, shape: torch.Size, hook_name: str) -> str:
    heads = f" ({shape[2]} heads of {shape[3]} side by side would be {shape[2] * shape[3]})" if len(shape) == 4 else ""
    return (
        f"a subspace of width {width} does not fit {hook_name!r}, whose activation has {shape[-1]} units{heads}; "
        "fit it on activations of the same hook point"
    )
