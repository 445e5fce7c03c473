"""What sufficiency and minimality settle before anything is run: the frame, the masks, and what each is judged on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from tlesion.checks import one_of
from tlesion.hooks import Model
from tlesion.keep.checkpoint import Folder
from tlesion.keep.hashing import tensor_hash
from tlesion.positions import PromptPosition
from tlesion.studies.common.effects import MEASURES, OwnTargets, own_effect, own_targets, words_of_masks
from tlesion.studies.common.frame import LesionFrame, Run, lesion_frame
from tlesion.studies.common.labels import without_copies
from tlesion.studies.common.source import source_of
from tlesion.studies.common.units import unit_labels


@dataclass(frozen=True, eq=False, kw_only=True)
class Asked:
    """What a study of this room was asked for, checked.

    Attributes:
        frame: The frame.
        masks: The masks by name.
        own: The target that each mask is about, on the prompts that it is judged on; copies count once.
        measure: ``"margin"`` or ``"drop"``.
        level: Of the intervals.
        settings: What the provenance records of it.
    """

    frame: LesionFrame
    masks: Mapping[str, Bool[Tensor, "layer unit"]]
    own: Mapping[str, OwnTargets]
    measure: str
    level: float
    settings: Mapping[str, Any]

    @property
    def stack(self) -> Bool[Tensor, "mask layer unit"]:
        """All masks."""
        return torch.stack(list(self.masks.values()))

    def opened(self, checkpoint: Folder, settings: Mapping[str, Any]) -> Run:
        """Open the checkpoint, with further settings of the study."""
        recorded = {**self.settings, **settings}
        return self.frame.opened(checkpoint, settings=recorded, options={"order_of_masks": list(self.masks)})

    def effect(self, mask: str, drop: Float64[Tensor, "*lesion prompt target"]) -> Float64[Tensor, "*lesion own"]:
        """What lesions cost a mask's own word, on the prompts that the mask is judged on."""
        return own_effect(drop, self.own[mask], measure=self.measure)

    def on_every_prompt(self, mask: str, values: Float64[Tensor, "*lesion own"]) -> Float64[Tensor, "*lesion prompt"]:
        """The same over all prompts, NaN on those that the mask is not judged on."""
        n_prompts = len(self.frame.labels.prompts)
        every = torch.full((*values.shape[:-1], n_prompts), torch.nan, dtype=torch.float64)
        every[..., self.own[mask].prompts] = values
        return every

    def groups(self, mask: str) -> list[str]:
        """The independent unit that each prompt of a mask belongs to: its group, or the prompt itself."""
        labels = unit_labels(self.frame.labels.prompts, self.frame.labels.groups, "given")
        return [labels[i] for i in self.own[mask].prompts.tolist()]


def asked_of(
    model: Model,
    masks: Any,
    prompts: Any,
    *,
    study: str,
    title: str,
    measure: str,
    level: float | int,
    ablation: str,
    hook_point: str,
    position: PromptPosition,
    reference: Any,
    seed: int,
    plan: str,
    max_bytes: int | None,
    prepend_bos: bool | None,
    about: Mapping[str, str] | None,
    selected_on: Any,
    allow_shared: bool,
) -> Asked:
    """Check and settle what a study of this room was asked for.

    Args:
        study: Name of the function that runs.
        title: What it is called in the error for a model without logits.
        measure, level: See :func:`tlesion.sufficiency`; all others, too.

    Raises:
        ValueError, TypeError: As :func:`tlesion.sufficiency`.
    """
    one_of("measure", measure, MEASURES)
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level!r}; 0.95 is usual")
    frame = lesion_frame(
        model,
        prompts,
        study=study,
        title=title,
        hook_point=hook_point,
        ablation=ablation,
        position=position,
        reference=reference,
        seed=seed,
        plan=plan,
        max_bytes=max_bytes,
        prepend_bos=prepend_bos,
    )
    named = frame.point.masks(masks)
    words = words_of_masks(list(named), frame.labels.targets, about)
    settings = {
        "masks": {name: tensor_hash(mask) for name, mask in named.items()},
        "about": words,
        "selected_on": source_of(model, selected_on, prompts, allow_shared=allow_shared),
        "measure": measure,
        "level": float(level),
    }
    own = {name: _judged_on(frame, name, word) for name, word in words.items()}
    return Asked(frame=frame, masks=named, own=own, measure=measure, level=float(level), settings=settings)


def _judged_on(frame: LesionFrame, mask: str, word: str) -> OwnTargets:
    labels = frame.labels
    own = own_targets(mask, labels.targets, labels.correct, about=word)
    return own.only(without_copies(own.prompts.tolist(), labels.prompts, labels.targets, labels.correct))
