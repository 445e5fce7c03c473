"""Keys and values of earlier positions, as TransformerLens' attention takes them."""

from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor
from transformer_lens.cache.key_value_cache import TransformerLensKeyValueCache
from transformer_lens.cache.key_value_cache_entry import TransformerLensKeyValueCacheEntry

from tlesion.anatomy.model import Model, device_of

KeysAndValues: TypeAlias = TransformerLensKeyValueCacheEntry
"""Of one layer."""
Cache: TypeAlias = TransformerLensKeyValueCache
"""Of every layer."""


def empty_cache(model: Model, n_rows: int = 1) -> Cache:
    """A cache for a whole model, which fills as the model is called with it."""
    cache: Cache = TransformerLensKeyValueCache.init_cache(model.cfg, device_of(model), n_rows)
    cache.entries = [_as_attention_has_heads(model, entry) for entry in cache.entries]
    return cache


def empty_layer(model: Model, n_rows: int) -> KeysAndValues:
    """A cache for one layer; it holds a run's keys and values once a block has been called with it."""
    entry: KeysAndValues = TransformerLensKeyValueCacheEntry.init_cache_entry(model.cfg, device_of(model), n_rows)
    return _as_attention_has_heads(model, entry)


def _as_attention_has_heads(model: Model, entry: KeysAndValues) -> KeysAndValues:
    """TransformerLens makes room for shared keys even where ``ungroup_grouped_query_attention`` repeats them."""
    if not model.cfg.ungroup_grouped_query_attention:
        return entry
    n_rows, _, _, d_head = entry.past_keys.shape
    empty = entry.past_keys.new_empty(n_rows, 0, model.cfg.n_heads, d_head)
    return TransformerLensKeyValueCacheEntry(past_keys=empty, past_values=empty.clone())


def repeated(
    keys: Float[Tensor, "prompt prefix kv_head d_head"],
    values: Float[Tensor, "prompt prefix kv_head d_head"],
    n_times: int,
) -> KeysAndValues:
    """A copy of the same prefix for each of several lesions, which a call leaves as it is."""
    return TransformerLensKeyValueCacheEntry(
        past_keys=keys.repeat(n_times, 1, 1, 1), past_values=values.repeat(n_times, 1, 1, 1), frozen=True
    )
