"""What a sweep keeps of every lesioned run: sinks take logits and hidden states as they come."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tlesion.sweeps.groups import Group, Reading
from tlesion.sweeps.lesions import Lesion
from tlesion.sweeps.memory import ranges

_NUMBERS_AT_ONCE = 2**23


class Place(NamedTuple):
    """Where in a sink's tensors some numbers go: ``tensor[at]``."""

    tensor: Tensor
    at: tuple[Any, ...]


@runtime_checkable
class Sink(Protocol):
    """Receives what a sweep computes; it keeps what its study needs and drops the rest.

    Attributes:
        wants_hidden: Ask for hidden states after every block.
        wants_vocabulary: Ask for logits of the whole vocabulary; otherwise of the targets alone.
    """

    wants_hidden: bool
    wants_vocabulary: bool

    def hidden(self, layer: int, lesions: Sequence[Lesion], group: Group, lesioned: Tensor, clean: Tensor) -> None:
        """Hidden states after a block, for lesions that have begun by then.

        Args:
            layer: The block.
            lesions: Those whose rows these are.
            group: The prompts.
            lesioned: ``[lesion, prompt, pos, d_model]``; where a sweep carries a tail of the positions, the tail.
            clean: ``[prompt, pos, d_model]``, the same positions.
        """
        ...

    def logits(self, lesions: Sequence[Lesion], group: Group, lesioned: Tensor, clean: Tensor) -> None:
        """Logits at the readout positions: ``[lesion, prompt, read, column]`` and ``[prompt, read, column]``."""
        ...

    def places(self, lesions: Sequence[Lesion], group: Group) -> Mapping[str, Place]:
        """Where everything goes that is handed over for some lesions over some prompts, and nothing else does."""
        ...


class TargetSink:
    """Keeps the targets' logits, and how far the whole vocabulary moved.

    Attributes:
        clean: Clean logits of the targets, ``[reading, read, target]``.
        lesioned: Lesioned logits of the targets, ``[lesion, reading, read, target]``.
        global_change: Root mean square over the vocabulary of (lesioned − clean) logits,
            ``[lesion, reading, read]``; NaN where it was not asked for.
    """

    wants_hidden = False

    def __init__(self, readings: Sequence[Reading], n_lesions: int, *, global_change: bool) -> None:
        n_read, n_targets = readings[0].targets.shape
        self.wants_vocabulary = global_change
        self.clean: Float[Tensor, "reading read target"] = torch.full((len(readings), n_read, n_targets), torch.nan)
        self.lesioned: Float[Tensor, "lesion reading read target"] = torch.full(
            (n_lesions, len(readings), n_read, n_targets), torch.nan
        )
        self.global_change: Float[Tensor, "lesion reading read"] = torch.full(
            (n_lesions, len(readings), n_read), torch.nan
        )

    def hidden(self, layer: int, lesions: Sequence[Lesion], group: Group, lesioned: Tensor, clean: Tensor) -> None:
        """Not asked for."""

    def logits(self, lesions: Sequence[Lesion], group: Group, lesioned: Tensor, clean: Tensor) -> None:
        """See :class:`Sink`."""
        members = torch.tensor(group.members)
        rows = torch.tensor([lesion.index for lesion in lesions])
        if self.wants_vocabulary:
            moved = (lesioned.float() - clean.float()).square_().mean(dim=-1).sqrt_()
            self.global_change[rows[:, None], members] = moved.cpu()
            lesioned, clean = pick(lesioned, group.targets), pick(clean, group.targets)
        self.lesioned[rows[:, None], members] = lesioned.float().cpu()
        self.clean[members] = clean.float().cpu()

    def places(self, lesions: Sequence[Lesion], group: Group) -> Mapping[str, Place]:
        """See :class:`Sink`."""
        members = torch.tensor(group.members)
        rows = torch.tensor([lesion.index for lesion in lesions])[:, None]
        return {
            "clean": Place(self.clean, (members,)),
            "lesioned": Place(self.lesioned, (rows, members)),
            "global_change": Place(self.global_change, (rows, members)),
        }


def few_at_once(
    lesions: Sequence[Lesion], lesioned: Float[Tensor, "lesion *rest"]
) -> Iterator[tuple[Sequence[Lesion], Float[Tensor, "few *rest"]]]:
    """A few lesions at a time, with their rows: for sinks that make float64 copies, which would not fit of all."""
    size = max(1, _NUMBERS_AT_ONCE // max(1, lesioned[0].numel()))
    for first, end in ranges(len(lesions), size):
        yield lesions[first:end], lesioned[first:end]


def pick(
    logits: Float[Tensor, "*lesion prompt read column"], targets: Int[Tensor, "prompt read target"]
) -> Float[Tensor, "*lesion prompt read target"]:
    """The targets' columns out of logits of the whole vocabulary."""
    targets = targets.to(logits.device)
    return logits.gather(-1, targets.expand(*logits.shape[:-1], targets.shape[-1]))
