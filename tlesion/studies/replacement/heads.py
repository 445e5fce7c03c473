"""Lesions of attention heads: what becomes of their keys, queries or values says an ablation, by its name.

What an ablation puts in comes from reference texts, token by token.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tlesion.checks import one_of, plain, whole_numbers
from tlesion.hooks import Layers, Model, width
from tlesion.interventions import Positions, ablations
from tlesion.interventions.ablation import Ablation
from tlesion.public import public
from tlesion.studies.common.point import Point, point_of
from tlesion.studies.common.walk import Walk, inference
from tlesion.studies.replacement.variants import Variant
from tlesion.tokens import encode

PARTS = {"key": "attn.hook_k", "query": "attn.hook_q", "value": "attn.hook_v"}


@public
def head_variants(
    model: Model,
    *,
    part: str = "key",
    heads: Any = "each",
    layers: Layers = "all",
    ablation: str = "zero",
    reference: Sequence[str] = (),
    positions: Positions = None,
    seed: int = 0,
    prepend_bos: bool | None = None,
) -> list[Variant]:
    """Ablate the keys, queries or values of attention heads: a variant per layer, or per layer and head.

    Args:
        model: The model.
        part: ``"key"``, ``"query"`` or ``"value"``.
        heads: ``"each"``: every head by itself; or a head, or several that are lesioned together. In a grouped-query
            model keys and values have fewer heads than queries: the index then counts key/value heads.
        layers: ``"all"`` or layer indices.
        ablation: One of ``tlesion.interventions.ablations.names()``: ``"zero"``; ``"mean"``, ``"median"``: over all
            tokens of the reference texts; ``"resample"``: at every position the values of one of their tokens, drawn
            once (seeded), the same token in all layers and for every prompt; or one that you have registered.
        reference: Texts to take the values from, special tokens included.
        positions: Token positions; None for all, ``"readout"`` for each prompt's own.
        seed: Of the draws.
        prepend_bos: For the reference texts.

    Returns:
        Variants for :func:`tlesion.replacement`, layer by layer.

    Raises:
        ValueError: An unknown part or ablation; a head that does not exist; an ablation that needs reference texts
            without any.
        TypeError: Heads or layers that are no whole numbers.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-gpt")
        >>> [variant.label for variant in tlesion.head_variants(model, layers=[3])]
        ['key head 3.0', 'key head 3.1', 'key head 3.2', 'key head 3.3']
    """
    one_of("part", part, PARTS)
    registered = ablations.named(ablation)
    point = point_of(model, PARTS[part], layers)
    chosen = _heads_of(model, point.names[0], part, heads)
    values = _reference(model, point, registered, reference, seed=seed, prepend_bos=prepend_bos)
    made = Ablation(registered, positions, values, seed)
    of_head = torch.arange(point.n_units) // (point.n_units // (width(model, point.names[0])[0] or 1))
    variants = []
    for row, (name, layer) in enumerate(zip(point.names, point.layers, strict=True)):
        for group in chosen:
            edit = made.at(name, row, torch.isin(of_head, torch.tensor(group)))
            shown = "+".join(map(str, group))
            settings = {"kind": f"{part} head", "layer": layer, "head": shown, "ablation": ablation, "seed": seed}
            variants.append(Variant(f"{part} head {layer}.{shown}", (edit,), settings))
    return variants


def _heads_of(model: Model, name: str, part: str, heads: Any) -> list[tuple[int, ...]]:
    """The groups of heads that are lesioned together.

    Raises:
        ValueError: A head that does not exist; in a grouped-query model the message says what heads count there.
    """
    n_heads = width(model, name)[0] or 0
    if isinstance(plain(heads), str):
        one_of("heads", heads, ["each"])
        return [(head,) for head in range(n_heads)]
    one = isinstance(heads, int) or getattr(heads, "ndim", 1) == 0
    group = whole_numbers("heads", [heads] if one else heads)
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


def _reference(
    model: Model,
    point: Point,
    registered: ablations.Registered,
    reference: Sequence[str],
    *,
    seed: int,
    prepend_bos: bool | None,
) -> Float[Tensor, "layer *row unit"] | None:
    """What an ablation puts in: a statistic over all tokens of the texts, or the values of drawn ones."""
    needed = registered.needs_reference
    if needed is None:
        return None
    if isinstance(reference, str) or not len(reference):
        raise ValueError(
            f"ablation {registered.name!r} takes its values from reference texts, and none were given; give a list of "
            "texts: reference=[prompt.text for prompt in prompts]"
        )
    texts = [encode(model, text, prepend_bos=prepend_bos).ids for text in reference]
    rows = _tokens(model, point, texts)
    if needed == "rows":
        # With replacement, as many as the longest of the texts has positions.
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randint(rows.shape[1], (max(len(ids) for ids in texts),), generator=generator)
        return rows[:, drawn]
    values = rows.double()
    if needed == "median":
        return torch.from_numpy(np.median(values.numpy(), axis=1))
    return (values.abs() if needed == "mean_absolute" else values).mean(dim=1)


def _tokens(model: Model, point: Point, texts: Sequence[Tensor]) -> Float[Tensor, "layer token unit"]:
    """The values at every token of the texts, text after text."""
    names, found = dict(zip(point.layers, point.names, strict=True)), {}
    with inference(model):
        walk = Walk(model, texts)
        for layer in range(max(names) + 1):
            by_text: dict[int, Tensor] = {}

            def take(members: tuple[int, ...], activation: Tensor, by_text: dict[int, Tensor] = by_text) -> None:
                by_text.update(zip(members, activation.cpu(), strict=True))

            walk.advance(layer, names.get(layer), take)
            if layer in names:
                found[layer] = torch.cat([by_text[index] for index in range(len(texts))])
    return torch.stack([found[layer] for layer in point.layers])
