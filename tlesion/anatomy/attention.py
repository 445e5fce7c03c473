"""Attention of many rows over one prefix, without a copy of the prefix for each row.

TransformerLens' attention wants keys and values for every row of a batch. Rows that differ only after a position
share everything before it, so that their scores against the prefix are one matrix product per prompt and head.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import einops
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from transformer_lens.components.abstract_attention import AbstractAttention

from tlesion.anatomy.model import Block
from tlesion.anatomy.swapping import swapped

_OLMO = ("OlmoeForCausalLM", "Olmo2ForCausalLM", "Olmo3ForCausalLM")


def can_be_written_out(attention: AbstractAttention) -> bool:
    """Whether this attention is only scores, softmax and a weighted sum, without the extras of some models."""
    cfg = attention.cfg
    return (
        cfg.positional_embedding_type in ("standard", "rotary")
        and cfg.attention_dir == "causal"
        and not (cfg.use_attention_sinks or cfg.use_attn_result or cfg.use_logn_attn or cfg.load_in_4bit)
        and not cfg.use_dynamic_ntk_rope
        and not (cfg.use_split_qkv_input or cfg.use_attn_in)
        and cfg.clip_qkv is None
        and not cfg.attn_scores_soft_cap > 0
        and cfg.original_architecture not in _OLMO
    )


@contextmanager
def attending_to_prefix(
    block: Block,
    keys: Float[Tensor, "prompt prefix kv_head d_head"],
    values: Float[Tensor, "prompt prefix kv_head d_head"],
) -> Iterator[bool]:
    """While the ``with`` block lasts, a block's attention attends to a prefix that its rows share.

    Its batch is ``[lesion * prompt, tail, d_model]``, lesions outermost. Hook points for queries, keys, values and
    their result fire as usual; those of scores and pattern do not.

    Args:
        block: The block.
        keys: Clean keys of the positions before the rows' first one, as TransformerLens caches them.
        values: Their values.

    Yields:
        True if the attention was replaced; False if this kind is not written out, and needs a cache as usual.
    """
    if not can_be_written_out(block.attn):
        yield False
        return
    with swapped(block.attn, _over_prefix(block.attn, keys, values)):
        yield True


@contextmanager
def attending_to(block: Block, hidden: Float[Tensor, "row pos d_model"]) -> Iterator[None]:
    """While the ``with`` block lasts, its keys and values come from these states, whatever its queries come from."""
    usual = block.attn.forward

    def forward(query_input: Tensor, key_input: Tensor, value_input: Tensor, **options: Any) -> Tensor:
        return usual(query_input, hidden, hidden, **options)

    with swapped(block.attn, forward):
        yield


def _over_prefix(attention: AbstractAttention, keys: Tensor, values: Tensor) -> Callable[..., Tensor]:
    start = keys.shape[1]
    rotary = attention.cfg.positional_embedding_type == "rotary"
    repeats = getattr(attention, "repeat_kv_heads", 1) if not attention.cfg.ungroup_grouped_query_attention else 1
    if rotary and start:
        keys = attention.apply_rotary(keys, 0)
    # [prompt, head, d_head, prefix] and [prompt, head, prefix, d_head]: laid out once for all rows.
    past_keys = keys.repeat_interleave(repeats, dim=2).permute(0, 2, 3, 1)
    past_values = values.repeat_interleave(repeats, dim=2).permute(0, 2, 1, 3)

    def forward(query_input: Tensor, key_input: Tensor, value_input: Tensor, **_: Any) -> Tensor:
        q, k, v = attention.calculate_qkv_matrices(query_input, key_input, value_input)
        if rotary:
            q = attention.hook_rot_q(attention.apply_rotary(q, start))
            k = attention.apply_rotary(k, start)
        k, v = k.repeat_interleave(repeats, dim=2), v.repeat_interleave(repeats, dim=2)
        z = _attend(q, k, v, past_keys, past_values, attention)
        weight = einops.rearrange(attention.W_O, "head d_head d_model -> d_model (head d_head)")
        return F.linear(attention.hook_z(z).flatten(2).to(weight.dtype), weight, attention.b_O)

    return forward


def _attend(
    q: Float[Tensor, "row tail head d_head"],
    k: Float[Tensor, "row tail head d_head"],
    v: Float[Tensor, "row tail head d_head"],
    past_keys: Float[Tensor, "prompt head d_head prefix"],
    past_values: Float[Tensor, "prompt head prefix d_head"],
    attention: AbstractAttention,
) -> Float[Tensor, "row tail head d_head"]:
    n_prompts, tail, start = past_keys.shape[0], q.shape[1], past_keys.shape[-1]
    by_prompt = einops.rearrange(q, "(m p) s h e -> p h (m s) e", p=n_prompts)
    to_prefix = einops.rearrange(by_prompt @ past_keys, "p h (m s) k -> (m p) h s k", s=tail)
    to_own = torch.einsum("rshe,rthe->rhst", q, k)
    scores = torch.cat([to_prefix, to_own], dim=-1) / attention.attn_scale
    scores = scores.masked_fill(~_visible(attention, start, tail, q.device), -torch.inf)
    pattern = scores.softmax(dim=-1).to(v.dtype)
    by_prompt = einops.rearrange(pattern[..., :start], "(m p) h s k -> p h (m s) k", p=n_prompts)
    from_prefix = einops.rearrange(by_prompt @ past_values, "p h (m s) e -> (m p) s h e", s=tail)
    return from_prefix + torch.einsum("rhst,rthe->rshe", pattern[..., start:], v)


def _visible(attention: AbstractAttention, start: int, tail: int, device: torch.device) -> Tensor:
    """Which keys a query may see: those up to itself and, in local attention, within the window."""
    queries = torch.arange(start, start + tail, device=device)[:, None]
    keys = torch.arange(start + tail, device=device)[None, :]
    seen = keys <= queries
    window = attention.cfg.window_size
    if attention.attn_type == "local" and window is not None:
        seen &= keys > queries - window
    return seen
