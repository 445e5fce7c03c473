"""Fan-out: a lesion's rows leave the clean residual stream at their first lesioned layer.

The clean run is computed once. Rows join the batch at the block in which their lesion begins, so that lesions of
each of L layers cost L(L+1)/2 passes through a block instead of L², in one sweep over the weights. Attached to the
embedding instead (``from_start``), the same code is the plan "batched". Of a lesion's first block no more is computed
than follows its edit (:mod:`tlesion.sweeps.plans.joining`), and of a masked model's last block no more than is read:
nothing comes after it that would look at the other positions.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from tlesion.anatomy.attention import attending_to
from tlesion.anatomy.clean_parts import answering_as_clean, noting_clean
from tlesion.anatomy.kernels import streamlined
from tlesion.anatomy.model import blocks, device_of
from tlesion.anatomy.runners import MaskedRunner, Runner
from tlesion.hooks import layer_of, scoped
from tlesion.sweeps.groups import Group
from tlesion.sweeps.lesions import Lesion
from tlesion.sweeps.memory import in_steps, ranges, tokens_per_step
from tlesion.sweeps.plans.dispatch import Dispatcher
from tlesion.sweeps.plans.joining import in_joining_order, joined_by_layer
from tlesion.sweeps.plans.read_out import read_out, read_out_null
from tlesion.sweeps.store import Store


def fan_out(
    runner: Runner,
    group: Group,
    lesions: Sequence[Lesion],
    store: Store,
    *,
    max_bytes: int,
    advance: Callable[..., object],
    from_start: bool = False,
) -> None:
    """Run every lesion over a group of prompts, its rows beside the clean ones.

    Args:
        runner: The model's runner.
        group: Prompts of equal length.
        lesions: What to run; null lesions are answered with the clean run.
        store: Takes logits and hidden states.
        max_bytes: Budget for activations.
        advance: Told how many row-layers are done.
        from_start: Let all rows join at the first block, whatever their lesion.
    """
    null = [lesion for lesion in lesions if lesion.is_null]
    cfg = runner.model.cfg
    live = in_joining_order([lesion for lesion in lesions if not lesion.is_null], blocks(runner.model))
    per_slot = group.ids.numel() * cfg.d_model * torch.finfo(cfg.dtype).bits // 8
    slots_at_once = max(1, int(max_bytes // 2 // per_slot) - 1)
    for first, end in list(ranges(len(live), slots_at_once)) or [(0, 0)]:
        _one_batch(
            runner,
            group,
            live[first:end],
            null if end >= len(live) else [],  # Where the last clean run is, which is the one that is kept.
            store,
            max_bytes=max_bytes,
            advance=advance,
            from_start=from_start,
        )


def _one_batch(
    runner: Runner,
    group: Group,
    lesions: Sequence[Lesion],
    null: Sequence[Lesion],
    store: Store,
    *,
    max_bytes: int,
    advance: Callable[..., object],
    from_start: bool,
) -> None:
    """A sweep over the blocks with the clean rows in slot 0 and a slot for every lesion after it."""
    n, device, n_layers = group.n_prompts, device_of(runner.model), runner.model.cfg.n_layers
    dispatcher = Dispatcher(group)
    for slot, lesion in enumerate(lesions, start=1):
        dispatcher.place(lesion, slot)
    step = max(1, tokens_per_step(runner.model, group.n_positions, max_bytes, device) // group.ids.numel())
    clean = runner.embed(group.ids)
    rows = clean.new_empty((1 + len(lesions)) * n, *clean.shape[1:])
    rows[:n] = clean
    joined = [(len(lesions), 0)] * n_layers if from_start else joined_by_layer(lesions, blocks(runner.model))
    active = 1
    with scoped(runner.model, dispatcher.fwd_hooks):
        for layer in range(n_layers):
            whole, late = joined[layer]
            before, active = active, 1 + whole + late
            rows[before * n : active * n].view(active - before, n, *clean.shape[1:])[:] = rows[:n]
            if layer == n_layers - 1 and not store.wants_hidden and _reads_only(runner, lesions[: before - 1]):
                _only_readout(runner, rows, group, slots=(1, before), step=step)
                moved = [(0, 1), (before, 1 + whole)]
            else:
                moved = [(0, 1 + whole)]
            _through_block(runner, layer, rows, dispatcher, moved, active, n, step)
            advance(active * n)
            if store.wants_hidden:
                _hand_over(store, layer, group, lesions[: active - 1], null, rows, n)
    dispatcher.require_fired()
    finished = rows[n:].view(len(lesions), n, *rows.shape[1:])
    read_out_null(runner, store, group, null, rows[:n])
    if lesions:
        read_out(runner, store, group, lesions, finished, rows[:n], max_bytes=max_bytes)


def _through_block(
    runner: Runner,
    layer: int,
    rows: Float[Tensor, "row pos d_model"],
    dispatcher: Dispatcher,
    whole: Sequence[tuple[int, int]],
    active: int,
    n: int,
    step: int,
) -> None:
    """Slots through one block, a few at a time, in place: ranges of them through all of it, the rest join inside."""

    def run(first: int, end: int) -> None:
        dispatcher.window = (first, end)
        rows[first * n : end * n] = runner.block(layer, rows[first * n : end * n])

    block = blocks(runner.model)[layer]
    joining = (whole[-1][1], active)
    with streamlined(block):
        with noting_clean(block, n if joining[0] < active else 0) as parts:
            for slots in whole:
                in_steps(*slots, step, run)
        if joining[0] < active:
            with answering_as_clean(block, parts):
                in_steps(*joining, step, run)
    dispatcher.window = None


def _reads_only(runner: Runner, lesions: Sequence[Lesion]) -> bool:
    """Whether these lesions can go through the last block at their readout positions only: none of them edits there."""
    cfg = runner.model.cfg
    if not isinstance(runner, MaskedRunner) or cfg.use_split_qkv_input or not lesions:
        return False
    if cfg.attention_dir != "bidirectional" or cfg.positional_embedding_type != "standard" or cfg.use_logn_attn:
        return False  # Attention that counts its queries from the first one on.
    return not any(layer_of(name) == cfg.n_layers - 1 for lesion in lesions for name, _ in lesion.pairs)


def _only_readout(
    runner: Runner,
    rows: Float[Tensor, "row pos d_model"],
    group: Group,
    *,
    slots: tuple[int, int],
    step: int,
) -> None:
    """A range of slots through the last block, in place at the readout positions; the others keep what they had.

    Args:
        runner: A masked model's runner.
        rows: Hidden states before the last block, ``group.n_prompts`` rows for each slot.
        group: The prompts.
        slots: The first slot, and one past the last.
        step: How many slots to take at once.
    """
    n, layer = group.n_prompts, runner.model.cfg.n_layers - 1
    block, readout = blocks(runner.model)[layer], group.readout.to(rows.device)

    def run(first: int, end: int) -> None:
        hidden = rows[first * n : end * n]
        at = (torch.arange(len(hidden), device=rows.device)[:, None], readout.repeat(end - first, 1))
        with attending_to(block, hidden):
            hidden[at] = runner.block(layer, hidden[at])

    with streamlined(block):
        in_steps(*slots, step, run)


def _hand_over(
    store: Store,
    layer: int,
    group: Group,
    lesions: Sequence[Lesion],
    null: Sequence[Lesion],
    rows: Float[Tensor, "row pos d_model"],
    n: int,
) -> None:
    clean = rows[:n]
    if lesions:
        lesioned = rows[n : (1 + len(lesions)) * n].view(len(lesions), *clean.shape)
        store.hidden(layer, lesions, group, lesioned, clean)
    if null:
        store.hidden(layer, null, group, clean.expand(len(null), *clean.shape), clean)
