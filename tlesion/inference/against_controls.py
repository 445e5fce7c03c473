"""How far an effect stands out from its matched controls: a p-value, and a distance in standard deviations."""

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from tlesion.checks import one_of

ALTERNATIVES = ("larger", "smaller", "two-sided")
# What float32 rounding makes of one lesion that is run in two batches: of a logit, and of a large effect.
ROUNDING = 1e-5
TIE = 1e-6


def empirical_p(
    effect: Shaped[Tensor, "*shape"],
    controls: Shaped[Tensor, "..."],
    *,
    alternative: str = "larger",
    rounding: float | int = ROUNDING,
) -> Float64[Tensor, "*shape"]:
    r"""How often a control's effect is as large as the mask's.

    .. math:: p = \frac{1 + \#\{c : e_c \ge e\}}{1 + C}

    The mask counts among the controls (the 1s): p is never 0, and a random mask has :math:`P(p \le x) \le x`.
    Controls that differ by no more than ``rounding`` and a millionth of the effect count as equal to it: controls
    that cut the very same neurons in another batch must not win or lose by their last digits.

    Args:
        effect: The mask's effect.
        controls: The same effect of every matched control, ``[control, *shape]``.
        alternative: ``"larger"``, ``"smaller"``, or ``"two-sided"``: twice the smaller of both, 1 at most.
        rounding: In units of the effect; the default suits logits of a float32 model. 0 for exact effects.

    Returns:
        p; NaN where the effect or one of its controls is NaN.

    Raises:
        ValueError: No controls, shapes that do not match, an unknown alternative.

    Source:
        Agrees with ``scipy.stats.monte_carlo_test``.

    Example:
        >>> import torch
        >>> empirical_p(torch.tensor(3.0), torch.tensor([1.0, 2.0, 3.0, 4.0])).item()
        0.6
    """
    one_of("alternative", alternative, ALTERNATIVES)
    effect, controls = _paired_up(effect, controls, least=1)
    margin = rounding + TIE * effect.abs().nan_to_num(posinf=0.0)
    unknown = effect.isnan() | controls.isnan().any(dim=0)
    tails = {
        "larger": (controls >= effect - margin).sum(dim=0),
        "smaller": (controls <= effect + margin).sum(dim=0),
    }
    p = {name: (1 + count.double()) / (1 + len(controls)) for name, count in tails.items()}
    p["two-sided"] = (2 * torch.minimum(p["larger"], p["smaller"])).clamp(max=1)
    return p[alternative].masked_fill(unknown, torch.nan)


def standardised_effect(
    effect: Shaped[Tensor, "*shape"], controls: Shaped[Tensor, "..."], *, rounding: float | int = ROUNDING
) -> Float64[Tensor, "*shape"]:
    r"""Distance of an effect from the mean of its controls, in their standard deviations.

    .. math:: z = (e - \bar e_c) \,/\, s_c, \qquad s_c^2 = \tfrac{1}{C - 1} \sum_c (e_c - \bar e_c)^2

    Args:
        effect: The mask's effect.
        controls: The same effect of every matched control, ``[control, *shape]``, two or more.
        rounding: Effects that differ by no more than this, or by a millionth of the largest, are the same.

    Returns:
        z. Where all controls have the same effect: NaN if the mask has it too, infinite with the difference's sign if
        not. NaN where a value is NaN or a control infinite.

    Raises:
        ValueError: Fewer than two controls, or shapes that do not match.

    Example:
        >>> import torch
        >>> standardised_effect(torch.tensor(5.0), torch.tensor([1.0, 2.0, 3.0])).item()
        3.0
    """
    effect, controls = _paired_up(effect, controls, least=2)
    # From the first control on: equal controls then differ by exactly 0, whatever their size.
    above, spread = effect - controls[0], controls - controls[0]
    margin = rounding + TIE * torch.maximum(effect.abs(), controls.abs().amax(dim=0)).nan_to_num(posinf=0.0)
    alike = spread.abs().amax(dim=0) <= margin
    z = (above - spread.mean(dim=0)) / spread.std(dim=0)
    return torch.where(alike, above.masked_fill(above.abs() <= margin, 0.0) / torch.zeros_like(above), z)


def _paired_up(effect: Tensor, controls: Tensor, *, least: int) -> tuple[Tensor, Tensor]:
    if controls.ndim != effect.ndim + 1 or controls.shape[1:] != effect.shape or len(controls) < least:
        raise ValueError(
            f"an effect of shape {tuple(effect.shape)} does not fit controls of shape {tuple(controls.shape)}; give "
            f"[control, *shape of the effect], with {least} or more controls"
        )
    return effect.detach().cpu().double(), controls.detach().cpu().double()
