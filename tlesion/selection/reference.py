"""Reference values of every unit over a set of sentences: to put in place of an activation, or to match controls on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from tlesion.checks import one_of
from tlesion.encoding import EncodedSentence, encode_sentence
from tlesion.hooks import Layers, Model, in_layers, width
from tlesion.interventions import ablations
from tlesion.interventions.ablations import REFERENCES
from tlesion.positions import SentencePosition
from tlesion.public import public
from tlesion.selection.stream import Kept, Streamed, stream_rows
from tlesion.stimuli import Contrast
from tlesion.tokens import is_masked


@public
def measure_reference(
    model: Model,
    contrast: Contrast,
    *,
    statistic: str = "mean",
    hook_point: str = "mlp.hook_post",
    position: SentencePosition = "word",
    layers: Layers = "all",
    batch_size: int = 32,
    prepend_bos: bool | None = None,
    seed: int = 0,
) -> Float64[Tensor, "layer *row unit"]:
    """Mean, median or mean absolute value of every unit over all sentences of a contrast, both conditions together.

    Args:
        model: The model.
        contrast: The reference set; a row is one sentence at one position.
        statistic: ``"mean"``, ``"mean_absolute"`` (streamed both), ``"median"`` (rows are kept: sentences × units
            numbers a layer), or ``"rows"``: those rows themselves, in an order that is drawn once for all layers.
        hook_point: Short form of the point.
        position: As in :func:`tlesion.select_neurons`; ``"mask"`` fits a lesion at the mask.
        layers: ``"all"`` or layer indices.
        batch_size: Sentences in a forward pass.
        prepend_bos: None follows the model's TransformerLens default; False leaves the token out.
        seed: Of the order of the rows.

    Returns:
        One value per layer and unit: a mean or median for ``laminar_profile(ablation="mean", reference=...)`` or
        ``iv.replace``, a mean absolute value for ``tlesion.matched_controls(match=...)``. ``"rows"`` gives
        ``[layer, row, unit]``, for ``ablation="resample"``.

    Raises:
        ValueError: An unknown statistic, hook point or position; NaN in activations.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-bert")
        >>> tlesion.measure_reference(model, tlesion.contrasts.him_her(), position="mask").shape
        torch.Size([12, 512])
    """
    one_of("statistic", statistic, REFERENCES)
    names = in_layers(model, hook_point, layers)
    width(model, names[0])
    sentences: list[EncodedSentence] = [
        encode_sentence(model, one, position=position, subword=contrast.subword, prepend_bos=prepend_bos)
        for one in (*contrast.a, *contrast.b)
    ]
    makers: dict[str, Callable[[], Any]] = {"mean": _streamed, "mean_absolute": _Absolute}
    sinks: dict[str, Any] = {name: makers.get(statistic, Kept)() for name in names}
    stream_rows(model, sentences, [], sinks, paired=False, batch_size=batch_size)
    values = torch.stack([_value(sink, statistic) for sink in sinks.values()])
    if statistic == "rows":
        values = values[:, np.random.default_rng(seed).permutation(values.shape[1])]
    if not bool(values.isfinite().all()):
        raise ValueError(
            f"activations at {hook_point!r} are NaN or infinite in {int((~values.isfinite()).sum())} of "
            f"{values.numel()} units; a reference needs finite ones: look at the model's weights and dtype"
        )
    return values


def _value(sink: Streamed | Kept, statistic: str) -> Float64[Tensor, "*row unit"]:
    if isinstance(sink, Streamed):
        return sink.a.mean.cpu()
    rows = torch.cat(sink.rows_a).double()
    return _median(rows) if statistic == "median" else rows


@public
def reference_for(
    model: Model,
    contrast: Contrast,
    ablation: str,
    *,
    hook_point: str = "mlp.hook_post",
    layers: Layers = "all",
    batch_size: int = 32,
    prepend_bos: bool | None = None,
    seed: int = 0,
) -> Float64[Tensor, "layer *row unit"] | None:
    """What an ablation at the readout of prompts puts in: measured where the sentences themselves would be read.

    That is at the mask token (masked models), or at the token before the word (causal ones). At the word itself a unit
    has other values: the word has been read there, and at a prompt's readout it has not.

    Args:
        model: The model.
        contrast: The reference set.
        ablation: The ablation's name.
        hook_point, layers, batch_size, prepend_bos, seed: See `measure_reference`.

    Returns:
        Its reference; None for an ablation that needs none.

    Raises:
        ValueError: An unknown ablation; see `measure_reference`.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-bert")
        >>> reference_for(model, tlesion.contrasts.him_her(), "zero") is None
        True
    """
    needed = ablations.named(ablation).needs_reference
    if needed is None:
        return None
    return measure_reference(
        model,
        contrast,
        statistic=needed,
        hook_point=hook_point,
        position="mask" if is_masked(model) else "before",
        layers=layers,
        batch_size=batch_size,
        prepend_bos=prepend_bos,
        seed=seed,
    )


def _streamed() -> Streamed:
    return Streamed(paired=False)


@dataclass(eq=False)
class _Absolute(Streamed):
    """Moments of absolute values."""

    paired: bool = False

    def take(self, rows_a: Tensor, rows_b: Tensor) -> None:
        """See `RowSink`."""
        super().take(rows_a.abs(), rows_b.abs())


def _median(rows: Float64[Tensor, "row unit"]) -> Float64[Tensor, " unit"]:
    """The middle value, or the mean of the two middle ones; NaN where a row is NaN."""
    # NumPy's: torch's median takes the lower of the two, and its quantile refuses large inputs.
    return torch.from_numpy(np.median(rows.numpy(), axis=0))
