"""A set among random sets of its size: how often do they do as much? Corrected over all masks and layers."""

import torch
from jaxtyping import Float64
from torch import Tensor

from tlesion.checks import one_of
from tlesion.inference import empirical_p
from tlesion.inference.against_controls import ALTERNATIVES
from tlesion.inference.control_maximum import control_maximum_p


def require_alternative(alternative: str) -> None:
    """Refuse an unknown alternative.

    Raises:
        ValueError: It is unknown.
    """
    one_of("alternative", alternative, ALTERNATIVES)


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
        corrected[family] = control_maximum_p(effect, controls, alternative=alternative)
    return p, corrected
