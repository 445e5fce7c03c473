"""What a sweep reads: prompts in groups of equal length, so that no row is ever padded."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from tlesion.sweeps.memory import ranges


@dataclass(frozen=True, eq=False)
class Reading:
    """One text of a sweep, and where its logits are read.

    Attributes:
        ids: Token ids.
        readout: Positions at which logits are read; ``"readout"`` edits work at the first of them.
        targets: Token ids whose logits are read at each of these positions.
    """

    ids: Int[Tensor, " pos"]
    readout: Int[Tensor, " read"]
    targets: Int[Tensor, "read target"]


def require_position(readings: Sequence[Reading], position: object, name: str) -> None:
    """Refuse the index of a token that one of the texts does not have; other positions are left alone.

    Raises:
        ValueError: A text is too short for it.
    """
    if isinstance(position, int):
        for number, reading in enumerate(readings):
            n = len(reading.ids)
            if not -n <= position < n:
                raise ValueError(
                    f"positions [{position}] at {name!r} do not exist: prompt {number} has {n} tokens, 0 to {n - 1}; "
                    "give one that every prompt has (negative ones count from the end), 'readout' or 'all'"
                )


@dataclass(frozen=True, eq=False)
class Group:
    """Readings of equal length, as one batch.

    Attributes:
        members: Indices of the readings in the sweep's list.
        ids, readout, targets: Theirs, stacked.
    """

    members: tuple[int, ...]
    ids: Int[Tensor, "prompt pos"]
    readout: Int[Tensor, "prompt read"]
    targets: Int[Tensor, "prompt read target"]

    @property
    def n_prompts(self) -> int:
        return self.ids.shape[0]

    @property
    def n_positions(self) -> int:
        return self.ids.shape[1]


def groups_of_equal_length(readings: Sequence[Reading], *, max_tokens: int) -> Iterator[Group]:
    """Readings batched by length and number of readouts, with at most ``max_tokens`` tokens per batch.

    Equal length means that no row holds padding: a hook function sees the shape that it would see in a run of its
    own, and no mask has to keep a number from changing.
    """
    alike: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, reading in enumerate(readings):
        alike[len(reading.ids), len(reading.readout)].append(index)
    for (length, _), indices in alike.items():
        for first, end in ranges(len(indices), max(1, max_tokens // length)):
            members = indices[first:end]
            chosen = [readings[index] for index in members]
            yield Group(
                members=tuple(members),
                ids=torch.stack([reading.ids for reading in chosen]),
                readout=torch.stack([reading.readout for reading in chosen]),
                targets=torch.stack([reading.targets for reading in chosen]),
            )
