"""An ablation with its options: what a study does to the units that it cuts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, is_dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from tlesion.checks import shown
from tlesion.function_id import function_id
from tlesion.interventions.ablations import Registered, named
from tlesion.interventions.make import Intervention
from tlesion.interventions.region import Positions
from tlesion.positions import PromptPosition, check_prompt_position
from tlesion.registry import is_ours


@dataclass(frozen=True, eq=False, repr=False)
class OwnHook:
    """A hook function of a user's ablation, with what it was made from: by that a checkpoint knows it again.

    Attributes:
        function: The hook function.
        made_by: The ablation that made it.
        units, positions, values, seed: What the ablation was given.
    """

    function: Callable[..., Tensor | None] = field(compare=False)
    made_by: Registered
    units: Tensor
    positions: Positions
    values: Tensor | None
    seed: int

    def __call__(self, activation: Tensor, hook: Any = None) -> Tensor | None:
        """What the hook function returns."""
        return self.function(activation, hook=hook)


@dataclass(frozen=True, eq=False)
class Ablation:
    """What a study does to masked units; made by :func:`ablation_of`.

    Attributes:
        registered: The ablation.
        positions: Where along the text, as interventions take it.
        reference: What it puts in, ``[layer, unit]`` or ``[layer, row, unit]``; None where it needs nothing.
        seed: Of the noise.
    """

    registered: Registered
    positions: Positions
    reference: Tensor | None
    seed: int

    @property
    def kind(self) -> str:
        """The ablation's name."""
        return self.registered.name

    @property
    def settings(self) -> dict[str, Any]:
        """For provenance and checkpoints: the ablation's name, and of a user's own which function it is."""
        function = self.registered.function
        own = {} if is_ours(function) else {"ablation_function": function_id(function)}
        return {"ablation": self.kind, **own}

    def at(self, name: str, layer: int, units: Bool[Tensor, " unit"]) -> Intervention:
        """The intervention on one layer's masked units.

        Args:
            name: Full hook name of the layer.
            layer: Its index in the reference.
            units: What is cut; inside attention heads lie side by side.

        Raises:
            TypeError, ValueError: A user's ablation made no intervention, or one at another hook point.
        """
        given: dict[str, Any] = {"units": units, "positions": self.positions, "seed": self.seed}
        given["values"] = None if self.reference is None else self.reference[layer]
        made = self.registered.function(name, **given)
        _require_intervention(made, self.kind, name)
        hook: Callable[..., Tensor | None] = made[1]
        return Intervention(name, hook if is_dataclass(hook) else OwnHook(hook, self.registered, **given))


def ablation_of(kind: str, *, position: PromptPosition, reference: Any, seed: int, shape: Sequence[int]) -> Ablation:
    """Check an ablation's options.

    Args:
        kind: Its name, one of :func:`names`.
        position: ``"readout"``, ``"all"``, or an index for every prompt.
        reference: For an ablation that needs one; others leave it aside.
        seed: Of the noise.
        shape: ``(layers, units)``.

    Raises:
        ValueError: An unknown kind or position; reference values that are missing or do not fit.
    """
    registered = named(kind)
    check_prompt_position(position)
    needed = registered.needs_reference
    if needed is not None and reference is not None:
        reference = _tensor(reference, needed)
    if needed is None:
        reference = None
    elif reference is None or not _fits(reference, needed, shape):
        got = "none" if reference is None else f"shape {tuple(reference.shape)}"
        layers, units = shape
        wanted = f"{(layers, units)}, [layer, unit]" if needed != "rows" else f"({layers}, rows, {units})"
        raise ValueError(
            f"ablation {kind!r} needs reference values of shape {wanted}, and got {got}; measure them on a reference "
            f"set: reference=tlesion.measure_reference(model, contrast, statistic={needed!r}, ...)"
        )
    return Ablation(registered, None if position == "all" else position, reference, seed)


def _tensor(reference: Any, needed: str) -> Tensor:
    if not isinstance(reference, Tensor | np.ndarray):
        raise TypeError(
            f"reference is a {shown(reference)}; give a tensor, as tlesion.measure_reference(model, contrast, "
            f"statistic={needed!r}, ...) measures it"
        )
    return torch.as_tensor(reference)


def _fits(reference: Tensor, needed: str, shape: Sequence[int]) -> bool:
    n_layers, n_units = shape
    if needed == "rows":
        return reference.ndim == 3 and (len(reference), reference.shape[2]) == (n_layers, n_units)
    return tuple(reference.shape) == (n_layers, n_units)


def _require_intervention(made: Any, kind: str, name: str) -> None:
    """Refuse what an ablation returned where it is no intervention at the hook point that was asked for."""
    if not (isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], str) and callable(made[1])):
        raise TypeError(
            f"ablation {kind!r} returned a {shown(made)} at {name!r}; return an intervention "
            "(tlesion.interventions.scale(hook_name, ...)) or a pair (hook_name, hook function)"
        )
    if made[0] != name:
        raise ValueError(
            f"ablation {kind!r} was asked for an intervention at {name!r} and returned one at {made[0]!r}; "
            "hand its first argument on"
        )
