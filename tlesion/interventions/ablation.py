"""An ablation with its options: what a study does to the units that it cuts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from tlesion.function_id import function_id
from tlesion.interventions.ablations import Registered, intervention, named
from tlesion.interventions.make import Intervention
from tlesion.interventions.region import Positions
from tlesion.positions import PromptPosition, check_prompt_position
from tlesion.registry import module_of


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
        own = {} if module_of(function).startswith("tlesion.") else {"ablation_function": function_id(function)}
        return {"ablation": self.kind, **own}

    def at(self, name: str, layer: int, units: Bool[Tensor, " unit"]) -> Intervention:
        """The intervention on one layer's masked units.

        Args:
            name: Full hook name of the layer.
            layer: Its index in the reference.
            units: What is cut; inside attention heads lie side by side.

        Raises:
            TypeError, ValueError: As :func:`intervention`.
        """
        values = None if self.reference is None else self.reference[layer]
        return intervention(self.registered, name, units=units, positions=self.positions, values=values, seed=self.seed)


def ablation_of(
    kind: str, *, position: PromptPosition, reference: Tensor | None, seed: int, shape: Sequence[int]
) -> Ablation:
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


def _fits(reference: Tensor, needed: str, shape: Sequence[int]) -> bool:
    n_layers, n_units = shape
    if needed == "rows":
        return reference.ndim == 3 and (len(reference), reference.shape[2]) == (n_layers, n_units)
    return tuple(reference.shape) == (n_layers, n_units)
