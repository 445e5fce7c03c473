"""The laminar profile: what does a lesion of these neurons cost, one layer at a time?

For every mask, the layer's masked neurons are ablated at one position, and the logits of the targets are read at the
readout position. Two reference rows say what the numbers can mean: a run with every edit in place and nothing to edit,
which has to be exactly the clean run, and the ablation of the layer's whole MLP, which is the ceiling.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from jaxtyping import Bool, Float64, Int
from torch import Tensor

from tlesion.ablation import Ablation, ablation_of
from tlesion.hooks import Model, in_layers, layer_of, width
from tlesion.models import require_logits
from tlesion.results import Result, provenance_of, tensor_hash
from tlesion.stimuli import Prompt
from tlesion.sweeps.lesions import read_lesions
from tlesion.sweeps.run import run_sweep
from tlesion.sweeps.sinks import TargetSink
from tlesion.sweeps.sweep import encode_prompts
from tlesion.sweeps.work import Reading

REFERENCES = ("nothing", "whole MLP")


@dataclass(frozen=True, eq=False, kw_only=True)
class LaminarProfile(Result):
    """Effects of lesions, per mask, lesioned layer and prompt.

    Attributes:
        logit_drop: Clean − lesioned logit of each target. Positive: the lesion cost that token.
        global_change: Root mean square over the vocabulary of (lesioned − clean) logits.
        clean_logits: Logits of the targets in the clean run.
        n_lesioned: How many neurons each mask cuts in each layer.
        reference_logit_drop: The same effect for the two `REFERENCES`: nothing, and the layer's whole MLP.
        reference_global_change: Likewise.
        masks: Names of the masks.
        layers: The model's layer of every row.
        prompts: Texts of the prompts.
        targets: Target words of each prompt.
        correct: The right target of each prompt, or None.
        plan: How the sweep was run, and why.
    """

    logit_drop: Float64[Tensor, "mask layer prompt target"]
    global_change: Float64[Tensor, "mask layer prompt"]
    clean_logits: Float64[Tensor, "prompt target"]
    n_lesioned: Int[Tensor, "mask layer"]
    reference_logit_drop: Float64[Tensor, "reference layer prompt target"]
    reference_global_change: Float64[Tensor, "reference layer prompt"]
    masks: tuple[str, ...]
    layers: tuple[int, ...]
    prompts: tuple[str, ...]
    targets: tuple[tuple[str, ...], ...]
    correct: tuple[str | None, ...]
    plan: str

    def to_frame(self) -> pd.DataFrame:
        """Tidy: a row per mask, layer, prompt and target.

        Columns: mask, layer, prompt, text, target, is_correct, clean_logit, lesioned_logit, logit_drop, global_change,
        n_lesioned.
        """
        counts = self.n_lesioned
        return self._frame(self.masks, self.logit_drop, self.global_change, counts)

    def references_frame(self) -> pd.DataFrame:
        """The same columns for the two reference rows, whose names stand in ``mask``."""
        counts = torch.zeros(2, len(self.layers), dtype=torch.long)
        counts[1] = int(self.provenance.settings["n_units"])
        return self._frame(REFERENCES, self.reference_logit_drop, self.reference_global_change, counts)

    def _frame(self, masks: Sequence[str], drop: Tensor, change: Tensor, n_lesioned: Tensor) -> pd.DataFrame:
        n_targets = drop.shape[-1]
        axes = [masks, self.layers, range(len(self.prompts)), range(n_targets)]
        frame = pd.MultiIndex.from_product(axes, names=["mask", "layer", "prompt", "target"]).to_frame(index=False)
        prompt, target = frame["prompt"].to_numpy(), frame["target"].to_numpy()
        frame["target"] = [self.targets[i][j] for i, j in zip(prompt, target, strict=True)]
        frame.insert(3, "text", [self.prompts[i] for i in prompt])
        right = [self.correct[i] for i in prompt]
        frame["is_correct"] = [a == b for a, b in zip(frame["target"], right, strict=True)]
        frame["clean_logit"] = self.clean_logits.expand_as(drop).flatten().numpy()
        frame["lesioned_logit"] = (self.clean_logits - drop).flatten().numpy()
        frame["logit_drop"] = drop.flatten().numpy()
        frame["global_change"] = change[..., None].expand_as(drop).flatten().numpy()
        frame["n_lesioned"] = n_lesioned[..., None, None].expand_as(drop).flatten().numpy()
        return frame


def laminar_profile(
    model: Model,
    masks: Mapping[str, Tensor],
    prompts: Sequence[Prompt],
    *,
    ablation: str = "zero",
    hook_point: str = "mlp.hook_post",
    position: str | int = "readout",
    reference: Tensor | None = None,
    seed: int = 0,
    plan: str = "auto",
    max_bytes: int | None = None,
    prepend_bos: bool | None = None,
) -> LaminarProfile:
    """Lesion one layer at a time and read what it costs the targets.

    Args:
        model: A `HookedTransformer` or `HookedEncoder`.
        masks: Named bool masks ``[layer, unit]`` over all layers, ``selection.mask("him")`` for example.
        prompts: Prompts with equally many targets each.
        ablation: ``"zero"``; ``"mean"`` or ``"median"`` (the values of ``reference``); ``"gaussian"`` (standard
            normal noise).
        hook_point: Short form of the point whose units are ablated.
        position: ``"readout"``: at each prompt's readout position; ``"all"``; or an index for every prompt.
        reference: For ``"mean"`` and ``"median"``: what to put in, ``[layer, unit]``, as
            :func:`tlesion.measure_reference` measures it on a reference set.
        seed: Of the noise.
        plan: See :func:`tlesion.sweep`.
        max_bytes: See :func:`tlesion.sweep`.
        prepend_bos: None follows the model's TransformerLens default; False leaves the token out.

    Returns:
        Effects per mask, layer and prompt, beside the clean logits and two reference rows.

    Raises:
        ValueError: No mask, a mask of the wrong shape, no prompt, a target that is not one token, an unknown ablation,
            position or hook point, NaN in the clean logits.
        TypeError: The masks are no dict.

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
    n_units = width(model, names[0])[1]
    stack = _stacked(masks, len(names), n_units)
    make = ablation_of(ablation, position=position, reference=reference, seed=seed, shape=stack.shape[1:])
    readings = encode_prompts(model, prompts, prepend_bos=prepend_bos)
    drop, change, clean, how = _run(model, names, stack, make, readings, plan=plan, max_bytes=max_bytes)
    n_masks = len(stack)
    settings = {
        "ablation": ablation,
        "hook_point": hook_point,
        "position": position,
        "seed": seed,
        "prepend_bos": prepend_bos,
        "n_units": n_units,
        "masks": {name: tensor_hash(mask) for name, mask in masks.items()},
        "reference": None if make.reference is None else tensor_hash(make.reference),
    }
    null_drop, null_change = _nothing(model, names, make, readings)
    return LaminarProfile(
        logit_drop=drop[:n_masks],
        global_change=change[:n_masks],
        clean_logits=clean,
        n_lesioned=stack.sum(dim=2),
        reference_logit_drop=torch.stack([null_drop.expand_as(drop[-1]), drop[-1]]),
        reference_global_change=torch.stack([null_change.expand_as(change[-1]), change[-1]]),
        masks=tuple(masks),
        layers=tuple(layer_of(name) or 0 for name in names),
        prompts=tuple(prompt.text for prompt in prompts),
        targets=tuple(prompt.targets for prompt in prompts),
        correct=tuple(prompt.correct for prompt in prompts),
        plan=how,
        provenance=provenance_of(model, settings=settings, stimuli=[s for p in prompts for s in p.stimuli]),
    )


def _run(
    model: Model,
    names: Sequence[str],
    stack: Bool[Tensor, "mask layer unit"],
    make: Ablation,
    readings: Sequence[Reading],
    *,
    plan: str,
    max_bytes: int | None,
) -> tuple[Tensor, Tensor, Tensor, str]:
    """Logit drop and global change of every mask, and last of the whole layer: ``[mask + 1, layer, ...]``."""
    everything = torch.ones_like(stack[:1])
    lesions = [
        [make.at(name, layer, units[layer])]
        for units in torch.cat([stack, everything])
        for layer, name in enumerate(names)
    ]
    sink = TargetSink(readings, len(lesions), global_change=True)
    settled = run_sweep(model, readings, read_lesions(model, lesions), sink, plan=plan, max_bytes=max_bytes)
    clean = sink.clean[:, 0].double()
    if not bool(clean.isfinite().all()):
        bad = int((~clean.isfinite()).any(dim=1).sum())
        raise ValueError(
            f"clean logits of {bad} of {len(clean)} prompts are NaN or infinite, so no effect can be measured; look "
            "at the model's weights and dtype (float16 overflows at 65504, float32 does not)"
        )
    shape = (len(stack) + 1, len(names), len(readings))
    drop = (clean - sink.lesioned[:, :, 0].double()).reshape(*shape, -1)
    return drop, sink.global_change[:, :, 0].double().reshape(shape), clean, settled.reason


def _nothing(
    model: Model, names: Sequence[str], make: Ablation, readings: Sequence[Reading]
) -> tuple[Float64[Tensor, "prompt target"], Float64[Tensor, " prompt"]]:
    """A plain run with an edit at every layer and no unit in any of them: it has to be the clean run."""
    no_unit = torch.zeros(width(model, names[0])[1], dtype=torch.bool)
    lesion = [make.at(name, layer, no_unit) for layer, name in enumerate(names)]
    sink = TargetSink(readings, 1, global_change=True)
    run_sweep(model, readings, read_lesions(model, [lesion]), sink, plan="loop")
    return (sink.clean[:, 0] - sink.lesioned[0, :, 0]).double(), sink.global_change[0, :, 0].double()


def _stacked(masks: Any, n_layers: int, n_units: int) -> Bool[Tensor, "mask layer unit"]:
    if not isinstance(masks, Mapping):
        raise TypeError(f"masks are a {type(masks).__name__}; give a dict of named masks, {{'him': mask}} for one")
    if not masks:
        raise ValueError("no mask was given; give a dict of named masks, such as {'him': selection.mask('him')}")
    for name, mask in masks.items():
        if tuple(mask.shape) != (n_layers, n_units) or mask.dtype != torch.bool:
            raise ValueError(
                f"mask {name!r} has shape {tuple(mask.shape)} and dtype {mask.dtype}; this model needs a bool mask of "
                f"shape ({n_layers}, {n_units}), [layer, unit]"
            )
    return torch.stack([mask.cpu() for mask in masks.values()])
