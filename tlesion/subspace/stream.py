"""Fit the principal subspace of more tokens than memory holds."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from tlesion.activations import check_activations
from tlesion.public import public
from tlesion.subspace.basis import Subspace
from tlesion.subspace.decomposition import chosen_components, principal_directions, require_components
from tlesion.subspace.rows import CentredRows, precision_of, rounding_floor

EXACT_WIDTH = 1024
"""Up to this many units the default keeps every component: 8 MB, and nothing is ever discarded."""

KEPT_WHEN_WIDER = 256
"""Components kept by default for more units than that: 13 MB at 6400 units, 16 times the ranks of a sweep."""


class SubspaceFitter:
    """Streamed ``method="svd"``: update with batches of tokens, then fit; memory does not grow with tokens.

    The fitter holds a sketch S of at most ``kept`` rows whose scatter matrix SᵀS stands for that of all
    tokens about their mean. A new batch X of n' tokens, mean m', joins the n tokens before it, mean m, as
    further rows::

        S  ←  the leading ``kept`` singular rows of  [ S ;  X − m' ;  √(n n'/(n + n')) (m' − m) ]

    Before truncation this is exact. As long as the centred data has at most ``kept`` dimensions (always
    so if ``kept`` ≥ units) nothing is discarded, and `fit` equals `fit_subspace` on all tokens. Otherwise,
    with C the true scatter matrix and ε the sum of the largest squared singular value that each truncation
    discarded, 0 ≼ C − SᵀS ≼ εI: variance ratios are low by at most ε/tr C, and the angle between the fitted
    and the true subspace is bounded by `angle_bound`. The mean and the total variance are always exact.
    Exact means up to float64 rounding, and so do the bounds.

    Args:
        kept: Rows of the sketch. None: all units up to 1024 units, 256 rows beyond.

    Source: the merge is that of Ross, Lim, Lin and Yang (2008), *Incremental learning for robust visual
    tracking*; the bounds are Weyl's and Davis and Kahan's.

    Example:
        >>> import torch
        >>> activations = torch.randn(300, 8, generator=torch.Generator().manual_seed(0))
        >>> fitter = SubspaceFitter()
        >>> for batch in activations.split(64):
        ...     fitter = fitter.update(batch)
        >>> subspace = fitter.fit(rank=2)
        >>> subspace.rank, fitter.n_rows, fitter.discarded_ratio
        (2, 300, 0.0)
    """

    @public
    def __init__(self, kept: int | None = None) -> None:
        if kept is not None and kept < 1:
            raise ValueError(f"kept must be at least 1 row, got {kept}")
        self._kept = kept
        self._pending: list[Tensor] = []
        self._sketch: Tensor | None = None
        self._mean: Tensor | None = None
        self._merged = 0
        self._n_tokens = 0
        self._scatter = 0.0
        self._precision = 0.0
        self._discarded = 0.0
        self._bound = 0.0

    def update(self, activations: Any) -> "SubspaceFitter":
        """Add a batch of ``activations`` ``[token, unit]``, any number of tokens; returns the fitter.

        Raises:
            TypeError: If the batch is not a tensor.
            ValueError: If its shape is not [token, unit], its values are not finite, or its width differs from before.
        """
        values = check_activations(activations)
        if self._mean is None:
            self._mean = values.new_zeros(values.shape[1])
            self._sketch = values.new_zeros(0, values.shape[1])
        if values.shape[1] != len(self._mean):
            raise ValueError(
                f"this fitter has seen activations of {len(self._mean)} units, got a batch of {values.shape[1]}; "
                "use one fitter per hook point"
            )
        self._precision = max(self._precision, precision_of(activations.dtype))
        self._n_tokens += len(values)
        for piece in values.to(self._mean.device).split(self._n_kept):
            # A copy: a piece of a large batch would keep all of the batch in memory.
            self._pending.append(piece.clone())
            if sum(len(waiting) for waiting in self._pending) >= self._n_kept:
                self._merge()
        return self

    def fit(self, rank: int | None = None, *, components: Sequence[int] | None = None) -> Subspace:
        """The subspace of all tokens so far; more updates and fits may follow.

        Args:
            rank: Number of directions. None: 1, or as many as ``components``.
            components: Which singular vectors to take instead of the first ``rank``, counted from 0.

        Raises:
            ValueError: If fewer than two tokens were given, all are the same, or the rank is larger than that of the
                tokens or of the rows kept.
        """
        data = self._sketched()
        chosen = chosen_components(rank, components, width=data.width)
        directions = principal_directions(data, max(chosen, default=-1) + 1)
        require_components(
            chosen,
            n_available=len(directions),
            limit=f"{self._n_tokens} tokens of {data.width} units, centred, {self._n_kept} rows kept",
        )
        basis = directions[list(chosen)]
        ratio = data.variance_ratio(basis)
        return Subspace(basis, data.mean, ratio, "svd", self._n_tokens, chosen)

    @property
    def n_rows(self) -> int:
        """Number of tokens seen."""
        return self._n_tokens

    @property
    def discarded_ratio(self) -> float:
        """Share of the total variance that truncation has discarded: 0 where the fit is exact."""
        return self._discarded / self._sketched().scatter

    def angle_bound(self, rank: int = 1) -> float:
        """Upper bound of the sine of the largest angle between the fitted and the true leading subspace of a ``rank``.

        sin Θ ≤ ε / (λᵣ − λᵣ₊₁), with λ the eigenvalues of the sketch's scatter: 0 where nothing was discarded,
        and 1, which says nothing, where the gap after component r is no larger than ε.

        Raises:
            ValueError: Fewer than two tokens so far, or a rank that the sketch does not have.
        """
        data = self._sketched()
        singular = torch.linalg.svdvals(data.rows).square()
        if not 1 <= rank <= len(singular):
            raise ValueError(f"rank must be from 1 to {len(singular)}, the rows of the sketch; got {rank}")
        if self._bound == 0.0:
            return 0.0
        next_one = float(singular[rank]) if rank < len(singular) else 0.0
        gap = float(singular[rank - 1]) - next_one
        return min(1.0, self._bound / gap) if gap > 0 else 1.0

    @property
    def _n_kept(self) -> int:
        width = 0 if self._mean is None else len(self._mean)
        return self._kept or (width if width <= EXACT_WIDTH else KEPT_WHEN_WIDER)

    def _sketched(self) -> CentredRows:
        """The sketch of all tokens so far, as rows for the decomposition."""
        self._merge()
        if self._sketch is None or self._mean is None:
            raise ValueError("a subspace needs at least 2 tokens, got 0; call update with activations first")
        # ‖X‖² of the uncentred activations: what lies about the mean, and the mean itself once per token.
        squares = self._scatter + self._n_tokens * float(self._mean.square().sum())
        shape = (self._n_tokens, len(self._mean))
        return CentredRows(
            rows=self._sketch,
            mean=self._mean,
            n_tokens=self._n_tokens,
            scatter=self._scatter,
            floor=rounding_floor(squares, shape=shape, precision=self._precision),
        )

    def _merge(self) -> None:
        """Add the waiting tokens to the sketch, the mean and the total variance."""
        if self._sketch is None or self._mean is None or not any(len(waiting) for waiting in self._pending):
            return
        batch = torch.cat(self._pending)
        self._pending = []
        mean = batch.mean(dim=0)
        before, added = self._merged, len(batch)
        shift = math.sqrt(before * added / (before + added)) * (mean - self._mean)
        news = torch.cat([batch - mean, shift[None]])
        self._scatter += float(news.square().sum())
        self._mean = self._mean + (mean - self._mean) * (added / (before + added))
        self._merged = before + added
        self._truncate(torch.cat([self._sketch, news]))

    def _truncate(self, rows: Tensor) -> None:
        """Keep the leading singular rows of the sketch, and account for what is lost."""
        if len(rows) > rows.shape[1]:
            # The triangular factor has the same scatter matrix in as many rows as there are units: exact.
            rows = torch.linalg.qr(rows, mode="r").R
        if len(rows) > self._n_kept:
            eigenvalues, vectors = torch.linalg.eigh(rows @ rows.T)
            n_lost = len(rows) - self._n_kept
            # Rotating the rows, without dividing by a singular value, loses no digits of the small ones.
            rows = vectors[:, n_lost:].T @ rows
            lost = _without_rounding(eigenvalues)[:n_lost]
            self._discarded += float(lost.sum())
            self._bound += float(lost.max())
        self._sketch = rows


def _without_rounding(eigenvalues: Float[Tensor, " row"]) -> Float[Tensor, " row"]:
    """Eigenvalues of a Gram matrix, ascending; those that are only rounding of the decomposition are set to zero."""
    rounding = len(eigenvalues) * torch.finfo(torch.float64).eps * eigenvalues[-1]
    return torch.where(eigenvalues > rounding, eigenvalues, 0.0)
