"""Shares of an effect, layer by layer, and why there is none: an effect that is not shown has no parts."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from tlesion.inference.ratio import ratio_of_means
from tlesion.studies.common.effects import spacing_of_logits

FEW_PROMPTS = "few prompts"
"""Fewer than two independent prompts: nothing tells how much their mean would vary."""

ROUNDING = 4  # units in the last place


@dataclass(frozen=True, eq=False, kw_only=True)
class Shares:
    """Shares of one mask in each layer.

    Attributes:
        share: Mean of the part over mean of the whole; NaN where the whole is not shown to differ from zero.
        low, high: The ends of its interval.
        reasons: Why there is no share, layer by layer; "" where there is one.
    """

    share: Float64[Tensor, " layer"]
    low: Float64[Tensor, " layer"]
    high: Float64[Tensor, " layer"]
    reasons: tuple[str, ...]


def shares_of(
    part: Float64[Tensor, "layer own"],
    whole: Float64[Tensor, "layer own"],
    *,
    groups: Sequence[str],
    level: float,
    least: float,
    reason: str,
) -> Shares:
    """Shares of a whole effect.

    Args:
        part: What a part of the lesion does, on each prompt.
        whole: What the whole of it does.
        groups: The independent unit that each prompt belongs to.
        level: Of the intervals.
        least: See `least_effect`.
        reason: What is said where the whole is not shown to differ from zero.
    """
    if len(set(groups)) < 2:
        none = torch.full(part.shape[:1], torch.nan, dtype=torch.float64)
        return Shares(share=none, low=none.clone(), high=none.clone(), reasons=(FEW_PROMPTS,) * len(part))
    found = ratio_of_means(part, whole, level=level, groups=groups, least=least)
    reasons = tuple(reason if unknown else "" for unknown in found.value.isnan().tolist())
    return Shares(share=found.value, low=found.low, high=found.high, reasons=reasons)


def least_effect(clean: Shaped[Tensor, "prompt target"], dtype: str) -> float:
    """What effects may be made of by rounding alone: a few units in the last place of the largest logit.

    Args:
        clean: The clean logits.
        dtype: Of the model, as its provenance has it.
    """
    return ROUNDING * spacing_of_logits(clean, dtype)
