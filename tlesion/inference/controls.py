"""Matched controls: random masks with as many neurons in the same layers, and equally active ones if asked for."""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float64, Int64, Shaped
from torch import Tensor

from tlesion.public import public

SMALLEST_BIN = 20  # units: of a smaller one a few neurons of a set are so much that controls repeat them


@public
def matched_controls(
    mask: Shaped[Tensor, "..."],
    *,
    n_controls: int,
    seed: int,
    match: Any = None,
    n_bins: int = 10,
) -> Bool[Tensor, "control layer unit"]:
    r"""Random masks with as many units in every layer as a given one has, and equally active ones if asked for.

    Under the null hypothesis the mask is a random draw itself, of :math:`n_l` units out of all of layer l. The
    controls are further draws of the same kind, so that mask and controls are exchangeable, and the rank of the
    mask's effect among theirs is uniform (:func:`empirical_p`). That is why the mask's own units may be drawn: were
    they left out, a unit that matters more than all others could never be in a control of a mask that holds it, and
    a random mask of a fifth of the layer would be called significant a fifth of the time.

    With ``match``, the units of each layer are ranked by it and cut into ``n_bins`` bins of equal size, the mask's
    units are counted in every bin, and a control draws as many from each. This is the null hypothesis "a random draw
    among those with as many units in each bin", and exact in the same sense, which a search for each unit's nearest
    neighbours would not be. Where a bin has few candidates beyond the mask's own, controls repeat the mask's
    units, in the limit the mask itself: p then stays valid, and cannot become small (:func:`log_n_controls`).

    Args:
        mask: Bool ``[layer, unit]``, ``selection.mask("him")`` for example.
        n_controls: How many controls to draw, independently; a longer list begins with the controls of a shorter one.
        seed: Of the draws.
        match: A finite value per layer and unit that does not depend on the mask, mean absolute activation for
            example (``tlesion.measure_reference(..., statistic="mean_absolute")``).
        n_bins: Bins of ``match`` in a layer; fewer where a bin would hold less than 20 units.

    Returns:
        The controls, one mask each.

    Raises:
        ValueError: A mask that is not a bool ``[layer, unit]``, no controls, or a ``match`` of another shape or with
            values that are not finite.
        TypeError: A ``match`` that is a word.

    Source:
        Phipson & Smyth (2010), Permutation p-values should never be zero, Stat. Appl. Genet. Mol. Biol. 9:39.

    Example:
        >>> import torch
        >>> mask = torch.tensor([[True, True, False, False], [False, False, False, False]])
        >>> matched_controls(mask, n_controls=3, seed=0).sum(dim=2).tolist()
        [[2, 0], [2, 0], [2, 0]]
    """
    _require_mask(mask)
    return joint_controls(mask[None], n_controls=n_controls, seed=seed, match=match, n_bins=n_bins)[:, 0]


@public
def joint_controls(
    masks: Shaped[Tensor, "..."],
    *,
    n_controls: int,
    seed: int,
    match: Any = None,
    n_bins: int = 10,
) -> Bool[Tensor, "control mask layer unit"]:
    """Matched controls of several masks at once, which overlap as the masks do.

    A control shuffles the units of each layer, all masks alike: what two masks share, their controls share. An effect
    that is pooled over masks which are much alike (the folds of :func:`tlesion.cross_fit`) varies more than one that
    is pooled over independent draws, and needs these.

    Args:
        masks: Bool ``[mask, layer, unit]``.
        n_controls: As in :func:`matched_controls`, likewise ``seed``, ``match`` and ``n_bins``: units are shuffled
            within the bins of ``match``.

    Returns:
        The controls; ``controls[c, m]`` belongs to mask m.

    Raises:
        ValueError: See :func:`matched_controls`.

    Example:
        >>> import torch
        >>> masks = torch.tensor([[[True, True, False, False]], [[True, False, False, False]]])
        >>> controls = joint_controls(masks, n_controls=9, seed=0)
        >>> controls[:, 0].logical_and(controls[:, 1]).sum(dim=2).flatten().tolist()
        [1, 1, 1, 1, 1, 1, 1, 1, 1]
    """
    if masks.ndim != 3 or not len(masks):
        raise ValueError(f"masks have shape {tuple(masks.shape)}; give bool [mask, layer, unit], one mask or more")
    _require_mask(masks[0])
    if n_controls < 1:
        raise ValueError(f"n_controls is {n_controls}; give 1 or more (p cannot fall below 1 / (1 + n_controls))")
    masks = masks.cpu()
    bins = _bins(masks[0], match, n_bins)
    sorted_units = bins.argsort(dim=1, stable=True)
    generator = torch.Generator().manual_seed(seed)
    controls = torch.empty(n_controls, *masks.shape, dtype=torch.bool)
    for control in controls:
        key = torch.rand(bins.shape, generator=generator, dtype=torch.float64) + bins
        # The unit with the i-th key takes what the i-th unit of the same bin has.
        source = torch.empty_like(bins).scatter_(1, key.argsort(dim=1, stable=True), sorted_units)
        control[:] = masks.gather(2, source.expand_as(masks))
    return controls


@public
def log_n_controls(mask: Shaped[Tensor, "..."], *, match: Any = None, n_bins: int = 10) -> Float64[Tensor, " layer"]:
    """Natural logarithm of how many different masks a layer's matched controls are drawn from.

    0 where there is only the mask itself (an empty layer, a whole one): its p is then 1 whatever its effect. The
    smallest p that can be reached is about one over that number.

    Args:
        mask: As in :func:`matched_controls`.
        match: Likewise.
        n_bins: Likewise.

    Returns:
        One logarithm per layer.

    Raises:
        ValueError: As :func:`matched_controls`.

    Example:
        >>> import torch
        >>> log_n_controls(torch.tensor([[True, True, False, False]])).exp().round().item()
        6.0
    """
    _require_mask(mask)
    bins = _bins(mask, match, n_bins)
    mask = mask.cpu()
    found = torch.zeros(len(mask), dtype=torch.float64)
    for row in range(len(mask)):
        sizes = torch.bincount(bins[row]).double()
        held = torch.bincount(bins[row], weights=mask[row].double(), minlength=len(sizes))
        found[row] = (torch.lgamma(sizes + 1) - torch.lgamma(held + 1) - torch.lgamma(sizes - held + 1)).sum()
    return found


def expected_overlap(mask: Shaped[Tensor, "..."], *, match: Any = None, n_bins: int = 10) -> Float64[Tensor, " layer"]:
    r"""Which share of a mask's units its matched controls hold on average.

    .. math:: \frac{1}{n} \sum_b n_b^2 / N_b

    with :math:`n_b` of the mask's n units among the :math:`N_b` of a bin; without ``match`` it is the share of the
    layer that the mask covers.

    Args:
        mask: As in :func:`matched_controls`.
        match: Likewise.
        n_bins: Likewise.

    Returns:
        A share per layer; NaN where the mask is empty.

    Raises:
        ValueError: As :func:`matched_controls`.

    Example:
        >>> import torch
        >>> expected_overlap(torch.tensor([[True, True, False, False, False], [False] * 5])).tolist()
        [0.4, nan]
    """
    _require_mask(mask)
    bins = _bins(mask, match, n_bins)
    mask = mask.cpu()
    found = torch.full((len(mask),), torch.nan, dtype=torch.float64)
    for row in mask.any(dim=1).nonzero()[:, 0].tolist():
        sizes = torch.bincount(bins[row]).double()
        held = torch.bincount(bins[row], weights=mask[row].double(), minlength=len(sizes))
        found[row] = (held.square() / sizes).sum() / held.sum()
    return found


def require_values(match: Any) -> None:
    """Refuse the name of something to match on, where nothing can be measured.

    Raises:
        TypeError: It is a word.
    """
    if isinstance(match, str):
        raise TypeError(
            f"match is {match!r}, which tlesion.laminar_profile measures on its prompts; here give the values to match "
            "on, a tensor [layer, unit]"
        )


def _require_mask(mask: Tensor) -> None:
    if mask.ndim != 2 or mask.dtype != torch.bool or not mask.numel():
        raise ValueError(
            f"the mask has shape {tuple(mask.shape)} and dtype {mask.dtype}; a mask is a bool tensor [layer, unit], as "
            "selection.mask() gives it"
        )


def _bins(mask: Tensor, match: Any, n_bins: int) -> Int64[Tensor, "layer unit"]:
    """The bin of every unit: by rank within its layer, whatever the mask."""
    n_units = mask.shape[1]
    if match is None:
        return torch.zeros(mask.shape, dtype=torch.long)
    if n_bins < 1:
        raise ValueError(f"n_bins is {n_bins}; give 1 (no matching) or more")
    require_values(match)
    if match.shape != mask.shape or not bool(match.isfinite().all()):
        raise ValueError(
            f"match has shape {tuple(match.shape)} with {int((~match.isfinite()).sum())} values that are not finite; "
            f"give one finite number for each unit of the mask, {tuple(mask.shape)}"
        )
    rank: Tensor = match.detach().cpu().double().argsort(dim=1, stable=True).argsort(dim=1)
    n_bins = max(1, min(n_bins, math.floor(n_units / SMALLEST_BIN)))
    return rank * n_bins // n_units
