"""The runs of sufficiency and minimality: what lesions of one layer each cost every target."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from tlesion.studies.common.collapse import LesionList
from tlesion.studies.common.frame import LesionFrame, Run
from tlesion.sweeps.finite import require_finite_logits
from tlesion.sweeps.sinks import TargetSink


@dataclass(frozen=True, eq=False, kw_only=True)
class Drops:
    """What lesions cost.

    Attributes:
        drop: Clean − lesioned logit of each target.
        clean: Logits of the targets in the clean run.
        plan: How the sweep was run, and why.
    """

    drop: Float64[Tensor, "*lesion layer prompt target"]
    clean: Float64[Tensor, "prompt target"]
    plan: str


def measure_drops(run: Run, frame: LesionFrame, cut: Bool[Tensor, "*lesion layer unit"], *, stage: str) -> Drops:
    """Cut units in every layer, each layer by itself. Equal lesions are one run, and their numbers the same bits.

    Args:
        run: The study.
        frame: Its frame.
        cut: What is cut.
        stage: What the sweep is called among the parts of a checkpoint.

    Raises:
        ValueError: NaN in the clean logits; what a sweep refuses.
    """
    lesions = LesionList(frame)
    rows = [lesions.row({layer: units}) for stack in cut.flatten(0, -3) for layer, units in enumerate(stack)]
    sink = TargetSink(frame.readings, global_change=False)
    settled = run.sweep(lesions.read(), sink, stage=stage)
    clean = sink.clean[:, 0].double()
    require_finite_logits(clean)
    drop = (clean - sink.lesioned[:, :, 0].double())[torch.tensor(rows)]
    return Drops(drop=drop.reshape(*cut.shape[:-1], *clean.shape), clean=clean, plan=settled.reason)
