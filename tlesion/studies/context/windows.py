"""Tokens with so many tokens before them and no more: how much context does an activation need?"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from tlesion.correlation import CoMoments
from tlesion.hooks import Model
from tlesion.studies.common.reading import Texts
from tlesion.studies.common.walk import Walk


def default_lengths(texts: Texts) -> tuple[int, ...]:
    """1, 2, 4, ... up to half of the longest text: half of its tokens have so many before them."""
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
