"""Lesions of attention heads: their keys, queries or values set to zero, or replaced by those of reference texts."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from tlesion import interventions as iv
from tlesion.anatomy.model import device_of
from tlesion.checks import one_of
from tlesion.hooks import Model, in_layers, layer_of, width
from tlesion.interventions import Positions
from tlesion.stats import Moments
from tlesion.studies.common.walk import Walk, inference
from tlesion.studies.replacement.variants import Variant
from tlesion.tokens import encode

PARTS = {"key": "attn.hook_k", "query": "attn.hook_q", "value": "attn.hook_v"}
HEAD_ABLATIONS = ("zero", "mean", "resample")


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
        return _mean_of_heads(model, names, reference, prepend_bos=prepend_bos)
    generator = torch.Generator().manual_seed(seed)
    return _resampled_heads(model, names, reference, generator=generator, prepend_bos=prepend_bos)


def _mean_of_heads(
    model: Model, names: Sequence[str], texts: Sequence[str], *, prepend_bos: bool | None = None
) -> dict[str, Float64[Tensor, "head d_head"]]:
    """Means over all tokens of some texts, special tokens included.

    Args:
        model: The model.
        names: Full hook names of keys, queries or values.
        texts: The texts.
        prepend_bos: As everywhere.
    """
    heads, units = width(model, names[0])
    asked = {layer_of(name) or 0: name for name in names}
    found = {}
    with inference(model):
        walk = Walk(model, [encode(model, text, prepend_bos=prepend_bos).ids for text in texts])
        for layer in range(max(asked) + 1):
            moments = Moments.zeros(((heads or 1) * units,), device_of(model))

            def take(_: tuple[int, ...], activation: Tensor, moments: Moments = moments) -> None:
                moments.update(activation.flatten(0, 1))

            walk.advance(layer, asked.get(layer), take)
            if layer in asked:
                found[asked[layer]] = moments.mean.cpu().view(heads or 1, units)
    return found


def _resampled_heads(
    model: Model,
    names: Sequence[str],
    texts: Sequence[str],
    *,
    generator: torch.Generator,
    prepend_bos: bool | None = None,
) -> dict[str, Float[Tensor, "pos head d_head"]]:
    """For every position the values of one token of the texts, drawn with replacement; the same token in all layers.

    As many positions as the longest of the texts has.

    Args:
        model: The model.
        names: Full hook names of keys, queries or values.
        texts: The texts.
        generator: Of the draws.
        prepend_bos: As everywhere.
    """
    heads, units = width(model, names[0])
    asked = {layer_of(name) or 0: name for name in names}
    encoded = [encode(model, text, prepend_bos=prepend_bos).ids for text in texts]
    places = [(text, position) for text, ids in enumerate(encoded) for position in range(len(ids))]
    drawn = torch.randint(len(places), (max(len(ids) for ids in encoded),), generator=generator).tolist()
    found = {}
    with inference(model):
        walk = Walk(model, encoded)
        for layer in range(max(asked) + 1):
            values = torch.zeros(len(drawn), (heads or 1) * units, dtype=model.cfg.dtype)

            def take(members: tuple[int, ...], activation: Tensor, values: Tensor = values) -> None:
                for slot, (text, position) in enumerate(places[index] for index in drawn):
                    if text in members:
                        values[slot] = activation[members.index(text), position].cpu()

            walk.advance(layer, asked.get(layer), take)
            if layer in asked:
                found[asked[layer]] = values.view(len(drawn), heads or 1, units)
    return found
