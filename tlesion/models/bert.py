"""What is particular to BERT: which heads a checkpoint has, and what takes the place of a missing one."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from transformer_lens import HookedEncoder
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN


def complete(hf_model: PreTrainedModel, absent: frozenset[str]) -> SimpleNamespace:
    """Lay a BERT out as TransformerLens' converter wants it: encoder, pooler and both pre-training heads.

    A masked language model has no pooler, a sentence encoder no heads. Parts that a checkpoint lacks are filled with
    NaN, so that nothing computed from them can be mistaken for a result.

    Args:
        hf_model: Any BERT of Hugging Face: `BertModel`, `BertForMaskedLM`, `BertForPreTraining`, ...
        absent: Names of parameters that the model has but its checkpoint lacked; their values are arbitrary.

    Returns:
        A namespace with the attributes of a `BertForPreTraining` that the converter reads.
    """
    config, encoder = hf_model.config, hf_model.base_model
    heads = getattr(hf_model, "cls", None)
    pooler = _present(encoder, "pooler", absent)
    sentence = _present(heads, "seq_relationship", absent)
    return SimpleNamespace(
        config=config,
        bert=SimpleNamespace(
            embeddings=encoder.embeddings,
            encoder=encoder.encoder,
            pooler=pooler or SimpleNamespace(dense=_not_a_layer(config.hidden_size, config.hidden_size)),
        ),
        cls=SimpleNamespace(
            predictions=_present(heads, "predictions", absent) or _not_a_language_head(config),
            seq_relationship=sentence or _not_a_layer(config.hidden_size, 2),
        ),
    )


def has_language_head(hf_model: PreTrainedModel, absent: frozenset[str]) -> bool:
    """Tell whether the checkpoint brought a masked-language-model head of its own."""
    return _present(getattr(hf_model, "cls", None), "predictions", absent) is not None


def fit_modules(model: HookedEncoder, config: PretrainedConfig) -> None:
    """Replace the two parts that TransformerLens builds alike for every BERT.

    It fixes GELU in the language-model head and two token types; a configuration may say otherwise.
    """
    model.mlm_head.act_fn = ACT2FN[config.hidden_act]
    if config.type_vocab_size != 2:
        table = torch.empty(config.type_vocab_size, config.hidden_size, dtype=model.cfg.dtype)
        model.embed.token_type_embed.W_token_type = nn.Parameter(table)


def _present(parent: Any, name: str, absent: frozenset[str]) -> Any:
    part = getattr(parent, name, None)
    if not isinstance(part, nn.Module) or any(f".{name}." in f".{key}" for key in absent):
        return None
    return part


def _not_a_layer(d_in: int, d_out: int) -> SimpleNamespace:
    return SimpleNamespace(weight=torch.full((d_out, d_in), torch.nan), bias=torch.full((d_out,), torch.nan))


def _not_a_language_head(config: PretrainedConfig) -> SimpleNamespace:
    width, nothing = config.hidden_size, torch.full((config.hidden_size,), torch.nan)
    return SimpleNamespace(
        transform=SimpleNamespace(
            dense=_not_a_layer(width, width), LayerNorm=SimpleNamespace(weight=nothing, bias=nothing)
        ),
        decoder=_not_a_layer(width, config.vocab_size),
    )
