"""Architectures as Hugging Face has them, made tiny, with weights drawn from a seed."""

from typing import Any

import numpy as np
import torch
import transformers
from transformers import PreTrainedModel

from benchmarks.architectures.words import SIZE

_ENDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3}
_COMMON = {"vocab_size": SIZE, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4} | _ENDS
_GATED = _COMMON | {"intermediate_size": 48, "max_position_embeddings": 64}
_GROUPED = _GATED | {"num_key_value_heads": 2}
_OLDER = {"vocab_size": SIZE, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64} | _ENDS
_WINDOWED = {"sliding_window": 4}
_EXPERTS = {"num_local_experts": 3, "num_experts_per_tok": 2}

CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "BERT": ("BertForMaskedLM", _GATED | {"pad_token_id": 0, "num_hidden_layers": 3}),
    "BERT with both heads": ("BertForPreTraining", _GATED | {"pad_token_id": 0, "hidden_act": "relu"}),
    "GPT-2": ("GPT2LMHeadModel", _OLDER | {"n_layer": 3}),
    "GPT-Neo": (
        "GPTNeoForCausalLM",
        {"vocab_size": SIZE, "hidden_size": 32, "num_layers": 2, "num_heads": 4, "max_position_embeddings": 64}
        | {"attention_types": [[["global", "local"], 1]], "window_size": 4}
        | _ENDS,
    ),
    "GPT-J": ("GPTJForCausalLM", _OLDER | {"rotary_dim": 4}),
    "GPT-NeoX": ("GPTNeoXForCausalLM", _GATED | {"intermediate_size": 128, "rotary_pct": 0.5}),
    "GPT-NeoX, in sequence": (
        "GPTNeoXForCausalLM",
        _GATED | {"intermediate_size": 128, "use_parallel_residual": False},
    ),
    "OPT": ("OPTForCausalLM", _COMMON | {"ffn_dim": 128, "max_position_embeddings": 64, "word_embed_proj_dim": 32}),
    "BLOOM": ("BloomForCausalLM", {"vocab_size": SIZE, "hidden_size": 32, "n_layer": 2, "n_head": 4} | _ENDS),
    "Llama": ("LlamaForCausalLM", _GATED),
    "Llama, grouped keys": ("LlamaForCausalLM", _GROUPED | {"num_hidden_layers": 3}),
    "Llama, biases": ("LlamaForCausalLM", _GROUPED | {"attention_bias": True, "mlp_bias": True}),
    "Mistral": ("MistralForCausalLM", _GROUPED | {"sliding_window": None}),
    "Mistral, windowed": ("MistralForCausalLM", _GROUPED | _WINDOWED),
    "Mixtral": ("MixtralForCausalLM", _GROUPED | _EXPERTS),
    "Qwen 2": ("Qwen2ForCausalLM", _GROUPED),
    "Qwen 2, windowed": (
        "Qwen2ForCausalLM",
        _GROUPED | _WINDOWED | {"use_sliding_window": True, "max_window_layers": 1},
    ),
    "Qwen 3": ("Qwen3ForCausalLM", _GROUPED | {"head_dim": 8}),
    "Qwen 3, windowed": (
        "Qwen3ForCausalLM",
        _GROUPED | _WINDOWED | {"head_dim": 8, "use_sliding_window": True, "max_window_layers": 1},
    ),
    "Gemma": ("GemmaForCausalLM", _GROUPED | {"head_dim": 8}),
    "Gemma 2": ("Gemma2ForCausalLM", _GROUPED | _WINDOWED | {"head_dim": 8}),
    "Gemma 3": ("Gemma3ForCausalLM", _GROUPED | _WINDOWED | {"head_dim": 8}),
    "Phi": ("PhiForCausalLM", _GATED | {"intermediate_size": 128}),
    "Phi-3": ("Phi3ForCausalLM", _GROUPED | {"sliding_window": None}),
    "Phi-3, windowed": ("Phi3ForCausalLM", _GROUPED | _WINDOWED),
    "Apertus": ("ApertusForCausalLM", _GROUPED),
    "GPT-OSS": ("GptOssForCausalLM", _GROUPED | _WINDOWED | _EXPERTS | {"head_dim": 8}),
    "OLMo": ("OlmoForCausalLM", _GATED),
    "OLMo 2": ("Olmo2ForCausalLM", _GATED),
    "OLMo 3": ("Olmo3ForCausalLM", _GROUPED | _WINDOWED),
    "OLMoE": ("OlmoeForCausalLM", _GATED | {"num_experts": 3, "num_experts_per_tok": 2}),
    "StableLM": ("StableLmForCausalLM", _GATED),
    "Granite": ("GraniteForCausalLM", _GATED),
    "Cohere": ("CohereForCausalLM", _GATED),
    "Falcon": ("FalconForCausalLM", _COMMON),
    "T5": (
        "T5ForConditionalGeneration",
        {"vocab_size": SIZE, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
        | {"pad_token_id": 3, "eos_token_id": 2, "decoder_start_token_id": 3},
    ),
}
"""Class and the fields of its configuration. Qwen 1 is missing: its code is no part of transformers and would have to
be fetched."""


def hugging_face_model(name: str, *, seed: int = 0) -> PreTrainedModel:
    """One of `CONFIGS`, in eval mode."""
    class_name, fields = CONFIGS[name]
    kind: Any = getattr(transformers, class_name)
    with torch.random.fork_rng(devices=[]):
        model: PreTrainedModel = kind(kind.config_class(**fields))
    draw_(model, seed=seed)
    return model.eval()


@torch.no_grad()
def draw_(model: torch.nn.Module, *, seed: int) -> None:
    """Draw every parameter anew: no bias is zero and no scale is one, as they would be in a fresh model."""
    generator = np.random.default_rng(seed)  # the same weights on every processor, as torch does not promise
    for name, parameter in model.named_parameters():
        drawn = torch.from_numpy(generator.standard_normal(tuple(parameter.shape), dtype=np.float32))
        is_scale = parameter.ndim == 1 and name.endswith((".weight", ".w"))
        parameter.copy_(1 + 0.2 * drawn if is_scale else 0.2 * drawn)
