"""What stands against a study, in sentences with the way out."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from tlesion.paper.prose import p_value, percent, whole_percent
from tlesion.studies.common.smallest import SmallestEffect
from tlesion.studies.laminar.result import LaminarProfile
from tlesion.studies.verdict import plan_power
from tlesion.studies.verdict.chance import Chance
from tlesion.studies.verdict.decide import WIDE_FROM
from tlesion.studies.verdict.plan_result import N_CAUSAL


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The numbers that decide what can be reached; see `StudyPlan`.

    Attributes:
        n_units: Neurons of a layer.
    """

    n_prompts: int
    n_groups: int
    n_judged: int
    n_masks: int
    n_controls: int
    n_tests: int
    n_units: int
    n_lesioned: int
    alpha: float

    @property
    def cut(self) -> float:
        """The share of a layer that is cut."""
        return self.n_lesioned / self.n_units

    @property
    def controls_p(self) -> float:
        """The smallest p against controls."""
        return 1 / (1 + self.n_controls)

    @property
    def groups_p(self) -> float:
        """The smallest p over groups."""
        return plan_power.least_groups_p(self.n_judged)

    def reached(self, power: float) -> dict[str, Any]:
        """The fields of a plan that these numbers alone decide."""
        possible = 0 < self.n_lesioned < self.n_units
        own = ("n_prompts", "n_groups", "n_judged", "n_masks", "n_controls", "n_tests", "n_lesioned", "alpha")
        detectable = plan_power.detectable_over_groups(self.n_judged, self.n_tests, self.alpha, power)
        z = tuple(plan_power.attainable_z(self.cut, count) if possible else 0.0 for count in N_CAUSAL)
        needed = plan_power.needed_z(self.n_tests, self.n_controls, self.alpha)
        return {name: getattr(self, name) for name in own} | {
            "attainable_p": max(self.groups_p, self.controls_p),
            "attainable_p_groups": self.groups_p,
            "attainable_p_controls": self.controls_p,
            "attainable_z": z,
            "needed_z": torch.tensor(needed, dtype=torch.float64),
            "needed_causal": self.needed_causal,
            "detectable_effect": torch.tensor(detectable, dtype=torch.float64),
        }

    @property
    def needed_causal(self) -> int:
        """How many neurons have to carry an effect; 0: no number suffices."""
        if not 0 < self.n_lesioned < self.n_units:
            return 0
        return plan_power.neurons_needed(self.cut, self.n_tests, self.n_controls, self.alpha)


def refusals(sizes: Sizes) -> list[str]:
    """Why a study cannot reach its level, whatever its neurons do."""
    found = []
    if sizes.groups_p > sizes.alpha:
        needed = plan_power.groups_needed(sizes.alpha)
        found.append(
            f"A set is judged on {sizes.n_judged} independent template{'s' * (sizes.n_judged != 1)} at least, whose "
            f"sign flips cannot make p smaller than {sizes.groups_p:.3g}: give prompts from {needed} templates or more "
            "for each word."
        )
    if sizes.controls_p > sizes.alpha:
        needed = math.ceil(1 / sizes.alpha - 1e-9) - 1
        found.append(
            f"{sizes.n_controls} controls cannot make p smaller than {sizes.controls_p:.3g}: give n_controls={needed} "
            "or more (99 are usual)."
        )
    if sizes.n_lesioned >= sizes.n_units:
        found.append(
            f"The sets are the whole layer ({sizes.n_units} neurons), and so is every control of theirs: give a "
            "smaller share."
        )
    if sizes.n_lesioned < 1:
        found.append(
            f"The sets have no neuron: the share is less than half of one of {sizes.n_units}. Give a larger share."
        )
    return found


def problems(
    sizes: Sizes,
    answers: Chance,
    detectable: Float64[Tensor, " layer"],
    smallest: SmallestEffect,
    pilot: LaminarProfile | None,
) -> list[str]:
    """What makes it hard to find anything."""
    found = []
    if answers.above(sizes.alpha) is False:
        found.append(
            f"The model is not shown to do this task: it gives the right answer in {percent(answers.accuracy)} of the "
            f"prompts (p = {p_value(answers.p)} against guessing), and every verdict would be inconclusive. Take a "
            "task that it can do, or another model."
        )
    needed = plan_power.groups_needed(sizes.alpha, sizes.n_tests)
    if plan_power.groups_needed(sizes.alpha) <= sizes.n_judged < needed:
        found.append(
            f"{sizes.n_judged} templates need not make p {sizes.alpha:g} beside {sizes.n_tests} tests of sets and "
            f"layers: with {needed} they can."
        )
    if WIDE_FROM < sizes.cut < 1:
        found.append(
            f"A set of {whole_percent(sizes.cut)} of a layer is wide: random sets hold as much of it, so that an "
            f"effect can be told from theirs only where {sizes.needed_causal or 'countless'} neurons or more carry it. "
            "Take smaller sets: tlesion.select_neurons(..., top_k=...)."
        )
    known = detectable[~detectable.isnan()]
    if len(known) and float(known.max()) > smallest.value:
        most = float(known.max())
        unseen = f"Effects of less than {most:.2g} logits" if math.isfinite(most) else "Effects of any size"
        found.append(
            f"{unseen} can go unseen in some layer, and the smallest of interest is {smallest.value:.2g} logits: give "
            "prompts from more templates, smaller sets, or more controls."
        )
    return found + _of_pilot(sizes, pilot)


def _of_pilot(sizes: Sizes, pilot: LaminarProfile | None) -> list[str]:
    """Whether the pilot's sets are as large as those of the study."""
    if pilot is None:
        return []
    cut = pilot.n_lesioned[pilot.n_lesioned > 0].double()
    if len(cut) and 2 / 3 <= float(cut.median()) / max(1, sizes.n_lesioned) <= 1.5:
        return []
    size = f"{float(cut.median()):.0f}" if len(cut) else "no"
    return [
        f"The pilot's sets have {size} neurons in a layer and those of the study {sizes.n_lesioned}: what it says of "
        "effects in logits holds for sets of its own size. Give a pilot of sets as large, or the share that they have."
    ]
