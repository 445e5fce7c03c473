"""The six words: which of them a lesion's statistics allow, and why not a definite one."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from tlesion.inference.control_maximum import monte_carlo_error
from tlesion.studies.verdict.evidence import Evidence
from tlesion.studies.verdict.result import (
    AT_CHANCE,
    DAMAGE,
    FEW_CONTROLS,
    FEW_PROMPTS,
    INCONCLUSIVE,
    NEGLIGIBLE,
    NOT_CUT,
    OPPOSITE,
    ROUNDING,
    SPECIFIC,
    WIDE,
)
from tlesion.studies.verdict.rules import Lesions

WIDE_FROM = 0.2
"""Above this share of a set's neurons that its controls hold, it can hardly exceed them."""

Where = Bool[Tensor, "mask layer"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Study:
    """What the words depend on beside the statistics.

    Attributes:
        active: Lesions that cut something.
        overlap: Share of a lesion's neurons that its controls hold.
        smallest: Smallest effect of interest of each mask.
        rounding: Distance between neighbouring numbers of the model's dtype, at its largest logit.
        above_chance: Whether the clean model does the task; None: the prompts name no right answer.
        could_show: Whether prompts as many as these could show that it does.
        n_controls: Of each mask.
    """

    active: Where
    overlap: Lesions
    smallest: Float64[Tensor, " mask"]
    rounding: float
    above_chance: bool | None
    could_show: bool
    n_controls: int


def words_of(
    found: Evidence, study: Study, alpha: float
) -> tuple[tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...]]:
    """The verdict on every mask and layer, and the reason where it is inconclusive.

    The first that holds, in the order of the rules of :func:`tlesion.verdict`. A statistic that is NaN allows nothing.
    """
    smallest = study.smallest[:, None]
    seen = smallest > study.rounding
    negligible = seen & (found.inner_low > -smallest) & (found.inner_high < smallest) & (found.global_high < smallest)
    beyond = (found.control_p_corrected <= alpha) & (found.selective_p <= alpha)
    shown = (found.p <= alpha) & beyond
    large = (found.inner_low >= smallest) | (found.inner_high <= -smallest) | (found.global_low >= smallest)
    large |= ~found.effect.isfinite()
    close = _could_be_small(found, study, alpha)
    wide = (study.overlap > WIDE_FROM) & ~beyond
    damage = seen & large & ~beyond & ~close & ~wide
    rules = {
        NOT_CUT: ~study.active,
        INCONCLUSIVE: torch.full_like(study.active, study.above_chance is False),
        NEGLIGIBLE: negligible,
        SPECIFIC: shown & (found.effect > 0),
        OPPOSITE: shown & (found.effect < 0),
        DAMAGE: damage,
    }
    why = {
        AT_CHANCE: torch.full_like(study.active, study.above_chance is False and study.could_show),
        ROUNDING: ~seen.expand_as(study.active),
        WIDE: wide & (large | (found.p <= alpha)),
        FEW_CONTROLS: close & (found.p <= alpha),
    }
    words = _first(rules, INCONCLUSIVE)
    reasons = _first(why, FEW_PROMPTS)
    return words, tuple(
        tuple(reason if word == INCONCLUSIVE else "" for word, reason in zip(*both, strict=True))
        for both in zip(words, reasons, strict=True)
    )


def _could_be_small(found: Evidence, study: Study, alpha: float) -> Where:
    """Whether other controls, or more of them, may well bring both control p to ``alpha``: within two errors of it."""
    least = 1 / (1 + study.n_controls)
    near = torch.ones_like(study.active)
    for p in (found.control_p_corrected, found.selective_p):
        near &= (p - 2 * monte_carlo_error(p, study.n_controls) <= alpha) | (p <= least + 1e-12)
    return near & ~((found.control_p_corrected <= alpha) & (found.selective_p <= alpha))


def _first(rules: dict[str, Where], otherwise: str) -> tuple[tuple[str, ...], ...]:
    """For every place the first word whose rule holds there."""
    some = next(iter(rules.values()))
    return tuple(
        tuple(
            next((word for word, where in rules.items() if bool(where[mask, layer])), otherwise)
            for layer in range(some.shape[1])
        )
        for mask in range(some.shape[0])
    )
