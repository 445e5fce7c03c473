"""Matched controls: as many random units of the same layer as a mask has, lesioned in the same way."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from tlesion.checks import one_of
from tlesion.hooks import HookPoint, Model, in_eval_mode, require_same
from tlesion.inference import joint_controls, matched_controls
from tlesion.inference.controls import expected_overlap
from tlesion.keep.hashing import tensor_hash
from tlesion.positions import PromptPosition
from tlesion.studies.common.frame import LesionFrame
from tlesion.sweeps.groups import Group, Reading, groups_of_equal_length
from tlesion.sweeps.passes import Passes

MATCHES = ("activity",)
MAX_TOKENS = 4096  # in one forward pass


@dataclass(frozen=True, eq=False)
class Controls:
    """How many controls a study draws of each mask, and what they are alike in; make it with :func:`controls_of`.

    Attributes:
        n: Controls of each mask.
        match: None, ``"activity"`` (not measured yet), or a value for each unit, ``[layer, unit]``.
        seed: Of the draws.
    """

    n: int
    match: Tensor | str | None
    seed: int

    @property
    def settings(self) -> dict[str, Any]:
        """What a provenance records."""
        return {
            "n_controls": self.n,
            "match": tensor_hash(self.match) if isinstance(self.match, Tensor) else self.match,
        }

    def measured(self, frame: LesionFrame) -> "Controls":
        """The same with the activity measured, if controls are to be alike in it; without controls nothing is."""
        if not isinstance(self.match, str):
            return self
        names, readings = frame.point.names, list({_read(one): one for one in frame.readings}.values())
        return replace(
            self,
            match=measure_activity(frame.model, names, readings, position=frame.position) if self.n else None,
        )

    def draw(self, mask: Bool[Tensor, "layer unit"], stream: Iterable[int]) -> Bool[Tensor, "control layer unit"]:
        """The controls of one mask.

        Args:
            mask: The mask.
            stream: Numbers that tell its draws from those of other masks; see :func:`stream_of`.
        """
        if not self.n:
            return mask[None][:0]
        assert not isinstance(self.match, str), "the activity is measured before controls are drawn"
        seed = int(np.random.SeedSequence([self.seed, *stream]).generate_state(1)[0])
        return matched_controls(mask, n_controls=self.n, seed=seed, match=self.match)

    def draw_together(self, masks: Bool[Tensor, "mask layer unit"]) -> Bool[Tensor, "control mask layer unit"]:
        """Controls of several masks, one shuffle of the units for all of them.

        A shuffle depends on the seed and on ``match`` alone, so that a mask's controls are the same whatever other
        masks stand beside it.
        """
        if not self.n:
            return masks[None][:0]
        assert not isinstance(self.match, str), "the activity is measured before controls are drawn"
        return joint_controls(masks, n_controls=self.n, seed=self.seed, match=self.match)

    def overlap(self, masks: Bool[Tensor, "mask layer unit"]) -> Float64[Tensor, "mask layer"]:
        """Which share of a mask's units its controls hold on average; NaN where it has none."""
        assert not isinstance(self.match, str), "the activity is measured before controls are drawn"
        return torch.stack([expected_overlap(mask, match=self.match) for mask in masks])


def _read(reading: Reading) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What tells two prompts apart to the model: their tokens, and where they are read. Copies count once."""
    return tuple(reading.ids.tolist()), tuple(reading.readout.flatten().tolist())


def stream_of(name: str) -> bytes:
    """The stream of a named mask: its controls are the same whatever other masks stand beside it."""
    return name.encode()


def controls_of(n_controls: int, match: Any, frame: LesionFrame) -> Controls:
    """Check the options of controls before anything runs.

    Args:
        n_controls: Controls of each mask; 0: none.
        match: None, ``"activity"``, or a value for each unit.
        frame: The frame, whose seed is that of the draws.

    Raises:
        ValueError: A negative number of controls; a ``match`` that is neither a known word nor fits the masks; a
            negative seed.
    """
    seed, shape = frame.ablation.seed, frame.point.shape
    if n_controls < 0:
        raise ValueError(f"n_controls is {n_controls}; give 0 (none) or more (99 are usual, 19 are the fewest for 5 %)")
    if n_controls and seed < 0:
        raise ValueError(f"seed {seed} is negative; give 0 or more")
    if isinstance(match, str):
        one_of("match", match, MATCHES)
    elif match is not None and (tuple(match.shape) != shape or not bool(match.isfinite().all())):
        raise ValueError(
            f"match has shape {tuple(match.shape)} and {int((~match.isfinite()).sum())} values that are not finite; "
            f"give one finite number for each unit, {shape} [layer, unit], or match='activity'"
        )
    return Controls(n_controls, match, seed)


def measure_activity(
    model: Model, names: Sequence[str], readings: Sequence[Reading], *, position: PromptPosition
) -> Float64[Tensor, "layer unit"]:
    """Mean absolute activation of every unit over the prompts, where a profile lesions them.

    Args:
        model: The model.
        names: A full hook name for every layer.
        readings: The prompts.
        position: ``"readout"``, ``"all"`` (the mean over all positions), or an index.
    """
    sums = _Sums(position)
    with in_eval_mode(model), torch.no_grad():
        passes = Passes(model, [reading.ids for reading in readings], names)
        for group in groups_of_equal_length(readings, max_tokens=MAX_TOKENS):
            sums.start(group)
            passes.run(list(group.ids), sums)
    return torch.stack([sums.total[name] / sums.count[name] for name in names])


class _Sums:
    """The hook function: absolute activations at the position, summed over prompts."""

    def __init__(self, position: PromptPosition) -> None:
        self.position = position
        self.total: dict[str, Tensor] = {}
        self.count: dict[str, int] = {}

    def start(self, group: Group) -> None:
        """Say which prompts come next."""
        self.group = group
        self._taken: dict[str, Tensor] = {}

    def __call__(self, activation: Tensor, hook: HookPoint) -> None:
        name = str(hook.name)
        activation = activation.flatten(2)  # heads side by side
        if self.position == "readout":
            activation = activation[torch.arange(len(activation)), self.group.readout[:, 0].to(activation.device)]
        elif isinstance(self.position, int):
            activation = activation[:, self.position]
        rows = activation.detach().cpu().double().abs().flatten(0, -2)
        total = rows.sum(dim=0)
        if name in self._taken:
            require_same(self._taken[name], total, name)
            return
        self._taken[name] = total
        self.total[name] = self.total.get(name, torch.zeros_like(total)) + total
        self.count[name] = self.count.get(name, 0) + len(rows)
