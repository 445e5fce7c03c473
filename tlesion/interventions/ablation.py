"""Ablation: what is put in place of a layer's masked units, the same for every study that cuts neurons."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

from tlesion import interventions as iv
from tlesion.checks import one_of
from tlesion.interventions import Intervention, Positions

ABLATIONS = ("zero", "mean", "median", "gaussian")


@dataclass(frozen=True, eq=False)
class Ablation:
    """What is done to masked units; make one with :func:`ablation_of`.

    Attributes:
        kind: One of `ABLATIONS`.
        positions: Where along the text, as interventions take it.
        reference: Values for ``"mean"`` and ``"median"``, ``[layer, unit]``.
        seed: Of the noise.
    """

    kind: str
    positions: Positions
    reference: Tensor | None
    seed: int

    def at(self, name: str, layer: int, units: Bool[Tensor, " unit"]) -> Intervention:
        """The intervention on one layer's masked units."""
        if self.kind == "zero":
            return iv.zero(name, units=units, positions=self.positions)
        if self.kind == "gaussian":
            return iv.gaussian(name, seed=self.seed, units=units, positions=self.positions)
        assert self.reference is not None
        return iv.replace(name, self.reference[layer], units=units, positions=self.positions)


def ablation_of(
    kind: str, *, position: str | int, reference: Tensor | None, seed: int, shape: Sequence[int]
) -> Ablation:
    """Check an ablation's options.

    Args:
        kind: ``"zero"``; ``"mean"`` or ``"median"`` (put in ``reference``); ``"gaussian"`` (standard normal noise).
        position: ``"readout"``, ``"all"``, or an index for every prompt.
        reference: Values for ``"mean"`` and ``"median"``.
        seed: Of the noise.
        shape: ``(layers, units)`` that the reference has to have.

    Raises:
        ValueError: An unknown kind or position; reference values that are missing or do not fit.
    """
    one_of("ablation", kind, ABLATIONS)
    if not isinstance(position, int):
        one_of("position", position, ("readout", "all"))
    if kind not in ("mean", "median"):
        reference = None
    elif reference is None or tuple(reference.shape) != tuple(shape):
        got = "none" if reference is None else f"shape {tuple(reference.shape)}"
        raise ValueError(
            f"ablation {kind!r} needs reference values of shape {tuple(shape)}, [layer, unit], and got {got}; measure "
            "them on a reference set: reference=tlesion.measure_reference(model, contrast, ...)"
        )
    return Ablation(kind, None if position == "all" else position, reference, seed)
