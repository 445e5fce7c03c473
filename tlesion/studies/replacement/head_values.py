"""Keys, queries and values of reference texts, to put in place of those of other texts."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from tlesion.anatomy.model import device_of
from tlesion.hooks import Model, layer_of, width
from tlesion.stats import Moments
from tlesion.studies.common.walk import Walk, inference
from tlesion.tokens import encode


def mean_of_heads(
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


def resampled_heads(
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
