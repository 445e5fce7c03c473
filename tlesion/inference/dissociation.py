"""Double dissociation: does each of two masks cost its own target more than the other mask's?"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from tlesion.inference.bootstrap import Interval, bootstrap_mean
from tlesion.inference.layers import max_statistic
from tlesion.inference.sign_flips import sign_flip_p
from tlesion.public import public


@dataclass(frozen=True, eq=False, kw_only=True)
class DoubleDissociation:
    """How two masks and two targets go together, layer by layer.

    Attributes:
        interaction: (Mask a: target a − target b) − (mask b: target a − target b), mean over samples. Positive: each
            mask costs its own target more than the other mask does, on balance.
        interval: Of the interaction.
        p: Is the interaction zero? Two-sided, each layer by itself.
        p_corrected: The same, corrected for having looked at all layers.
        advantage: Row 0: mask a, target a − target b; row 1: mask b, target b − target a. Their sum is the interaction.
        advantage_interval: Of both.
        p_both: Is at least one advantage zero or less? One-sided, each layer by itself. An interaction can come from
            one mask alone; a *double* dissociation is that both advantages are positive, and this is its p: the larger
            of the two.
    """

    interaction: Float64[Tensor, " layer"]
    interval: Interval
    p: Float64[Tensor, " layer"]
    p_corrected: Float64[Tensor, " layer"]
    advantage: Float64[Tensor, "mask layer"]
    advantage_interval: Interval
    p_both: Float64[Tensor, " layer"]


@public
def double_dissociation(
    drop: Shaped[Tensor, "..."],
    *,
    level: float | int = 0.95,
    method: str = "bca",
    n_resamples: int = 5000,
    n_permutations: int = 10_000,
    seed: int = 0,
    groups: Any = None,
) -> DoubleDissociation:
    r"""The interaction of masks and targets, with its interval and p.

    .. math:: I_s = (d_{a,s,a} - d_{a,s,b}) - (d_{b,s,a} - d_{b,s,b})

    for sample s and :math:`d_{m,s,t}`, what mask m costs target t there. What a lesion does to both targets alike, and
    what both lesions do alike, cancels out.

    Args:
        drop: Logit drops ``[mask, layer, sample, target]`` of two masks and two targets, in the same order: mask 0 is
            expected to cost target 0. ``profile.logit_drop`` is one, where every prompt has the same two targets.
        level: Of the intervals.
        method: Of the intervals, see :func:`tlesion.inference.bootstrap_mean`.
        n_resamples: Of their bootstrap.
        n_permutations: Sign flips over samples to draw; where no more than that exist, all are used.
        seed: Of resamples and flips.
        groups: One label per sample; samples of a group are resampled and flipped together.

    Returns:
        The interaction and both masks' advantages, each with its interval and p. Positive: each mask costs its own
        target more than it costs the other one.

    Raises:
        ValueError: Other than two masks and two targets, fewer than two samples or groups, an unknown method.

    Source:
        Shallice (1988), From Neuropsychology to Mental Structure, ch. 10; p_both is the intersection-union test of
        Berger (1982), Technometrics 24:295-300.

    Example:
        >>> import torch
        >>> him = torch.tensor([[2.0, 1.0], [3.0, 1.0], [4.0, 1.0]])  # [sample, target]
        >>> her = torch.tensor([[0.0, 1.0], [0.0, 2.0], [1.0, 2.0]])
        >>> found = double_dissociation(torch.stack([him, her])[:, None], method="t")
        >>> [round(x, 2) for x in (found.interaction.item(), *found.advantage.flatten().tolist(), found.p.item())]
        [3.33, 2.0, 1.33, 0.25]
    """
    if drop.ndim != 4 or drop.shape[0] != 2 or drop.shape[3] != 2:
        raise ValueError(
            f"drop has shape {tuple(drop.shape)}; give [mask, layer, sample, target] with two masks and two targets"
        )
    drop = drop.detach().cpu().double()
    advantage = torch.stack([drop[0, ..., 0] - drop[0, ..., 1], drop[1, ..., 1] - drop[1, ..., 0]])
    interaction = advantage.sum(dim=0)
    flips: dict[str, Any] = {"n_permutations": n_permutations, "seed": seed, "groups": groups}
    resamples: dict[str, Any] = {
        "level": level,
        "method": method,
        "n_resamples": n_resamples,
        "seed": seed,
        "groups": groups,
    }
    one_sided = sign_flip_p(advantage, tail="larger", **flips)
    return DoubleDissociation(
        interaction=interaction.mean(dim=1),
        interval=bootstrap_mean(interaction, **resamples),
        p=sign_flip_p(interaction, **flips),
        p_corrected=max_statistic(interaction, **flips),
        advantage=advantage.mean(dim=2),
        advantage_interval=bootstrap_mean(advantage, **resamples),
        p_both=one_sided.amax(dim=0),
    )
