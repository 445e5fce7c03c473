"""Dose and response: how much is lost as more of a layer's selective neurons are cut, and where does it become
collapse?

Neurons of a layer are ranked by their t, and the top 1, 2, 5, ... percent of them are lesioned, beside as many random
neurons of that layer. Of every lesion the whole prediction is measured, so that a loss of one word can be told from a
model that has stopped working.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from tlesion.checks import DoesNotApply, one_of
from tlesion.hooks import Layers, Model, layer_indices
from tlesion.inference import require_independent
from tlesion.keep.checkpoint import Folder
from tlesion.positions import PromptPosition
from tlesion.provenance import require_same_model
from tlesion.public import public
from tlesion.selection import NeuronSelection
from tlesion.studies.common.collapse import LesionList, measure_collapse
from tlesion.studies.common.controls import controls_of
from tlesion.studies.common.frame import lesion_frame
from tlesion.studies.common.point import Point
from tlesion.studies.dose.result import DoseResponse

DOSES = (1, 2, 5, 10, 20, 50, 100)


@public
def dose_response(
    model: Model,
    selection: NeuronSelection,
    prompts: Any,
    *,
    layers: Layers = "all",
    doses: Sequence[float | int] = DOSES,
    direction: str = "any",
    n_controls: int = 20,
    match: Tensor | str | None = None,
    ablation: str = "zero",
    hook_point: str = "mlp.hook_post",
    position: PromptPosition = "readout",
    reference: Any = None,
    seed: int = 0,
    allow_shared: bool = False,
    plan: str = "auto",
    max_bytes: int | None = None,
    prepend_bos: bool | None = None,
    checkpoint: Folder = None,
) -> DoseResponse:
    """Lesion the top percent of a layer's neurons by t, more and more of them, one layer at a time.

    Significance plays no part: a dose is a share of the layer's neurons, at least one, the most selective first. With a
    condition's direction, doses beyond the share of neurons with its sign reach into the other condition's. Dead
    neurons come last, and 100 % is the whole layer.

    Args:
        model: A `HookedTransformer` or `HookedEncoder`.
        selection: The test of every neuron.
        prompts: Prompts with equally many targets each.
        layers: ``"all"`` that the selection has, or some of them; negative ones count from the model's last.
        doses: Shares of a layer's neurons, in percent, ascending.
        direction: ``"any"``: the largest |t| first; a condition's name: the t that speaks most for it first.
        n_controls: Matched controls of every dose: as many random neurons of the layer.
        match: As in :func:`tlesion.laminar_profile`; a tensor ``[layer, unit]`` has a row for each lesioned layer.
        ablation: As in :func:`tlesion.laminar_profile`.
        hook_point: Short form of the point that is lesioned; its units have to be the selection's neurons.
        position: ``"readout"``, ``"all"``, or an index for every prompt.
        reference: For ``"mean"`` and ``"median"``: what to put in, ``[layer, unit]``, a row for each lesioned layer.
        seed: Of the noise and of the controls.
        allow_shared: Take prompts that are made from the selection's own sentences.
        plan: See :func:`tlesion.sweep`.
        max_bytes: See :func:`tlesion.sweep`.
        prepend_bos: None follows the model's TransformerLens default; False leaves the token out.
        checkpoint: As in :func:`tlesion.laminar_profile`.

    Returns:
        Logit drop, KL over the vocabulary, global change and ranks per layer, dose and prompt, and of every control.

    Raises:
        ValueError: Doses that are not ascending percentages, a direction or layer that the selection does not have,
            neurons that do not fit the hook point, prompts made from the selection's sentences, and what
            :func:`tlesion.laminar_profile` refuses.
        TypeError: What was given is not a selection.

    Example:
        >>> import tlesion
        >>> planted = tlesion.toy.planted_model("causal", n_layers=2, layers=(1,))
        >>> selection = tlesion.select_neurons(planted.model, planted.language.contrast(20, seed=0), position="before")
        >>> prompts = planted.language.prompts(6, seed=1)
        >>> response = tlesion.dose_response(planted.model, selection, prompts, doses=(10, 100), n_controls=2)
        >>> response.kl.shape, response.n_lesioned.tolist()
        (torch.Size([2, 2, 6]), [5, 48])
    """
    chosen = _chosen(model, selection, layers)
    one_of("direction", direction, (*selection.conditions, "any"))
    frame = lesion_frame(
        model,
        prompts,
        study="dose_response",
        title="the dose response",
        layers=chosen,
        hook_point=hook_point,
        ablation=ablation,
        position=position,
        reference=reference,
        seed=seed,
        plan=plan,
        max_bytes=max_bytes,
        prepend_bos=prepend_bos,
    )
    counts = _counts(doses, frame.point.n_units)
    t = _t_of(selection, frame.point)
    controls = controls_of(n_controls, match, frame)
    shared = require_independent(selection, prompts, allow_shared=allow_shared)
    controls = controls.measured(frame)
    masks, weakest = _doses(t, counts, sign={"any": 0, selection.conditions[1]: -1}.get(direction, 1))
    lesions = LesionList(frame)
    rows = _rows(lesions, masks[:, None])[:, 0].T
    # A stream for every dose, so that the controls of one say nothing of another's.
    drawn = torch.stack([controls.draw(mask, [dose]) for dose, mask in enumerate(masks)])
    control_rows = _rows(lesions, drawn).permute(1, 2, 0)
    settings = {"selection": selection.content_hash, "shared_prompts": list(shared), **controls.settings}
    read = lesions.read()
    run = frame.opened(checkpoint, settings=settings, lesions=read)
    measured = measure_collapse(run, read)
    own, others = measured.of(rows), measured.of(control_rows)
    run.checkpoint.finish()
    return DoseResponse(
        logit_drop=own.logit_drop,
        kl=own.kl,
        global_change=own.global_change,
        rank=own.rank,
        control_logit_drop=others.logit_drop,
        control_kl=others.kl,
        control_global_change=others.global_change,
        control_rank=others.rank,
        clean_logits=measured.sink.clean,
        clean_rank=measured.sink.clean_rank,
        n_lesioned=counts,
        weakest_t=weakest,
        doses=tuple(float(dose) for dose in doses),
        layers=frame.point.layers,
        direction=direction,
        prompts=frame.labels.prompts,
        targets=frame.labels.targets,
        correct=frame.labels.correct,
        plan=measured.plan,
        provenance=run.provenance,
    )


def _chosen(model: Model, selection: NeuronSelection, layers: Layers) -> list[int]:
    require_same_model(selection, model)
    if isinstance(layers, str) and layers == "all":
        return list(selection.layers)
    chosen = layer_indices(model, layers)
    missing = [layer for layer in chosen if layer not in selection.layers]
    if missing:
        raise ValueError(f"layers {missing} are not in this selection; it has the layers {list(selection.layers)}")
    return chosen


def _counts(doses: Sequence[float | int], n_units: int) -> Int64[Tensor, " dose"]:
    """How many neurons each dose cuts: rounded, at least one."""
    given = list(doses)
    if not given or any(not 0 < dose <= 100 for dose in given) or any(a >= b for a, b in pairwise(given)):
        raise ValueError(
            f"doses {given} are not understood; give ascending percentages of a layer's neurons, above 0 and at most "
            f"100, such as {DOSES}"
        )
    return torch.tensor([max(1, math.floor(dose * n_units / 100 + 0.5)) for dose in given])


def _t_of(selection: NeuronSelection, point: Point) -> Float64[Tensor, "layer unit"]:
    if selection.t.shape[1] != point.n_units:
        raise DoesNotApply(
            f"the selection has {selection.t.shape[1]} neurons a layer, and {point.short!r} has {point.n_units} units; "
            f"give a hook point with the same units, such as 'mlp.hook_post' for a selection at "
            f"{selection.hook_point!r}"
        )
    return selection.t[[selection.layers.index(layer) for layer in point.layers]]


def _doses(
    t: Float64[Tensor, "layer unit"], counts: Int64[Tensor, " dose"], *, sign: int
) -> tuple[Bool[Tensor, "dose layer unit"], Float64[Tensor, "layer dose"]]:
    """Masks of the top neurons, and t of the last one in each; dead neurons rank last, equal ones by their index."""
    strength = t.abs() if sign == 0 else sign * t
    order = strength.nan_to_num(nan=-torch.inf).sort(dim=1, descending=True, stable=True).indices
    masks = torch.zeros(len(counts), *t.shape, dtype=torch.bool)
    for mask, count in zip(masks, counts.tolist(), strict=True):
        mask.scatter_(1, order[:, :count], True)
    return masks, t.gather(1, order[:, counts - 1])


def _rows(lesions: LesionList, masks: Bool[Tensor, "dose control layer unit"]) -> Int64[Tensor, "dose control layer"]:
    """The lesion of every mask and layer, as a row of the list."""
    flat = [lesions.row({layer: units}) for mask in masks.flatten(0, 1) for layer, units in enumerate(mask)]
    return torch.tensor(flat, dtype=torch.long).reshape(masks.shape[:3])
