"""The sweeps behind a laminar profile: stacks of masks, one layer at a time, and a run in which nothing is cut."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from tlesion.hooks import Model, width
from tlesion.interventions.ablations import Ablation
from tlesion.keep.checkpoint import NOTHING_KEPT, Checkpoint
from tlesion.sweeps.engine import run_sweep
from tlesion.sweeps.finite import require_finite_logits
from tlesion.sweeps.groups import Reading
from tlesion.sweeps.lesions import read_lesions
from tlesion.sweeps.sinks import TargetSink


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerEffects:
    """What masks cost, one layer at a time.

    Attributes:
        logit_drop: Clean − lesioned logit of each target.
        global_change: Root mean square over the vocabulary of (lesioned − clean) logits.
        clean_logits: Logits of the targets in the clean run.
        plan: How the sweep was run, and why.
    """

    logit_drop: Float64[Tensor, "mask layer prompt target"]
    global_change: Float64[Tensor, "mask layer prompt"]
    clean_logits: Float64[Tensor, "prompt target"]
    plan: str


def measure_layers(
    model: Model,
    names: Sequence[str],
    masks: Bool[Tensor, "mask layer unit"],
    *,
    make: Ablation,
    readings: Sequence[Reading],
    plan: str,
    max_bytes: int | None,
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> LayerEffects:
    """Lesion every mask in every layer, each by itself.

    Raises:
        ValueError: NaN in the clean logits; what a sweep refuses.
    """
    lesions = [[make.at(name, layer, units[layer])] for units in masks for layer, name in enumerate(names)]
    sink = TargetSink(readings, global_change=True)
    settled = run_sweep(
        model, readings, read_lesions(model, lesions), sink, plan=plan, max_bytes=max_bytes, checkpoint=checkpoint
    )
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
    model: Model,
    names: Sequence[str],
    make: Ablation,
    readings: Sequence[Reading],
    *,
    max_bytes: int | None,
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> tuple[Float64[Tensor, "prompt target"], Float64[Tensor, " prompt"]]:
    """Drop and change of a plain run with an edit at every layer and no unit in it: it has to be the clean run."""
    heads, units = width(model, names[0])
    no_unit = torch.zeros((heads or 1) * units, dtype=torch.bool)
    lesion = [make.at(name, layer, no_unit) for layer, name in enumerate(names)]
    sink = TargetSink(readings, global_change=True)
    run_sweep(
        model, readings, read_lesions(model, [lesion]), sink, plan="loop", max_bytes=max_bytes, checkpoint=checkpoint
    )
    return (sink.clean[:, 0] - sink.lesioned[0, :, 0]).double(), sink.global_change[0, :, 0].double()
