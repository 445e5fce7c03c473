"""What stands beside a profile before its effects are believed: another question, a verdict, doses, layers at once."""

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tlesion.checks import DoesNotApply
from tlesion.hooks import Model
from tlesion.keep.results import Result
from tlesion.positions import SentencePosition, position_of_record
from tlesion.selection import NeuronSelection, select_neurons
from tlesion.stimuli import Contrast, Prompt, combined_hash, contrasts
from tlesion.studies.cumulative.study import cumulative_lesion
from tlesion.studies.decomposition.study import decompose_drop
from tlesion.studies.dose.study import dose_response
from tlesion.studies.laminar.study import LaminarProfile
from tlesion.studies.selecting.positions import SelectionComparison, compare_selections
from tlesion.studies.verdict.result import Verdict
from tlesion.studies.verdict.setting import WideSetWarning
from tlesion.studies.verdict.study import verdict
from tlesion.tokens import is_masked

DOSE_LAYERS, DOSE_CONTROLS = 3, 10
CRITERION = ("test", "correction", "family", "alpha", "min_effect", "top_k", "n_permutations", "seed")
"""Settings of a selection that say how neurons were tested, as :func:`tlesion.select_neurons` takes them."""
_PLACES = {"word": "word", "mask": "mask", "before": "token before the word"}


def compare_in_context(
    model: Model, contrast: Contrast, selection: NeuronSelection, *, batch_size: int = 32, prepend_bos: bool | None
) -> SelectionComparison | None:
    """The same test where the context decides between the words, beside a selection on the shipped him/her pairs.

    Returns:
        The selection, and those at the word and where the model expects it, in sentences whose context decides. None
        for other sentences: only the shipped pairs have such a counterpart.
    """
    if combined_hash(contrast.stimuli) != combined_hash(contrasts.him_her().stimuli):
        return None
    settings = selection.provenance.settings
    in_context = contrasts.him_her_in_context()
    same: dict[str, Any] = {name: settings[name] for name in CRITERION}
    where: tuple[SentencePosition, ...] = ("word", "mask" if is_masked(model) else "before")
    others = {
        f"in context, {_asked_at(place)}": select_neurons(
            model,
            in_context,
            hook_point=settings["hook_point"],
            position=place,
            batch_size=batch_size,
            prepend_bos=prepend_bos,
            **same,
        )
        for place in where
    }
    return compare_selections({_asked_at(position_of_record(settings)): selection, **others})


def _asked_at(position: SentencePosition) -> str:
    """Where in a sentence, in words."""
    return f"at the {_PLACES[position]}" if isinstance(position, str) else f"at position {position}"


def evidence_on(
    profile: LaminarProfile,
    model: Model,
    selection: NeuronSelection,
    masks: Mapping[str, Any],
    prompts: Sequence[Prompt],
    lesion: Mapping[str, Any],
    *,
    checkpoint: str | os.PathLike[str] | None = None,
) -> tuple[dict[str, Result], dict[str, str]]:
    """The verdict on a profile with controls, and the studies that explain it; nothing for one without.

    Args:
        profile: The profile.
        model: The model.
        selection: Where its masks come from.
        masks: The masks.
        prompts: Its prompts.
        lesion: How it was lesioned, as :func:`tlesion.laminar_profile` takes it.
        checkpoint: Folder in which finished parts are kept, in one of its own for each study; None: nothing is.

    Returns:
        The results by name, and what does not apply, with the reason that its own study gives.
    """
    if not profile.n_controls:
        return {}, {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WideSetWarning)  # the page says it
        judged = verdict(profile)

    def kept(name: str) -> Path | None:
        return None if checkpoint is None else Path(checkpoint) / name

    dose = partial(dose_response, layers=strongest_layers(judged), n_controls=DOSE_CONTROLS, allow_shared=True)
    found, left_out = applying(
        {
            "dose": partial(dose, model, selection, prompts, checkpoint=kept("dose"), **lesion),
            "cumulative": partial(cumulative_lesion, model, masks, prompts, checkpoint=kept("cumulative"), **lesion),
            "decomposition": partial(decompose_drop, model, masks, prompts, checkpoint=kept("decomposition"), **lesion),
        }
    )
    return {"verdict": judged, **found}, left_out


def strongest_layers(judged: Verdict, n_layers: int = DOSE_LAYERS) -> list[int]:
    """The layers in which any neuron set's lesion moves its own word most, in the model's order: doses are tried there.

    Args:
        judged: A verdict.
        n_layers: How many.
    """
    strength = judged.effect.abs().nan_to_num().amax(dim=0)
    rows = strength.argsort(descending=True, stable=True)[:n_layers].tolist()
    return sorted(judged.layers[row] for row in rows)


def applying(studies: Mapping[str, Callable[[], Result]]) -> tuple[dict[str, Result], dict[str, str]]:
    """What each study finds; and of those that do not apply, the reason in their own words."""
    found, left_out = {}, {}
    for name, measure in studies.items():
        try:
            found[name] = measure()
        except DoesNotApply as reason:
            left_out[name] = str(reason)
    return found, left_out
