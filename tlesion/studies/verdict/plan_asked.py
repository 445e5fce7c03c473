"""What a plan was asked for: prompts with their independent units, the words that sets are about, sizes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from tlesion.checks import one_of, shown
from tlesion.hooks import Layers, Model
from tlesion.studies.common.effects import own_effect, own_targets
from tlesion.studies.common.frame import LesionFrame, lesion_frame
from tlesion.studies.common.labels import without_copies
from tlesion.studies.common.point import Point, point_of
from tlesion.studies.common.smallest import SmallestEffect, given_or_recorded, share_on_these_prompts
from tlesion.studies.common.units import unit_labels
from tlesion.studies.laminar.result import LaminarProfile
from tlesion.studies.verdict.plan_pilot import OwnPilot
from tlesion.studies.verdict.plan_problems import Sizes

N_LAYERS = 4
"""In how many layers the plan's own pilot cuts."""
SHARE_OF_MARGIN = 0.1


@dataclass(frozen=True, eq=False, kw_only=True)
class Asked:
    """What a plan was asked for.

    Attributes:
        frame: Of the plan's own pilot: some layers of the study.
        layers: The layers of the study.
        n_layers: How many the model has.
        words: The words that sets are about, each once; "" for the right answer.
        units: The label of each prompt: those of one label are no independent evidence.
        every: Places of the prompts that are no copies.
        sizes: What can be counted.
    """

    frame: LesionFrame
    layers: tuple[int, ...]
    n_layers: int
    words: tuple[str, ...]
    units: list[str]
    every: list[int]
    sizes: Sizes

    def smallest(
        self, given: SmallestEffect | float | int | None, pilot: LaminarProfile | None, own: OwnPilot
    ) -> SmallestEffect:
        """The smallest effect of interest: what was given, what the pilot was given, or a share of the clean margin.

        Raises:
            ValueError: That margin is zero.
        """
        if (known := given_or_recorded(given, pilot)) is not None:
            return known.beforehand()
        if own.clean_logits.shape[1] == 1:
            scale, what = float(own.whole_drop.mean(dim=1).abs().max()), "what cutting whole layers costs"
        else:
            chosen = [own_targets(word, own.targets, own.correct, about=word) for word in self.words]
            scale = min(float(own_effect(own.clean_logits, one).abs().median()) for one in chosen)
            what = "the median clean margin"
        return share_on_these_prompts(scale, what, SHARE_OF_MARGIN)


def asked_of(
    model: Model,
    task_or_prompts: Any,
    *,
    layers: Layers,
    hook_point: str,
    about: Mapping[str, str] | None,
    prepend_bos: bool | None,
    seed: int,
    settings: Mapping[str, Any],
) -> Asked:
    """Settle what :func:`tlesion.plan_study` was asked for; nothing is run.

    Args:
        model, task_or_prompts, layers, hook_point, about, prepend_bos, seed: As there.
        settings: Its numbers by name.
    """
    point = point_of(model, hook_point, layers)
    frame = _frame(model, task_or_prompts, point, hook_point, prepend_bos, seed)
    labels, n_masks = frame.labels, settings["n_masks"]
    units = unit_labels(labels.prompts, labels.groups, settings["groups"])
    words = _words(frame, n_masks, about)
    every = without_copies(range(len(units)), labels.prompts, labels.targets, labels.correct)
    sizes = Sizes(
        n_prompts=len(every),
        n_groups=len({units[i] for i in every}),
        n_judged=min(_n_judged(frame, word, units) for word in words),
        n_masks=n_masks,
        n_controls=settings["n_controls"],
        n_tests=n_masks * len(point.layers),
        n_units=point.n_units,
        n_lesioned=round(settings["share"] * point.n_units),
        alpha=settings["alpha"],
    )
    n_layers = len(point_of(model, hook_point, "all").layers)
    return Asked(
        frame=frame, layers=point.layers, n_layers=n_layers, words=words, units=units, every=every, sizes=sizes
    )


def _frame(
    model: Model, task_or_prompts: Any, point: Point, hook_point: str, prepend_bos: bool | None, seed: int
) -> LesionFrame:
    """The frame of the plan's own pilot: some layers of the study, from the first to the last."""
    prompts = getattr(task_or_prompts, "prompts", task_or_prompts)
    if callable(prompts):
        raise TypeError(f"task_or_prompts is a {shown(task_or_prompts)}; give a list of tlesion.Prompt, or a task")
    places = torch.linspace(0, len(point.layers) - 1, min(N_LAYERS, len(point.layers))).round().long().tolist()
    return lesion_frame(
        model,
        list(prompts) if isinstance(prompts, tuple) else prompts,
        study="plan_study",
        title="the plan of a study",
        hook_point=hook_point,
        ablation="zero",
        position="readout",
        reference=None,
        seed=seed,
        plan="auto",
        max_bytes=None,
        prepend_bos=prepend_bos,
        layers=[point.layers[place] for place in places],
    )


def _words(frame: LesionFrame, n_masks: int, about: Mapping[str, str] | None) -> tuple[str, ...]:
    """The words that sets are about, each once."""
    targets, correct = frame.labels.targets, frame.labels.correct
    if about is not None:
        known = sorted({word for words in targets for word in words})
        for mask, word in about.items():
            if word:
                one_of(f"the word of set {mask!r}", word, known, otherwise="or '' for each prompt's right answer")
        return tuple(dict.fromkeys(about.values())) or ("",)
    shared = [word for word in targets[0] if all(word in words for words in targets)]
    right = {word for word in correct if word is not None}
    asked = tuple(word for word in shared if word in right or not right)
    return asked if n_masks > 1 and len(asked) > 1 and right <= set(asked) else ("",)


def _n_judged(frame: LesionFrame, word: str, units: list[str]) -> int:
    """How many independent templates a set that is about a word is judged on."""
    labels = frame.labels
    own = own_targets(word, labels.targets, labels.correct, about=word).prompts.tolist()
    return len({units[i] for i in without_copies(own, labels.prompts, labels.targets, labels.correct)})
