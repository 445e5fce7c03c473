"""`ContextModulation`: how similar a token's activations are in context and alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from jaxtyping import Float, Float64, Int
from torch import Tensor

from tlesion.checks import one_of, row_of_layer
from tlesion.correlation import fisher_interval
from tlesion.keep.results import Result
from tlesion.public import public
from tlesion.studies.common.token_axis import TokenAxis

KINDS = ("context-sensitive", "stable")


@dataclass(frozen=True, eq=False, kw_only=True)
class NeuronContext:
    """What context does to single neurons; a part of `ContextModulation`.

    Attributes:
        correlation: r of each neuron, over tokens.
        deviation: Standard deviation in context, over tokens.
        rms_change: Root mean square over tokens of (in context − alone).
        identity_share: Share of a neuron's variance in context that the token's identity explains, of the tokens
            that occur repeatedly (epsilon squared, 0 by chance); NaN where none does.
        changed_tokens: The tokens at which each neuron changes most; −1 where there are fewer tokens.
        token_change: |in context − alone| there.
        peak_tokens: The tokens at which each neuron is largest in context.
        peak: Its activation there.
        n_repeated: How many tokens ``identity_share`` is about.
    """

    correlation: Float64[Tensor, "layer neuron"]
    deviation: Float64[Tensor, "layer neuron"]
    rms_change: Float64[Tensor, "layer neuron"]
    identity_share: Float64[Tensor, "layer neuron"]
    changed_tokens: Int[Tensor, "layer neuron top"]
    token_change: Float64[Tensor, "layer neuron top"]
    peak_tokens: Int[Tensor, "layer neuron top"]
    peak: Float64[Tensor, "layer neuron top"]
    n_repeated: int


@dataclass(frozen=True, eq=False, kw_only=True)
class ByLength:
    """How alike activations are after contexts of several lengths; a part of `ContextModulation`.

    Attributes:
        correlation: r for so many tokens before, over some tokens, the same for every length.
        whole: r of those tokens in the whole text.
        lengths: Tokens before, for each row.
        n_tokens: How many tokens they are.
    """

    correlation: Float64[Tensor, "length layer"]
    whole: Float64[Tensor, " layer"]
    lengths: tuple[int, ...]
    n_tokens: int


@dataclass(frozen=True, eq=False, kw_only=True)
class ContextModulation(Result):
    """Activations of tokens in context against the same tokens alone, layer by layer.

    Correlations are computed over all tokens. The activations themselves are kept for all of them where that is
    little, and for a seeded sample (``kept``) where it is not. Tokens of one text depend on each other: an interval
    over tokens (``interval_over``) is descriptive, one over texts is not.

    Attributes:
        in_context: Activations in the whole text, of the kept tokens.
        isolated: Activations of the same tokens alone.
        kept: Which tokens these are.
        correlation: Pearson's r over all tokens and neurons.
        correlation_low, correlation_high: Its interval (jackknife over tokens, or over texts from five on).
        correlation_by_alone: r for every way of being alone; the first row is ``correlation``.
        correlation_by_token: r of each token, over neurons.
        by_neuron: Neuron by neuron: r, and what else context does.
        by_length: r for contexts of several lengths.
        texts: The tokens.
        alone: The ways of being alone, in words; the first one is meant wherever there is only one.
        layers: The model's layer of every row.
        hook_point: Short form of the hook point.
        interval_over: ``"texts"`` or ``"tokens"``.
        level: Confidence level.
    """

    in_context: Float[Tensor, "layer kept neuron"]
    isolated: Float[Tensor, "layer kept neuron"]
    kept: Int[Tensor, " kept"]
    correlation: Float64[Tensor, " layer"]
    correlation_low: Float64[Tensor, " layer"]
    correlation_high: Float64[Tensor, " layer"]
    correlation_by_alone: Float64[Tensor, "way layer"]
    correlation_by_token: Float64[Tensor, "layer token"]
    by_neuron: NeuronContext
    by_length: ByLength
    texts: TokenAxis
    alone: tuple[str, ...]
    layers: tuple[int, ...]
    hook_point: str
    interval_over: str
    level: float

    @classmethod
    def from_older(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Gather the ``values`` of a result that was saved before it had parts."""
        same = ("deviation", "rms_change", "identity_share", "changed_tokens", "token_change", "peak_tokens", "peak")
        return values | {
            "by_neuron": NeuronContext(
                correlation=values["correlation_by_neuron"],
                n_repeated=values["n_repeated"],
                **{name: values[name] for name in same},
            ),
            "by_length": ByLength(
                correlation=values["correlation_by_length"],
                whole=values["correlation_whole"],
                lengths=values["context_lengths"],
                n_tokens=values["n_windows"],
            ),
            "texts": TokenAxis(values["text"], values["position"], values["token_ids"], values["tokens"]),
        }

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tokens as they are written."""
        return self.texts.words

    def to_frame(self) -> pd.DataFrame:
        """Tidy: a row per layer.

        Columns: layer, correlation, low, high, neuron_median and token_median (of r by neuron and by token),
        identity_share (median over neurons).
        """
        return pd.DataFrame(
            {
                "layer": self.layers,
                "correlation": self.correlation.numpy(),
                "low": self.correlation_low.numpy(),
                "high": self.correlation_high.numpy(),
                "neuron_median": self.by_neuron.correlation.nanmedian(dim=1).values.numpy(),
                "token_median": self.correlation_by_token.nanmedian(dim=1).values.numpy(),
                "identity_share": self.by_neuron.identity_share.nanmedian(dim=1).values.numpy(),
            }
        )

    def lengths_frame(self) -> pd.DataFrame:
        """How r changes with the context: a row per layer and length, the whole text last.

        Columns: layer, length (tokens before), whole_text, correlation.
        """
        part, position = self.by_length, self.texts.position
        longest = int(position.max() - position.min()) if len(position) else 0
        frames = [
            pd.DataFrame({"layer": self.layers, "length": length, "whole_text": whole, "correlation": row.numpy()})
            for row, length, whole in zip(
                [*part.correlation, part.whole],
                [*part.lengths, longest],
                [*[False] * len(part.lengths), True],
                strict=True,
            )
        ]
        return pd.concat(frames, ignore_index=True)

    def neurons_frame(self, layer: int) -> pd.DataFrame:
        """A row per neuron of one of the model's layers.

        Columns: layer, neuron, correlation, low, high (Fisher's interval over tokens, descriptive), deviation,
        rms_change, identity_share, changed_at (tokens, the largest change first), peaks_at.

        Raises:
            ValueError: The layer is not in this result.
        """
        row, found = row_of_layer(layer, self.layers), self.by_neuron
        r = found.correlation[row]
        low, high = fisher_interval(r, len(self.tokens), level=self.level)
        return pd.DataFrame(
            {
                "layer": layer,
                "neuron": range(len(r)),
                "correlation": r.numpy(),
                "low": low.numpy(),
                "high": high.numpy(),
                "deviation": found.deviation[row].numpy(),
                "rms_change": found.rms_change[row].numpy(),
                "identity_share": found.identity_share[row].numpy(),
                "changed_at": [self._named(tokens) for tokens in found.changed_tokens[row].tolist()],
                "peaks_at": [self._named(tokens) for tokens in found.peak_tokens[row].tolist()],
            }
        )

    @public
    def notable_neurons(self, layer: int, kind: str = "context-sensitive", n: int = 10) -> pd.DataFrame:
        """The neurons of a layer that context changes most, or least.

        Args:
            layer: The model's layer.
            kind: ``"context-sensitive"``: the largest ``rms_change``. ``"stable"``: the largest correlation, among
                the neurons that vary at least as much as the median one (a silent neuron is stable, too).
            n: How many.

        Returns:
            The rows of :meth:`neurons_frame`, best first.

        Raises:
            ValueError: An unknown kind, or a layer that is not in this result.
        """
        one_of("kind", kind, KINDS)
        frame = self.neurons_frame(layer)
        if kind == "context-sensitive":
            return frame.nlargest(n, "rms_change").reset_index(drop=True)
        varying = frame[frame["deviation"] >= frame["deviation"].median()]
        return varying.nlargest(n, "correlation").reset_index(drop=True)

    def _named(self, tokens: Iterable[int]) -> str:
        return ", ".join(repr(self.tokens[token]) for token in tokens if token >= 0)
