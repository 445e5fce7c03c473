"""The frame of a study: everything that is settled before anything is run, in one place for all of them.

A study says which prompts or texts it reads, at which hook point, and what is done to units there. The frame checks
these, and settles from them the hook names with their layers, the width with its heads, the encoded readings, the
ablation with its reference, the budget, and what a result records: labels of the prompts and provenance. `Frame.opened`
then opens the checkpoint and gives the `Run` through which the study sweeps::

    frame = lesion_frame(model, prompts, study="cumulative_lesion", title="the cumulative lesion", ...)
    masks = frame.point.masks(masks, whole=True)
    run = frame.opened(checkpoint, settings={"masks": ...}, lesions=lesions)
    run.sweep(lesions, sink)
    run.checkpoint.finish()

A study of prompts that cuts no units of one hook point starts from `prompt_frame`, a study of texts from
:func:`tlesion.studies.common.reading.text_frame`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tlesion.encoding import bos_setting, label_of
from tlesion.hooks import Layers, Model
from tlesion.interventions.ablation import Ablation, ablation_of
from tlesion.keep.checkpoint import Checkpoint, Folder
from tlesion.keep.hashing import tensor_hash
from tlesion.keep.results import Provenance
from tlesion.models import require_logits
from tlesion.positions import PromptPosition
from tlesion.provenance import checkpoint_of, provenance_of
from tlesion.studies.common.labels import Labels
from tlesion.studies.common.point import Point, point_of
from tlesion.sweeps.engine import Settled, run_sweep
from tlesion.sweeps.groups import Reading, require_position
from tlesion.sweeps.identity import hashes_of_lesions, hashes_of_readings
from tlesion.sweeps.lesions import Lesion
from tlesion.sweeps.memory import settled_max_bytes
from tlesion.sweeps.sinks import Sink
from tlesion.sweeps.sweep import encode_prompts


@dataclass(frozen=True, eq=False, kw_only=True)
class Frame:
    """What every study settles, whatever it reads.

    Attributes:
        model: The model.
        study: Name of the function that runs.
        readings: What is swept; nothing in a study that only walks through the layers.
        labels: What the result says about the prompts.
        stimuli: A short hash of each prompt or text, which the provenance records.
        identities: An exact hash of each, of its tokens, by which a checkpoint knows its run.
        settings: What the provenance records of every study of this kind.
        plan: As :func:`tlesion.sweep` takes it.
        max_bytes: Budget for activations; None: a share of the free memory.
    """

    model: Model
    study: str
    readings: tuple[Reading, ...] = ()
    labels: Labels = field(default_factory=Labels)
    stimuli: tuple[str, ...]
    identities: tuple[str, ...]
    settings: Mapping[str, Any]
    plan: str = "auto"
    max_bytes: int | None = None

    def opened(
        self,
        folder: Folder = None,
        *,
        settings: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        lesions: Sequence[Lesion] = (),
    ) -> "Run":
        """Record the provenance and open the checkpoint: from here on, work is done.

        Args:
            folder: Of the checkpoint; None: nothing is kept.
            settings: What the provenance records beside the frame's own settings.
            options: What else changes the numbers, if by rounding only, or the order of the parts that are kept.
            lesions: Lesions that the settings do not tell; a checkpoint knows them by what their edits hold.

        Raises:
            ValueError: See :func:`tlesion.provenance.checkpoint_of`.
            TypeError: With a folder, a lesion with a hook function of the user's own.
        """
        recorded = {**self.settings, **(settings or {})}
        provenance = provenance_of(self.model, settings=recorded, stimuli=self.stimuli)
        edits = hashes_of_lesions(lesions) if folder is not None else []
        checkpoint = checkpoint_of(
            self.model,
            folder,
            study=self.study,
            provenance=provenance,
            stimuli=self.identities,
            options={"plan": self.plan, "max_bytes": self.max_bytes, "edits": edits, **(options or {})},
        )
        budget = settled_max_bytes(self.model, self.max_bytes, checkpoint)
        return Run(frame=self, provenance=provenance, checkpoint=checkpoint, budget=budget)


@dataclass(frozen=True, eq=False, kw_only=True)
class Run:
    """A study under way; `Frame.opened` makes it.

    Attributes:
        frame: Its frame.
        provenance: What the result records.
        checkpoint: Where finished parts are kept. The study calls ``finish()`` on it once everything is measured.
        budget: Bytes for activations, the same again when a run is continued; None: a share of the free memory.
    """

    frame: Frame
    provenance: Provenance
    checkpoint: Checkpoint
    budget: int | None

    def sweep(self, lesions: Sequence[Lesion], sink: Sink, *, stage: str = "", plan: str | None = None) -> Settled:
        """Run lesions over the frame's readings.

        Args:
            lesions: From :func:`tlesion.sweeps.lesions.read_lesions`.
            sink: Takes what is measured.
            stage: What this sweep is called among the kept parts, where a study runs several.
            plan: Another plan than the frame's.
        """
        return run_sweep(
            self.frame.model,
            self.frame.readings,
            lesions,
            sink,
            plan=plan or self.frame.plan,
            max_bytes=self.budget,
            checkpoint=self.checkpoint.stage(stage) if stage else self.checkpoint,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class LesionFrame(Frame):
    """The frame of a study that ablates units of one hook point while prompts are read.

    Attributes:
        point: The hook point in the lesioned layers; it checks masks.
        position: Where along the text units are ablated.
        ablation: What is done to them, with its reference values.
    """

    point: Point
    position: PromptPosition
    ablation: Ablation


def lesion_frame(
    model: Model,
    prompts: Any,
    *,
    study: str,
    title: str,
    hook_point: str,
    ablation: str,
    position: PromptPosition,
    reference: Any,
    seed: int,
    plan: str,
    max_bytes: int | None,
    prepend_bos: bool | None,
    layers: Layers = "all",
) -> LesionFrame:
    """Check and settle what a study that ablates units was asked for.

    Args:
        model: The model.
        prompts: A list of `Prompt` with equally many targets each.
        study: Name of the function that runs.
        title: What it is called in the error for a model without logits.
        hook_point: Whose units are ablated: a short form, or one full name.
        ablation, position, reference, seed: See :func:`tlesion.laminar_profile`.
        plan, max_bytes, prepend_bos: See :func:`tlesion.sweep`.
        layers: The lesioned layers; ``reference`` has a row for each.

    Raises:
        ValueError: A model without logits; an unknown hook point, layer, ablation or position; reference values that
            are missing or do not fit; no prompt, and what :func:`tlesion.encoding.encode_prompt` refuses.
        TypeError: The prompts are no list of `Prompt`.
    """
    require_logits(model, title)
    point = point_of(model, hook_point, layers)
    make = ablation_of(ablation, position=position, reference=reference, seed=seed, shape=point.shape)
    settings = {
        **make.settings,
        "hook_point": hook_point,
        "position": position,
        "seed": seed,
        "n_units": point.n_units,
        "reference": None if make.reference is None else tensor_hash(make.reference),
    }
    read = prompt_frame(
        model,
        prompts,
        study=study,
        title=title,
        settings=settings,
        plan=plan,
        max_bytes=max_bytes,
        prepend_bos=prepend_bos,
    )
    require_position(read.readings, position, point.names[0])
    return LesionFrame(**vars(read), point=point, position=position, ablation=make)


def prompt_frame(
    model: Model,
    prompts: Any,
    *,
    study: str,
    title: str,
    settings: Mapping[str, Any],
    plan: str,
    max_bytes: int | None,
    prepend_bos: bool | None,
) -> Frame:
    """The frame of a study that reads prompts, whatever it does to the model meanwhile; see `lesion_frame`."""
    require_logits(model, title)
    readings = encode_prompts(model, prompts, prepend_bos=prepend_bos)
    return Frame(
        model=model,
        study=study,
        readings=tuple(readings),
        labels=Labels.of([label_of(model, prompt) for prompt in prompts]),
        stimuli=tuple(stimulus for prompt in prompts for stimulus in prompt.stimuli),
        identities=tuple(hashes_of_readings(readings)),
        settings={**bos_setting(prompts, prepend_bos), **settings},
        plan=plan,
        max_bytes=max_bytes,
    )
