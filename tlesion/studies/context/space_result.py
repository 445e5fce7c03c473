"""`SpaceModulation`: how alike a word's activations are with a leading space and without."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from jaxtyping import Float, Float64
from torch import Tensor

from tlesion.correlation import fisher_interval
from tlesion.keep.results import Result


@dataclass(frozen=True, eq=False, kw_only=True)
class SpaceModulation(Result):
    """Activations of words with a leading space against the same words without, layer by layer.

    Attributes:
        with_space: Activations of " apple", run by itself.
        without_space: Activations of "apple".
        correlation: Pearson's r over all words and neurons.
        correlation_low, correlation_high: Its interval, by a jackknife over words.
        spearman: Spearman's r over all words and neurons.
        spearman_low, spearman_high: Its interval, likewise.
        correlation_by_word, spearman_by_word: r of each word, over neurons.
        correlation_by_neuron, spearman_by_neuron: r of each neuron, over words.
        t: Paired t over words, positive where the activation is larger with the space.
        p, p_adjusted: Its two-sided p-value, and that after the correction over a layer.
        effect_size: d_z, the mean difference by the standard deviation of the differences.
        words: The words that were used.
        skipped: The others, each with the reason.
        alone: What stands before the words, in words.
        layers: The model's layer of every row.
        hook_point: Short form of the hook point.
        level: Confidence level.
    """

    with_space: Float[Tensor, "layer word neuron"]
    without_space: Float[Tensor, "layer word neuron"]
    correlation: Float64[Tensor, " layer"]
    correlation_low: Float64[Tensor, " layer"]
    correlation_high: Float64[Tensor, " layer"]
    spearman: Float64[Tensor, " layer"]
    spearman_low: Float64[Tensor, " layer"]
    spearman_high: Float64[Tensor, " layer"]
    correlation_by_word: Float64[Tensor, "layer word"]
    spearman_by_word: Float64[Tensor, "layer word"]
    correlation_by_neuron: Float64[Tensor, "layer neuron"]
    spearman_by_neuron: Float64[Tensor, "layer neuron"]
    t: Float64[Tensor, "layer neuron"]
    p: Float64[Tensor, "layer neuron"]
    p_adjusted: Float64[Tensor, "layer neuron"]
    effect_size: Float64[Tensor, "layer neuron"]
    words: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    alone: str
    layers: tuple[int, ...]
    hook_point: str
    level: float

    def to_frame(self) -> pd.DataFrame:
        """Tidy: a row per layer.

        Columns: layer, correlation, low, high, spearman, spearman_low, spearman_high.
        """
        frame = pd.DataFrame({"layer": self.layers, "correlation": self.correlation.numpy()})
        frame["low"], frame["high"] = self.correlation_low.numpy(), self.correlation_high.numpy()
        for name in ("spearman", "spearman_low", "spearman_high"):
            frame[name] = getattr(self, name).numpy()
        return frame

    def words_frame(self, layer: int) -> pd.DataFrame:
        """A row per word of one layer, over its neurons.

        Columns: layer, word, correlation, low, high, spearman, spearman_low, spearman_high. The neurons of a word are
        not independent of each other: these intervals (Fisher's) are descriptive.

        Raises:
            ValueError: The layer is not in this result.
        """
        return self._frame(layer, "word", self.words, self.with_space.shape[2])

    def neurons_frame(self, layer: int) -> pd.DataFrame:
        """A row per neuron of one layer, over words.

        Columns: layer, neuron, correlation, low, high, spearman, spearman_low, spearman_high, t, p, p_adjusted,
        effect_size.

        Raises:
            ValueError: The layer is not in this result.
        """
        frame = self._frame(layer, "neuron", range(self.with_space.shape[2]), len(self.words))
        for name in ("t", "p", "p_adjusted", "effect_size"):
            frame[name] = getattr(self, name)[self.layers.index(layer)].numpy()
        return frame

    def sensitive_neurons(self, layer: int, n: int = 10) -> pd.DataFrame:
        """The ``n`` neurons of a layer that the space changes most reliably: the rows with the largest |d_z|."""
        frame = self.neurons_frame(layer)
        order = frame["effect_size"].abs().sort_values(ascending=False, kind="stable").index[:n]
        return frame.loc[order].reset_index(drop=True)

    def _frame(self, layer: int, unit: str, labels: Sequence[object], n_pairs: int) -> pd.DataFrame:
        if layer not in self.layers:
            raise ValueError(f"layer {layer} is not in this result; it has {list(self.layers)}")
        row = self.layers.index(layer)
        r, rho = getattr(self, f"correlation_by_{unit}")[row], getattr(self, f"spearman_by_{unit}")[row]
        frame = pd.DataFrame({"layer": layer, unit: labels, "correlation": r.numpy()})
        low, high = fisher_interval(r, n_pairs, level=self.level)
        frame["low"], frame["high"], frame["spearman"] = low.numpy(), high.numpy(), rho.numpy()
        low, high = fisher_interval(rho, n_pairs, coefficient="spearman", level=self.level)
        frame["spearman_low"], frame["spearman_high"] = low.numpy(), high.numpy()
        return frame
