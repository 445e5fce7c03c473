"""Sums over one layer's activations in context and alone, row by row, without keeping the activations."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from tlesion.correlation import CoMoments, jackknife_interval

N_TOP = 3
"""How many tokens are named for a neuron."""

MIN_TEXTS = 5
"""With at least this many texts an interval is over texts; with fewer, over tokens, which is descriptive."""


@dataclass(eq=False)
class Strongest:
    """The rows at which each unit is largest, with ties in the order in which they come.

    Attributes:
        values: Largest first; −inf where fewer rows came.
        rows: Theirs; −1 there.
    """

    values: Float64[Tensor, "unit top"]
    rows: Int[Tensor, "unit top"]

    @classmethod
    def none(cls, n_units: int, n_top: int = N_TOP) -> "Strongest":
        """Before any row was seen."""
        return cls(torch.full((n_units, n_top), -torch.inf, dtype=torch.float64), torch.full((n_units, n_top), -1))

    def take(self, rows: Int[Tensor, " row"], values: Float64[Tensor, "row unit"]) -> None:
        """Take in these values."""
        seen = torch.cat([self.values, values.T], dim=1)
        index = torch.cat([self.rows, rows.expand(values.shape[1], -1)], dim=1)
        order = seen.sort(dim=1, descending=True, stable=True).indices[:, : self.values.shape[1]]
        self.values, self.rows = seen.gather(1, order), index.gather(1, order)


class IdentityShare:
    r"""Share of a unit's variance that the identity of its token explains, over tokens that occur repeatedly.

    A one-way analysis of variance with the token as the factor; N tokens of k kinds, corrected for the share that k
    kinds would explain by chance (epsilon squared: 0 for labels without meaning, 1 if only the token matters):

    .. math:: \varepsilon^2 = 1 - \frac{SS_{within} / (N - k)}{SS_{total} / (N - 1)}

    Source:
        Kelley (1935), PNAS 21:554-559; the adjusted R² of a regression on the token's identity.
    """

    def __init__(self, ids: Int[Tensor, " token"], n_units: int) -> None:
        _, kind, counts = ids.unique(return_inverse=True, return_counts=True)
        repeated = counts >= 2
        self._kind = torch.where(repeated, repeated.cumsum(0) - 1, -1)[kind]
        self._counts = counts[repeated].double()
        self._sums = torch.zeros(len(self._counts), n_units, dtype=torch.float64)
        self._squares = torch.zeros(n_units, dtype=torch.float64)
        self._origin: Tensor | None = None

    @property
    def n_tokens(self) -> int:
        """How many tokens occur repeatedly."""
        return int(self._counts.sum())

    def take(self, rows: Int[Tensor, " row"], values: Float64[Tensor, "row unit"]) -> None:
        """Take in the activations of some tokens."""
        kind = self._kind[rows]
        known = kind >= 0
        if not bool(known.any()):
            return
        if self._origin is None:
            # One of the values, so that little is lost where a unit's mean is far from zero.
            self._origin = values[known][0].clone()
        shifted = values[known] - self._origin
        self._sums.index_add_(0, kind[known], shifted)
        self._squares += shifted.square().sum(0)

    @property
    def share(self) -> Float64[Tensor, " unit"]:
        """Epsilon squared; NaN where fewer than two tokens occur repeatedly, or the unit does not vary."""
        n, k = self.n_tokens, len(self._counts)
        if k < 2 or n <= k:
            return torch.full_like(self._squares, torch.nan)
        total = self._squares - self._sums.sum(0).square() / n
        within = self._squares - (self._sums.square() / self._counts[:, None]).sum(0)
        share = 1 - (within / (n - k)) / (total / (n - 1))
        return torch.where(total > 0, share, torch.nan)


class LayerSums:
    """Everything that a layer's tokens are streamed into.

    Args:
        ids: Ids of all tokens of the study.
        text: The text that each is from.
        n_units: Units of the hook point.

    Attributes:
        by_token: Co-moments of each token over units (x in context, y alone).
        units: Co-moments of each unit over tokens; there once a token was taken.
        squared_change: Sum over tokens of (in context − alone)².
        changed: Tokens at which a unit changes most.
        peaks: Tokens at which a unit is largest in context.
        identity: The variance that the token explains.
    """

    def __init__(self, ids: Int[Tensor, " token"], text: Int[Tensor, " token"], n_units: int) -> None:
        self._text = text
        self.by_token = CoMoments.unseen(len(ids))
        self.units = CoMoments.unseen(0)
        self.squared_change = torch.zeros(n_units, dtype=torch.float64)
        self.changed, self.peaks = Strongest.none(n_units), Strongest.none(n_units)
        self.identity = IdentityShare(ids, n_units)

    def take(
        self, tokens: Int[Tensor, " row"], inside: Float[Tensor, "row unit"], alone: Float[Tensor, "row unit"]
    ) -> None:
        """Take in some tokens, each once in the whole study."""
        inside, alone = inside.double(), alone.double()
        self.by_token.put_(tokens, CoMoments.of(inside.T, alone.T))
        units = CoMoments.of(inside, alone)
        self.units = self.units.merge(units) if len(self.units.n) else units
        change = inside - alone
        self.squared_change += change.square().sum(0)
        self.changed.take(tokens, change.abs())
        self.peaks.take(tokens, inside)
        self.identity.take(tokens, inside)

    @property
    def deviation(self) -> Float64[Tensor, " unit"]:
        """Standard deviation of each unit in context, over tokens."""
        return (self.units.xx / (self.units.n - 1)).sqrt()

    @property
    def rms_change(self) -> Float64[Tensor, " unit"]:
        """Root mean square over tokens of (in context − alone)."""
        return (self.squared_change / len(self.by_token.n)).sqrt()

    def correlation(self, level: float) -> tuple[Tensor, Tensor, Tensor]:
        """r over all tokens and units, with its interval over texts or tokens."""
        groups = self.by_token
        if n_groups(self._text) != len(self._text):
            groups = CoMoments.stack([groups[self._text == text].pooled() for text in self._text.unique()])
        r = self.by_token.pooled().r
        return r, *jackknife_interval(r, groups.without_each().r, level=level)


def n_groups(text: Int[Tensor, " token"]) -> int:
    """Over how many groups an interval is taken: texts if there are enough of them, else tokens."""
    n_texts = len(text.unique())
    return n_texts if n_texts >= MIN_TEXTS else len(text)
