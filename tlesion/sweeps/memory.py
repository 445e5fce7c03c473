"""How many rows fit: a budget in bytes, and smaller steps when an allocation fails nevertheless."""

import math
from collections.abc import Callable, Iterator

import psutil
import torch

from tlesion.anatomy.model import device_of, mlp_width
from tlesion.hooks import Model
from tlesion.keep.checkpoint import Checkpoint

# On a CPU: the MLP's activations of one step in numbers, 32 MiB in float32. On BERT-large's shape that ran a few per
# cent faster than 8 MiB. A larger batch is not faster, and takes its memory from the system anew at every call.
_MLP_NUMBERS_PER_STEP_CPU = 2**23
_TOKENS_PER_STEP_CPU = (128, 4096)
_TOKENS_PER_STEP_ACCELERATOR = 65536
_SHARE_OF_FREE = 0.4


def default_max_bytes(device: torch.device) -> int:
    """A share of what is free on a device, for activations."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] * _SHARE_OF_FREE)
    return int(psutil.virtual_memory().available * _SHARE_OF_FREE)


def settled_max_bytes(model: Model, max_bytes: int | None, checkpoint: Checkpoint) -> int | None:
    """A budget that is the same when an interrupted run is continued, however much memory is free by then.

    Prompts are batched by the budget, and other batches round differently.
    """
    if max_bytes is not None or not checkpoint.keeps:
        return max_bytes
    found = checkpoint.part("budget", lambda: {"max_bytes": default_max_bytes(device_of(model))})
    return int(found["max_bytes"])


def bytes_per_token(model: Model, n_positions: int) -> int:
    """Memory that one token needs in a block: MLP, attention, scores against every position."""
    cfg = model.cfg
    values = 4 * mlp_width(model) + 12 * cfg.d_model + 3 * cfg.n_heads * n_positions
    return values * torch.finfo(cfg.dtype).bits // 8


def tokens_per_step(model: Model, n_positions: int, max_bytes: int, device: torch.device) -> int:
    """How many tokens to send through a block at once."""
    usual = _TOKENS_PER_STEP_ACCELERATOR
    if device.type == "cpu":
        fewest, most = _TOKENS_PER_STEP_CPU
        usual = min(most, max(fewest, _MLP_NUMBERS_PER_STEP_CPU // mlp_width(model)))
    return max(1, min(usual, max_bytes // bytes_per_token(model, n_positions)))


def in_steps(first: int, last: int, slots_per_step: int, run: Callable[[int, int], None]) -> None:
    """Call ``run(first, end)`` over a range of slots, several at a time, and in halves where an allocation fails.

    Args:
        first: The first of them.
        last: One past the last.
        slots_per_step: How many to try at once at most, at least 1.
        run: Does the work for a range of slots. It may be called again for part of a range that failed.

    Raises:
        MemoryError: One slot alone does not fit.
    """
    while first < last:
        end = first + _even(last - first, slots_per_step)
        try:
            run(first, end)
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            if end - first == 1:
                raise MemoryError(
                    "one lesion over one batch of prompts does not fit into memory; give shorter prompts, or lower "
                    "max_bytes so that fewer prompts share a batch"
                ) from error
            slots_per_step = max(1, (end - first) // 2)
            continue
        first = end


def ranges(n_items: int, size: int) -> Iterator[tuple[int, int]]:
    """``(first, end)`` over a number of items, ``size`` of them at most, and about as many each time."""
    first = 0
    while first < n_items:
        end = first + _even(n_items - first, size)
        yield first, end
        first = end


def _even(n_items: int, most: int) -> int:
    """How many to take at once, so that all steps are about the same size instead of leaving a small rest."""
    return math.ceil(n_items / math.ceil(n_items / most))


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return "can't allocate memory" in str(error) or "not enough memory" in str(error)
