"""Rows of lesioned hidden states at their end: read the logits and hand them on."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from tlesion.anatomy.runners import Runner, unembed
from tlesion.sweeps.groups import Group
from tlesion.sweeps.lesions import Lesion
from tlesion.sweeps.memory import in_steps
from tlesion.sweeps.store import Store


def read_out(
    runner: Runner,
    store: Store,
    group: Group,
    lesions: Sequence[Lesion],
    lesioned: Float[Tensor, "lesion prompt pos d_model"],
    clean: Float[Tensor, "prompt all_pos d_model"],
    *,
    max_bytes: int,
) -> None:
    """Logits at the readout positions of finished rows, to the store.

    Args:
        runner: The model's runner.
        store: Where they go.
        group: The prompts.
        lesions: Whose rows these are.
        lesioned: The last block's output for them: all positions, or the last few, where the rest did not change.
        clean: The clean run's, all positions.
        max_bytes: Budget for the logits.
    """
    offset = clean.shape[1] - lesioned.shape[2]
    clean_read = _at_readout(clean[None], group, 0)[0]
    clean_logits = _logits(runner, store, group, clean_read[None])[0]
    columns = clean_logits.shape[-1]
    per_lesion = clean_logits[..., 0].numel() * columns * 4 * 4
    steps = max(1, max_bytes // per_lesion)

    def run(first: int, end: int) -> None:
        read = _at_readout(lesioned[first:end], group, offset)
        if offset:
            # Nothing before the first edited position changes in a causal model: those logits are the clean ones.
            unchanged = (group.readout < offset).to(read.device)[None, :, :, None]
            read = torch.where(unchanged, clean_read[None], read)
        store.logits(lesions[first:end], group, _logits(runner, store, group, read), clean_logits)

    in_steps(0, len(lesions), steps, run)


def read_out_null(
    runner: Runner,
    store: Store,
    group: Group,
    lesions: Sequence[Lesion],
    clean: Float[Tensor, "prompt pos d_model"],
) -> None:
    """Logits of lesions that change nothing: the lesioned run is the clean run, to the last bit."""
    if lesions:
        logits = _logits(runner, store, group, _at_readout(clean[None], group, 0))[0]
        store.logits(lesions, group, logits.expand(len(lesions), *logits.shape), logits)


def _at_readout(
    hidden: Float[Tensor, "lesion prompt pos d_model"], group: Group, offset: int
) -> Float[Tensor, "lesion prompt read d_model"]:
    index = (group.readout - offset).clamp(min=0).to(hidden.device)
    rows = torch.arange(group.n_prompts, device=hidden.device)[:, None]
    return hidden[:, rows, index]


def _logits(
    runner: Runner, store: Store, group: Group, read: Float[Tensor, "lesion prompt read d_model"]
) -> Float[Tensor, "lesion prompt read column"]:
    flat = read.reshape(-1, read.shape[-1])
    columns = None
    if not store.wants_vocabulary:
        columns = group.targets.expand(len(read), *group.targets.shape).reshape(len(flat), -1)
    return unembed(runner, flat, columns).reshape(*read.shape[:3], -1)
