"""The laminar profile: what does a lesion of these neurons cost, one layer at a time?

For every mask, the layer's masked neurons are ablated at one position, and the logits of the targets are read at the
readout position. Two reference rows say what the numbers can mean: a run with every edit in place and nothing to edit,
which has to be exactly the clean run, and the ablation of the layer's whole MLP, which is the ceiling.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from tlesion.hooks import Model, in_layers, layer_of, width
from tlesion.inference import require_independent
from tlesion.interventions.ablations import ablation_of
from tlesion.keep.checkpoint import Folder
from tlesion.keep.hashing import tensor_hash
from tlesion.models import require_logits
from tlesion.provenance import checkpoint_of, provenance_of
from tlesion.stimuli import Contrast, Prompt, combined_hash
from tlesion.studies.common.controls import check_controls, match_values, measure_controls
from tlesion.studies.common.layer_sweeps import measure_layers, measure_nothing
from tlesion.studies.common.masks import stack_named
from tlesion.studies.laminar.result import REFERENCES, LaminarProfile
from tlesion.sweeps.identity import hashes_of_readings
from tlesion.sweeps.memory import settled_max_bytes
from tlesion.sweeps.sweep import encode_prompts

__all__ = ["REFERENCES", "LaminarProfile", "laminar_profile"]


def laminar_profile(
    model: Model,
    masks: Mapping[str, Tensor],
    prompts: Any,
    *,
    ablation: str = "zero",
    hook_point: str = "mlp.hook_post",
    position: str | int = "readout",
    reference: Tensor | None = None,
    seed: int = 0,
    plan: str = "auto",
    max_bytes: int | None = None,
    prepend_bos: bool | None = None,
    n_controls: int = 0,
    match: Tensor | str | None = None,
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
        n_controls: Matched controls of each mask: random masks with as many neurons in every layer, run through the
            same sweep. 50 to 100 are usual; 19 are the fewest with which p can reach 0.05.
        match: None: controls are drawn from all neurons of the layer. ``"activity"``: from those that are about as
            active as the mask's, by their mean absolute activation at the lesioned position over these prompts. A
            tensor ``[layer, unit]``: alike in that.
        selected_on: The selection that the masks come from, or its contrast: prompts that are made from its sentences
            are refused, because they overstate the effect.
        allow_shared: Take them all the same.
        checkpoint: A folder in which finished parts are kept as they come: the same call continues a run that was cut
            off, to the same numbers (:mod:`tlesion.keep.checkpoint`).

    Returns:
        Effects per mask, layer and prompt, beside the clean logits, two reference rows and the controls.

    Raises:
        ValueError: No mask, a mask of the wrong shape, no prompt, a target that is not one token, an unknown ablation,
            position or hook point, NaN in the clean logits, prompts from sentences of ``selected_on``,
            a checkpoint of another run.
        TypeError: The masks are no dict, the prompts no list of `Prompt`.

    Example:
        >>> import torch, tlesion
        >>> model = tlesion.load_model("toy-bert")
        >>> prompt = tlesion.Prompt("Robert thanked Lucy because she helped [MASK].", ("him", "her"), correct="him")
        >>> nothing = torch.zeros(12, 512, dtype=torch.bool)
        >>> profile = tlesion.laminar_profile(model, {"none": nothing}, [prompt])
        >>> profile.logit_drop.shape, profile.logit_drop.abs().max().item()
        (torch.Size([1, 12, 1, 2]), 0.0)
    """
    require_logits(model, "the laminar profile")
    names = in_layers(model, hook_point)
    heads, units = width(model, names[0])
    n_units = (heads or 1) * units
    stack = stack_named(masks, len(names), n_units)
    check_controls(n_controls, match, shape=stack.shape[1:], seed=seed)
    make = ablation_of(ablation, position=position, reference=reference, seed=seed, shape=stack.shape[1:])
    readings = encode_prompts(model, prompts, prepend_bos=prepend_bos)
    source = _checked_source(selected_on, prompts, allow_shared=allow_shared)
    settings = {
        **make.settings,
        "hook_point": hook_point,
        "position": position,
        "seed": seed,
        "prepend_bos": prepend_bos,
        "n_units": n_units,
        "masks": {name: tensor_hash(mask) for name, mask in masks.items()},
        "reference": None if make.reference is None else tensor_hash(make.reference),
        "n_controls": n_controls,
        "match": match if match is None or isinstance(match, str) else tensor_hash(match),
        "selected_on": source,
    }
    provenance = provenance_of(model, settings=settings, stimuli=[s for p in prompts for s in p.stimuli])
    kept = checkpoint_of(
        model,
        checkpoint,
        study="laminar_profile",
        provenance=provenance,
        stimuli=hashes_of_readings(readings),
        options={"plan": plan, "max_bytes": max_bytes, "order_of_masks": list(masks)},
    )
    budget = settled_max_bytes(model, max_bytes, kept)
    run = partial(measure_layers, model, names, make=make, readings=readings, plan=plan, max_bytes=budget)
    own = run(torch.cat([stack, torch.ones_like(stack[:1])]), checkpoint=kept.stage("masks"))
    alike = None
    if n_controls:
        measure = partial(match_values, model, names, readings, match=match, position=position)
        alike = kept.part("match", lambda: {"values": measure()})["values"]
    swept = partial(run, checkpoint=kept.stage("controls"))
    control_drop, control_change = measure_controls(swept, masks, own, n_controls=n_controls, seed=seed, match=alike)
    null_drop, null_change = measure_nothing(
        model, names, make, readings, max_bytes=budget, checkpoint=kept.stage("nothing")
    )
    kept.finish()
    whole_drop, whole_change = own.logit_drop[-1], own.global_change[-1]
    return LaminarProfile(
        logit_drop=own.logit_drop[:-1],
        global_change=own.global_change[:-1],
        clean_logits=own.clean_logits,
        n_lesioned=stack.sum(dim=2),
        reference_logit_drop=torch.stack([null_drop.expand_as(whole_drop), whole_drop]),
        reference_global_change=torch.stack([null_change.expand_as(whole_change), whole_change]),
        control_logit_drop=control_drop,
        control_global_change=control_change,
        masks=tuple(masks),
        layers=tuple(layer_of(name) or 0 for name in names),
        prompts=tuple(prompt.text for prompt in prompts),
        targets=tuple(prompt.targets for prompt in prompts),
        correct=tuple(prompt.correct for prompt in prompts),
        groups=tuple(prompt.group for prompt in prompts),
        plan=own.plan,
        provenance=provenance,
    )


def _checked_source(selected_on: Any, prompts: Sequence[Prompt], *, allow_shared: bool) -> str | None:
    """The hash of the sentences that the masks were selected on, once it is clear that the prompts are others."""
    if selected_on is None:
        return None
    require_independent(selected_on, prompts, allow_shared=allow_shared)
    if isinstance(selected_on, Contrast):
        return combined_hash(selected_on.stimuli)
    return str(selected_on.provenance.stimuli_hash)
