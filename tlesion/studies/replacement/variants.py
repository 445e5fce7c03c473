"""What is replaced: named lesions of heads, of neurons by noise, and of hidden states by a factor.

Each maker returns a list of `Variant`, one per lesion of a replacement study. A variant of your own is
``Variant("my lesion", interventions=(...), settings={})``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from tlesion import interventions as iv
from tlesion.checks import one_of
from tlesion.hooks import FwdHook, Model, hidden_state, in_layers, layer_indices, layer_of, width
from tlesion.interventions import Positions, Units
from tlesion.studies.replacement.head_values import mean_of_heads, resampled_heads

PARTS = {"key": "attn.hook_k", "query": "attn.hook_q", "value": "attn.hook_v"}
HEAD_ABLATIONS = ("zero", "mean", "resample")


@dataclass(frozen=True, eq=False)
class Variant:
    """One lesion of a replacement study.

    Attributes:
        label: What figures and tables call it.
        interventions: ``(hook name, function)`` pairs that are applied together.
        settings: What was done, as JSON has it: ``kind``, ``layer``, and what else tells variants apart.
    """

    label: str
    interventions: tuple[FwdHook, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def layer(self) -> int:
        """The block after which the deviation counts as whole: the last that is lesioned."""
        return max((layer_of(name) or 0 for name, _ in self.interventions), default=0)


def head_variants(
    model: Model,
    *,
    part: str = "key",
    heads: Any = "each",
    layers: Literal["all"] | Sequence[int] = "all",
    ablation: str = "zero",
    reference: Sequence[str] = (),
    positions: Positions = None,
    seed: int = 0,
    prepend_bos: bool | None = None,
) -> list[Variant]:
    """Replace the keys, queries or values of attention heads: a variant per layer, or per layer and head.

    Args:
        model: The model.
        part: ``"key"``, ``"query"`` or ``"value"``.
        heads: ``"each"``: every head by itself; or a head, or several that are lesioned together. In a grouped-query
            model keys and values have fewer heads than queries: the index then counts key/value heads.
        layers: ``"all"`` or layer indices.
        ablation: ``"zero"``; ``"mean"``: the mean over all tokens of the reference texts; ``"resample"``: at every
            position the values of one of their tokens, drawn once (seeded), the same for every prompt.
        reference: Texts to take the mean, or the draws, from.
        positions: Token positions; None for all, ``"readout"`` for each prompt's own.
        seed: Of the draws.
        prepend_bos: For the reference texts.

    Returns:
        Variants for :func:`tlesion.replacement`, layer by layer.

    Raises:
        ValueError: An unknown part or ablation; a head that does not exist; ``"mean"`` or ``"resample"`` without
            reference texts.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-gpt")
        >>> [variant.label for variant in tlesion.head_variants(model, layers=[3])]
        ['key head 3.0', 'key head 3.1', 'key head 3.2', 'key head 3.3']
    """
    one_of("part", part, PARTS)
    one_of("ablation", ablation, HEAD_ABLATIONS)
    names = in_layers(model, PARTS[part], layers)
    chosen = _heads_of(model, names[0], part, heads)
    values = _head_values(model, names, ablation, reference, seed=seed, prepend_bos=prepend_bos)
    variants = []
    for name in names:
        for group in chosen:
            index = list(group)
            if ablation == "zero":
                edit = iv.zero(name, heads=index, positions=positions)
            else:
                edit = iv.replace(name, values[name], heads=index, positions=positions)
            layer = layer_of(name) or 0
            shown = "+".join(map(str, index))
            settings = {"kind": f"{part} head", "layer": layer, "head": shown, "ablation": ablation, "seed": seed}
            variants.append(Variant(f"{part} head {layer}.{shown}", (edit,), settings))
    return variants


def noise_variants(
    model: Model,
    *,
    units: Units = slice(0, None, 2),
    mean: float | int = 10.0,
    std: float | int = 1.0,
    seed: int = 0,
    mode: str = "substitute",
    hook_point: str = "mlp.hook_post",
    layers: Literal["all"] | Sequence[int] = "all",
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


def scale_variants(
    model: Model,
    *,
    factors: Sequence[float | int] = (0.1, 10.0),
    layers: Literal["all"] | Sequence[int] = "all",
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


def _heads_of(model: Model, name: str, part: str, heads: Any) -> list[tuple[int, ...]]:
    """The groups of heads that are lesioned together.

    Raises:
        ValueError: A head that does not exist; in a grouped-query model the message says what heads count there.
    """
    n_heads = width(model, name)[0] or 0
    if isinstance(heads, str):
        one_of("heads", heads, ["each"])
        return [(head,) for head in range(n_heads)]
    group = [int(head) for head in (heads if isinstance(heads, Sequence) else [heads])]
    wrong = [head for head in group if not -n_heads <= head < n_heads]
    if wrong or not group:
        problem = f"{part} heads {wrong} do not exist" if wrong else "no head was given"
        shared = model.cfg.n_heads // max(n_heads, 1)
        grouped = (
            f"; in this grouped-query model keys and values have {n_heads} heads, each shared by {shared} of the "
            f"{model.cfg.n_heads} query heads: query head h reads key/value head h // {shared}"
        )
        raise ValueError(
            f"{problem}; {name!r} has {n_heads} heads, 0 to {n_heads - 1}" + (grouped if shared > 1 else "")
        )
    return [tuple(dict.fromkeys(head % n_heads for head in group))]


def _head_values(
    model: Model, names: Sequence[str], ablation: str, reference: Sequence[str], *, seed: int, prepend_bos: bool | None
) -> dict[str, Float[Tensor, "... head d_head"]]:
    if ablation == "zero":
        return {}
    if isinstance(reference, str) or not len(reference):
        raise ValueError(
            f"ablation {ablation!r} takes its values from reference texts, and none were given; give a list of texts: "
            "reference=[prompt.text for prompt in prompts]"
        )
    if ablation == "mean":
        return mean_of_heads(model, names, reference, prepend_bos=prepend_bos)
    generator = torch.Generator().manual_seed(seed)
    return resampled_heads(model, names, reference, generator=generator, prepend_bos=prepend_bos)
