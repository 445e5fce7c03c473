"""Reference values: the mean or median of every unit over a set of sentences, to put in place of an activation."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from tlesion.checks import one_of
from tlesion.encoding import EncodedSentence, Position, encode_sentence
from tlesion.hooks import Model, in_layers
from tlesion.selection.stream import Kept, Streamed, stream_rows
from tlesion.stimuli import Contrast

STATISTICS = ("mean", "median")


def measure_reference(
    model: Model,
    contrast: Contrast,
    *,
    statistic: str = "mean",
    hook_point: str = "mlp.hook_post",
    position: Position = "word",
    layers: Literal["all"] | Sequence[int] = "all",
    batch_size: int = 32,
    prepend_bos: bool | None = None,
) -> Float64[Tensor, "layer unit"]:
    """Mean or median of every unit over all sentences of a contrast, both conditions together.

    Args:
        model: The model.
        contrast: The reference set; a row is one sentence at one position.
        statistic: ``"mean"`` (streamed) or ``"median"`` (rows are kept: sentences × units numbers a layer).
        hook_point: Short form of the point.
        position: As in :func:`tlesion.select_neurons`; ``"mask"`` fits a lesion at the mask.
        layers: ``"all"`` or layer indices.
        batch_size: Sentences in a forward pass.
        prepend_bos: As everywhere.

    Returns:
        One value per layer and unit, for ``laminar_profile(ablation="mean", reference=...)`` or ``iv.replace``.

    Raises:
        ValueError: An unknown statistic, hook point or position.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-bert")
        >>> tlesion.measure_reference(model, tlesion.contrasts.him_her(), position="mask").shape
        torch.Size([12, 512])
    """
    one_of("statistic", statistic, STATISTICS)
    names = in_layers(model, hook_point, layers)
    sentences: list[EncodedSentence] = [
        encode_sentence(model, one, position=position, subword=contrast.subword, prepend_bos=prepend_bos)
        for one in (*contrast.a, *contrast.b)
    ]
    if statistic == "mean":
        streamed = {name: Streamed(paired=False) for name in names}
        stream_rows(model, sentences, [], dict(streamed), paired=False, batch_size=batch_size)
        return torch.stack([streamed[name].a.mean.cpu() for name in names])
    kept = {name: Kept() for name in names}
    stream_rows(model, sentences, [], dict(kept), paired=False, batch_size=batch_size)
    return torch.stack([torch.cat(kept[name].rows_a).double().quantile(0.5, dim=0) for name in names])
