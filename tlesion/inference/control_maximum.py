"""Matched controls and many layers: p of a mask's effects, corrected for having looked at all layers."""

import math

import torch
from jaxtyping import Bool, Float64, Shaped
from torch import Tensor

from tlesion.inference.against_controls import ROUNDING, TIE


def control_maximum_p(effect: Shaped[Tensor, "..."], controls: Shaped[Tensor, "..."]) -> Float64[Tensor, " layer"]:
    r"""In which layers does a mask do more than its controls, given that all layers were looked at?

    .. math:: p_l = \frac{1 + \#\{c : \max_k z_{ck} \ge z_l\}}{1 + C}, \qquad z_l = (e_l - m_l) / s_l

    m and s are the mean and standard deviation over the controls *and* the mask of a layer: under the null hypothesis
    the mask is one draw among them, and standardising all alike keeps them exchangeable. Control c is a random mask in
    every layer, as the lesion is, so that its largest z is what chance makes of the largest of so many layers.
    One-sided: larger than chance. Controls the family-wise error rate.

    Args:
        effect: The mask's effect in each layer of the family.
        controls: The same of every control, ``[control, layer]``.

    Returns:
        Corrected p. It is 1 where all controls have the mask's own effect; such a layer takes no part in the maxima.

    Raises:
        ValueError: No controls, or shapes that do not match.

    Source:
        Westfall & Young (1993), Resampling-based multiple testing, single-step max-T, on draws of masks.

    Example:
        >>> controls = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.5]])
        >>> control_maximum_p(torch.tensor([9.0, 0.5]), controls).tolist()
        [0.25, 0.75]
    """
    if effect.ndim != 1 or controls.ndim != 2 or controls.shape[1:] != effect.shape or not len(controls):
        raise ValueError(
            f"an effect of shape {tuple(effect.shape)} does not fit controls of shape {tuple(controls.shape)}; give "
            "[layer] and [control, layer], with one control or more"
        )
    rows = torch.cat([effect[None], controls]).detach().cpu().double()
    z, differ = _standardised(rows)
    # Ties as in `empirical_p`: what float32 rounding makes of one lesion in two batches.
    margin = (ROUNDING + TIE * rows[0].abs()) / rows.std(dim=0, correction=0).where(differ, 1.0)
    largest = z[1:].masked_fill(~differ, -torch.inf).amax(dim=1, keepdim=True)
    p = (1 + (largest >= z[0] - margin).sum(dim=0)).double() / len(rows)
    return p.where(differ, 1.0)


def control_limit(controls: Float64[Tensor, "control layer"], alpha: float) -> Float64[Tensor, " layer"]:
    """Roughly the effect that each layer has to exceed for `control_maximum_p` to be at most ``alpha``.

    Infinite with fewer than 1 / ``alpha`` − 1 controls.

    Example:
        >>> control_limit(torch.arange(19.0, dtype=torch.float64)[:, None], 0.05).item()
        18.0
    """
    allowed = math.floor(alpha * (1 + len(controls)) + 1e-9) - 1  # controls that may be as large
    if allowed < 0:
        return torch.full(controls.shape[1:], torch.inf, dtype=torch.float64)
    z, differ = _standardised(controls)
    largest = z.masked_fill(~differ, -torch.inf).amax(dim=1).sort(descending=True).values
    spread = controls.std(dim=0, correction=0).where(differ, 0.0)
    return controls.mean(dim=0) + spread * largest[allowed].clamp(min=0)


def _standardised(rows: Float64[Tensor, "row layer"]) -> tuple[Float64[Tensor, "row layer"], Bool[Tensor, " layer"]]:
    """Distance from a layer's mean in its standard deviations, and whether its rows differ by more than rounding."""
    spread, largest = rows.std(dim=0, correction=0), rows.abs().amax(dim=0)
    differ = spread > ROUNDING + TIE * largest
    return torch.where(differ, (rows - rows.mean(dim=0)) / spread.where(differ, 1.0), 0.0), differ
