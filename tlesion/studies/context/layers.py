"""Texts, single tokens and windows through the model side by side, and what each layer comes down to."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from tlesion.correlation import CoMoments
from tlesion.hooks import Model
from tlesion.keep.checkpoint import Checkpoint
from tlesion.studies.common.point import Point
from tlesion.studies.common.reading import Alone, Texts
from tlesion.studies.common.walk import Walk, walk_layers
from tlesion.studies.context.sums import LayerSums


def default_lengths(texts: Texts) -> tuple[int, ...]:
    """1, 2, 4, ... up to half of the longest text: half of its tokens have that many before them."""
    longest = int(texts.text.bincount().max())
    return tuple(2**power for power in range(longest.bit_length()) if 2 ** (power + 1) <= longest)


class Windows:
    """The same tokens with contexts of several lengths, walked through the model side by side.

    Args:
        model: The model.
        texts: The texts that the tokens are from.
        lengths: How many tokens stand before them.
        n_windows: How many tokens: a seeded sample of those that have enough before them for every length.
        seed: Of the sample.
        max_bytes: Budget for activations.

    Attributes:
        lengths: The lengths.
        tokens: The tokens that were chosen.
        walks: One per length; none where no token was chosen.

    Raises:
        ValueError: A length below 1, or one that no token of the texts has before it.
    """

    def __init__(
        self,
        model: Model,
        texts: Texts,
        lengths: Sequence[int] | None,
        *,
        n_windows: int,
        seed: int,
        max_bytes: int | None,
    ) -> None:
        self.lengths = default_lengths(texts) if lengths is None else tuple(int(length) for length in lengths)
        self.tokens = _sample(texts, self.lengths, n_windows, seed)
        self._read_at = [len(texts.lead) + length for length in self.lengths]
        self.walks = [
            Walk(model, [_window(texts, int(token), length) for token in self.tokens], max_bytes=max_bytes)
            for length in (self.lengths if len(self.tokens) else ())
        ]

    def advance(self, layer: int, name: str, alone: Float[Tensor, "window unit"]) -> Float64[Tensor, " length"]:
        """Send all windows through a block; correlate their last tokens' activations with those tokens alone."""
        found = []
        for walk, position in zip(self.walks, self._read_at, strict=False):
            rows = walk.rows(layer, name, position).cpu()
            found.append(CoMoments.of(rows.flatten(), alone.flatten()).r)
        return torch.stack(found) if found else torch.empty(0, dtype=torch.float64)


def _sample(texts: Texts, lengths: Sequence[int], n_windows: int, seed: int) -> Int[Tensor, " window"]:
    if not lengths or n_windows == 0:
        return torch.empty(0, dtype=torch.long)
    before = texts.position - len(texts.lead)
    fitting = (before >= max(lengths)).nonzero().flatten()
    if min(lengths) < 1 or len(fitting) == 0:
        raise ValueError(
            f"context lengths {list(lengths)} do not fit these texts: the token with most before it has "
            f"{int(before.max())}; lengths run from 1 to that"
        )
    order = torch.randperm(len(fitting), generator=torch.Generator().manual_seed(seed))
    return fitting[order[:n_windows]].sort().values


def _window(texts: Texts, token: int, length: int) -> Int[Tensor, " pos"]:
    ids, end = texts.sequences[int(texts.text[token])], int(texts.position[token]) + 1
    return torch.cat(
        [
            torch.tensor(texts.lead, dtype=torch.long),
            ids[end - length - 1 : end],
            torch.tensor(texts.tail, dtype=torch.long),
        ]
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerMeasures:
    """What one layer comes down to: its row in each field of the result that has one; see `ContextModulation`."""

    in_context: Float[Tensor, "kept neuron"]
    isolated: Float[Tensor, "kept neuron"]
    correlation: Float64[Tensor, ""]
    low: Float64[Tensor, ""]
    high: Float64[Tensor, ""]
    by_alone: Float64[Tensor, " way"]
    by_length: Float64[Tensor, " length"]
    whole: Float64[Tensor, ""]
    by_token: Float64[Tensor, " token"]
    by_neuron: Float64[Tensor, " neuron"]
    deviation: Float64[Tensor, " neuron"]
    rms_change: Float64[Tensor, " neuron"]
    identity_share: Float64[Tensor, " neuron"]
    changed_tokens: Int[Tensor, "neuron top"]
    token_change: Float64[Tensor, "neuron top"]
    peak_tokens: Int[Tensor, "neuron top"]
    peak: Float64[Tensor, "neuron top"]


@dataclass(frozen=True, eq=False)
class _Kept:
    """What is kept of the texts' pass through a block: activations, and r for each other way of being alone."""

    in_context: Float[Tensor, "kept neuron"]
    isolated: Float[Tensor, "kept neuron"]
    by_other_way: list[Tensor]


class LayerReader:
    """Walks texts through a model and reduces each layer to its part of the result.

    Args:
        model: The model.
        point: The hook point in each layer.
        texts: The texts.
        ways: The ways in which a token is run alone; the first is the one that everything else is about.
        windows: Tokens with contexts of several lengths.
        kept: Tokens whose activations are kept.
        level: Confidence level of intervals.
        max_bytes: Budget for activations.
    """

    def __init__(
        self,
        model: Model,
        point: Point,
        texts: Texts,
        ways: Sequence[Alone],
        windows: Windows,
        kept: Int[Tensor, " kept"],
        *,
        level: float,
        max_bytes: int | None,
    ) -> None:
        self._names = dict(zip(point.layers, point.names, strict=True))
        self._texts, self._ways, self._windows, self._kept, self._level = texts, ways, windows, kept, level
        self._n_units = point.n_units
        kinds, self._kind_of = texts.ids.unique(return_inverse=True)
        self._whole = Walk(model, texts.sequences, max_bytes=max_bytes)
        self._singles = [Walk(model, [way.sequence(int(kind)) for kind in kinds], max_bytes=max_bytes) for way in ways]

    def read(self, checkpoint: Checkpoint) -> list[LayerMeasures]:
        """Everything that is measured, layer by layer."""
        walks = [self._whole, *self._singles, *self._windows.walks]
        layers = list(self._names)
        found = walk_layers(walks, layers, lambda layer: vars(self._measure(layer)), checkpoint=checkpoint)
        return [LayerMeasures(**found[layer]) for layer in layers]

    def _measure(self, layer: int) -> LayerMeasures:
        """Send everything through a block."""
        name, windows = self._names[layer], self._windows
        alone = [
            walk.rows(layer, name, len(way.lead)).cpu() for walk, way in zip(self._singles, self._ways, strict=True)
        ]
        sums = LayerSums(self._texts.ids, self._texts.text, self._n_units)
        kept = self._stream(layer, name, alone, sums)
        r, low, high = sums.correlation(self._level)
        nothing = torch.tensor(torch.nan, dtype=torch.float64)
        return LayerMeasures(
            in_context=kept.in_context,
            isolated=kept.isolated,
            correlation=r,
            low=low,
            high=high,
            by_alone=torch.stack([r, *kept.by_other_way]),
            by_length=windows.advance(layer, name, alone[0][self._kind_of[windows.tokens]]),
            whole=sums.by_token[windows.tokens].pooled().r if len(windows.tokens) else nothing,
            by_token=sums.by_token.r,
            by_neuron=sums.units.r,
            deviation=sums.deviation,
            rms_change=sums.rms_change,
            identity_share=sums.identity.share,
            changed_tokens=sums.changed.rows,
            token_change=sums.changed.values,
            peak_tokens=sums.peaks.rows,
            peak=sums.peaks.values,
        )

    def _stream(self, layer: int, name: str, alone: Sequence[Float[Tensor, "kind unit"]], sums: LayerSums) -> _Kept:
        """The texts through a block, into the sums."""
        texts, kind_of = self._texts, self._kind_of
        others: list[list[CoMoments]] = [[] for _ in alone[1:]]
        slot = torch.full((len(texts.ids),), -1)
        slot[self._kept] = torch.arange(len(self._kept))
        inside, by_itself = (torch.zeros(len(self._kept), self._n_units, dtype=alone[0].dtype) for _ in range(2))

        def take(members: tuple[int, ...], activation: Tensor) -> None:
            for member, positions in zip(members, activation, strict=True):
                tokens = (texts.text == member).nonzero().flatten()
                rows, kinds = positions[texts.position[tokens].to(positions.device)].cpu(), kind_of[tokens]
                sums.take(tokens, rows, alone[0][kinds])
                for moments, other in zip(others, alone[1:], strict=True):
                    moments.append(CoMoments.of(rows.flatten(), other[kinds].flatten()))
                wanted = slot[tokens] >= 0
                inside[slot[tokens[wanted]]] = rows[wanted]
                by_itself[slot[tokens[wanted]]] = alone[0][kinds[wanted]]

        self._whole.advance(layer, name, take)
        return _Kept(inside, by_itself, [CoMoments.stack(moments).pooled().r for moments in others])
