"""The laminar study from the model to the page, in one call.

:func:`laminar` selects neurons, lesions them layer by layer beside random ones, and measures what explains the effects
(:mod:`tlesion.studies.evidence.beside`). ``tlesion laminar`` and ``tlesion demo`` print and write what it returns.
"""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from tlesion.encoding import label_of
from tlesion.hooks import Model
from tlesion.inference import require_independent
from tlesion.interventions import ablations
from tlesion.keep.checkpoint import check_checkpoint
from tlesion.models import require_logits
from tlesion.positions import PromptPosition, check_prompt_position, position_of_record
from tlesion.public import public
from tlesion.selection import NeuronSelection, select_neurons
from tlesion.selection.reference import reference_for
from tlesion.stimuli import Contrast, Prompt, combined_hash, contrasts
from tlesion.studies.common.default_texts import default_prompts
from tlesion.studies.common.effects import own_targets, words_of_masks
from tlesion.studies.common.labels import Labels
from tlesion.studies.common.point import point_of
from tlesion.studies.common.registry import studies
from tlesion.studies.common.selected import tested
from tlesion.studies.common.smallest import SmallestEffect, smallest_effect
from tlesion.studies.evidence.activation_histogram import activation_histogram
from tlesion.studies.evidence.beside import applying, compare_in_context, evidence_on
from tlesion.studies.evidence.folder import check_run_folder
from tlesion.studies.evidence.pages import Report
from tlesion.studies.laminar.study import laminar_profile
from tlesion.sweeps.sweep import encode_prompts

FEWEST = 19
"""Controls with which a p of 0.05 can be reached."""


@public
def laminar(
    model: Model,
    contrast: Contrast | None = None,
    prompts: Any = None,
    *,
    selection: NeuronSelection | None = None,
    ablation: str = "zero",
    hook_point: str = "mlp.hook_post",
    position: PromptPosition = "readout",
    seed: int = 0,
    plan: str = "auto",
    about: Mapping[str, str] | None = None,
    n_controls: int = 99,
    smallest: float | int | SmallestEffect | None = None,
    allow_shared: bool = False,
    batch_size: int = 32,
    prepend_bos: bool | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
) -> Report:
    """The laminar study from the model to the page: what ``tlesion laminar`` does, in one call.

    Args:
        model: A `HookedTransformer` or `HookedEncoder`.
        contrast: What neurons are selected on; None: the shipped him/her pairs.
        prompts: What the lesions are tried on; None: the shipped him/her prompts.
        selection: The neurons, selected on the contrast; None: by :func:`tlesion.select_neurons` as it is.
        ablation, hook_point, position, seed, plan: As in :func:`tlesion.laminar_profile`. What an
            ablation needs to put in place is measured on the contrast's sentences (:mod:`tlesion.selection.reference`).
        about: The word that each condition's neurons should cost, where the condition is called otherwise; see
            :func:`tlesion.laminar_profile`.
        n_controls: Matched random lesions per neuron set and layer, 19 or more; 0: none, and no verdict.
        smallest: Smallest effect of interest, in logits. None: a tenth of the clean margin of the conditions' words
            on the contrast's sentences, where the prompts ask for the same words; see :func:`tlesion.smallest_effect`.
        allow_shared: Take prompts that are made from the selection's own sentences; they overstate effects.
        batch_size: Sentences in a forward pass.
        prepend_bos: None follows the model's TransformerLens default; False leaves the token out.
        checkpoint: Folder in which finished parts are kept: the same call continues a run that was cut off.
        out: Folder into which everything is written; None: nothing is, until ``.write(folder)`` is called.

    Returns:
        The results by name: selection, comparison (of the shipped pairs), profile, histogram; with controls also
        verdict, dose, cumulative and decomposition. ``left_out`` says which of them do not apply, and why.

    Raises:
        ValueError: Too few controls, a selection from other sentences than the contrast's, a folder that cannot be
            written into, and what :func:`tlesion.laminar_profile` refuses.

    Example:
        >>> import tlesion
        >>> planted = tlesion.toy.planted_model("causal", n_layers=2, layers=(1,))
        >>> contrast, prompts = planted.language.contrast(20, seed=0), planted.language.prompts(8, seed=1)
        >>> found = tlesion.report.laminar(planted.model, contrast, prompts, n_controls=19)
        >>> sorted(found.results)
        ['cumulative', 'decomposition', 'dose', 'histogram', 'profile', 'selection', 'verdict']
    """
    require_enough(n_controls)
    if out is not None:
        check_run_folder(out, result_names())
    contrast = contrasts.him_her() if contrast is None else contrast
    prompts = default_prompts(model) if prompts is None else prompts
    lesion: dict[str, Any] = {
        "ablation": ablation,
        "hook_point": hook_point,
        "position": position,
        "prepend_bos": prepend_bos,
    }
    check_lesion(model, contrast, prompts, **lesion, about=about, allow_shared=allow_shared, checkpoint=checkpoint)
    shared: dict[str, Any] = {"batch_size": batch_size, "prepend_bos": prepend_bos}
    selected = select_neurons(model, contrast, **shared) if selection is None else _from(contrast, selection)
    masks = {condition: selected.mask(condition) for condition in selected.conditions}
    _require_neurons(selected)
    reference = reference_for(model, contrast, ablation, hook_point=hook_point, seed=seed, **shared)
    lesion |= {"reference": reference, "seed": seed, "plan": plan}
    least = _smallest(model, contrast, prompts, prepend_bos) if smallest is None else smallest
    comparison = compare_in_context(model, contrast, selected, **shared)
    profile = laminar_profile(
        model,
        masks,
        prompts,
        about=about,
        smallest=least,
        n_controls=n_controls if _about_words(model, masks, prompts, about or {}) else 0,
        selected_on=selected,
        allow_shared=allow_shared,
        checkpoint=checkpoint,
        **lesion,
    )
    at = position_of_record(selected.provenance.settings)
    measured, left_out = applying({"histogram": partial(activation_histogram, model, contrast, position=at, **shared)})
    evidence, not_evidence = evidence_on(profile, model, selected, masks, prompts, lesion, checkpoint=checkpoint)
    results = {"selection": selected, "comparison": comparison, "profile": profile, **measured, **evidence}
    made = Report({name: one for name, one in results.items() if one is not None}, left_out=left_out | not_evidence)
    if out is not None:
        made.write(out)
    return made


def check_lesion(
    model: Model,
    contrast: Contrast,
    prompts: Any,
    *,
    ablation: str,
    hook_point: str,
    position: PromptPosition,
    about: Any = None,
    allow_shared: bool,
    prepend_bos: bool | None,
    checkpoint: str | os.PathLike[str] | None = None,
) -> None:
    """Refuse, before neurons are selected, what the lesions of a laminar study could not be made with.

    Raises:
        ValueError, TypeError: See :func:`tlesion.laminar_profile`.
    """
    require_logits(model, "the laminar profile")
    ablations.named(ablation)
    check_prompt_position(position)
    point_of(model, hook_point)
    encode_prompts(model, prompts, prepend_bos=prepend_bos)
    require_independent(contrast, prompts, allow_shared=allow_shared)
    if about is not None:
        words_of_masks(contrast.conditions, [prompt.targets for prompt in prompts], about)
    check_checkpoint(checkpoint)


def require_enough(n_controls: int) -> None:
    """Refuse, before any work is done, fewer controls than a verdict needs.

    Raises:
        ValueError: Some, but too few.
    """
    if n_controls < 0 or 0 < n_controls < FEWEST:
        raise ValueError(
            f"{n_controls} controls are too few for a verdict; give {FEWEST} or more (99 are usual), or 0 for none and "
            "no verdict"
        )


def result_names() -> list[str]:
    """The names under which a laminar study saves its results."""
    study = studies()["laminar"]
    return [study.folder, *study.beside]


def _smallest(
    model: Model, contrast: Contrast, prompts: Sequence[Prompt], prepend_bos: bool | None
) -> SmallestEffect | None:
    """A tenth of the clean margin on the contrast's sentences; None where they ask for other words than the prompts."""
    asked = {word for prompt in prompts for word in prompt.targets}
    if not contrast.paired or {one.word for one in (*contrast.a, *contrast.b)} != asked:
        return None
    try:
        return smallest_effect(model, contrast, prepend_bos=prepend_bos)
    except ValueError:
        return None  # no clean margin, or a word at the start of a sentence: the verdict takes the prompts' own


def _require_neurons(selected: NeuronSelection) -> None:
    """Refuse a study of lesions that would cut nothing."""
    if not bool(selected.mask("any").any()):
        a, b = selected.conditions
        raise ValueError(
            f"no neuron tells {a!r} from {b!r} ({tested(selected)}, alpha {selected.alpha:g}): there is nothing to "
            "lesion; more or other sentences, another position, test or alpha may select some"
        )


def _from(contrast: Contrast, selection: NeuronSelection) -> NeuronSelection:
    """The selection, once it is clear that it was made on the contrast."""
    if selection.provenance.stimuli_hash != combined_hash(contrast.stimuli):
        raise ValueError(
            f"the selection was made on other sentences ({selection.n_a} against {selection.n_b}) than the contrast's "
            f"({len(contrast.a)} against {len(contrast.b)}); give the contrast that it was made on"
        )
    return selection


def _about_words(
    model: Model, masks: Mapping[str, Tensor], prompts: Sequence[Prompt], about: Mapping[str, str]
) -> bool:
    """Whether it is known of every mask which word it should cost, so that there can be a verdict."""
    labels = Labels.of([label_of(model, prompt) for prompt in prompts])
    try:
        for mask in masks:
            own_targets(mask, labels.targets, labels.correct, about=about.get(mask))
    except ValueError:
        return False
    return True
