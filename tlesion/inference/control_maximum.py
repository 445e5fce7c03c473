"""Matched controls and many lesions: p of effects, corrected for having looked at all masks and layers."""

import math

import torch
from jaxtyping import Bool, Float64, Shaped
from torch import Tensor

from tlesion.checks import one_of
from tlesion.inference.against_controls import ALTERNATIVES, ROUNDING, TIE


def control_maximum_p(
    effect: Shaped[Tensor, "..."], controls: Shaped[Tensor, "..."], *, alternative: str = "larger"
) -> Float64[Tensor, "..."]:
    r"""Which lesions do more than their controls, given that all of a family were looked at?

    .. math:: p_l = \frac{1 + \#\{c : \max_k z_{ck} \ge z_l\}}{1 + C}, \qquad z_l = (e_l - m_l) / s_l

    The family may have any axes: layers, or masks and layers. m and s are the mean and standard deviation over the
    controls *and* the mask of a layer: under the null hypothesis the mask is one draw among them, and standardising all
    alike keeps them exchangeable. Control c is one random draw for the whole family, as the lesions are, so that its
    largest z is what chance makes of the largest of so many. Controls the family-wise error rate.

    Args:
        effect: The effect of each lesion of the family, ``[*family]``.
        controls: The same of every control, ``[control, *family]``.
        alternative: ``"larger"``, ``"smaller"``, or ``"two-sided"``: the size of z, whatever its sign.

    Returns:
        Corrected p. It is 1 where all controls have the lesion's own effect; such a lesion takes no part in the maxima.

    Raises:
        ValueError: No controls, shapes that do not match, an unknown alternative.

    Source:
        Westfall & Young (1993), Resampling-based multiple testing, single-step max-T, on draws of masks.

    Example:
        >>> controls = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.5]])
        >>> control_maximum_p(torch.tensor([9.0, 0.5]), controls).tolist()
        [0.25, 0.75]
    """
    one_of("alternative", alternative, ALTERNATIVES)
    if not effect.ndim or controls.shape[1:] != effect.shape or not len(controls) or not effect.numel():
        raise ValueError(
            f"an effect of shape {tuple(effect.shape)} does not fit controls of shape {tuple(controls.shape)}; give "
            "[*family] and [control, *family], with one control or more"
        )
    rows = torch.cat([effect[None], controls]).detach().cpu().double().flatten(1)
    z, differ = _standardised(rows)
    size = _directed(z, alternative)
    # Ties as in `empirical_p`: what float32 rounding makes of one lesion in two batches.
    margin = (ROUNDING + TIE * rows[0].abs()) / rows.std(dim=0, correction=0).where(differ, 1.0)
    largest = size[1:].masked_fill(~differ, -torch.inf).amax(dim=1, keepdim=True)
    p = (1 + (largest >= size[0] - margin).sum(dim=0)).double() / len(rows)
    return p.where(differ, 1.0).reshape(effect.shape)


def control_limit(
    controls: Float64[Tensor, "control *family"], alpha: float, *, alternative: str = "larger"
) -> Float64[Tensor, "*family"]:
    """Roughly the effect that each lesion has to exceed for `control_maximum_p` to be at most ``alpha``.

    Infinite with fewer than 1 / ``alpha`` − 1 controls. Of ``"two-sided"`` p it is the upper limit.

    Example:
        >>> control_limit(torch.arange(19.0, dtype=torch.float64)[:, None], 0.05).item()
        18.0
    """
    allowed = math.floor(alpha * (1 + len(controls)) + 1e-9) - 1  # controls that may be as large
    if allowed < 0:
        return torch.full(controls.shape[1:], torch.inf, dtype=torch.float64)
    rows = controls.flatten(1)
    z, differ = _standardised(rows)
    size = _directed(z, alternative).masked_fill(~differ, -torch.inf)
    least = size.amax(dim=1).sort(descending=True).values[allowed].clamp(min=0)
    if rows.shape[1] > 1:
        # An effect is standardised together with its own controls, and widens their spread, but not that of others.
        n, squared = len(rows), float(least.square())
        least = least * math.sqrt((n + 1) / (n - squared)) if squared < n else torch.tensor(torch.inf)
    spread = rows.std(dim=0, correction=0).where(differ, 0.0)
    return (rows.mean(dim=0) + torch.where(spread > 0, spread * least, 0.0)).reshape(controls.shape[1:])


def monte_carlo_error(p: Float64[Tensor, "*shape"], n_controls: int) -> Float64[Tensor, "*shape"]:
    r"""Standard error of a p that was estimated from so many controls, :math:`\sqrt{p (1 - p) / C}`.

    Example:
        >>> round(monte_carlo_error(torch.tensor(0.05, dtype=torch.float64), 99).item(), 4)
        0.0219
    """
    return (p * (1 - p) / n_controls).sqrt()


def _directed(z: Float64[Tensor, "row lesion"], alternative: str) -> Float64[Tensor, "row lesion"]:
    return {"larger": z.clone, "smaller": z.neg, "two-sided": z.abs}[alternative]()


def _standardised(rows: Float64[Tensor, "row lesion"]) -> tuple[Float64[Tensor, "row lesion"], Bool[Tensor, " lesion"]]:
    """Distance from a lesion's mean in its standard deviations, and whether its rows differ by more than rounding."""
    spread, largest = rows.std(dim=0, correction=0), rows.abs().amax(dim=0)
    differ = spread > ROUNDING + TIE * largest
    return torch.where(differ, (rows - rows.mean(dim=0)) / spread.where(differ, 1.0), 0.0), differ
