"""The last block of a masked model: queries and the MLP are needed at the readout positions only.

Nothing comes after it that would read the other positions; keys and values are still those of all of them.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from tlesion.anatomy.attention import attending_to
from tlesion.anatomy.kernels import streamlined
from tlesion.anatomy.model import blocks
from tlesion.anatomy.runners import MaskedRunner, Runner
from tlesion.hooks import layer_of
from tlesion.sweeps.groups import Group
from tlesion.sweeps.lesions import Lesion
from tlesion.sweeps.memory import in_steps


def reads_only(runner: Runner, lesions: Sequence[Lesion]) -> bool:
    """Whether these lesions can go through the last block at their readout positions only: none of them edits there."""
    cfg = runner.model.cfg
    if not isinstance(runner, MaskedRunner) or cfg.use_split_qkv_input or not lesions:
        return False
    return not any(layer_of(name) == cfg.n_layers - 1 for lesion in lesions for name, _ in lesion.pairs)


def only_readout(
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
