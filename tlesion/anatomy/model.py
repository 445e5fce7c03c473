"""What a model is, and the parts of it that the rest of the package asks for by name.

TransformerLens calls the same part differently in its two kinds of models, or has it in one of them only. Everybody
above this room asks here, and knows none of those names.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens import HookedEncoder, HookedTransformer
from transformer_lens.components.bert_block import BertBlock
from transformer_lens.components.transformer_block import TransformerBlock
from transformer_lens.hook_points import HookPoint as HookPoint
from transformer_lens.utilities.architectures import POST_NORM_ARCHITECTURES
from typing_extensions import TypeIs

from tlesion.checks import shown
from tlesion.options import settle_by

Model: TypeAlias = HookedTransformer | HookedEncoder
Block: TypeAlias = TransformerBlock | BertBlock


_EXACT = {torch.float32, torch.float64}


class Unembedding(NamedTuple):
    """Weights that turn normed hidden states into logits: ``normed @ weight + bias``."""

    weight: Float[Tensor, "d_model d_vocab"]
    bias: Float[Tensor, " d_vocab"]


class LanguageHead(NamedTuple):
    """What a masked model does with hidden states before its head's norm: ``activation(hidden @ weight + bias)``."""

    weight: Float[Tensor, "d_model d_model"]
    bias: Float[Tensor, " d_model"]
    activation: Callable[[Tensor], Tensor]


def require_model(value: Any, name: str = "model") -> Model:
    """Refuse what is no model of TransformerLens that a text can be read with, and say what makes one of it.

    Args:
        value: The value received.
        name: What the option is called.

    Raises:
        TypeError: It is none.
    """
    if isinstance(value, HookedTransformer | HookedEncoder):
        return value
    kind, module = type(value).__name__, type(value).__module__
    if isinstance(value, str):
        way = f"load it first: tlesion.load_model({value!r})"
    elif module.startswith("transformers.") and hasattr(value, "model") and hasattr(value, "tokenizer"):
        way = "take what is in it: tlesion.load_model(hf_model=pipeline.model, tokenizer=pipeline.tokenizer)"
    elif hasattr(value, "config") and hasattr(value, "from_pretrained") and not module.startswith("transformer_lens."):
        way = "convert it: tlesion.load_model(hf_model=model, tokenizer=tokenizer)"
    elif kind == "HookedEncoderDecoder":
        way = (
            "its decoder reads along with an encoder, for which no lesion here is made; load a causal or a masked "
            "model: tlesion.load_model('gpt2')"
        )
    elif isinstance(getattr(value, "_orig_mod", None), HookedTransformer | HookedEncoder):
        way = "a compiled model calls no hook that is added later; give the model inside: model._orig_mod"
    elif module.startswith("transformer_lens."):
        way = "load it as a HookedTransformer or HookedEncoder: tlesion.load_model(name)"
    else:
        way = "give a HookedTransformer or HookedEncoder: tlesion.load_model('toy-bert')"
    what = shown(value) if isinstance(value, str) else kind
    raise TypeError(f"{name} is a {what}; {way}")


settle_by(lambda name, value: require_model(value, name), "model")


def require_one_dtype(model: Model) -> None:
    """Refuse weights that were taken to another dtype past TransformerLens, whose norms then give the old one.

    Raises:
        ValueError: No forward pass can run.
    """
    weights, told = model.unembed.W_U.dtype, model.cfg.dtype
    if weights == told or {weights, told} <= _EXACT or model.cfg.normalization_type is None:
        return
    raise ValueError(
        f"the model's weights are {weights} and its cfg.dtype is {told}, which its norms give: the two cannot be "
        f"multiplied; take a model to another dtype by model.to({weights}), which sets both"
    )


def is_masked(model: Model) -> TypeIs[HookedEncoder]:
    """True for a masked (BERT) model, False for a causal one.

    Raises:
        TypeError: Any other kind of model.
    """
    require_model(model)
    return isinstance(model, HookedEncoder)


def blocks(model: Model) -> list[Block]:
    """The blocks of a model, in the order in which a forward pass goes through them."""
    return list(model.blocks)


def mlp_width(model: Model) -> int:
    """How many neurons a layer's MLP has. TransformerLens fills the number in where a configuration leaves it out."""
    assert model.cfg.d_mlp is not None
    return model.cfg.d_mlp


def attention_windows(model: Model) -> tuple[int | None, ...]:
    """How many positions each layer attends to, those that are looked at included; None: all of them."""
    attention = [block.attn for block in blocks(model)]
    return tuple(model.cfg.window_size if one.attn_type == "local" else None for one in attention)


def first_norm_reads_heads(model: Model) -> bool:
    """Whether a block's first norm is given a copy of the stream for each head, which a setting of some models does."""
    cfg = model.cfg
    before_attention = not is_masked(model) and cfg.original_architecture not in POST_NORM_ARCHITECTURES
    return before_attention and (cfg.use_split_qkv_input or cfg.use_attn_in)


def never_called(model: Model, point: str) -> str:
    """Why TransformerLens has a hook point in this model and yet never calls it; "" where nothing says so.

    Args:
        model: The model.
        point: The name, without its block.
    """
    cfg = model.cfg
    if point in ("hook_mlp_out", "hook_mlp_in") and cfg.attn_only:
        return "it has attention only, and no MLPs"
    if point == "mlp.hook_pre_linear" and cfg.is_layer_norm_activation():
        return f"with the activation function {cfg.act_fn!r} its MLPs have no linear part"
    if point == "hook_pos_embed" and cfg.positional_embedding_type not in ("standard", "shortformer"):
        return f"its positions are {cfg.positional_embedding_type!r}, which are not added to the stream"
    if point == "attn.hook_attn_input":
        return "nothing in the path to its logits goes through it"
    return ""


def device_of(model: Model) -> torch.device:
    """Where a model's weights lie. Of a model spread over several devices, where its logits come out."""
    return model.unembed.W_U.device


def unembedding(model: Model) -> Unembedding:
    """The last weights of a model. They are its own tensors: read them, and never write into them."""
    return Unembedding(model.unembed.W_U.detach(), model.unembed.b_U.detach())


def language_head(model: HookedEncoder) -> LanguageHead:
    """The first half of a masked model's language-model head; its norm and the unembedding follow."""
    head = model.mlm_head
    return LanguageHead(head.W.detach(), head.b.detach(), head.act_fn)


def activation_function(model: Model, layer: int) -> Callable[[Tensor], Tensor]:
    """The nonlinearity of a layer's MLP, from ``mlp.hook_pre`` on; of a gated MLP that of its gate."""
    function: Callable[[Tensor], Tensor] = blocks(model)[layer].mlp.act_fn
    return function
