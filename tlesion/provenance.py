"""Where a result comes from, and which run a checkpoint is of: what a model, its texts and the options say of both."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib import metadata
from typing import Any

from tlesion.anatomy.foreign import foreign_change, replaced_method
from tlesion.anatomy.model import device_of
from tlesion.anatomy.settings import configuration, constants_hash
from tlesion.hooks import Model, user_hooks
from tlesion.keep.checkpoint import NOTHING_KEPT, Checkpoint, Folder, open_checkpoint
from tlesion.keep.hashing import combined_hash
from tlesion.keep.results import Provenance, Result
from tlesion.models import info
from tlesion.tokens import prepends_bos, unusual_special_tokens

_PACKAGES = {
    "tlesion": "tlesion",
    "transformer_lens": "transformer-lens",
    "torch": "torch",
    "transformers": "transformers",
}


def provenance_of(
    model: Model,
    *,
    settings: Mapping[str, Any],
    stimuli: Sequence[str],
    contexts: Sequence[str] = (),
    frames: Sequence[Sequence[str]] = (),
) -> Provenance:
    """Record a model, the installed versions, the settings and the stimuli of a result.

    Args:
        model: The model.
        settings: What the function was asked for. ``prepend_bos`` among them is recorded as what it meant: None stands
            for the model's own default. Where more than a BOS token is at stake, ``special_tokens`` says which ones
            stand before the texts, and which of the tokenizer's are left out.
        stimuli: A short hash of each sentence, see :func:`tlesion.stimuli.stimulus_hash`.
        contexts, frames: See :class:`Provenance`.
    """
    settings = dict(settings)
    if "prepend_bos" in settings:
        settings["prepend_bos"] = prepends_bos(model, settings["prepend_bos"])
        unusual = unusual_special_tokens(model, settings["prepend_bos"])
        settings |= {"special_tokens": unusual} if unusual else {}
    return Provenance(
        model=asdict(info(model)),
        versions={name: _version(package) for name, package in _PACKAGES.items()},
        settings=settings,
        stimuli=tuple(stimuli),
        stimuli_hash=combined_hash(stimuli),
        contexts=tuple(contexts),
        frames=tuple(map(tuple, frames)),
    )


@cache
def _version(package: str) -> str:
    """Read once: to parse four packages' descriptions takes longer than a sweep of a small model."""
    return metadata.version(package)


def require_same_model(selected: Result, model: Model) -> None:
    """Refuse a selection that another model has made: its neurons are other neurons, with the same numbers.

    Args:
        selected: A selection, or another result of one; one that does not know its model (from caches) passes.
        model: The model that it is to be used with.

    Raises:
        ValueError: It was made with other weights.
    """
    made, here = selected.provenance.model, info(model)
    if made.get("fingerprint", here.fingerprint) != here.fingerprint:
        raise ValueError(
            f"the selection is of model {made['name']!r} and the model given is {here.name!r} with other weights; "
            "repeat it with the model that it was made with, or select with the one that is used now"
        )


def checkpoint_of(
    model: Model,
    folder: Folder,
    *,
    study: str,
    provenance: Provenance,
    stimuli: Sequence[str],
    options: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """Begin the checkpoint of a run, or continue the one that is there.

    The model's name does not count: the same weights under another name give the same numbers.

    Args:
        model: The run's model.
        folder: Made if it is not there; None: nothing is kept.
        study: The function that runs.
        provenance: What the result is going to record: model, versions and settings have to be the same.
        stimuli: An exact hash of each stimulus: of its tokens, not of its text alone.
        options: What else changes the numbers, if by rounding only: plans, budgets, hashes of edits.

    Raises:
        ValueError: The model carries hooks of its own, or other changes, which cannot be compared; and what
            :func:`tlesion.keep.checkpoint.open_checkpoint` refuses: another run's folder, a damaged one, or a file.
    """
    if folder is None:
        return NOTHING_KEPT
    foreign = user_hooks(model)
    if foreign:
        raise ValueError(
            f"the model carries hooks of its own (at {foreign[0]}), and a checkpoint cannot tell whether they are the "
            "same when the run continues; remove them (model.reset_hooks()), or leave checkpoint out"
        )
    changed = foreign_change(model) or replaced_method(model)
    if changed:
        raise ValueError(
            f"the model has {changed}, and a checkpoint cannot tell whether that is the same when the run continues; "
            "undo it, or leave checkpoint out"
        )
    described = provenance.model
    run = {
        "study": study,
        "weights": described["fingerprint"],
        "dtype": described["dtype"],
        "processing": described["processing"],
        "cfg": configuration(model),
        "constants": constants_hash(model),
        "device": device_of(model).type,
        "versions": provenance.versions,
        "settings": provenance.settings | dict(options or {}),
        "stimuli": list(stimuli),
    }
    return open_checkpoint(folder, run)
