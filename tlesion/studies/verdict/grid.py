"""Does a verdict depend on how neurons were cut, or on which half of the prompts was read?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tlesion.checks import shown
from tlesion.hooks import Model
from tlesion.inference.folds import split_folds
from tlesion.interventions import ablations as known_ablations
from tlesion.keep.results import Provenance
from tlesion.positions import PromptPosition
from tlesion.public import public
from tlesion.selection.reference import reference_for
from tlesion.selection.templates import settled_groups
from tlesion.stimuli import Contrast
from tlesion.studies.common.smallest import SmallestEffect
from tlesion.studies.common.units import unit_labels
from tlesion.studies.laminar.result import LaminarProfile
from tlesion.studies.laminar.study import laminar_profile
from tlesion.studies.verdict.grid_result import NUMBERS, VerdictGrid
from tlesion.studies.verdict.result import Verdict
from tlesion.studies.verdict.study import verdict


@dataclass(frozen=True, eq=False, kw_only=True)
class _Condition:
    """One cell's worth of study: an ablation, which half of the prompts (0: all), and what was said."""

    ablation: str
    half: int
    said: Verdict

    @property
    def name(self) -> str:
        return f"{self.ablation}, half {self.half}" if self.half else self.ablation


@public
def verdict_grid(
    model: Model,
    masks: Any,
    prompts: Any,
    *,
    ablations: Sequence[str] = ("zero", "mean", "resample"),
    contrast: Contrast | None = None,
    references: Mapping[str, Any] | None = None,
    halves: bool = True,
    groups: Any = "detect",
    alpha: float | int = 0.05,
    smallest: float | int | SmallestEffect | None = None,
    about: Mapping[str, str] | None = None,
    n_controls: int = 99,
    match: Tensor | str | None = "activity",
    hook_point: str = "mlp.hook_post",
    position: PromptPosition = "readout",
    selected_on: Any = None,
    allow_shared: bool = False,
    plan: str = "auto",
    max_bytes: int | None = None,
    prepend_bos: bool | None = None,
    seed: int = 0,
) -> VerdictGrid:
    """Run one study under several ablations, judge it on all prompts and on both halves, and say which words stand.

    Each condition has a verdict of its own, corrected over masks and layers and not over conditions. A word stands
    where all conditions give it. Halves hold whole templates, about as many of each right answer, and half of the
    evidence: with fewer than twelve templates for a word nothing can be specific in them.

    Args:
        model: The model.
        masks: Named bool masks ``[layer, unit]``, see :func:`tlesion.laminar_profile`.
        prompts: A list of `Prompt`.
        ablations: Names of ablations; see ``tlesion.interventions.ablations.names()``.
        contrast: The sentences that ``"mean"``, ``"median"`` and ``"resample"`` take their values from
            (:func:`tlesion.selection.reference.reference_for`).
        references: Values by the ablation's name, ``[layer, unit]`` or ``[layer, row, unit]``, in place of a contrast.
        halves: Whether each half of the prompts is judged by itself as well.
        groups: See :func:`tlesion.verdict`; halves never split a group.
        alpha: Level of every test in each condition.
        smallest: Smallest effect of interest. None: a share of the clean margin on each condition's prompts.
        about, n_controls, match, hook_point, position, selected_on, allow_shared: See :func:`tlesion.laminar_profile`;
            ``match`` may be values ``[layer, unit]``.
        plan, max_bytes, prepend_bos: Likewise.
        seed: Of controls, halves, and what ablations draw.

    Returns:
        Words, effects and intervals per condition, mask and layer, and the words that stand.

    Raises:
        ValueError: An unknown ablation, or none; one that needs a reference, with neither a contrast nor its values;
            halves of which one has no prompt that asks for a mask's word; what :func:`tlesion.laminar_profile` and
            :func:`tlesion.verdict` refuse.
        TypeError: ``ablations`` is no list of names.

    Example:
        >>> import tlesion
        >>> planted = tlesion.toy.planted_model("causal", n_layers=2, d_mlp=40, layers=(1,))
        >>> masks = {"him": planted.truth.mask("causal", "him")}
        >>> prompts = planted.language.prompts(48, seed=1)
        >>> grid = tlesion.verdict_grid(planted.model, masks, prompts, ablations=["zero", "gaussian"])
        >>> grid.conditions
        ('zero', 'zero, half 1', 'zero, half 2', 'gaussian', 'gaussian, half 1', 'gaussian, half 2')
        >>> grid.stands[0][0]
        'nothing cut'
    """
    names = _names(ablations)
    groups = settled_groups(groups)
    options: dict[str, Any] = {"hook_point": hook_point, "prepend_bos": prepend_bos, "seed": seed}
    values = {name: _reference(model, name, contrast, references or {}, options) for name in names}
    options |= {"position": position, "plan": plan, "max_bytes": max_bytes, "about": about, "n_controls": n_controls}
    options |= {"match": match, "smallest": smallest, "selected_on": selected_on, "allow_shared": allow_shared}
    found: list[_Condition] = []
    for name in names:
        profile = laminar_profile(model, masks, prompts, ablation=name, reference=values[name], **options)
        labels = unit_labels(profile.prompts, profile.groups, groups)
        found.append(_Condition(ablation=name, half=0, said=verdict(profile, groups=groups, alpha=alpha)))
        for half, places in enumerate(halves_of(labels, profile.correct, seed) if halves else (), start=1):
            part = part_of(profile, labels, places)
            _require_words(part, profile)
            found.append(_Condition(ablation=name, half=half, said=verdict(part, alpha=alpha)))
    return _grid(found, {"ablations": names, "halves": halves, "groups": groups, "alpha": float(alpha), "seed": seed})


def halves_of(labels: Sequence[str], correct: Sequence[str | None], seed: int) -> tuple[list[int], list[int]]:
    """The prompts of both halves: whole groups, those that ask for the same words dealt evenly.

    Args:
        labels: The group of each prompt.
        correct: The right answer of each.
        seed: Of the draw.

    Raises:
        ValueError: A single group.

    Example:
        >>> halves = halves_of(["a", "a", "b", "c", "d"], ["him", "her", "him", "him", None], 0)
        >>> sorted(len(half) for half in halves)
        [2, 3]
    """
    asks: dict[str, set[str]] = {}
    for label, word in zip(labels, correct, strict=True):
        asks.setdefault(label, set()).update([] if word is None else [word])
    if len(asks) < 2:
        raise ValueError("the prompts are from one template, which has no halves; give others, or halves=False")
    kinds: dict[tuple[str, ...], list[str]] = {}
    for label, words in asks.items():
        kinds.setdefault(tuple(sorted(words)), []).append(label)
    # Groups like which there is no other are dealt among themselves; an odd one goes where there are fewer prompts.
    alone = [members[0] for members in kinds.values() if len(members) == 1]
    half_of: dict[str, int] = {}
    for members in (*(members for members in kinds.values() if len(members) > 1), alone):
        number = {label: place for place, label in enumerate(members)}
        index = torch.tensor([number[label] for label in labels if label in number])
        if len(members) > 1:
            fold = split_folds(index, 2, seed=seed).tolist()
            half_of |= {members[one]: half for one, half in zip(index.tolist(), fold, strict=True)}
        elif members:
            filled = [sum(half_of.get(label) == half for label in labels) for half in (0, 1)]
            half_of[members[0]] = filled.index(min(filled))
    first, second = ([i for i, label in enumerate(labels) if half_of[label] == half] for half in (0, 1))
    return first, second


def part_of(profile: LaminarProfile, labels: Sequence[str], places: Sequence[int]) -> LaminarProfile:
    """A profile on some of its prompts, whose groups are the labels that were given."""
    chosen = torch.tensor(places)
    return replace(
        profile,
        logit_drop=profile.logit_drop[:, :, chosen],
        global_change=profile.global_change[:, :, chosen],
        kl=profile.kl[:, :, chosen],
        clean_logits=profile.clean_logits[chosen],
        reference_logit_drop=profile.reference_logit_drop[:, :, chosen],
        reference_global_change=profile.reference_global_change[:, :, chosen],
        reference_kl=profile.reference_kl[:, :, chosen],
        control_logit_drop=profile.control_logit_drop[:, :, :, chosen],
        control_global_change=profile.control_global_change[:, :, :, chosen],
        prompts=tuple(profile.prompts[i] for i in places),
        targets=tuple(profile.targets[i] for i in places),
        correct=tuple(profile.correct[i] for i in places),
        groups=tuple(labels[i] for i in places),
    )


def _require_words(part: LaminarProfile, profile: LaminarProfile) -> None:
    """Refuse a half that never asks for a mask's word: there the mask would be judged where its word is wrong."""
    for word in set(profile.about.values()) & set(profile.correct):
        if word not in part.correct:
            raise ValueError(
                f"one half of the prompts never asks for {word!r}: give prompts from more templates, or halves=False"
            )


def _grid(found: Sequence[_Condition], settings: dict[str, Any]) -> VerdictGrid:
    said = [one.said for one in found]
    first = said[0]
    contents = [one.provenance.settings["content"] for one in said]
    record = {**settings, "profile": first.provenance.settings["profile"], "contents": contents}
    provenance: Provenance = replace(first.provenance, settings=record)
    return VerdictGrid(
        **{name: torch.stack([getattr(one, name) for one in said]) for name in NUMBERS},
        smallest_effect=torch.stack([one.smallest_effect for one in said]),
        n_prompts=torch.stack([one.n_prompts for one in said]),
        n_groups=torch.stack([one.n_groups for one in said]),
        conditions=tuple(one.name for one in found),
        ablations=tuple(one.ablation for one in found),
        halves=tuple(one.half for one in found),
        masks=first.masks,
        layers=first.layers,
        about=first.about,
        words=tuple(one.verdicts for one in said),
        reasons=tuple(one.reasons for one in said),
        provenance=provenance,
    )


def _names(ablations: Any) -> list[str]:
    """The ablations' names, each once."""
    if isinstance(ablations, str) or not isinstance(ablations, Sequence):
        raise TypeError(f"ablations is a {shown(ablations)}; give a list of names, ablations=['zero', 'mean']")
    names = list(dict.fromkeys(known_ablations.named(name).name for name in ablations))
    if not names:
        raise ValueError(f"no ablation was given; give some of {', '.join(known_ablations.names())}")
    return names


def _reference(
    model: Model, name: str, contrast: Contrast | None, given: Mapping[str, Any], options: Mapping[str, Any]
) -> Any:
    """What an ablation puts in."""
    if name in given:
        return given[name]
    needed = known_ablations.named(name).needs_reference
    if needed is None:
        return None
    if contrast is None:
        raise ValueError(
            f"ablation {name!r} puts in values that are measured on a reference set ({needed}); give contrast=..., or "
            f"references={{{name!r}: ...}}, or other ablations"
        )
    return reference_for(model, contrast, name, **options)
