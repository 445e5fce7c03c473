"""Accumulation: what is left when the first layers are lesioned together, or the last ones?

A model may make up for one lesioned layer in the next. Lesions of layers 0 to l at once, and of layers l to the last at
once, show where it no longer can. Of every lesion the whole prediction is measured.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from tlesion.hooks import Model, in_layers, layer_of, width
from tlesion.inference import matched_controls
from tlesion.interventions.ablations import ablation_of
from tlesion.keep.checkpoint import Folder
from tlesion.keep.hashing import tensor_hash
from tlesion.models import require_logits
from tlesion.provenance import checkpoint_of, provenance_of
from tlesion.stimuli import Prompt
from tlesion.studies.common.collapse import LesionList, measure_collapse
from tlesion.studies.common.controls import check_controls, measure_activity
from tlesion.studies.common.masks import stack_masks
from tlesion.studies.cumulative.result import CumulativeLesion
from tlesion.sweeps.identity import hashes_of_lesions, hashes_of_readings
from tlesion.sweeps.lesions import read_lesions
from tlesion.sweeps.sweep import encode_prompts


def cumulative_lesion(
    model: Model,
    masks: Mapping[str, Tensor] | None,
    prompts: Sequence[Prompt],
    *,
    n_controls: int = 0,
    match: Tensor | str | None = None,
    ablation: str = "zero",
    hook_point: str = "mlp.hook_post",
    position: str | int = "readout",
    reference: Tensor | None = None,
    seed: int = 0,
    plan: str = "auto",
    max_bytes: int | None = None,
    prepend_bos: bool | None = None,
    checkpoint: Folder = None,
) -> CumulativeLesion:
    """Lesion layers 0 to l at once, and layers l to the last at once, for every l.

    Args:
        model: A `HookedTransformer` or `HookedEncoder`.
        masks: Named bool masks ``[layer, unit]`` over all layers; None: whole MLPs.
        prompts: Prompts with equally many targets each.
        n_controls: Matched controls of each mask: as many random units in every layer. Those of whole layers are the
            layers themselves.
        match: None, ``"activity"`` or a tensor ``[layer, unit]``, as in :func:`tlesion.laminar_profile`.
        ablation: As in :func:`tlesion.laminar_profile`.
        hook_point: Short form of the point whose units are ablated.
        position: ``"readout"``, ``"all"``, or an index for every prompt.
        reference: For ``"mean"`` and ``"median"``: what to put in, ``[layer, unit]``.
        seed: Of the noise and of the controls.
        plan: See :func:`tlesion.sweep`.
        max_bytes: See :func:`tlesion.sweep`.
        prepend_bos: None follows the model's TransformerLens default; False leaves the token out.
        checkpoint: As in :func:`tlesion.laminar_profile`.

    Returns:
        Logit drop, KL over the vocabulary, global change and ranks per mask, direction, layer l and prompt.

    Raises:
        ValueError: As for :func:`tlesion.laminar_profile`.
        TypeError: The masks are no dict.

    Example:
        >>> import tlesion
        >>> planted = tlesion.toy.planted_model("causal", n_layers=3, layers=(1,))
        >>> result = tlesion.cumulative_lesion(planted.model, None, planted.language.prompts(4, seed=1))
        >>> result.kl.shape, result.n_lesioned.tolist()
        (torch.Size([1, 2, 3, 4]), [[[48, 96, 144], [144, 96, 48]]])
    """
    require_logits(model, "the cumulative lesion")
    names = in_layers(model, hook_point)
    n_units = width(model, names[0])[1]
    labels, stack = stack_masks(masks, len(names), n_units)
    check_controls(n_controls, match, shape=stack.shape[1:], seed=seed)
    make = ablation_of(ablation, position=position, reference=reference, seed=seed, shape=stack.shape[1:])
    readings = encode_prompts(model, prompts, prepend_bos=prepend_bos)
    if isinstance(match, str):
        match = measure_activity(model, names, readings, position=position) if n_controls else None
    lesions = LesionList(names, make)
    rows = _rows(lesions, stack[None])[0]
    control_rows = _rows(lesions, _controls(labels, stack, n_controls=n_controls, seed=seed, match=match))
    settings = {
        **make.settings,
        "hook_point": hook_point,
        "position": position,
        "seed": seed,
        "prepend_bos": prepend_bos,
        "n_units": n_units,
        "masks": {name: tensor_hash(mask) for name, mask in zip(labels, stack, strict=True)},
        "n_controls": n_controls,
        "match": None if match is None else tensor_hash(match),
        "reference": None if make.reference is None else tensor_hash(make.reference),
    }
    provenance = provenance_of(model, settings=settings, stimuli=[s for p in prompts for s in p.stimuli])
    kept = checkpoint_of(
        model,
        checkpoint,
        study="cumulative_lesion",
        provenance=provenance,
        stimuli=hashes_of_readings(readings),
        options={
            "plan": plan,
            "max_bytes": max_bytes,
            "edits": hashes_of_lesions(read_lesions(model, lesions.lesions)) if checkpoint is not None else [],
        },
    )
    measured = measure_collapse(model, readings, lesions, plan=plan, max_bytes=max_bytes, checkpoint=kept)
    kept.finish()
    counts = stack.sum(dim=2)
    return CumulativeLesion(
        **measured.beside(rows, control_rows),
        n_lesioned=torch.stack([counts.cumsum(dim=1), counts.flip(1).cumsum(dim=1).flip(1)], dim=1),
        masks=labels,
        layers=tuple(layer_of(name) or 0 for name in names),
        prompts=tuple(prompt.text for prompt in prompts),
        targets=tuple(prompt.targets for prompt in prompts),
        correct=tuple(prompt.correct for prompt in prompts),
        plan=measured.plan,
        provenance=provenance,
    )


def _controls(
    labels: Sequence[str],
    stack: Bool[Tensor, "mask layer unit"],
    *,
    n_controls: int,
    seed: int,
    match: Tensor | None,
) -> Bool[Tensor, "control mask layer unit"]:
    if not n_controls:
        return stack[None][:0]
    # A seed from the mask's name: its controls are the same whatever other masks stand beside it.
    seeds = [int(np.random.SeedSequence([seed, *name.encode()]).generate_state(1)[0]) for name in labels]
    drawn = [
        matched_controls(mask, n_controls=n_controls, seed=own, match=match)
        for mask, own in zip(stack, seeds, strict=True)
    ]
    return torch.stack(drawn, dim=1)


def _rows(
    lesions: LesionList, stack: Bool[Tensor, "control mask layer unit"]
) -> Int64[Tensor, "control mask direction layer"]:
    """The lesion of every mask, direction and layer, as a row of the list."""
    n_controls, n_masks, n_layers = stack.shape[:3]
    rows = [
        lesions.row({layer: units[layer] for layer in span})
        for units in stack.flatten(0, 1)
        for spans in ([range(at + 1) for at in range(n_layers)], [range(at, n_layers) for at in range(n_layers)])
        for span in spans
    ]
    return torch.tensor(rows, dtype=torch.long).reshape(n_controls, n_masks, 2, n_layers)
