"""The sweeps behind a laminar profile: stacks of masks, one layer at a time, and one run that cuts nothing."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from tlesion.interventions import Intervention
from tlesion.studies.common.frame import LesionFrame, Run
from tlesion.sweeps.finite import require_finite_logits
from tlesion.sweeps.lesions import read_lesions
from tlesion.sweeps.sinks import TargetSink


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerEffects:
    """What masks cost, one layer at a time.

    Attributes:
        logit_drop: Clean − lesioned logit of each target.
        global_change: Standard deviation over the vocabulary of (lesioned − clean) logits.
        kl: Divergence of the lesioned prediction from the clean one, in nats; NaN where it was not asked for.
        clean_logits: Logits of the targets in the clean run.
        plan: How the sweep was run, and why.
    """

    logit_drop: Float64[Tensor, "mask layer prompt target"]
    global_change: Float64[Tensor, "mask layer prompt"]
    kl: Float64[Tensor, "mask layer prompt"]
    clean_logits: Float64[Tensor, "prompt target"]
    plan: str


def measure_layers(
    run: Run, frame: LesionFrame, masks: Bool[Tensor, "mask layer unit"], *, stage: str, kl: bool = False
) -> LayerEffects:
    """Lesion every mask in every layer, each by itself.

    Args:
        run: The study.
        frame: Its frame.
        masks: The masks.
        stage: What the sweep is called among the parts of a checkpoint.
        kl: Also measure how far the prediction moves.

    Raises:
        ValueError: NaN in the clean logits; what a sweep refuses.
    """
    make, names = frame.ablation, frame.point.names
    lesions = [[make.at(name, layer, units[layer])] for units in masks for layer, name in enumerate(names)]
    return _measured(run, frame, lesions, (len(masks), len(names)), stage=stage, kl=kl)


def measure_nothing(run: Run, frame: LesionFrame) -> LayerEffects:
    """A plain run with an edit at every layer and no unit in it: it has to be the clean run. One mask, one layer."""
    no_unit = torch.zeros(frame.point.n_units, dtype=torch.bool)
    lesion = [frame.ablation.at(name, layer, no_unit) for layer, name in enumerate(frame.point.names)]
    return _measured(run, frame, [lesion], (1, 1), stage="nothing", kl=True, plan="loop")


def _measured(
    run: Run,
    frame: LesionFrame,
    lesions: list[list[Intervention]],
    shape: tuple[int, int],
    *,
    stage: str,
    kl: bool,
    plan: str | None = None,
) -> LayerEffects:
    """Lesions that stand mask by mask and layer by layer, swept."""
    sink = TargetSink(frame.readings, global_change=True, kl=kl)
    settled = run.sweep(read_lesions(frame.model, lesions), sink, stage=stage, plan=plan)
    clean = sink.clean[:, 0].double()
    require_finite_logits(clean)
    return LayerEffects(
        logit_drop=(clean - sink.lesioned[:, :, 0].double()).unflatten(0, shape),
        global_change=sink.global_change[:, :, 0].double().unflatten(0, shape),
        kl=sink.kl[:, :, 0].unflatten(0, shape),
        clean_logits=clean,
        plan=settled.reason,
    )
