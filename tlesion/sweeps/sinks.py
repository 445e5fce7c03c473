"""What a sweep keeps of every lesioned run: sinks reduce logits and hidden states to the numbers that a study needs.

A sink declares its fields and returns their values for the lesions and prompts that it is handed; the sweep makes the
arrays, puts values in their place, and keeps finished parts of them (:mod:`tlesion.sweeps.store`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tlesion.measures import kl_divergence
from tlesion.sweeps.groups import Group, Reading
from tlesion.sweeps.lesions import Lesion
from tlesion.sweeps.memory import ranges

_NUMBERS_AT_ONCE = 2**23


@dataclass(frozen=True)
class Field:
    """An array that a sweep fills.

    Attributes:
        axes: A name or a number for each axis. ``"lesion"``, ``"layer"`` and ``"prompt"`` are what they say;
            ``"token"`` are the positions of all prompts side by side, ``"readout"`` the readout positions of all
            prompts side by side; a number is the size of an axis of the sink's own.
        dtype: Of the numbers.
        fill: What stands where no value comes; None: NaN, in arrays of whole numbers 0.
        n_lesions: Only so many of the first lesions are kept; None: all.
        n_prompts: Only so many of the first prompts, or their tokens, are kept; None: all.
    """

    axes: tuple[str | int, ...]
    dtype: torch.dtype = torch.float64
    fill: float | None = None
    n_lesions: int | None = None
    n_prompts: int | None = None


class Sink(ABC):
    """What a study asks of a sweep, and what it makes of it.

    Of a block of runs, some lesions over some prompts, it returns values by field. They have the field's axes in order,
    with as many lesions and prompts as were handed over, on any device and in any dtype. An axis ``"token"`` stands
    for ``[prompt, pos]`` there, ``"readout"`` for ``[prompt, read]``; ``"layer"`` is left out, since hidden states come
    from one layer at a time.

    Attributes:
        wants_hidden: Ask for hidden states after every block.
        wants_vocabulary: Ask for logits of the whole vocabulary; otherwise of the targets alone.
        values: The arrays, once a sweep has run; each is also an attribute, by the name of its field.
    """

    wants_hidden: bool = False
    wants_vocabulary: bool = False
    values: Mapping[str, Tensor]

    def __getattr__(self, name: str) -> Tensor:
        """A field of a sink that a sweep has filled."""
        values: Mapping[str, Tensor] = vars(self).get("values", {})
        if name not in values:
            raise AttributeError(
                f"{type(self).__name__} has no {name!r}; "
                + (f"the sweep has filled {', '.join(values)}" if values else "no sweep has filled it yet")
            )
        return values[name]

    @abstractmethod
    def fields(self, lesions: Sequence[Lesion]) -> dict[str, Field]:
        """The arrays that are to be made for a sweep of these lesions."""

    def hidden(
        self, layer: int, lesions: Sequence[Lesion], group: Group, lesioned: Tensor, clean: Tensor
    ) -> Mapping[str, Tensor]:
        """Values from the hidden states after a block, for lesions that have begun by then.

        Args:
            layer: The block.
            lesions: Those whose rows these are.
            group: The prompts.
            lesioned: ``[lesion, prompt, pos, d_model]``; where a sweep carries a tail of the positions, the tail.
            clean: ``[prompt, pos, d_model]``, the same positions.
        """
        return {}

    @abstractmethod
    def logits(self, lesions: Sequence[Lesion], group: Group, lesioned: Tensor, clean: Tensor) -> Mapping[str, Tensor]:
        """Values from the logits at the readout positions.

        Args:
            lesions: Those whose rows these are.
            group: The prompts.
            lesioned: ``[lesion, prompt, read, column]``.
            clean: ``[prompt, read, column]``.
        """


class TargetSink(Sink):
    """Keeps the targets' logits, and how far the whole vocabulary moved.

    Args:
        readings: What is read.
        global_change: Whether it is looked at how far all logits moved.
        kl: Whether it is looked at how far the prediction moved. Without either only the targets' logits are asked for.

    Attributes:
        clean: Clean logits of the targets, ``[prompt, read, target]``.
        lesioned: Lesioned logits of the targets, ``[lesion, prompt, read, target]``.
        global_change: See :func:`global_change`, ``[lesion, prompt, read]``; NaN where it was not asked for.
        kl: Divergence of the lesioned prediction from the clean one, in nats, ``[lesion, prompt, read]``; likewise.
    """

    def __init__(self, readings: Sequence[Reading], *, global_change: bool, kl: bool = False) -> None:
        self._n_read, self._n_targets = readings[0].targets.shape
        self._global_change, self._kl = global_change, kl
        self.wants_vocabulary = global_change or kl

    def fields(self, lesions: Sequence[Lesion]) -> dict[str, Field]:
        """See :class:`Sink`."""
        return {
            "clean": Field(("prompt", self._n_read, self._n_targets)),
            "lesioned": Field(("lesion", "prompt", self._n_read, self._n_targets)),
            "global_change": Field(("lesion", "prompt", self._n_read)),
            "kl": Field(("lesion", "prompt", self._n_read)),
        }

    def logits(self, lesions: Sequence[Lesion], group: Group, lesioned: Tensor, clean: Tensor) -> Mapping[str, Tensor]:
        """See :class:`Sink`."""
        if not self.wants_vocabulary:
            return {"lesioned": lesioned, "clean": clean}
        found = {"lesioned": pick(lesioned, group.targets), "clean": pick(clean, group.targets)}
        if self._global_change:
            found["global_change"] = global_change(lesioned, clean)
        if self._kl:
            found |= few_at_once(lesioned, lambda few: {"kl": kl_divergence(clean, few)})
        return found


def global_change(
    lesioned: Float[Tensor, "*#run token"], clean: Float[Tensor, "*#run token"]
) -> Float[Tensor, "*#run"]:
    r"""How far a lesion moves all logits: the standard deviation over the vocabulary of (lesioned − clean) logits.

    .. math:: g = \sqrt{\frac{1}{V} \sum_v (d_v - \bar d)^2}, \qquad d = \mathrm{lesioned} - \mathrm{clean}

    A shift of all logits alike changes no probability, and is no change.

    Args:
        lesioned: Logits of the lesioned runs.
        clean: Logits of the clean run.

    Returns:
        In float32 at least; 0 where both are the same.

    Example:
        >>> clean = torch.tensor([1.0, 2.0, 3.0, 4.0])
        >>> global_change(clean + 100, clean).item()
        0.0
        >>> global_change(clean + torch.tensor([1.0, -1.0, 1.0, -1.0]), clean).item()
        1.0
    """
    # Subtracted first, then centred: squares of a large shift would swallow what differs beside it.
    change = precise(lesioned) - precise(clean)
    return change.sub_(change.mean(dim=-1, keepdim=True)).square_().mean(dim=-1).sqrt_()


def precise(values: Tensor) -> Tensor:
    """Values in float32 at least: half precision would round what is computed from them."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def few_at_once(
    lesioned: Float[Tensor, "lesion *rest"], measure: Callable[[Tensor], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Values of a few lesions at a time, joined: for sinks that make float64 copies, which would not fit of all."""
    size = max(1, _NUMBERS_AT_ONCE // max(1, lesioned[0].numel()))
    parts = [measure(lesioned[first:end]) for first, end in ranges(len(lesioned), size)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def pick(
    logits: Float[Tensor, "*lesion prompt read column"], targets: Int[Tensor, "prompt read target"]
) -> Float[Tensor, "*lesion prompt read target"]:
    """The targets' columns out of logits of the whole vocabulary."""
    targets = targets.to(logits.device)
    return logits.gather(-1, targets.expand(*logits.shape[:-1], targets.shape[-1]))
