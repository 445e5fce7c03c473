"""The sweeps behind a laminar profile: stacks of masks, one layer at a time, and one run that cuts nothing."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

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
        clean_logits: Logits of the targets in the clean run.
        plan: How the sweep was run, and why.
    """

    logit_drop: Float64[Tensor, "mask layer prompt target"]
    global_change: Float64[Tensor, "mask layer prompt"]
    clean_logits: Float64[Tensor, "prompt target"]
    plan: str


def measure_layers(run: Run, frame: LesionFrame, masks: Bool[Tensor, "mask layer unit"], *, stage: str) -> LayerEffects:
    """Lesion every mask in every layer, each by itself.

    Args:
        run: The study.
        frame: Its frame.
        masks: The masks.
        stage: What the sweep is called among the parts of a checkpoint.

    Raises:
        ValueError: NaN in the clean logits; what a sweep refuses.
    """
    make, names, readings = frame.ablation, frame.point.names, frame.readings
    lesions = [[make.at(name, layer, units[layer])] for units in masks for layer, name in enumerate(names)]
    sink = TargetSink(readings, global_change=True)
    settled = run.sweep(read_lesions(frame.model, lesions), sink, stage=stage)
    clean = sink.clean[:, 0].double()
    require_finite_logits(clean)
    shape = (len(masks), len(names), len(readings))
    return LayerEffects(
        logit_drop=(clean - sink.lesioned[:, :, 0].double()).reshape(*shape, -1),
        global_change=sink.global_change[:, :, 0].double().reshape(shape),
        clean_logits=clean,
        plan=settled.reason,
    )


def measure_nothing(
    run: Run, frame: LesionFrame
) -> tuple[Float64[Tensor, "prompt target"], Float64[Tensor, " prompt"]]:
    """Drop and change of a plain run with an edit at every layer and no unit in it: it has to be the clean run."""
    no_unit = torch.zeros(frame.point.n_units, dtype=torch.bool)
    lesion = [frame.ablation.at(name, layer, no_unit) for layer, name in enumerate(frame.point.names)]
    sink = TargetSink(frame.readings, global_change=True)
    run.sweep(read_lesions(frame.model, [lesion]), sink, stage="nothing", plan="loop")
    return (sink.clean[:, 0] - sink.lesioned[0, :, 0]).double(), sink.global_change[0, :, 0].double()
