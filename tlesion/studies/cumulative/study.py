"""Accumulation: what is left when the first layers are lesioned together, or the last ones?

A model may make up for one lesioned layer in the next. Lesions of layers 0 to l at once, and of layers l to the last at
once, show where it no longer can. Of every lesion the whole prediction is measured.
"""

from typing import Any

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from tlesion.hooks import Model
from tlesion.keep.checkpoint import Folder
from tlesion.keep.hashing import tensor_hash
from tlesion.positions import PromptPosition
from tlesion.public import public
from tlesion.studies.common.collapse import LesionList, measure_collapse
from tlesion.studies.common.controls import controls_of, stream_of
from tlesion.studies.common.frame import lesion_frame
from tlesion.studies.cumulative.result import CumulativeLesion


@public
def cumulative_lesion(
    model: Model,
    masks: Any,
    prompts: Any,
    *,
    n_controls: int = 0,
    match: Tensor | str | None = None,
    ablation: str = "zero",
    hook_point: str = "mlp.hook_post",
    position: PromptPosition = "readout",
    reference: Any = None,
    seed: int = 0,
    plan: str = "auto",
    max_bytes: int | None = None,
    prepend_bos: bool | None = None,
    checkpoint: Folder = None,
) -> CumulativeLesion:
    """Lesion layers 0 to l at once, and layers l to the last at once, for every l.

    Args:
        model: A `HookedTransformer` or `HookedEncoder`.
        masks: Named bool masks ``[layer, unit]`` over all layers; None: all units, such as the whole MLP.
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
        TypeError: The masks are not a dict.

    Example:
        >>> import tlesion
        >>> planted = tlesion.toy.planted_model("causal", n_layers=3, layers=(1,))
        >>> result = tlesion.cumulative_lesion(planted.model, None, planted.language.prompts(4, seed=1))
        >>> result.kl.shape, result.n_lesioned.tolist()
        (torch.Size([1, 2, 3, 4]), [[[48, 96, 144], [144, 96, 48]]])
    """
    frame = lesion_frame(
        model,
        prompts,
        study="cumulative_lesion",
        title="the cumulative lesion",
        hook_point=hook_point,
        ablation=ablation,
        position=position,
        reference=reference,
        seed=seed,
        plan=plan,
        max_bytes=max_bytes,
        prepend_bos=prepend_bos,
    )
    named = frame.point.masks(masks, whole=True)
    controls = controls_of(n_controls, match, frame).measured(frame)
    stack = torch.stack(list(named.values()))
    drawn = torch.stack([controls.draw(mask, stream_of(name)) for name, mask in named.items()], dim=1)
    lesions = LesionList(frame)
    rows, control_rows = _rows(lesions, stack[None])[0], _rows(lesions, drawn)
    settings = {"masks": {name: tensor_hash(mask) for name, mask in named.items()}, **controls.settings}
    read = lesions.read()
    run = frame.opened(checkpoint, settings=settings, lesions=read)
    measured = measure_collapse(run, read)
    own, others = measured.of(rows), measured.of(control_rows)
    run.checkpoint.finish()
    counts = stack.sum(dim=2)
    return CumulativeLesion(
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
        n_lesioned=torch.stack([counts.cumsum(dim=1), counts.flip(1).cumsum(dim=1).flip(1)], dim=1),
        masks=tuple(named),
        layers=frame.point.layers,
        prompts=frame.labels.prompts,
        targets=frame.labels.targets,
        correct=frame.labels.correct,
        plan=measured.plan,
        provenance=run.provenance,
    )


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
