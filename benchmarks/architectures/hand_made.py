"""Models from a configuration of TransformerLens alone: what somebody may have trained, and Gemma and OLMo 2, whose
configurations TransformerLens knows by their names on the hub only."""

import tempfile
from pathlib import Path
from typing import Any

import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig

from benchmarks.architectures.published import draw_
from benchmarks.architectures.words import SIZE, tokenizer
from tlesion.models.quiet import quiet
from tlesion.models.tokenizer import private_copy

_COMMON = {
    "n_layers": 2,
    "d_model": 32,
    "d_head": 8,
    "n_heads": 4,
    "d_mlp": 48,
    "n_ctx": 64,
    "d_vocab": SIZE,
    "act_fn": "gelu_new",
    "normalization_type": "LN",
}
_ROTARY = {"positional_embedding_type": "rotary", "rotary_dim": 8}
_RMS = {"normalization_type": "RMS", "final_rms": True, "gated_mlp": True} | _ROTARY
_WINDOWS = {"use_local_attn": True, "window_size": 4, "attn_types": ["local", "global"]}
_SOFT_CAPS = {"attn_scores_soft_cap": 1.5, "output_logits_soft_cap": 3.0}

CONFIGS: dict[str, dict[str, Any]] = {
    "attention only": {"attn_only": True, "d_mlp": None, "act_fn": None},
    "attention and MLP in parallel": {"parallel_attn_mlp": True},
    "OLMo 2's norms": _RMS | {"original_architecture": "Olmo2ForCausalLM"},
    "Gemma 1's parts": _RMS | {"n_key_value_heads": 1, "act_fn": "gelu"},
    "Gemma 2's parts": _RMS
    | _WINDOWS
    | _SOFT_CAPS
    | {"n_key_value_heads": 2, "use_normalization_before_and_after": True, "act_fn": "gelu_pytorch_tanh"},
    "Gemma 3's parts": _RMS
    | _WINDOWS
    | {
        "n_key_value_heads": 2,
        "use_normalization_before_and_after": True,
        "use_qk_norm": True,
        "rotary_base_local": 100,
    },
    "soft caps": _SOFT_CAPS,
    "shortformer": {"positional_embedding_type": "shortformer"},
    "ALiBi": {"positional_embedding_type": "alibi"},
    "sliding windows": _WINDOWS,
    "RMS norm, gated MLP": _RMS,
    "RMS norm without weights": {"normalization_type": "RMSPre"},
    "LayerNorm without weights": {"normalization_type": "LNPre"},
    "no norm": {"normalization_type": None},
    "norm after the embedding": {"post_embedding_ln": True},
    "inputs of queries, keys and values apart": {"use_split_qkv_input": True, "use_hook_mlp_in": True},
    "inputs of heads apart": {"use_attn_in": True},
    "results of heads apart": {"use_attn_result": True},
    "grouped keys": {"n_key_value_heads": 2} | _ROTARY,
    "grouped keys, ungrouped": {"n_key_value_heads": 2, "ungroup_grouped_query_attention": True} | _ROTARY,
    "grouped keys, inputs apart": {"n_key_value_heads": 2, "use_split_qkv_input": True} | _ROTARY,
    "attention in both directions": {"attention_dir": "bidirectional"},
    "attention scaled by layer": {"scale_attn_by_inverse_layer_idx": True},
    "clipped queries, keys and values": {"clip_qkv": 0.5} | _ROTARY,
    "dynamic rotary embedding (Qwen 1)": _RMS
    | {"use_dynamic_ntk_rope": True, "use_logn_attn": True, "train_seq_length": 8},
    "dynamic rotary embedding alone": _RMS | {"use_dynamic_ntk_rope": True, "train_seq_length": 8},
    "rotary embedding by parts": {"use_NTK_by_parts_rope": True, "NTK_original_ctx_len": 16} | _ROTARY,
    "rotary embedding by YaRN": {
        "use_yarn_rope": True,
        "yarn_factor": 4.0,
        "yarn_attention_factor": 1.1,
        "yarn_original_max_position_embeddings": 16,
    }
    | _ROTARY,
    "attention sinks": {"use_attention_sinks": True} | _ROTARY,
    "experts": {"num_experts": 3, "experts_per_token": 2, "norm_topk_prob": True} | _RMS,
    "SoLU": {"act_fn": "solu_ln"},
}


def hand_made_model(name: str, *, dtype: torch.dtype, seed: int = 0) -> HookedTransformer:
    """One of `CONFIGS`, in eval mode."""
    with quiet(), torch.random.fork_rng(devices=[]), tempfile.TemporaryDirectory() as folder:
        cfg = HookedTransformerConfig(**(_COMMON | CONFIGS[name]), dtype=dtype)
        read_again = private_copy(tokenizer(masked=False), Path(folder))  # as TransformerLens wants it: from a path
        model = HookedTransformer(cfg, read_again, move_to_device=False).eval()
    draw_(model, seed=seed)
    return model
