"""What is judged, and by which rules: one mask's effects with their groups, and the thresholds of a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Bool, Float64
from torch import Tensor

from tlesion.studies.common.effects import MaskEffect

MAX = "max"
BOTH = "two-sided"

Lesions = Float64[Tensor, "mask layer"]
Rows = Float64[Tensor, "layer prompt"]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The thresholds of a verdict; :func:`tlesion.verdict` says what each means."""

    alpha: float
    power: float
    correction: str
    level: float
    interval: str
    n_resamples: int
    n_permutations: int
    seed: int


@dataclass(frozen=True, eq=False, kw_only=True)
class OneMask:
    """Effects of a mask, the labels of its prompts' groups, and the layers in which it has neurons."""

    effects: MaskEffect
    groups: Sequence[Any]
    active: Bool[Tensor, " layer"]

    @property
    def n_groups(self) -> int:
        """How many independent units there are."""
        return len(set(self.groups))
