"""How much masks share, layer by layer and over the whole model, and how much random masks of the same sizes would."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float64, Int
from torch import Tensor

from tlesion.checks import shown
from tlesion.public import public
from tlesion.stats import jaccard, jaccard_by_chance


@dataclass(frozen=True, eq=False, kw_only=True)
class MaskOverlap:
    """Overlap of every two masks.

    Attributes:
        names: Names of the masks.
        layers: The model's layer of every row.
        n_units: Units in a layer.
        size: Units that each mask holds in each layer.
        both: Units that two masks share.
        jaccard: Shared units by units in either of two masks; NaN where both are empty.
        by_chance: What random masks of the same sizes in the same layer would have on average.
        jaccard_model, by_chance_model: The same over all layers together. Chance keeps each layer's sizes, so that two
            masks that are both dense in the same layers are not taken for similar.
    """

    names: tuple[str, ...]
    layers: tuple[int, ...]
    n_units: int
    size: Int[Tensor, "mask layer"]
    both: Int[Tensor, "mask mask layer"]
    jaccard: Float64[Tensor, "mask mask layer"]
    by_chance: Float64[Tensor, "mask mask layer"]
    jaccard_model: Float64[Tensor, "mask mask"]
    by_chance_model: Float64[Tensor, "mask mask"]

    def to_frame(self) -> pd.DataFrame:
        """Tidy: for every two masks a row per layer, and one for all layers together, whose ``layer`` is "all".

        Columns: mask_1, mask_2, layer, n_1, n_2, n_both, jaccard, by_chance.
        """
        rows = []
        for i, j in combinations(range(len(self.names)), 2):
            n_1, n_2, n_both = self.size[i], self.size[j], self.both[i, j]
            cells = [
                (layer, n_1[row], n_2[row], n_both[row], self.jaccard[i, j, row], self.by_chance[i, j, row])
                for row, layer in enumerate(self.layers)
            ]
            total = ("all", n_1.sum(), n_2.sum(), n_both.sum(), self.jaccard_model[i, j], self.by_chance_model[i, j])
            for layer, *numbers in [*cells, total]:
                rows.append([self.names[i], self.names[j], layer, *(number.item() for number in numbers)])
        columns = ["mask_1", "mask_2", "layer", "n_1", "n_2", "n_both", "jaccard", "by_chance"]
        return pd.DataFrame(rows, columns=columns)


@public
def mask_overlap(masks: Any, *, layers: Sequence[int] | None = None) -> MaskOverlap:
    r"""Compare every two of several masks.

    .. math:: J = |A \cap B| \,/\, |A \cup B|

    Two masks of most of a layer overlap a lot by chance alone, so compare J with ``by_chance``. Neither says anything
    about significance: neurons of one layer are not independent draws.

    Args:
        masks: Two or more named bool masks ``[layer, unit]`` over the same units: ``selection.mask("him")`` and so on.
        layers: The model's layer of every row; None: 0, 1, 2, ...

    Returns:
        Both indices for every pair of masks, by layer and over the whole model.

    Raises:
        ValueError: Fewer than two masks, different shapes, or a mask that is not a bool tensor ``[layer, unit]``.

    Source:
        :func:`tlesion.stats.jaccard` and :func:`tlesion.stats.jaccard_by_chance` (hypergeometric, exact).

    Example:
        >>> import torch
        >>> him = torch.tensor([[True, True, False, False]])
        >>> her = torch.tensor([[False, True, True, False]])
        >>> overlap = mask_overlap({"him": him, "her": her})
        >>> [round(x[0, 1, 0].item(), 4) for x in (overlap.jaccard, overlap.by_chance)]
        [0.3333, 0.3889]
    """
    names, stack = _stacked(masks)
    n_masks, n_layers, n_units = stack.shape
    rows = tuple(range(n_layers)) if layers is None else tuple(layers)
    if len(rows) != n_layers:
        raise ValueError(f"{len(rows)} layers for masks of {n_layers} rows; give one layer per row")
    shape = (n_masks, n_masks, n_layers)
    found, chance = torch.empty(shape, dtype=torch.float64), torch.empty(shape, dtype=torch.float64)
    found_model, chance_model = (torch.empty(shape[:2], dtype=torch.float64) for _ in range(2))
    for i in range(n_masks):
        for j in range(i, n_masks):
            pair = list(zip(stack[i], stack[j], strict=True))
            found[i, j] = found[j, i] = torch.tensor([jaccard(a, b) for a, b in pair], dtype=torch.float64)
            chance[i, j] = chance[j, i] = torch.tensor([jaccard_by_chance(a, b) for a, b in pair], dtype=torch.float64)
            found_model[i, j] = found_model[j, i] = jaccard(stack[i], stack[j])
            chance_model[i, j] = chance_model[j, i] = jaccard_by_chance(stack[i], stack[j], family="layer")
    return MaskOverlap(
        names=names,
        layers=rows,
        n_units=n_units,
        size=stack.sum(dim=2),
        both=(stack[:, None] & stack[None]).sum(dim=3),
        jaccard=found,
        by_chance=chance,
        jaccard_model=found_model,
        by_chance_model=chance_model,
    )


def _stacked(masks: Mapping[str, Tensor]) -> tuple[tuple[str, ...], Tensor]:
    if not isinstance(masks, Mapping):
        raise TypeError(f"masks is a {shown(masks)}; give a dict of them by name, {{'him': mask, 'her': mask}}")
    if len(masks) < 2:
        raise ValueError(f"{len(masks)} mask(s) to compare; give two or more, such as {{'word': ..., 'mask': ...}}")
    for name, mask in masks.items():
        if mask.ndim != 2 or mask.dtype != torch.bool:
            raise ValueError(
                f"mask {name!r} has shape {tuple(mask.shape)} and dtype {mask.dtype}; a mask is a bool tensor "
                "[layer, unit], as selection.mask() gives it"
            )
    shapes = {name: tuple(mask.shape) for name, mask in masks.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"masks of different shapes cannot be compared: {shapes}; all must be over the same units")
    return tuple(masks), torch.stack([mask.cpu() for mask in masks.values()])
