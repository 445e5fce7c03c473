"""A set among random sets of its size: how often do they do as much? Drawn and corrected over all masks and layers."""

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from tlesion.checks import one_of
from tlesion.inference import empirical_p
from tlesion.inference.against_controls import ALTERNATIVES
from tlesion.inference.control_maximum import control_maximum_p
from tlesion.studies.common.controls import Controls


def require_alternative(alternative: str) -> None:
    """Refuse an unknown alternative.

    Raises:
        ValueError: It is unknown.
    """
    one_of("alternative", alternative, ALTERNATIVES)


def draw_together(
    controls: Controls, masks: Bool[Tensor, "mask layer unit"]
) -> Bool[Tensor, "control mask layer unit"]:
    """Controls of several masks: each is one shuffle of a layer's units for all of them.

    What masks share, or do not, their controls share, or do not, so that a maximum over masks is one of draws that
    hang together as the masks do. The shuffle does not depend on the masks: a mask's controls are the same whatever
    other masks stand beside it.
    """
    return torch.stack([controls.draw(mask, ()) for mask in masks], dim=1)


def p_among_random(
    effect: Float64[Tensor, "mask layer"],
    controls: Float64[Tensor, "control mask layer"],
    *,
    alternative: str,
) -> tuple[Float64[Tensor, "mask layer"], Float64[Tensor, "mask layer"]]:
    """How often random sets do as much as a mask.

    Args:
        effect: What every mask does; NaN where it takes no part.
        controls: The same of its controls.
        alternative: ``"larger"``, ``"smaller"`` or ``"two-sided"``.

    Returns:
        p of each mask and layer by itself, and corrected over all that take part. NaN without controls, and where a
        mask takes no part.
    """
    p = torch.full_like(effect, torch.nan)
    corrected, family = p.clone(), ~effect.isnan()
    if len(controls) and bool(family.any()):
        effect, controls = effect[family], controls[:, family]
        p[family] = empirical_p(effect, controls, alternative=alternative)
        corrected[family] = _corrected(effect, controls, alternative)
    return p, corrected


def _corrected(
    effect: Float64[Tensor, " lesion"], controls: Float64[Tensor, "control lesion"], alternative: str
) -> Float64[Tensor, " lesion"]:
    signs = {"larger": (1,), "smaller": (-1,), "two-sided": (1, -1)}[alternative]
    both = control_maximum_p(torch.cat([s * effect for s in signs]), torch.cat([s * controls for s in signs], dim=1))
    return both.reshape(len(signs), -1).amin(dim=0)
