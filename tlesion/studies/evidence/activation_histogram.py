"""What the activation function lets through: histograms before and after it, layer by layer.

Zeroing has no effect on a value that the GELU has already brought close to zero. The histograms of
``mlp.hook_pre`` and ``mlp.hook_post`` at the positions of a contrast show how many such values there are.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from tlesion.anatomy.model import activation_function
from tlesion.checks import DoesNotApply
from tlesion.encoding import encode_sentence
from tlesion.hooks import Layers, Model, in_layers, layer_of
from tlesion.keep.results import Result
from tlesion.positions import SentencePosition, recorded
from tlesion.provenance import provenance_of
from tlesion.public import public
from tlesion.selection.stream import RowSink, stream_rows
from tlesion.stats.histogram import Histogram
from tlesion.stimuli import Contrast

N_BINS = 256


@dataclass(frozen=True, eq=False, kw_only=True)
class ActivationHistogram(Result):
    """Histograms of a layer's MLP activations in both conditions, before and after the activation function.

    Attributes:
        before: Values of ``mlp.hook_pre`` in each bin. Bins have the layer's width, and zero is the middle edge.
        after: The same of ``mlp.hook_post``.
        width_before: Width of a layer's bins, in units of the activation.
        width_after: The same after the activation function.
        negative: Share of the values before it that are below zero.
        silenced: Share of the values x before it of which the activation function f lets next to nothing through,
            \\|f(x)\\| ≤ ``threshold`` · \\|x\\| where x is not zero. For the GELU, f(x) = x Φ(x), and a
            threshold of 0.1 these are the values below −1.28; for the ReLU those below 0.
        threshold: See ``silenced``.
        conditions: Names of a and b, the first axis.
        layers: The model's layer of every row.
    """

    before: Int64[Tensor, "condition layer bin"]
    after: Int64[Tensor, "condition layer bin"]
    width_before: Float64[Tensor, " layer"]
    width_after: Float64[Tensor, " layer"]
    negative: Float64[Tensor, "condition layer"]
    silenced: Float64[Tensor, "condition layer"]
    threshold: float
    conditions: tuple[str, str]
    layers: tuple[int, ...]

    def to_frame(self) -> pd.DataFrame:
        """Tidy: a row per condition, layer, point and bin that holds a value.

        Columns: condition, layer, point ("before" or "after"), low, high (the bin's edges), count.
        """
        parts = []
        for point in ("before", "after"):
            counts = getattr(self, point)
            condition, layer, bin_ = counts.nonzero(as_tuple=True)
            width = getattr(self, f"width_{point}")[layer]
            low = (bin_ - counts.shape[2] // 2) * width
            parts.append(
                pd.DataFrame(
                    {
                        "condition": [self.conditions[i] for i in condition.tolist()],
                        "layer": [self.layers[i] for i in layer.tolist()],
                        "point": point,
                        "low": low.numpy(),
                        "high": (low + width).numpy(),
                        "count": counts[condition, layer, bin_].numpy(),
                    }
                )
            )
        return pd.concat(parts, ignore_index=True)

    def shares(self) -> pd.DataFrame:
        """Columns: layer, condition, negative, silenced (shares, 0 to 1); a row per layer and condition."""
        axes = pd.MultiIndex.from_product([self.layers, self.conditions], names=["layer", "condition"])
        frame = axes.to_frame(index=False)
        frame["negative"] = self.negative.T.flatten().numpy()
        frame["silenced"] = self.silenced.T.flatten().numpy()
        return frame


@public
def activation_histogram(
    model: Model,
    contrast: Contrast,
    *,
    position: SentencePosition = "word",
    threshold: float | int = 0.1,
    layers: Layers = "all",
    batch_size: int = 32,
    prepend_bos: bool | None = None,
) -> ActivationHistogram:
    """Histograms of MLP activations before and after the activation function, at the positions of a contrast.

    Counts are streamed inside the hooks: memory does not grow with the number of sentences.

    Args:
        model: A `HookedTransformer` or `HookedEncoder`.
        contrast: The sentences; a value is one neuron's activation in one sentence at one position.
        position: As in :func:`tlesion.select_neurons`.
        threshold: A value is silenced where at most this share of it is left.
        layers: ``"all"`` or layer indices.
        batch_size: Sentences in a forward pass.
        prepend_bos: None follows the model's TransformerLens default; False leaves the token out.

    Returns:
        Counts per condition and layer, and the shares of negative and of silenced values. In a gated MLP
        ``mlp.hook_post`` is the activation function's value times its partner; ``silenced`` is of the function alone.

    Raises:
        ValueError: A threshold outside (0, 1); a model without MLPs; a position or layer that does not exist; NaN in
            activations.

    Example:
        >>> import tlesion
        >>> from tlesion.studies.evidence.activation_histogram import activation_histogram
        >>> found = activation_histogram(tlesion.load_model("toy-bert"), tlesion.contrasts.him_her())
        >>> int(found.before.sum()) == 108 * 12 * 512
        True
    """
    if not 0 < threshold < 1:
        raise ValueError(f"threshold is {threshold}; give a share between 0 and 1, such as 0.1")
    if model.cfg.attn_only:
        raise DoesNotApply(
            "this model has no MLPs, so that no activation function can be looked at; leave the histogram out"
        )
    names = in_layers(model, "mlp.hook_pre", layers)
    options: dict[str, Any] = {"position": position, "subword": contrast.subword, "prepend_bos": prepend_bos}
    a, b = ([encode_sentence(model, one, **options) for one in part] for part in (contrast.a, contrast.b))
    before = {name: _Before(activation_function(model, layer_of(name) or 0), threshold) for name in names}
    after = {name.replace("hook_pre", "hook_post"): _Values() for name in names}
    sinks: dict[str, RowSink] = {**before, **after}
    stream_rows(model, a, b, sinks, paired=contrast.paired, batch_size=batch_size)
    n_values = torch.stack([sink.histogram.counts.sum(dim=1) for sink in before.values()], dim=1)
    return ActivationHistogram(
        before=_counts(before.values()),
        after=_counts(after.values()),
        width_before=torch.tensor([sink.histogram.width for sink in before.values()], dtype=torch.float64),
        width_after=torch.tensor([sink.histogram.width for sink in after.values()], dtype=torch.float64),
        negative=torch.stack([sink.negative for sink in before.values()], dim=1) / n_values.double(),
        silenced=torch.stack([sink.silenced for sink in before.values()], dim=1) / n_values.double(),
        threshold=float(threshold),
        conditions=contrast.conditions,
        layers=tuple(layer_of(name) or 0 for name in names),
        provenance=provenance_of(
            model,
            settings=options | recorded(position) | {"threshold": float(threshold), "hook_point": "mlp"},
            stimuli=contrast.stimuli,
        ),
    )


@dataclass(eq=False)
class _Values:
    """The rows of one hook point as a histogram: condition a, condition b."""

    histogram: Histogram = field(default_factory=lambda: Histogram.zeros(n_rows=2, n_bins=N_BINS), kw_only=True)

    def take(self, rows_a: Tensor, rows_b: Tensor) -> None:
        """See `RowSink`."""
        self.histogram.update(0, rows_a)
        self.histogram.update(1, rows_b)


@dataclass(eq=False)
class _Before(_Values):
    """The same before the activation function, with what it is going to silence."""

    activation: Callable[[Tensor], Tensor]
    threshold: float
    negative: Float64[Tensor, " condition"] = field(default_factory=lambda: torch.zeros(2, dtype=torch.float64))
    silenced: Float64[Tensor, " condition"] = field(default_factory=lambda: torch.zeros(2, dtype=torch.float64))

    def take(self, rows_a: Tensor, rows_b: Tensor) -> None:
        """See `RowSink`."""
        super().take(rows_a, rows_b)
        for condition, rows in enumerate((rows_a, rows_b)):
            left = self.activation(rows).abs()
            self.negative[condition] += int((rows < 0).sum())
            self.silenced[condition] += int(((left <= self.threshold * rows.abs()) & (rows != 0)).sum())


def _counts(sinks: Iterable[_Values]) -> Int64[Tensor, "condition layer bin"]:
    return torch.stack([sink.histogram.counts for sink in sinks], dim=1)
