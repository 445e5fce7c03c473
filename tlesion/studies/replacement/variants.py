"""What is replaced: named lesions, of neurons by noise and of hidden states by a factor; those of heads: ``heads.py``.

Each maker returns a list of `Variant`, one per lesion of a replacement study. A variant of your own is
``Variant("my lesion", interventions=(...), settings={})``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tlesion import interventions as iv
from tlesion.hooks import FwdHook, Layers, Model, hidden_state, in_layers, layer_indices, layer_of
from tlesion.interventions import Positions, Units
from tlesion.public import public


@dataclass(frozen=True, eq=False)
class Variant:
    """One lesion of a replacement study.

    Attributes:
        label: What figures and tables call it.
        interventions: ``(hook name, function)`` pairs that are applied together.
        settings: What was done, as JSON has it: ``kind``, ``layer``, and whatever else distinguishes variants.
    """

    label: str
    interventions: tuple[FwdHook, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def layer(self) -> int:
        """The block after which the deviation counts as whole: the last that is lesioned."""
        return max((layer_of(name) or 0 for name, _ in self.interventions), default=0)


@public
def noise_variants(
    model: Model,
    *,
    units: Units = slice(0, None, 2),
    mean: float | int = 10.0,
    std: float | int = 1.0,
    seed: int = 0,
    mode: str = "substitute",
    hook_point: str = "mlp.hook_post",
    layers: Layers = "all",
    positions: Positions = None,
) -> list[Variant]:
    """Put Gaussian noise in place of neurons, or on top of them: a variant per layer.

    Args:
        model: The model.
        units: Which neurons; every even one unless told otherwise.
        mean: Mean of the noise, in the activation's own units. The result says how far out of distribution it is.
        std: Standard deviation of the noise.
        seed: Of the noise.
        mode: ``"substitute"`` or ``"add"``.
        hook_point: Short form of the point.
        layers: ``"all"`` or layer indices.
        positions: Token positions; None for all, ``"readout"`` for each prompt's own.

    Returns:
        Variants for :func:`tlesion.replacement`, layer by layer.

    Raises:
        ValueError: As :func:`tlesion.interventions.gaussian`; an unknown hook point or layer.

    Example:
        >>> import tlesion
        >>> tlesion.noise_variants(tlesion.load_model("toy-gpt"), layers=[4])[0].label
        'noise N(10, 1) in layer 4'
    """
    variants = []
    for name in in_layers(model, hook_point, layers):
        edit = iv.gaussian(
            name, mean=float(mean), std=float(std), seed=seed, mode=mode, units=units, positions=positions
        )
        layer = layer_of(name) or 0
        added = "added " if mode == "add" else ""
        settings = {"kind": "noise", "layer": layer, "mean": float(mean), "std": float(std), "mode": mode, "seed": seed}
        variants.append(Variant(f"{added}noise N({mean:g}, {std:g}) in layer {layer}", (edit,), settings))
    return variants


@public
def scale_variants(
    model: Model,
    *,
    factors: Sequence[float | int] = (0.1, 10.0),
    layers: Layers = "all",
    positions: Positions = None,
) -> list[Variant]:
    """Multiply a block's output: a variant per factor and layer.

    The block's output is the hidden state as Hugging Face has it: ``hook_resid_post`` in pre-norm models,
    ``hook_normalized_resid_post`` in BERT.

    Args:
        model: The model.
        factors: What to multiply by.
        layers: ``"all"`` or layer indices.
        positions: Token positions; None for all, ``"readout"`` for each prompt's own.

    Returns:
        Variants for :func:`tlesion.replacement`, factor by factor and layer by layer.

    Raises:
        ValueError: No factor, one that is not finite, a layer that does not exist.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-bert")
        >>> [one.label for one in tlesion.scale_variants(model, factors=[0.1, 10], layers=[5])]
        ['layer 5 × 0.1', 'layer 5 × 10']
    """
    if not len(factors):
        raise ValueError("no factor was given; give at least one, such as factors=[0.1, 10]")
    return [
        Variant(
            f"layer {layer} × {factor:g}",
            (iv.scale(hidden_state(model, layer), float(factor), positions=positions),),
            {"kind": "scale", "layer": layer, "factor": float(factor)},
        )
        for factor in factors
        for layer in layer_indices(model, layers)
    ]
