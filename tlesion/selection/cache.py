"""Select neurons from activations that are already there: the caches of two ``run_with_cache`` calls."""

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from tlesion.hooks import layer_of, layout_without_model, short_form
from tlesion.keep.results import Provenance
from tlesion.public import public
from tlesion.selection.copies import different, sides_of, warn_of_copies
from tlesion.selection.result import NeuronSelection
from tlesion.selection.rounding import flatten_below, rounding_of
from tlesion.selection.stream import rows_at
from tlesion.selection.templates import labelled, settled_groups
from tlesion.selection.testing import Criterion, default_correction, selection_from
from tlesion.stimuli import check_conditions, combined_hash

EXACT = 1e-5
"""Units in the last place of float32 and float64 lie below, those of half precision above."""

_BY_HEAD = {f"attn.hook_{part}" for part in ("q", "k", "v", "z", "result", "rot_q", "rot_k")}

Positions: TypeAlias = int | Sequence[int] | np.ndarray | Tensor


@public
def select_from_cache(
    cache_a: Any,
    cache_b: Any,
    positions_a: Positions,
    positions_b: Positions,
    *,
    hook_point: str = "mlp.hook_pre",
    conditions: Sequence[Any] = ("a", "b"),
    test: str = "welch",
    correction: str | None = None,
    family: str = "layer",
    alpha: float | int = 0.05,
    min_effect: float | int = 0.0,
    top_k: int | None = None,
    groups: Any = None,
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
        groups: A label (such as its template) for each sentence, a's first; for a test of pairs one for each pair.
            Sentences of one label are one row, their mean. None: every sentence by itself, as caches hold no words.

    Returns:
        The same result as :func:`select_neurons` gives. Its provenance cannot name the model or the sentences.

    Raises:
        ValueError: Bad options, a hook point that the caches lack, activations without a sentence axis, positions
            that do not fit, unequal numbers of sentences in a paired test, NaN in activations; a condition in which
            all sentences have the same activations, or one label; too many labels or too few.

    Warns:
        UserWarning: Sentences with the same activations in every layer, which count once.

    Example:
        >>> import torch, tlesion
        >>> rng = torch.Generator().manual_seed(0)
        >>> a = {"blocks.0.mlp.hook_pre": torch.randn(5, 3, 4, generator=rng)}
        >>> b = {"blocks.0.mlp.hook_pre": torch.randn(6, 3, 4, generator=rng)}
        >>> tlesion.select_from_cache(a, b, -1, -1, conditions=("him", "her")).t.shape
        torch.Size([1, 4])
    """
    method = default_correction(test) if correction is None else correction
    criterion = Criterion(test, method, family, float(alpha), float(min_effect), top_k, n_permutations, seed)
    names_of_conditions = check_conditions(conditions)
    for cache in (cache_a, cache_b):
        if not getattr(cache, "has_batch_dim", True):
            raise ValueError(
                "a cache has lost its sentences' axis, so that its tokens would be taken for sentences; run "
                "run_with_cache(remove_batch_dim=False)"
            )
    a, b = dict(cache_a.items()), dict(cache_b.items())
    names = _shared_names(a, b, hook_point)
    rows = [
        {name: _rows(side[name], where, name) for name in names} for side, where in ((a, positions_a), (b, positions_b))
    ]
    last = a[names[-1]], b[names[-1]]
    first_a, first_b, n_copies = _counted_once(rows[0], rows[1], last, criterion, names_of_conditions)
    sizes, pairs = [len(side[names[0]]) for side in rows], criterion.statistic.paired
    templates = labelled(settled_groups(groups), sizes, (first_a, first_b), names_of_conditions, pairs=pairs)
    sinks = {name: criterion.sink(pairs=False) for name in names}
    order = [(range(len(first_a)), range(len(first_b)))]
    for name, taker in templates.means(sinks, order).items():
        taker.take(rows[0][name][first_a], rows[1][name][first_b])
    n_rounding = flatten_below(sinks, {name: rows[0][name].dtype for name in names}, pairs=pairs)
    settings = templates.settings | criterion.settings(pairs=False) | {"hook_point": hook_point}
    settings |= {"conditions": list(names_of_conditions), "copies": n_copies, "rounding_only": n_rounding}
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
        conditions=names_of_conditions,
        layers=[layer_of(name) or 0 for name in names],
        hook_point=short_form(names[0]),
        provenance=unknown,
    )


def _counted_once(
    a: dict[str, Tensor],
    b: dict[str, Tensor],
    last: tuple[Tensor, Tensor],
    criterion: Criterion,
    conditions: Sequence[str],
) -> tuple[list[int], list[int], int]:
    """The sentences of both conditions without copies, which have the same activations in every layer; and how many.

    Sentences that a causal model has read the same of by the tested position are counted once without a word; those
    that are the same at every position of the last layer are worth a warning.
    """
    pairs = criterion.statistic.paired
    n_a, n_b = (len(next(iter(side.values()))) for side in (a, b))
    if pairs and n_a != n_b:
        raise ValueError(
            f"test {criterion.test!r} needs pairs, and the caches hold {n_a} and {n_b} sentences; "
            "give equally many in the same order, or use test='welch' or 'moderated'"
        )
    held = _first_alike(a), _first_alike(b)
    shown = [[f"sentence {i}" for i in range(n)] for n in (n_a, n_b)]
    among = partial(sides_of, conditions=conditions, shown=shown, within_pairs=pairs)
    first_a, first_b = different(among(*held))
    whole_a, whole_b = (_alike_throughout(first, everywhere) for first, everywhere in zip(held, last, strict=True))
    warn_of_copies(among(whole_a, whole_b))
    n_copies = n_a - len(first_a) + (0 if pairs else n_b - len(first_b))
    return first_a, first_b, n_copies


def _first_alike(side: dict[str, Tensor]) -> list[int]:
    """For each sentence, the first one that has the same activations in every layer, within rounding.

    In half precision, whose rounding is as large as differences may be, only what is equal to the last bit.
    """
    within = {name: rounding_of(rows) if torch.finfo(rows.dtype).eps < EXACT else 0.0 for name, rows in side.items()}
    alike: Tensor | None = None
    for name, rows in side.items():
        mean = rows.double().mean(dim=1)
        close = (mean[:, None] - mean).abs() <= within[name]
        alike = close if alike is None else alike & close
    assert alike is not None
    alike.fill_diagonal_(True)  # NaN is not even like itself.
    for i, k in alike.triu(diagonal=1).nonzero().tolist():
        # Their means are alike in every layer, which may be chance: now unit by unit.
        alike[i, k] = all(bool(((rows[i] - rows[k]).abs() <= within[name]).all()) for name, rows in side.items())
    return [int(alike[: k + 1, k].nonzero()[0]) for k in range(len(alike))]


def _alike_throughout(first: Sequence[int], activation: Tensor) -> list[int]:
    """For each sentence, the first one that is like it at all positions, of those that are at the tested one.

    A cache of one position does not tell: every sentence is then its own.
    """
    if activation.shape[1] == 1:
        return list(range(len(first)))
    flat = activation.flatten(1)
    within = rounding_of(flat) if torch.finfo(flat.dtype).eps < EXACT else 0.0
    return [k if bool(((flat[i] - flat[k]).abs() <= within).all()) else i for i, k in enumerate(first)]


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
