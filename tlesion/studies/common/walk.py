"""Sequences passing through a model block by block, and the activations at one hook point of each.

Walking all sequences through one block before the next is entered needs the activations of a single layer at a time,
however many layers there are.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from tlesion.anatomy.layout import laid_out
from tlesion.anatomy.model import blocks, device_of
from tlesion.anatomy.runners import Runner, runner_for
from tlesion.hooks import HookPoint, Model, in_eval_mode, require_same, scoped
from tlesion.keep.checkpoint import NOTHING_KEPT, Checkpoint
from tlesion.sweeps.memory import default_max_bytes, tokens_per_step

Take = Callable[[tuple[int, ...], Float[Tensor, "sequence pos unit"]], None]


@dataclass(eq=False)
class _Batch:
    """Sequences of equal length, so that none of them is padded, and where they are by now."""

    members: tuple[int, ...]
    runner: Runner
    residual: Tensor


class Walk:
    """Some sequences, which enter the blocks together.

    Args:
        model: The model.
        sequences: Token ids; lengths may differ.
        max_bytes: Budget for one batch's activations; default: a share of the free memory.
    """

    def __init__(self, model: Model, sequences: Sequence[Int[Tensor, " _"]], *, max_bytes: int | None = None) -> None:
        self.model = model
        device = device_of(model)
        longest = max(len(ids) for ids in sequences)
        budget = default_max_bytes(device) if max_bytes is None else max_bytes
        max_tokens = tokens_per_step(model, longest, budget, device)
        self._batches = []
        for members in _alike(sequences, max_tokens):
            runner = runner_for(model)
            residual = runner.embed(torch.stack([sequences[index] for index in members]))
            self._batches.append(_Batch(members, runner, residual))

    def advance(self, layer: int, name: str | None = None, take: Take | None = None) -> None:
        """Send every sequence through a block.

        Args:
            layer: The block; each in its turn, from 0.
            name: A hook point in it.
            take: Called for every batch, with the indices of its sequences and the activations at that hook point;
                the heads of an activation that has them lie side by side.
        """
        with laid_out(blocks(self.model)[layer]):
            for batch in self._batches:
                seen: list[Tensor] = []

                def keep(activation: Tensor, hook: HookPoint, seen: list[Tensor] = seen) -> None:
                    seen.append(activation.flatten(2))

                with scoped(self.model, [(name, keep)] if name and take else []):
                    batch.residual = batch.runner.block(layer, batch.residual)
                if name and take:
                    take(batch.members, _one(seen, name))

    def rows(self, layer: int, name: str, position: int) -> Float[Tensor, "sequence unit"]:
        """Send every sequence through a block, and return the hook point's activations at one position of each."""
        found: dict[int, Tensor] = {}

        def take(members: tuple[int, ...], activation: Tensor) -> None:
            found.update(zip(members, activation[:, position], strict=True))

        self.advance(layer, name, take)
        return torch.stack([found[index] for index in range(len(found))])

    @property
    def residuals(self) -> list[Tensor]:
        """Where the sequences are by now, batch by batch."""
        return [batch.residual for batch in self._batches]

    def resume(self, residuals: Sequence[Tensor]) -> None:
        """Go on from where another walk of the same sequences was."""
        for batch, residual in zip(self._batches, residuals, strict=True):
            batch.residual = residual.to(batch.residual.device)


def walk_layers(
    walks: Sequence[Walk],
    layers: Sequence[int],
    measure: Callable[[int], Mapping[str, Any]],
    *,
    checkpoint: Checkpoint = NOTHING_KEPT,
    desc: str = "layers",
) -> dict[int, dict[str, Any]]:
    """Send walks through the blocks, up to the last of some layers, and measure these on the way.

    With a checkpoint, what was measured of each layer is kept, and where the walks are after the last one.

    Args:
        walks: The walks, before the first block.
        layers: Which layers are measured.
        measure: Advances every walk through a layer, and returns what it found there: tensors, and what JSON holds.
        checkpoint: Where layers are kept, and taken from if they are there.
        desc: Of the progress bar.

    Returns:
        What was found, by layer.
    """
    found = {layer: part for layer in layers if (part := checkpoint.read(_layer(layer))) is not None}
    missing = sorted(set(layers) - set(found))
    start = _resume(walks, checkpoint, missing[0]) if missing else max(layers) + 1
    # disable=None: a bar on a terminal, nothing in a log file.
    for layer in tqdm(range(start, max(layers) + 1), desc=desc, unit="layer", disable=None, leave=False):
        if layer in missing:
            found[layer] = checkpoint.part(_layer(layer), partial(measure, layer))
        else:
            for walk in walks:
                walk.advance(layer)
        if checkpoint.keeps and layer < max(layers):
            checkpoint.write("residuals", {"layer": layer} | _residuals(walks))
    checkpoint.drop("residuals")
    return found


def _layer(layer: int) -> str:
    return f"layer-{layer:04d}"


def _residuals(walks: Sequence[Walk]) -> dict[str, Tensor]:
    return {
        f"{number}.{batch}": residual
        for number, walk in enumerate(walks)
        for batch, residual in enumerate(walk.residuals)
    }


def _resume(walks: Sequence[Walk], checkpoint: Checkpoint, first_missing: int) -> int:
    """The layer to go on with: the one after the walks' kept place, if that lies before the first missing one."""
    kept = checkpoint.read("residuals")
    if kept is None or kept["layer"] >= first_missing:
        return 0
    for number, walk in enumerate(walks):
        walk.resume([kept[f"{number}.{batch}"] for batch in range(len(walk.residuals))])
    return int(kept["layer"]) + 1


@contextmanager
def inference(model: Model) -> Iterator[None]:
    """No gradients, evaluation mode; afterwards every module has the mode that it had before."""
    with in_eval_mode(model), torch.no_grad():
        yield


def _alike(sequences: Sequence[Tensor], max_tokens: int) -> Iterator[tuple[int, ...]]:
    by_length: dict[int, list[int]] = defaultdict(list)
    for index, ids in enumerate(sequences):
        by_length[len(ids)].append(index)
    for length, indices in by_length.items():
        size = max(1, max_tokens // length)
        for start in range(0, len(indices), size):
            yield tuple(indices[start : start + size])


def _one(seen: list[Tensor], name: str) -> Tensor:
    if not seen:
        raise ValueError(f"hook point {name!r} was not called in a pass through its block; give another one")
    for again in seen[1:]:
        require_same(seen[0], again, name)
    return seen[0]
