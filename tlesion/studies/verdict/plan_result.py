"""`StudyPlan`: what a study can reach, before it is run."""

import math
from dataclasses import dataclass

import pandas as pd
from jaxtyping import Float64
from torch import Tensor

from tlesion.keep.results import Result
from tlesion.paper.prose import layer_list, listed, p_value, percent, whole_percent

N_CAUSAL = (1, 10)
"""For how many causal neurons the attainable z is told."""


@dataclass(frozen=True, eq=False, kw_only=True)
class StudyPlan(Result):
    """What a study with a verdict can reach; :func:`tlesion.plan_study` makes one.

    Attributes:
        n_prompts: Prompts; copies count once.
        n_groups: Independent templates among them.
        n_judged: The fewest of these that a set is judged on: those in which its word is the right answer.
        words: The words that sets are taken to be about; "" stands for each prompt's right answer.
        n_masks, n_controls: Neuron sets, and matched controls of each.
        n_tests: Neuron sets times layers: what corrections span.
        layers: The layers that are cut, one at a time.
        n_lesioned: Neurons of a set in a layer.
        share: The same as a share of the layer.
        alpha, power: Level of every test, and the probability of finding what is called detectable.
        attainable_p: The smallest p that the study can reach: the larger of the following two.
        attainable_p_groups: Over groups: all of them agree. With other sets and layers beside it, p is as small as
            that at best.
        attainable_p_controls: Against controls: none does as much.
        attainable_z: How many standard deviations from its controls a set of that share can lie where one neuron
            carries the whole effect, and where ten do so alike.
        needed_z: How many it has to, about.
        needed_causal: How many neurons have to carry an effect for such a set to be told from its controls; 0: no
            number suffices.
        detectable_effect: Smallest mean effect that the prompts show, in standard deviations over groups; infinite
            where they need not show any.
        sensitivity: Smallest effect that is told from those of random sets and from chance over templates, in logits,
            for each layer; NaN where the pilot says nothing.
        detectable_logits: Smallest effect that is called specific: the same, but never less than the smallest effect of
            interest, below which an effect is negligible.
        pilot: What that comes from.
        seconds: About how long the study takes on this machine: an estimate.
        bytes: About how much the result holds.
        accuracy: Share of the prompts that the clean model gets right; NaN where none names a right answer.
        chance_p: Is it above chance? One-sided, over groups; NaN likewise.
        smallest_effect: Smallest effect of interest, in logits.
        smallest_origin: Where it comes from.
        problems: What stands against the study, in sentences; those that it cannot be run with first.
    """

    n_prompts: int
    n_groups: int
    n_judged: int
    words: tuple[str, ...]
    n_masks: int
    n_controls: int
    n_tests: int
    layers: tuple[int, ...]
    n_lesioned: int
    share: float
    alpha: float
    power: float
    attainable_p: float
    attainable_p_groups: float
    attainable_p_controls: float
    attainable_z: tuple[float, float]
    needed_z: Float64[Tensor, ""]
    needed_causal: int
    detectable_effect: Float64[Tensor, ""]
    sensitivity: Float64[Tensor, " layer"]
    detectable_logits: Float64[Tensor, " layer"]
    pilot: str
    seconds: float
    bytes: int
    accuracy: Float64[Tensor, ""]
    chance_p: Float64[Tensor, ""]
    smallest_effect: float
    smallest_origin: str
    problems: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """Tidy: a row per layer, with what holds for the whole study repeated.

        Columns: layer, n_lesioned, sensitivity, detectable_logits, smallest, n_masks, n_controls, n_tests, n_prompts,
        n_groups, n_judged, attainable_p, attainable_p_groups, attainable_p_controls, attainable_z_1, attainable_z_10,
        needed_z, needed_causal, detectable_effect, accuracy, chance_p, seconds, bytes.
        """
        frame = pd.DataFrame({"layer": list(self.layers), "n_lesioned": self.n_lesioned})
        frame["sensitivity"] = self.sensitivity.numpy()
        frame["detectable_logits"] = self.detectable_logits.numpy()
        frame["smallest"] = self.smallest_effect
        for name in ("n_masks", "n_controls", "n_tests", "n_prompts", "n_groups", "n_judged"):
            frame[name] = getattr(self, name)
        for name in ("attainable_p", "attainable_p_groups", "attainable_p_controls"):
            frame[name] = getattr(self, name)
        for count, z in zip(N_CAUSAL, self.attainable_z, strict=True):
            frame[f"attainable_z_{count}"] = z
        for name in ("needed_z", "needed_causal", "detectable_effect", "accuracy", "chance_p", "seconds", "bytes"):
            frame[name] = float(getattr(self, name)) if isinstance(getattr(self, name), Tensor) else getattr(self, name)
        return frame

    def summary(self) -> str:
        """What the study can reach, and what stands against it, in sentences."""
        said = [_size(self), _answers(self), _reach(self), _effects(self), _cost(self)]
        return "\n".join([*said, *(f"Problem: {problem}" for problem in self.problems)])


def _size(plan: StudyPlan) -> str:
    sets = f"{plan.n_masks} neuron set{'s' * (plan.n_masks != 1)} of {plan.n_lesioned} neurons"
    about = "the right answer of each prompt" if plan.words == ("",) else listed([repr(word) for word in plan.words])
    return (
        f"The study cuts {sets} ({percent(plan.share)} of a layer) in {layer_list(plan.layers)}, which makes "
        f"{plan.n_tests} tests, with {plan.n_controls} controls of each set, on {plan.n_prompts} prompts from "
        f"{plan.n_groups} independent templates. Sets are taken to be about {about}, and each is judged on "
        f"{plan.n_judged} templates or more."
    )


def _answers(plan: StudyPlan) -> str:
    if math.isnan(float(plan.accuracy)):
        return "No prompt names a right answer, so that nobody can tell whether the model does the task."
    return (
        f"Unlesioned, the model gives the right answer in {percent(plan.accuracy)} of the prompts (p = "
        f"{p_value(float(plan.chance_p))} against guessing)."
    )


def _reach(plan: StudyPlan) -> str:
    one, ten = plan.attainable_z
    least = (
        f"The smallest p that can be reached is {p_value(plan.attainable_p_groups)} over templates and "
        f"{p_value(plan.attainable_p_controls)} against controls."
    )
    if not one:
        return least
    needed = float(plan.needed_z)
    enough = f"about {needed:.1f} are needed" if math.isfinite(needed) else "with so few controls no distance suffices"
    return (
        f"{least} A set of that share can lie up to {one:.1f} standard deviations from its controls where one neuron "
        f"carries the effect, and up to {ten:.1f} where ten do; {enough}."
    )


def _effects(plan: StudyPlan) -> str:
    d, chance = float(plan.detectable_effect), whole_percent(plan.power)
    shown = (
        f"With a probability of {chance} the prompts show a mean effect of {d:.2f} standard deviations over templates."
        if math.isfinite(d)
        else "So few templates need not show an effect of any size."
    )
    interest = (
        f" An effect of less than {plan.smallest_effect:.2g} logits, the smallest of interest, is negligible "
        f"({plan.smallest_origin})."
    )
    known = plan.sensitivity[~plan.sensitivity.isnan()]
    if not len(known):
        return shown + interest
    low, high = float(known.min()), float(known.max())
    if math.isinf(high):
        return f"{shown} By {plan.pilot}, no effect is sure to be told from those of random sets everywhere.{interest}"
    best = "" if low == high else f" ({low:.2g} in the best layer)"
    return (
        f"{shown} Effects of {high:.2g} logits or more{best} are told from those of random sets with that probability, "
        f"by {plan.pilot}.{interest}"
    )


def _cost(plan: StudyPlan) -> str:
    minutes = plan.seconds / 60
    took = f"{minutes:.0f} minutes" if minutes >= 2 else f"{max(2, math.ceil(plan.seconds))} seconds"
    return f"It takes about {took} on this machine, and the result holds {plan.bytes / 1e6:.1f} MB: both are estimates."
