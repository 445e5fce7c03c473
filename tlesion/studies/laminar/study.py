"""The laminar profile: what does a lesion of these neurons cost, one layer at a time?

For every mask, the layer's masked neurons are ablated at one position, and the logits of the targets are read at the
readout position. Two reference rows put the numbers in context: a run with every edit in place and nothing to edit,
which has to be exactly the clean run, and the ablation of all units of the layer (of the MLP, the whole MLP), which is
the ceiling.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from tlesion.hooks import Model
from tlesion.keep.checkpoint import Folder
from tlesion.keep.hashing import tensor_hash
from tlesion.positions import PromptPosition
from tlesion.public import public
from tlesion.studies.common.controls import Controls, controls_of
from tlesion.studies.common.effects import words_of_masks
from tlesion.studies.common.frame import LesionFrame, Run, lesion_frame
from tlesion.studies.common.smallest import SmallestEffect, settled_smallest
from tlesion.studies.common.source import source_of
from tlesion.studies.laminar.result import LaminarProfile
from tlesion.studies.laminar.sweeps import LayerEffects, measure_layers, measure_nothing

__all__ = ["LaminarProfile", "laminar_profile"]


@public
def laminar_profile(
    model: Model,
    masks: Any,
    prompts: Any,
    *,
    ablation: str = "zero",
    hook_point: str = "mlp.hook_post",
    position: PromptPosition = "readout",
    reference: Any = None,
    seed: int = 0,
    plan: str = "auto",
    max_bytes: int | None = None,
    prepend_bos: bool | None = None,
    about: Mapping[str, str] | None = None,
    n_controls: int = 99,
    match: Tensor | str | None = "activity",
    smallest: float | int | SmallestEffect | None = None,
    selected_on: Any = None,
    allow_shared: bool = False,
    checkpoint: Folder = None,
) -> LaminarProfile:
    """Lesion one layer at a time and read what it costs the targets.

    Args:
        model: A `HookedTransformer` or `HookedEncoder`.
        masks: Named bool masks ``[layer, unit]`` over all layers, ``selection.mask("him")`` for example. Inside
            attention the heads lie side by side: unit ``head * d_head + i``.
        prompts: A list of `Prompt` with equally many targets each.
        ablation: ``"zero"``; ``"mean"`` or ``"median"`` (the values of ``reference``); ``"gaussian"`` (standard
            normal noise).
        hook_point: Short form of the point whose units are ablated.
        position: ``"readout"``: at each prompt's readout position; ``"all"``; or an index for every prompt.
        reference: For ``"mean"`` and ``"median"``: what to put in, ``[layer, unit]``, as
            :func:`tlesion.measure_reference` measures it on a reference set.
        seed: Of the noise and of the controls.
        plan: See :func:`tlesion.sweep`.
        max_bytes: See :func:`tlesion.sweep`.
        prepend_bos: None follows the model's TransformerLens default; False leaves the token out.
        about: The word that a mask should cost, by the mask's name: ``{"her_neurons": "her"}``; ``""`` stands for each
            prompt's right answer. A mask that is not in it is about the target of exactly its name, or else about the
            right answer. ``profile.about`` says what was taken.
        n_controls: Matched controls of each mask: random masks with as many neurons in every layer, run through the
            same sweep; all masks of a control come from one shuffle of the units. 0: none, and no verdict. 19 are the
            fewest with which p can reach 0.05; with so few a verdict hangs on which of them were drawn.
        match: ``"activity"``: controls are drawn from neurons that are about as active as the mask's, by their mean
            absolute activation at the lesioned position over these prompts. None: from all neurons of the layer. A
            tensor ``[layer, unit]``: matched on its values.
        smallest: The smallest effect of interest, in logits, set before anything is run: :func:`tlesion.verdict`
            takes it from here. :func:`tlesion.smallest_effect` makes one from other prompts. None: none is set.
        selected_on: The selection that the masks come from, or its contrast: prompts that are made from its sentences
            are refused, because they overstate the effect.
        allow_shared: Use them anyway.
        checkpoint: A folder in which finished parts are kept as they come: the same call continues a run that was cut
            off, to the same numbers (:mod:`tlesion.keep.checkpoint`).

    Returns:
        Effects per mask, layer and prompt, beside the clean logits, two reference rows and the controls.

    Raises:
        ValueError: No mask, masks without a single unit, a mask of the wrong shape, no prompt, a target
            that is not one token, an unknown ablation, position or hook point, a word of ``about`` that is no target,
            logits that are NaN or infinite, prompts from sentences of ``selected_on``, a ``selected_on`` of another
            model, a checkpoint of another run.
        TypeError: The masks are not a dict, or the prompts not a list of `Prompt`.

    Example:
        >>> import torch, tlesion
        >>> model = tlesion.load_model("toy-bert")
        >>> prompt = tlesion.Prompt("Robert thanked Lucy because she helped [MASK].", ("him", "her"), correct="him")
        >>> some = torch.zeros(12, 512, dtype=torch.bool)
        >>> some[11, :100] = True
        >>> profile = tlesion.laminar_profile(model, {"some": some}, [prompt], about={"some": "him"})
        >>> profile.logit_drop.shape, profile.logit_drop[:, :11].abs().max().item()
        (torch.Size([1, 12, 1, 2]), 0.0)
    """
    frame = lesion_frame(
        model,
        prompts,
        study="laminar_profile",
        title="the laminar profile",
        hook_point=hook_point,
        ablation=ablation,
        position=position,
        reference=reference,
        seed=seed,
        plan=plan,
        max_bytes=max_bytes,
        prepend_bos=prepend_bos,
    )
    named = frame.point.masks(masks)
    controls = controls_of(n_controls, match, frame)
    settings = {
        "smallest": None
        if smallest is None
        else dataclasses.asdict(settled_smallest("smallest", smallest).beforehand()),
        "masks": {name: tensor_hash(mask) for name, mask in named.items()},
        "about": words_of_masks(list(named), frame.labels.targets, about),
        "selected_on": source_of(model, selected_on, prompts, allow_shared=allow_shared),
        **controls.settings,
    }
    run = frame.opened(checkpoint, settings=settings, options={"order_of_masks": list(named)})
    stack = torch.stack(list(named.values()))
    own = measure_layers(run, frame, torch.cat([stack, torch.ones_like(stack[:1])]), stage="masks", kl=True)
    control_drop, control_change, overlap = _measure_controls(run, frame, stack, own, controls)
    null = measure_nothing(run, frame)
    run.checkpoint.finish()
    whole_drop, whole_change, whole_kl = own.logit_drop[-1], own.global_change[-1], own.kl[-1]
    return LaminarProfile(
        logit_drop=own.logit_drop[:-1],
        global_change=own.global_change[:-1],
        kl=own.kl[:-1],
        clean_logits=own.clean_logits,
        n_lesioned=stack.sum(dim=2),
        reference_logit_drop=torch.stack([null.logit_drop[0].expand_as(whole_drop), whole_drop]),
        reference_global_change=torch.stack([null.global_change[0].expand_as(whole_change), whole_change]),
        reference_kl=torch.stack([null.kl[0].expand_as(whole_kl), whole_kl]),
        control_logit_drop=control_drop,
        control_global_change=control_change,
        control_overlap=overlap,
        masks=tuple(named),
        layers=frame.point.layers,
        prompts=frame.labels.prompts,
        targets=frame.labels.targets,
        correct=frame.labels.correct,
        groups=frame.labels.groups,
        plan=own.plan,
        provenance=run.provenance,
    )


def _measure_controls(
    run: Run, frame: LesionFrame, masks: Bool[Tensor, "mask layer unit"], own: LayerEffects, controls: Controls
) -> tuple[Tensor, Tensor, Float64[Tensor, "mask layer"]]:
    """Logit drop and global change of every mask's controls, and how much of the mask they hold.

    They are swept apart from the masks, whose numbers are the same with and without them.
    """
    shape = (len(masks), controls.n, *own.logit_drop.shape[1:])
    if not controls.n:
        unknown = torch.full(masks.shape[:2], torch.nan, dtype=torch.float64)
        return own.logit_drop.new_zeros(shape), own.logit_drop.new_zeros(shape[:-1]), unknown
    match = run.checkpoint.part("match", lambda: {"values": controls.measured(frame).match})["values"]
    alike = dataclasses.replace(controls, match=match)
    drawn = alike.draw_together(masks).transpose(0, 1)
    effects = measure_layers(run, frame, drawn.flatten(0, 1), stage="controls")
    return effects.logit_drop.reshape(shape), effects.global_change.reshape(shape[:-1]), alike.overlap(masks)
