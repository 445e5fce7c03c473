"""Texts, single tokens and windows through the model side by side, and what each layer comes down to."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tlesion.correlation import CoMoments
from tlesion.hooks import Model, layer_of, width
from tlesion.keep.checkpoint import Checkpoint
from tlesion.studies.common.reading import Alone, Texts
from tlesion.studies.common.walk import Walk, walk_layers
from tlesion.studies.context.sums import LayerSums
from tlesion.studies.context.windows import Windows

BY_COLUMN = ("correlation_by_alone", "correlation_by_length")
"""Fields of a result whose last axis is the layer; of all others it is the first."""


class LayerReader:
    """Walks texts through a model and reduces each layer to its part of the result.

    Args:
        model: The model.
        names: Full hook names, one per layer.
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
        names: Sequence[str],
        texts: Texts,
        ways: Sequence[Alone],
        windows: Windows,
        kept: Int[Tensor, " kept"],
        *,
        level: float,
        max_bytes: int | None,
    ) -> None:
        self._names = {layer_of(name) or 0: name for name in names}
        self._texts, self._ways, self._windows, self._kept, self._level = texts, ways, windows, kept, level
        heads, units = width(model, names[0])
        self._n_units = (heads or 1) * units
        kinds, self._kind_of = texts.ids.unique(return_inverse=True)
        self._whole = Walk(model, texts.sequences, max_bytes=max_bytes)
        self._singles = [Walk(model, [way.sequence(int(kind)) for kind in kinds], max_bytes=max_bytes) for way in ways]

    def read(self, checkpoint: Checkpoint) -> dict[str, Tensor]:
        """The fields of the result that have a row per layer."""
        walks = [self._whole, *self._singles, *self._windows.walks]
        found = walk_layers(walks, list(self._names), self._measure, checkpoint=checkpoint)
        rows = [found[layer] for layer in self._names]
        return {name: torch.stack([row[name] for row in rows], dim=int(name in BY_COLUMN)) for name in rows[0]}

    def _measure(self, layer: int) -> dict[str, Tensor]:
        """Send everything through a block; one layer's part of every field."""
        name = self._names[layer]
        alone = [
            walk.rows(layer, name, len(way.lead)).cpu() for walk, way in zip(self._singles, self._ways, strict=True)
        ]
        sums = LayerSums(self._texts.ids, self._texts.text, self._n_units)
        found, by_other = self._stream(layer, name, alone, sums)
        r, low, high = sums.correlation(self._level)
        found |= {"correlation": r, "correlation_low": low, "correlation_high": high, **sums.fields()}
        found["correlation_by_alone"] = torch.stack([r, *by_other])
        tokens = self._windows.tokens
        found["correlation_by_length"] = self._windows.advance(layer, name, alone[0][self._kind_of[tokens]])
        nothing = torch.tensor(torch.nan, dtype=torch.float64)
        found["correlation_whole"] = sums.by_token[tokens].pooled().r if len(tokens) else nothing
        return found

    def _stream(
        self, layer: int, name: str, alone: Sequence[Float[Tensor, "kind unit"]], sums: LayerSums
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """The texts through a block, into the sums: kept activations, and r for the other ways of being alone."""
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
        return (
            {"in_context": inside, "isolated": by_itself},
            [CoMoments.stack(moments).pooled().r for moments in others],
        )
