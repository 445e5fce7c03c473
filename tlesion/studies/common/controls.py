"""Matched controls of a laminar profile: as many random neurons of the same layer, lesioned in the same way."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from tlesion.anatomy.runners import runner_for
from tlesion.checks import one_of
from tlesion.hooks import HookPoint, Model, in_eval_mode, layer_of, scoped
from tlesion.inference import matched_controls
from tlesion.studies.common.layer_sweeps import LayerEffects
from tlesion.sweeps.groups import Group, Reading, groups_of_equal_length

MATCHES = ("activity",)
MAX_TOKENS = 4096  # in one forward pass


def check_controls(n_controls: int, match: Any, *, shape: Sequence[int], seed: int) -> None:
    """Refuse options of controls before anything runs.

    Raises:
        ValueError: A negative number of controls; a ``match`` that is neither a known word nor fits the masks; a
            negative seed.
    """
    if n_controls < 0:
        raise ValueError(f"n_controls is {n_controls}; give 0 (none) or more (50 is usual, 19 are the fewest for 5 %)")
    if n_controls and seed < 0:
        raise ValueError(f"seed {seed} is negative; give 0 or more")
    if isinstance(match, str):
        one_of("match", match, MATCHES)
    elif match is not None and (tuple(match.shape) != tuple(shape) or not bool(match.isfinite().all())):
        raise ValueError(
            f"match has shape {tuple(match.shape)} and {int((~match.isfinite()).sum())} values that are not finite; "
            f"give one finite number for each unit, {tuple(shape)} [layer, unit], or match='activity'"
        )


def measure_controls(
    run: Callable[..., LayerEffects],
    masks: Mapping[str, Tensor],
    own: LayerEffects,
    *,
    n_controls: int,
    seed: int,
    match: Tensor | None,
) -> tuple[Float64[Tensor, "mask control layer prompt target"], Float64[Tensor, "mask control layer prompt"]]:
    """Logit drop and global change of every mask's controls.

    They are swept apart from the masks, whose numbers are the same with and without them.

    Args:
        run: Sweeps a stack of masks ``[mask, layer, unit]``.
        masks: The named masks.
        own: Their own effects.
        n_controls: Controls of each mask; 0: the results have a control axis of that size.
        seed: Of the draws.
        match: As :func:`tlesion.inference.matched_controls` takes it.
    """
    shape = (len(masks), n_controls, *own.logit_drop.shape[1:])
    if not n_controls:
        return own.logit_drop.new_zeros(shape), own.logit_drop.new_zeros(shape[:-1])
    drawn = [
        matched_controls(mask.cpu(), n_controls=n_controls, seed=_stream(seed, name), match=match)
        for name, mask in masks.items()
    ]
    effects = run(torch.cat(drawn))
    return effects.logit_drop.reshape(shape), effects.global_change.reshape(shape[:-1])


def _stream(seed: int, name: str) -> int:
    """A seed for every mask, from its name: its controls are the same whatever other masks stand beside it."""
    return int(np.random.SeedSequence([seed, *name.encode()]).generate_state(1, np.uint32)[0])


def match_values(
    model: Model, names: Sequence[str], readings: Sequence[Reading], *, match: Tensor | str | None, position: str | int
) -> Tensor | None:
    """What controls are to be alike in: None, the values that were given, or the measured activity."""
    if isinstance(match, str):
        return measure_activity(model, names, readings, position=position)
    return match


def measure_activity(
    model: Model, names: Sequence[str], readings: Sequence[Reading], *, position: str | int
) -> Float64[Tensor, "layer unit"]:
    """Mean absolute activation of every unit over the prompts, where a profile lesions them.

    Args:
        model: The model.
        names: A full hook name for every layer.
        readings: The prompts.
        position: ``"readout"``, ``"all"`` (the mean over all positions), or an index.
    """
    runner = runner_for(model)
    last_layer = max(layer_of(name) or 0 for name in names)
    sums = _Sums(position)
    with in_eval_mode(model), torch.no_grad(), scoped(model, [(name, sums) for name in names]):
        for group in groups_of_equal_length(readings, max_tokens=MAX_TOKENS):
            sums.group = group
            residual = runner.embed(group.ids)
            for layer in range(last_layer + 1):
                residual = runner.block(layer, residual)
    return torch.stack([sums.total[name] / sums.count[name] for name in names])


class _Sums:
    """The hook function: absolute activations at the position, summed over prompts."""

    group: Group

    def __init__(self, position: str | int) -> None:
        self.position = position
        self.total: dict[str, Tensor] = {}
        self.count: dict[str, int] = {}

    def __call__(self, activation: Tensor, hook: HookPoint) -> None:
        name = str(hook.name)
        activation = activation.flatten(2)  # heads side by side
        if self.position == "readout":
            activation = activation[torch.arange(len(activation)), self.group.readout[:, 0].to(activation.device)]
        elif isinstance(self.position, int):
            activation = activation[:, self.position]
        rows = activation.detach().cpu().double().abs().flatten(0, -2)
        self.total[name] = self.total.get(name, torch.zeros_like(rows[0])) + rows.sum(dim=0)
        self.count[name] = self.count.get(name, 0) + len(rows)
