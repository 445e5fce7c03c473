"""Prefix: in a causal model nothing before the first edited position changes.

Rows carry only the positions from there on and attend to the clean run's keys and values. For a lesion at the last
token a row is one token.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from tlesion.anatomy.attention import attending_to_prefix
from tlesion.anatomy.cache import KeysAndValues, empty_layer, repeated
from tlesion.anatomy.clean_parts import CleanParts, answering_as_clean, noting_clean
from tlesion.anatomy.kernels import streamlined
from tlesion.anatomy.model import blocks, device_of
from tlesion.anatomy.runners import CausalRunner
from tlesion.hooks import scoped
from tlesion.sweeps.groups import Group
from tlesion.sweeps.lesions import Lesion
from tlesion.sweeps.memory import in_steps, ranges, tokens_per_step
from tlesion.sweeps.plans.dispatch import Dispatcher
from tlesion.sweeps.plans.joining import in_joining_order, joined_by_layer
from tlesion.sweeps.plans.read_out import read_out, read_out_null
from tlesion.sweeps.store import Store


def prefix(
    runner: CausalRunner,
    group: Group,
    lesions: Sequence[Lesion],
    store: Store,
    *,
    max_bytes: int,
    advance: Callable[..., object],
) -> None:
    """Run every lesion over a group of prompts, each row from its first edited position on.

    Args:
        runner: The model's runner.
        group: Prompts of equal length.
        lesions: What to run; each says at which positions it works. Null lesions are answered with the clean run.
        store: Takes logits and hidden states (of the tail of positions that a row carries).
        max_bytes: Budget for activations.
        advance: Told how many row-layers are done.
    """
    null = [lesion for lesion in lesions if lesion.is_null]
    by_start: dict[int, list[Lesion]] = {}
    for lesion in lesions:
        if not lesion.is_null:
            by_start.setdefault(lesion.first_position(group), []).append(lesion)
    if not by_start:
        by_start[group.n_positions - 1] = []
    cfg = runner.model.cfg
    batches = []
    for start, alike in by_start.items():
        per_slot = group.n_prompts * (group.n_positions - start) * cfg.d_model * torch.finfo(cfg.dtype).bits // 8
        ordered = in_joining_order(alike, blocks(runner.model))
        parts = list(ranges(len(ordered), max(1, max_bytes // 2 // per_slot))) or [(0, 0)]
        batches += [(start, ordered[first:end]) for first, end in parts]
    for number, (start, few) in enumerate(batches, start=1):
        # Lesions that change nothing go where the last clean run is, which is the one that is kept.
        last = null if number == len(batches) else []
        _one_batch(runner, group, few, last, store, start=start, max_bytes=max_bytes, advance=advance)


def _one_batch(
    runner: CausalRunner,
    group: Group,
    lesions: Sequence[Lesion],
    null: Sequence[Lesion],
    store: Store,
    *,
    start: int,
    max_bytes: int,
    advance: Callable[..., object],
) -> None:
    """A sweep over the blocks: in each the clean rows first, then the lesioned tails beside their keys."""
    model, n = runner.model, group.n_prompts
    dispatcher = Dispatcher(group, offset=start)
    for slot, lesion in enumerate(lesions):
        dispatcher.place(lesion, slot)
    step = _slots_per_step(runner, group, start, max_bytes)
    clean = runner.embed(group.ids)
    tail = clean[:, start:]
    rows = tail.new_empty(len(lesions) * n, *tail.shape[1:])
    joined = joined_by_layer(lesions, blocks(model))
    active = 0
    with scoped(model, dispatcher.fwd_hooks):
        for layer, block in enumerate(blocks(model)):
            whole, late = joined[layer]
            before, active = active, whole + late
            rows[before * n : active * n].view(active - before, n, *tail.shape[1:])[:] = clean[:, start:]
            with streamlined(block):
                cache = empty_layer(model, n)
                with noting_clean(block, n if late else 0) as parts:
                    clean = runner.block(layer, clean, cache=cache)
                _through_block(runner, layer, rows, (cache, parts), dispatcher, start, (whole, active), n, step)
            advance(n + active * n)
            if store.wants_hidden:
                _hand_over(store, layer, group, lesions[:active], null, rows, clean, start)
    dispatcher.require_fired()
    read_out_null(runner, store, group, null, clean)
    if lesions:
        finished = rows.view(len(lesions), n, *rows.shape[1:])
        read_out(runner, store, group, lesions, finished, clean, max_bytes=max_bytes)


def _through_block(
    runner: CausalRunner,
    layer: int,
    rows: Float[Tensor, "row tail d_model"],
    clean: tuple[KeysAndValues, CleanParts],
    dispatcher: Dispatcher,
    start: int,
    slots: tuple[int, int],
    n: int,
    step: int,
) -> None:
    """Rows through one block, a few lesions at a time, in place: the first slots through all, the rest join inside."""
    (clean_cache, parts), (whole, active) = clean, slots
    keys, values = clean_cache.past_keys[:, :start], clean_cache.past_values[:, :start]
    block = blocks(runner.model)[layer]

    def run(first: int, end: int, *, cached: bool = False) -> None:
        dispatcher.window = (first, end)
        cache = repeated(keys, values, end - first) if cached else None
        rows[first * n : end * n] = runner.block(layer, rows[first * n : end * n], cache=cache)

    if whole:
        with attending_to_prefix(block, keys, values) as written_out:
            in_steps(0, whole, step, partial(run, cached=not written_out))
    if whole < active:
        with answering_as_clean(block, parts, start=start):
            in_steps(whole, active, step, run)
    dispatcher.window = None


def _slots_per_step(runner: CausalRunner, group: Group, start: int, max_bytes: int) -> int:
    tokens_per_slot = group.n_prompts * (group.n_positions - start)
    device = device_of(runner.model)
    return max(1, tokens_per_step(runner.model, group.n_positions, max_bytes, device) // tokens_per_slot)


def _hand_over(
    store: Store,
    layer: int,
    group: Group,
    lesions: Sequence[Lesion],
    null: Sequence[Lesion],
    rows: Float[Tensor, "row tail d_model"],
    clean: Float[Tensor, "prompt pos d_model"],
    start: int,
) -> None:
    tail = clean[:, start:]
    if lesions:
        store.hidden(layer, lesions, group, rows[: len(lesions) * len(tail)].view(len(lesions), *tail.shape), tail)
    if null:
        store.hidden(layer, null, group, clean.expand(len(null), *clean.shape), clean)
