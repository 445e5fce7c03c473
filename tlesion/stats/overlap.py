"""How much two masks overlap, and how much they would by chance."""

import math

import numpy as np
import torch
from jaxtyping import Shaped
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from tlesion.stats.correction import check_family


def jaccard(mask_a: Shaped[Tensor, "..."], mask_b: Shaped[Tensor, "..."]) -> float:
    r"""Jaccard index of two masks: the share of units in both among the units in either.

    .. math:: J = |A \cap B| \,/\, |A \cup B|

    Args:
        mask_a: a mask; every entry that is not 0 or False belongs to it.
        mask_b: another of the same shape.

    Returns:
        0 (disjoint) to 1 (equal); NaN where both masks are empty.

    Raises:
        ValueError: masks of different shapes.

    Example:
        >>> import torch
        >>> from tlesion.stats import jaccard
        >>> jaccard(torch.tensor([True, True, False]), torch.tensor([True, False, False]))
        0.5
    """
    _check_masks(mask_a, mask_b)
    either = int((mask_a | mask_b).sum())
    return int((mask_a & mask_b).sum()) / either if either else float("nan")


def jaccard_by_chance(mask_a: Shaped[Tensor, "..."], mask_b: Shaped[Tensor, "..."], *, family: str = "layer") -> float:
    r"""Expected Jaccard index of two random masks of the same sizes as these.

    .. math:: E[J] = \sum_k P(k) \, \frac{k}{|A| + |B| - k}

    where the number k of units in both is hypergeometric: ``|B|`` units drawn from all of which ``|A|`` are
    marked.

    Args:
        mask_a: a mask, its last axis the units of one layer.
        mask_b: another of the same shape.
        family: where the number of units is held fixed: "layer" (in each layer, so that a profile over layers that both
            masks share is not taken for overlap) or "model" (in total only).

    Returns:
        The expectation, exact to float64, by convolution over layers; NaN where both masks are empty.

    Raises:
        ValueError: masks of different shapes, or an unknown family.

    Source:
        ``scipy.stats.hypergeom``.

    Example:
        >>> import torch
        >>> from tlesion.stats import jaccard_by_chance
        >>> one_of_two = torch.tensor([[True, False]])
        >>> jaccard_by_chance(one_of_two, one_of_two)  # k is 0 or 1, each with probability 1/2
        0.5
    """
    _check_masks(mask_a, mask_b)
    check_family(family)
    n_units = mask_a.numel() if family == "model" or mask_a.ndim == 0 else mask_a.shape[-1]
    rows_a, rows_b = (mask.reshape(-1, max(n_units, 1)).sum(-1).tolist() for mask in (mask_a, mask_b))
    total = sum(rows_a) + sum(rows_b)
    if not total:
        return float("nan")
    chance, least = np.ones(1), 0  # of each number of units in both so far, counted from `least`
    for marked, drawn in zip(rows_a, rows_b, strict=True):
        overlap = _likely_overlaps(n_units, marked, drawn)
        chance = np.convolve(chance, stats.hypergeom.pmf(overlap, n_units, marked, drawn))
        least += int(overlap[0])
    both = least + np.arange(len(chance))
    return float(np.sum(chance * both / (total - both)))


def _likely_overlaps(n_units: int, marked: int, drawn: int) -> NDArray[np.int64]:
    """Numbers of units in both masks; what is left out has probability 2 e^-40 at most (Hoeffding)."""
    size = min(marked, drawn)
    mean = marked * drawn / max(n_units, 1)
    reach = math.sqrt(20 * size)
    return np.arange(max(0, math.floor(mean - reach)), min(size, math.ceil(mean + reach)) + 1)


def _check_masks(mask_a: Tensor, mask_b: Tensor) -> None:
    if mask_a.shape != mask_b.shape:
        raise ValueError(
            f"masks of shapes {list(mask_a.shape)} and {list(mask_b.shape)} cannot be compared; "
            "both must be over the same units"
        )
    if mask_a.dtype != torch.bool or mask_b.dtype != torch.bool:
        raise TypeError(
            f"masks must be bool tensors, got {mask_a.dtype} and {mask_b.dtype}; "
            "compare the values with a threshold first"
        )
