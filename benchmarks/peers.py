"""The same work by others: zero some neurons at one position, one layer at a time, and read a logit.

Every function returns the logit drop of the target, ``[layer, prompt]``, on the same weights.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from captum.attr import FeatureAblation
from nnsight import TransformersModel
from pyvene import ConstantSourceIntervention, IntervenableConfig, IntervenableModel, RepresentationConfig
from torch import Tensor

from benchmarks.shapes import Shape, tokenizer_of

TARGET = 7


@dataclass(frozen=True, eq=False)
class Work:
    """A profile to compute: zero ``units`` of every layer's neurons at position ``at``, one layer at a time.

    The same weights three times: ``hf`` in Hugging Face's model, ``tl`` in TransformerLens' as TransformerLens stores
    them, ``ours`` in TransformerLens' as `tlesion.load_model` stores them.
    """

    shape: Shape
    hf: Any
    tl: Any
    ours: Any
    ids: Tensor
    units: Tensor
    at: int

    def layer_neurons(self, layer: int) -> Any:
        """The Hugging Face module that puts out a layer's neurons after the GELU."""
        if self.shape.masked:
            return self.hf.bert.encoder.layer[layer].intermediate
        return self.hf.transformer.h[layer].mlp.act

    def hf_logit(self, ids: Tensor) -> Tensor:
        return self.hf(input_ids=ids).logits[:, self.at, TARGET]


def transformer_lens_loop(work: Work) -> Tensor:
    """One ``run_with_hooks`` per layer, the habit of the field."""

    def zero(activation: Tensor, hook: Any) -> Tensor:
        activation[:, work.at, work.units] = 0
        return activation

    clean = work.tl(work.ids)[:, work.at, TARGET]
    drops = []
    for layer in range(work.shape.n_layers):
        logits = work.tl.run_with_hooks(work.ids, fwd_hooks=[(f"blocks.{layer}.mlp.hook_post", zero)])
        drops.append(clean - logits[:, work.at, TARGET])
    return torch.stack(drops)


def hugging_face_loop(work: Work) -> Tensor:
    """One forward pass per layer with a plain PyTorch hook."""

    def zero(module: Any, args: Any, output: Tensor) -> Tensor:
        output = output.clone()
        output[:, work.at, work.units] = 0
        return output

    clean = work.hf_logit(work.ids)
    drops = []
    for layer in range(work.shape.n_layers):
        handle = work.layer_neurons(layer).register_forward_hook(zero)
        drops.append(clean - work.hf_logit(work.ids))
        handle.remove()
    return torch.stack(drops)


def hugging_face_batch(work: Work) -> Tensor:
    """All lesions as rows of one batch, with plain PyTorch hooks."""
    n, n_layers = len(work.ids), work.shape.n_layers
    handles = []
    for layer in range(n_layers):

        def zero(
            module: Any, args: Any, output: Tensor, rows: slice = slice((layer + 1) * n, (layer + 2) * n)
        ) -> Tensor:
            output = output.clone()
            output[rows, work.at, work.units] = 0
            return output

        handles.append(work.layer_neurons(layer).register_forward_hook(zero))
    logits = work.hf_logit(work.ids.repeat(n_layers + 1, 1)).view(n_layers + 1, n)
    for handle in handles:
        handle.remove()
    return logits[0] - logits[1:]


def nnsight_loop(work: Work, model: Any) -> Tensor:
    """One nnsight trace per layer."""
    with model.trace(work.ids):
        clean = _nnsight_logits(work, model)[:, work.at, TARGET].save()
    drops = []
    for layer in range(work.shape.n_layers):
        with model.trace(work.ids):
            _nnsight_neurons(work, model, layer)[:, work.at, work.units] = 0
            lesioned = _nnsight_logits(work, model)[:, work.at, TARGET].save()
        drops.append(clean - lesioned)
    return torch.stack(drops)


def nnsight_invokes(work: Work, model: Any) -> Tensor:
    """All lesions as invokes of one nnsight trace."""
    with model.trace() as tracer:
        kept = [].save()
        with tracer.invoke(work.ids):
            kept.append(_nnsight_logits(work, model)[:, work.at, TARGET])
        for layer in range(work.shape.n_layers):
            with tracer.invoke(work.ids):
                _nnsight_neurons(work, model, layer)[:, work.at, work.units] = 0
                kept.append(_nnsight_logits(work, model)[:, work.at, TARGET])
    return torch.stack([kept[0] - lesioned for lesioned in kept[1:]])


def pyvene_loop(work: Work, models: list[Any]) -> Tensor:
    """One pyvene intervention per layer."""
    clean = work.hf_logit(work.ids)
    drops = []
    for model in models:
        _, output = model(base={"input_ids": work.ids}, unit_locations={"base": work.at})
        drops.append(clean - output.logits[:, work.at, TARGET])
    return torch.stack(drops)


def captum_batch(work: Work) -> Tensor:
    """Captum's `FeatureAblation` over one gate per layer, all perturbations in one evaluation."""
    n_layers = work.shape.n_layers

    def logit(gates: Tensor, ids: Tensor) -> Tensor:
        handles = []
        for layer in range(n_layers):

            def gate(module: Any, args: Any, output: Tensor, column: Tensor = gates[:, layer, None]) -> Tensor:
                output = output.clone()
                output[:, work.at, work.units] *= column
                return output

            handles.append(work.layer_neurons(layer).register_forward_hook(gate))
        logits = work.hf_logit(ids)
        for handle in handles:
            handle.remove()
        return logits

    gates = torch.ones(len(work.ids), n_layers)
    drops = FeatureAblation(logit).attribute(
        gates, additional_forward_args=(work.ids,), perturbations_per_eval=n_layers
    )
    return drops.T


class _Zero(ConstantSourceIntervention):
    """Sets some neurons to zero; pyvene's own zero intervention takes all of them."""

    units: Tensor

    def forward(self, base: Tensor, source: Any = None, subspaces: Any = None) -> Tensor:
        base = base.clone()
        base[..., self.units] = 0
        return base


def all_peers(work: Work) -> dict[str, Callable[[], Tensor]]:
    """Every peer as a function without arguments; what can be prepared once is prepared here, untimed."""
    traced = TransformersModel(work.hf, tokenizer=tokenizer_of(work.shape))
    return {
        "TransformerLens loop": lambda: transformer_lens_loop(work),
        "Hugging Face loop, plain hooks": lambda: hugging_face_loop(work),
        "Hugging Face, one batch": lambda: hugging_face_batch(work),
        "nnsight, a trace per lesion": lambda: nnsight_loop(work, traced),
        "nnsight, invokes of one trace": lambda: nnsight_invokes(work, traced),
        "captum, perturbations_per_eval": lambda: captum_batch(work),
        **({} if work.shape.masked else {"pyvene": _pyvene(work)}),
    }


def _pyvene(work: Work) -> Callable[[], Tensor]:
    models = []
    for layer in range(work.shape.n_layers):
        zero = _Zero()
        zero.units = work.units
        place = RepresentationConfig(layer, "mlp_activation", "pos", 1, intervention=zero)
        models.append(IntervenableModel(IntervenableConfig(model_type=type(work.hf), representations=[place]), work.hf))
    return lambda: pyvene_loop(work, models)


def _nnsight_neurons(work: Work, model: Any, layer: int) -> Any:
    if work.shape.masked:
        return model.bert.encoder.layer[layer].intermediate.output
    return model.transformer.h[layer].mlp.act.output


def _nnsight_logits(work: Work, model: Any) -> Any:
    return model.cls.output if work.shape.masked else model.lm_head.output
