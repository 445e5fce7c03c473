"""`SpaceModulation`: how similar a word's activations are with and without a leading space."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import pandas as pd
from jaxtyping import Float, Float64
from torch import Tensor

from tlesion.checks import row_of_layer
from tlesion.correlation import fisher_interval
from tlesion.keep.results import Result
from tlesion.public import public


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerSpace:
    """How alike activations are with a leading space and without, over all words and neurons of a layer.

    Attributes:
        correlation, low, high: Pearson's r and its interval, by a jackknife over words.
        spearman, spearman_low, spearman_high: Spearman's, likewise.
    """

    correlation: Float64[Tensor, " layer"]
    low: Float64[Tensor, " layer"]
    high: Float64[Tensor, " layer"]
    spearman: Float64[Tensor, " layer"]
    spearman_low: Float64[Tensor, " layer"]
    spearman_high: Float64[Tensor, " layer"]


@dataclass(frozen=True, eq=False, kw_only=True)
class WordSpace:
    """How alike single words are with a leading space and without, over neurons; a part of `SpaceModulation`."""

    correlation: Float64[Tensor, "layer word"]
    spearman: Float64[Tensor, "layer word"]


@dataclass(frozen=True, eq=False, kw_only=True)
class NeuronSpace:
    """What a leading space does to single neurons, over words; a part of `SpaceModulation`.

    Attributes:
        correlation, spearman: r of each neuron.
        t: Paired t, positive where the activation is larger with the space.
        p, p_adjusted: Its two-sided p-value, and that after the correction over a layer.
        effect_size: d_z, the mean difference by the standard deviation of the differences.
    """

    correlation: Float64[Tensor, "layer neuron"]
    spearman: Float64[Tensor, "layer neuron"]
    t: Float64[Tensor, "layer neuron"]
    p: Float64[Tensor, "layer neuron"]
    p_adjusted: Float64[Tensor, "layer neuron"]
    effect_size: Float64[Tensor, "layer neuron"]


@dataclass(frozen=True, eq=False, kw_only=True)
class SpaceModulation(Result):
    """Activations of words with a leading space against the same words without, layer by layer.

    Attributes:
        with_space: Activations of " apple", run by itself.
        without_space: Activations of "apple".
        overall: r over all words and neurons, with its interval.
        by_word: r of each word, over neurons.
        by_neuron: Neuron by neuron: r over words, and a paired t-test.
        words: The words that were used.
        skipped: The others, each with the reason.
        alone: What stands before the words, in words.
        layers: The model's layer of every row.
        hook_point: Short form of the hook point.
        level: Confidence level.
    """

    with_space: Float[Tensor, "layer word neuron"]
    without_space: Float[Tensor, "layer word neuron"]
    overall: LayerSpace
    by_word: WordSpace
    by_neuron: NeuronSpace
    words: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    alone: str
    layers: tuple[int, ...]
    hook_point: str
    level: float

    @classmethod
    def from_older(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Gather the ``values`` of a result that was saved before it had parts."""
        tests = {name: values[name] for name in ("t", "p", "p_adjusted", "effect_size")}
        return values | {
            "overall": LayerSpace(
                correlation=values["correlation"],
                low=values["correlation_low"],
                high=values["correlation_high"],
                **{name: values[name] for name in ("spearman", "spearman_low", "spearman_high")},
            ),
            "by_word": WordSpace(correlation=values["correlation_by_word"], spearman=values["spearman_by_word"]),
            "by_neuron": NeuronSpace(
                correlation=values["correlation_by_neuron"], spearman=values["spearman_by_neuron"], **tests
            ),
        }

    @property
    def correlation(self) -> Float64[Tensor, " layer"]:
        """Pearson's r over all words and neurons."""
        return self.overall.correlation

    @property
    def spearman(self) -> Float64[Tensor, " layer"]:
        """Spearman's r over all words and neurons."""
        return self.overall.spearman

    def to_frame(self) -> pd.DataFrame:
        """Tidy: a row per layer.

        Columns: layer, correlation, low, high, spearman, spearman_low, spearman_high.
        """
        columns = {field.name: getattr(self.overall, field.name).numpy() for field in fields(self.overall)}
        return pd.DataFrame({"layer": self.layers} | columns)

    def words_frame(self, layer: int) -> pd.DataFrame:
        """A row per word of one layer, over its neurons.

        Columns: layer, word, correlation, low, high, spearman, spearman_low, spearman_high. The neurons of a word are
        not independent of each other: these intervals (Fisher's) are descriptive.

        Raises:
            ValueError: The layer is not in this result.
        """
        return self._frame(layer, "word", self.words, self.by_word, self.with_space.shape[2])

    def neurons_frame(self, layer: int) -> pd.DataFrame:
        """A row per neuron of one layer, over words.

        Columns: layer, neuron, correlation, low, high, spearman, spearman_low, spearman_high, t, p, p_adjusted,
        effect_size.

        Raises:
            ValueError: The layer is not in this result.
        """
        frame = self._frame(layer, "neuron", range(self.with_space.shape[2]), self.by_neuron, len(self.words))
        for name in ("t", "p", "p_adjusted", "effect_size"):
            frame[name] = getattr(self.by_neuron, name)[self.layers.index(layer)].numpy()
        return frame

    @public
    def sensitive_neurons(self, layer: int, n: int = 10) -> pd.DataFrame:
        """The ``n`` neurons of a layer that the space changes most reliably: the rows with the largest |d_z|."""
        frame = self.neurons_frame(layer)
        order = frame["effect_size"].abs().sort_values(ascending=False, kind="stable").index[:n]
        return frame.loc[order].reset_index(drop=True)

    def _frame(
        self, layer: int, unit: str, labels: Sequence[object], part: WordSpace | NeuronSpace, n_pairs: int
    ) -> pd.DataFrame:
        row = row_of_layer(layer, self.layers)
        r, rho = part.correlation[row], part.spearman[row]
        frame = pd.DataFrame({"layer": layer, unit: labels, "correlation": r.numpy()})
        low, high = fisher_interval(r, n_pairs, level=self.level)
        frame["low"], frame["high"], frame["spearman"] = low.numpy(), high.numpy(), rho.numpy()
        low, high = fisher_interval(rho, n_pairs, coefficient="spearman", level=self.level)
        frame["spearman_low"], frame["spearman_high"] = low.numpy(), high.numpy()
        return frame
