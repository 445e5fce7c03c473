"""Select neurons from activations that are already there: the caches of two ``run_with_cache`` calls."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from tlesion.hooks import layer_of, layout_without_model, short_form
from tlesion.keep.results import Provenance
from tlesion.selection.result import NeuronSelection
from tlesion.selection.stream import Kept, Streamed, rows_at
from tlesion.selection.testing import Criterion, default_correction, selection_from
from tlesion.stimuli import check_conditions, combined_hash

_BY_HEAD = {f"attn.hook_{part}" for part in ("q", "k", "v", "z", "result", "rot_q", "rot_k")}

Positions: TypeAlias = int | Sequence[int] | np.ndarray | Tensor


def select_from_cache(
    cache_a: Any,
    cache_b: Any,
    positions_a: Positions,
    positions_b: Positions,
    *,
    hook_point: str = "mlp.hook_pre",
    conditions: Sequence[str] = ("a", "b"),
    test: str = "welch",
    correction: str | None = None,
    family: str = "layer",
    alpha: float | int = 0.05,
    min_effect: float | int = 0.0,
    top_k: int | None = None,
    n_permutations: int = 10_000,
    seed: int = 0,
) -> NeuronSelection:
    """The same test from activations that a notebook already has.

    Args:
        cache_a: `ActivationCache` of condition a's sentences (``run_with_cache``), or a dict of its tensors.
        cache_b: The same for condition b; for a paired test its sentences are in the order of a's.
        positions_a: The position that matters: one for all sentences, or one for each.
        positions_b: The same for condition b.
        hook_point: Short form, taken in every layer that both caches hold; or one full name.
        conditions: Names of the conditions, which become the names of the masks.
        test, correction, family, alpha, min_effect, top_k, n_permutations, seed: As in :func:`select_neurons`. The
            caches do not say whether sentences come in pairs, so that ``"permutation"`` shuffles.

    Returns:
        The same result as :func:`select_neurons` gives. Its provenance cannot name the model or the sentences.

    Raises:
        ValueError: Bad options, a hook point that the caches lack, activations without a sentence axis, positions
            that do not fit, unequal numbers of sentences in a paired test, NaN in activations.

    Example:
        >>> import torch, tlesion
        >>> rng = torch.Generator().manual_seed(0)
        >>> a = {"blocks.0.mlp.hook_pre": torch.randn(5, 3, 4, generator=rng)}
        >>> b = {"blocks.0.mlp.hook_pre": torch.randn(6, 3, 4, generator=rng)}
        >>> tlesion.select_from_cache(a, b, -1, -1, conditions=("him", "her")).t.shape
        torch.Size([1, 4])
    """
    method = correction or default_correction(test)
    criterion = Criterion(test, method, family, float(alpha), float(min_effect), top_k, n_permutations, seed)
    check_conditions(conditions)
    for cache in (cache_a, cache_b):
        if not getattr(cache, "has_batch_dim", True):
            raise ValueError(
                "a cache has lost its sentences' axis, so that its tokens would be taken for sentences; run "
                "run_with_cache(remove_batch_dim=False)"
            )
    a, b = dict(cache_a.items()), dict(cache_b.items())
    names = _shared_names(a, b, hook_point)
    sinks: dict[str, Streamed | Kept] = {}
    for name in names:
        rows_a, rows_b = _rows(a[name], positions_a, name), _rows(b[name], positions_b, name)
        if criterion.statistic.paired and len(rows_a) != len(rows_b):
            raise ValueError(
                f"test {test!r} needs pairs, and the caches hold {len(rows_a)} and {len(rows_b)} sentences; "
                "give equally many in the same order, or use test='welch' or 'moderated'"
            )
        sinks[name] = criterion.sink(pairs=False)
        sinks[name].take(rows_a, rows_b)
    settings = criterion.settings(pairs=False) | {"hook_point": hook_point, "conditions": list(conditions)}
    unknown = Provenance(
        model={"name": "unknown: selected from caches"},
        versions={},
        settings=settings,
        stimuli=(),
        stimuli_hash=combined_hash(()),
    )
    return selection_from(
        sinks,
        criterion,
        conditions=(conditions[0], conditions[1]),
        layers=[layer_of(name) or 0 for name in names],
        hook_point=short_form(names[0]),
        provenance=unknown,
    )


def _shared_names(a: dict[str, Tensor], b: dict[str, Tensor], hook_point: str) -> list[str]:
    """The hook names of a point in both caches, in the order of the layers."""
    full = layer_of(hook_point) is not None
    shared = [name for name in a if name in b and (name == hook_point if full else short_form(name) == hook_point)]
    shared = [name for name in shared if layer_of(name) is not None]
    if not shared:
        held = sorted({short_form(name) for name in a} & {short_form(name) for name in b})
        raise ValueError(
            f"hook point {hook_point!r} is not in both caches; they share {held}: "
            "run_with_cache(names_filter=...) has to keep it"
        )
    return sorted(shared, key=lambda name: layer_of(name) or 0)


def _rows(activation: Tensor, positions: Positions, name: str) -> Tensor:
    by_head = short_form(name) in _BY_HEAD
    if layout_without_model(name) is not None or activation.ndim not in ((4,) if by_head else (3, 4)):
        raise ValueError(
            f"the cache at {name!r} has shape {tuple(activation.shape)}; a test needs [sentence, pos, unit] there "
            "(run_with_cache(remove_batch_dim=False)), as at mlp.hook_pre"
        )
    n_sentences, n_positions = activation.shape[:2]
    if n_sentences < 2:
        raise ValueError(f"the cache at {name!r} holds {n_sentences} sentence(s); a test needs two in each condition")
    index = torch.as_tensor(positions)
    index = index.expand(n_sentences) if index.ndim == 0 else index
    if tuple(index.shape) != (n_sentences,) or index.is_floating_point() or index.dtype == torch.bool:
        raise ValueError(
            f"positions of shape {tuple(index.shape)} and type {index.dtype} for {n_sentences} sentences at {name!r}; "
            "give one index for all, or one for each sentence"
        )
    outside = index[(index < -n_positions) | (index >= n_positions)]
    if len(outside):
        raise ValueError(f"positions {outside.tolist()} at {name!r} do not exist; sentences have {n_positions} tokens")
    return rows_at(activation, index.long())
