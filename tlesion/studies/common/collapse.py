"""Collapse, measured: how far a whole prediction moves under a lesion, and whether the right answer is still given.

A logit drop alone does not tell an effect on one word from a model that has stopped working. Beside it stand here the
divergence of the whole prediction from the clean one, and where the targets rank in the whole vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64, Int64, Shaped
from torch import Tensor

from tlesion.activations import in_float64
from tlesion.interventions import Intervention
from tlesion.measures import kl_divergence
from tlesion.studies.common.frame import LesionFrame, Run
from tlesion.sweeps.finite import require_finite_logits
from tlesion.sweeps.groups import Group, Reading
from tlesion.sweeps.lesions import Lesion, read_lesions
from tlesion.sweeps.sinks import Field, Sink, few_at_once, global_change, pick


class CollapseSink(Sink):
    """Keeps the targets' logits and ranks, and two numbers for how far the prediction moved.

    Args:
        readings: The prompts.

    Attributes:
        clean: Clean logits of the targets, ``[prompt, target]``.
        clean_rank: How many other tokens have a logit at least as large, in the clean run.
        lesioned, rank: The same of every lesioned run, ``[lesion, prompt, target]``; a logit that is NaN is the last.
        kl: Divergence of the lesioned prediction from the clean one, in nats, ``[lesion, prompt]``.
        global_change: Standard deviation over the vocabulary of (lesioned − clean) logits, ``[lesion, prompt]``.
    """

    wants_vocabulary = True

    def __init__(self, readings: Sequence[Reading]) -> None:
        self._n_targets = readings[0].targets.shape[1]

    def fields(self, lesions: Sequence[Lesion]) -> dict[str, Field]:
        """See :class:`tlesion.sweeps.sinks.Sink`."""
        clean, lesioned = ("prompt", self._n_targets), ("lesion", "prompt", self._n_targets)
        return {
            "clean": Field(clean),
            "clean_rank": Field(clean, torch.long),
            "lesioned": Field(lesioned),
            "rank": Field(lesioned, torch.long),
            "kl": Field(lesioned[:2]),
            "global_change": Field(lesioned[:2]),
        }

    def logits(self, lesions: Sequence[Lesion], group: Group, lesioned: Tensor, clean: Tensor) -> Mapping[str, Tensor]:
        """See :class:`tlesion.sweeps.sinks.Sink`."""
        base, targets = in_float64(clean[:, 0]), group.targets[:, 0]

        def measure(few: Tensor) -> dict[str, Tensor]:
            read = in_float64(few[:, :, 0])
            return {
                "lesioned": _columns(read, targets),
                "rank": _ranks(read, targets),
                "kl": kl_divergence(base, read),
                "global_change": global_change(read, base),
            }

        of_clean = {"clean": _columns(base, targets), "clean_rank": _ranks(base, targets)}
        return of_clean | few_at_once(lesioned, measure)


class LesionList:
    """Lesions by what they cut in each layer; one that is asked for twice is run once.

    Args:
        frame: Says where units are cut, and what is done to them.
    """

    def __init__(self, frame: LesionFrame) -> None:
        self._frame = frame
        self._rows: dict[tuple[tuple[int, bytes], ...], int] = {}
        self._lesions: list[list[Intervention]] = []

    def row(self, cut: Mapping[int, Bool[Tensor, " unit"]]) -> int:
        """The place of a lesion in the list; it is added if it is new. Layers are counted as the frame's are."""
        key = tuple((layer, units.numpy().tobytes()) for layer, units in sorted(cut.items()) if bool(units.any()))
        if key not in self._rows:
            make, names = self._frame.ablation, self._frame.point.names
            self._rows[key] = len(self._lesions)
            self._lesions.append([make.at(names[layer], layer, units) for layer, units in cut.items()])
        return self._rows[key]

    def read(self) -> list[Lesion]:
        """All of them, as a sweep takes them."""
        return read_lesions(self._frame.model, self._lesions)


@dataclass(frozen=True, eq=False, kw_only=True)
class Effects:
    """What some lesions did, in the shape that they were asked for in.

    Attributes:
        logit_drop: Clean − lesioned logit of each target.
        kl: Divergence of the lesioned prediction from the clean one, in nats.
        global_change: Standard deviation over the vocabulary of (lesioned − clean) logits.
        rank: How many other tokens have a logit at least as large as each target's after the lesion.
    """

    logit_drop: Float64[Tensor, "*lesion prompt target"]
    kl: Float64[Tensor, "*lesion prompt"]
    global_change: Float64[Tensor, "*lesion prompt"]
    rank: Int64[Tensor, "*lesion prompt target"]


@dataclass(frozen=True, eq=False)
class Collapse:
    """What a sweep of lesions measured: the sink's numbers, and how it was run."""

    sink: CollapseSink
    plan: str

    def of(self, rows: Shaped[Tensor, "..."]) -> Effects:
        """The effects of lesions by their rows in the list, in the shape that the rows have."""
        return Effects(
            logit_drop=(self.sink.clean - self.sink.lesioned)[rows],
            kl=self.sink.kl[rows],
            global_change=self.sink.global_change[rows],
            rank=self.sink.rank[rows],
        )


def measure_collapse(run: Run, lesions: Sequence[Lesion]) -> Collapse:
    """Run lesions over a study's prompts.

    Raises:
        ValueError: NaN in the clean logits, and what :func:`tlesion.sweeps.engine.run_sweep` refuses.
    """
    sink = CollapseSink(run.frame.readings)
    settled = run.sweep(lesions, sink)
    require_finite_logits(sink.clean)
    return Collapse(sink, settled.reason)


def _columns(
    logits: Float64[Tensor, "*lesion prompt token"], targets: Int64[Tensor, "prompt target"]
) -> Float64[Tensor, "*lesion prompt target"]:
    return pick(logits[..., None, :], targets[:, None])[..., 0, :]


def _ranks(
    logits: Float64[Tensor, "*lesion prompt token"], targets: Int64[Tensor, "prompt target"]
) -> Int64[Tensor, "*lesion prompt target"]:
    """How many other tokens have a logit at least as large as each target's; where all are NaN, all of them."""
    own = _columns(logits, targets)
    above = [(~(logits < own[..., [place]])).sum(dim=-1) - 1 for place in range(own.shape[-1])]
    return torch.stack(above, dim=-1)
