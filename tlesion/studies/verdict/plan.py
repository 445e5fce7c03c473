"""The plan of a study: can it reach its own level, what would it find, and what does it take, before it is run?"""

import math
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from tlesion.hooks import Layers, Model
from tlesion.provenance import require_same_model
from tlesion.public import public
from tlesion.selection.templates import settled_groups
from tlesion.studies.common.smallest import SmallestEffect
from tlesion.studies.laminar.result import LaminarProfile
from tlesion.studies.verdict import plan_power, plan_problems
from tlesion.studies.verdict.chance import chance_of
from tlesion.studies.verdict.plan_asked import Asked, asked_of
from tlesion.studies.verdict.plan_pilot import (
    OwnPilot,
    run_pilot,
    smallest_told,
    spread_of_profile,
    spread_of_sets,
)
from tlesion.studies.verdict.plan_result import StudyPlan

N_SETS, N_SETS_BESIDE = 20, 4
"""Random sets of a pilot of the plan's own, and beside one that was given."""


@public
def plan_study(
    model: Model,
    task_or_prompts: Any,
    *,
    n_controls: int = 99,
    share: float | int = 0.05,
    n_masks: int = 2,
    layers: Layers = "all",
    hook_point: str = "mlp.hook_post",
    alpha: float | int = 0.05,
    power: float | int = 0.9,
    smallest: float | int | SmallestEffect | None = None,
    groups: Any = "detect",
    about: Any = None,
    pilot: LaminarProfile | None = None,
    prepend_bos: bool | None = None,
    seed: int = 0,
    strict: bool = True,
) -> StudyPlan:
    r"""Say what a laminar profile with its verdict can reach, before it is run.

    A study whose p cannot fall to ``alpha``, whatever its neurons do, is refused with the way out: fewer templates than
    sign flips need, too few controls, sets that are a whole layer. What makes an effect hard to see is a problem, and
    no refusal: wide sets, a model at chance, a detectable effect above the smallest of interest.

    What is detectable in logits comes from ``pilot``, or from a small one of the plan's own: random sets, set to zero
    in four layers at most, on these prompts. Neurons that carry an effect can vary more over prompts than random ones
    do; a pilot on sets like those of the study, on other prompts, knows that, and one on random sets does not. The
    effects that are called detectable with such a pilot were found in more than 90 % of planted studies
    (benchmarks/plan_power.py).

    Args:
        model: The model.
        task_or_prompts: A list of `Prompt`, or an object with ``.prompts``.
        n_controls: Matched controls of each set.
        share: Share of a layer's neurons that a set cuts.
        n_masks: How many neuron sets.
        layers: The layers in which they have neurons: ``"all"``, or indices.
        hook_point: Short form of the point whose units are cut.
        alpha: Level of every test.
        power: Probability of finding what is called detectable.
        smallest: Smallest effect of interest, as :func:`tlesion.laminar_profile` takes it. None: the pilot's, or a
            tenth of the median clean margin on these prompts, as :func:`tlesion.verdict` takes it.
        groups: See :func:`tlesion.verdict`.
        about: The word that each set is about, by the set's name. None: as in the pilot; without one, several sets are
            taken to be about the words that all prompts ask for, and one set about each prompt's right answer.
        pilot: A profile of this model with controls, on other prompts.
        prepend_bos: None follows the model's TransformerLens default; False leaves the token out.
        seed: Of the random sets.
        strict: Whether a study that cannot reach its level is refused. False: the plan says so among its problems.

    Returns:
        What the study can reach, what it takes, and its problems in sentences.

    Raises:
        ValueError: A study that cannot reach its own level, with every reason; settings out of range; a pilot of
            another model or hook point, or without controls; what :func:`tlesion.laminar_profile` refuses.
        TypeError: The prompts are no list of `Prompt`.

    Example:
        >>> import tlesion
        >>> planted = tlesion.toy.planted_model("causal", n_layers=2, d_mlp=40, layers=(1,))
        >>> plan = tlesion.plan_study(planted.model, planted.language.prompts(40, seed=1), smallest=2)
        >>> plan.n_tests, plan.n_judged, plan.attainable_p, plan.problems
        (4, 20, 0.01, ())
        >>> tlesion.plan_study(planted.model, planted.language.prompts(8, seed=1), strict=False).attainable_p
        0.125
    """
    groups = settled_groups(groups)
    settings: dict[str, Any] = {
        "n_masks": n_masks,
        "n_controls": n_controls,
        "share": float(share),
        "alpha": float(alpha),
    }
    settings |= {"power": float(power), "groups": groups}
    _check(float(share), float(alpha), float(power))
    _check_pilot(pilot, model, hook_point)
    asked = asked_of(
        model,
        task_or_prompts,
        layers=layers,
        hook_point=hook_point,
        about=about if about is not None or pilot is None else pilot.about,
        prepend_bos=prepend_bos,
        seed=seed,
        settings=settings,
    )
    refusals = plan_problems.refusals(asked.sizes)
    if refusals and strict:
        raise ValueError("\n- ".join(["this study cannot reach its own level:", *refusals]))
    settings |= {"pilot": None if pilot is None else pilot.content_hash}
    return _planned(asked, settings, refusals, smallest=smallest, pilot=pilot, seed=seed)


def _planned(
    asked: Asked,
    settings: dict[str, Any],
    refusals: list[str],
    *,
    smallest: float | int | SmallestEffect | None,
    pilot: LaminarProfile | None,
    seed: int,
) -> StudyPlan:
    """The plan of what was asked for: here the model runs."""
    sizes, power, share = asked.sizes, settings["power"], settings["share"]
    run = asked.frame.opened(settings=settings | {"layers": list(asked.layers), "words": list(asked.words)})
    own = run_pilot(run, asked.frame, N_SETS if pilot is None else N_SETS_BESIDE, max(1, sizes.n_lesioned), seed)
    answers = chance_of(own, asked.every, [asked.units[i] for i in asked.every])
    least = asked.smallest(smallest, pilot, own)
    sensitivity = _sensitivity(asked, own, pilot, settings["groups"], power)
    n_lesions = sizes.n_masks * (1 + sizes.n_controls) * asked.n_layers
    return StudyPlan(
        **sizes.reached(power),
        words=asked.words,
        layers=asked.layers,
        share=share,
        power=power,
        sensitivity=sensitivity,
        detectable_logits=sensitivity.clamp(min=least.value),
        pilot=_origin(pilot, asked),
        seconds=own.seconds * (n_lesions + asked.n_layers),
        bytes=8 * n_lesions * len(asked.units) * (own.clean_logits.shape[1] + 1),
        accuracy=torch.tensor(answers.accuracy, dtype=torch.float64),
        chance_p=torch.tensor(answers.p, dtype=torch.float64),
        smallest_effect=least.value,
        smallest_origin=least.origin,
        problems=(*refusals, *plan_problems.problems(sizes, answers, sensitivity, least, pilot)),
        provenance=run.provenance,
    )


def _sensitivity(
    asked: Asked, own: OwnPilot, pilot: LaminarProfile | None, groups: Any, power: float
) -> Float64[Tensor, " planned"]:
    """The smallest effect that is told from random sets and from chance, for each layer of the study."""
    sizes = asked.sizes
    if pilot is None:
        spread, found_in = (
            spread_of_sets(own, asked.words, asked.units, asked.frame.labels.prompts),
            asked.frame.point.layers,
        )
    else:
        spread = spread_of_profile(pilot, groups, sizes.n_controls, sizes.alpha, plan_power.limit_miss(power))
        found_in = pilot.layers
    found = smallest_told(
        spread,
        n_groups=sizes.n_judged,
        n_tests=sizes.n_tests,
        n_controls=sizes.n_controls,
        alpha=sizes.alpha,
        power=power,
    )
    return _by_layer(found, found_in, asked.layers)


def _check(share: float, alpha: float, power: float) -> None:
    if not 0 < share <= 1:
        raise ValueError(
            f"share {share!r} is out of range; give the share of a layer that a set cuts, above 0, up to 1"
        )
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha must lie between 0 and 0.5, got {alpha!r}; 0.05 is usual")
    if not alpha < power < 1:
        raise ValueError(f"power must lie between alpha and 1, got {power!r}; 0.9 is the default")


def _check_pilot(pilot: LaminarProfile | None, model: Model, hook_point: str) -> None:
    if pilot is None:
        return
    require_same_model(pilot, model)
    if not pilot.n_controls:
        raise ValueError("the pilot has no matched controls; make it with laminar_profile(..., n_controls=99)")
    if (own := pilot.provenance.settings["hook_point"]) != hook_point:
        raise ValueError(
            f"the pilot cuts units of {own!r}, the study those of {hook_point!r}; give a pilot of the same"
        )


def _by_layer(
    found: Float64[Tensor, "word layer"], found_in: tuple[int, ...], layers: tuple[int, ...]
) -> Float64[Tensor, " planned"]:
    """The largest over words in each layer of the study; NaN in layers that the pilot has no set in."""
    largest = found.nan_to_num(nan=-math.inf, posinf=math.inf).amax(dim=0)
    values = {layer: float(value) for layer, value in zip(found_in, largest, strict=True) if value > -math.inf}
    return torch.tensor([values.get(layer, math.nan) for layer in layers], dtype=torch.float64)


def _origin(pilot: LaminarProfile | None, asked: Asked) -> str:
    if pilot is not None:
        return f"the pilot that was given ({len(pilot.masks)} sets, {pilot.n_controls} controls of each)"
    n_layers = len(asked.frame.point.layers)
    where = f"{n_layers} layer{'s' * (n_layers != 1)}"
    return f"{N_SETS} random sets in {where} (neurons that carry an effect can vary more over prompts than they do)"
