"""Principal directions of centred rows, through the smaller Gram matrix where that is accurate."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from tlesion.subspace.projection import orient, orthonormalise
from tlesion.subspace.rows import CentredRows

GRAM_ACCURATE = 1e-4
"""Smallest σᵢ/σ₁ for which the Gram matrix is used. It holds σ², so float64 resolves direction i to about
2e-16 / (σᵢ/σ₁)²: 2e-8 here, below float32's own rounding."""


def principal_directions(data: CentredRows, n_wanted: int | None = None) -> Float[Tensor, "component unit"]:
    """The leading right singular vectors, largest singular value first; fewer where the data has fewer.

    The eigenvectors of the smaller Gram matrix (row by row, or unit by unit) give them at the cost of the
    smaller side; where a wanted singular value is too small for that, the thin SVD of the rows does.
    Each direction's entry of largest magnitude is positive.

    Args:
        data: Centred rows; singular values at or below ``data.floor`` count as absent.
        n_wanted: How many directions. None: all, the row space.
    """
    smaller_side = min(data.rows.shape)
    n_asked = smaller_side if n_wanted is None else min(n_wanted, smaller_side)
    if n_asked == 0:
        return data.rows.new_zeros(0, data.width)
    singular, vectors = _gram_eigen(data.rows)
    if float(singular[n_asked - 1]) < GRAM_ACCURATE * float(singular[0]):
        _, singular, vh = torch.linalg.svd(data.rows, full_matrices=False)
        directions = vh[:n_asked]
    elif len(data.rows) <= data.width:
        directions = vectors[:, :n_asked].T @ data.rows
    else:
        directions = vectors[:, :n_asked].T
    directions = directions[: int((singular > data.floor).sum())]
    # Directions from the row side are orthogonal only to the accuracy above; QR makes them so to the last digit.
    return orient(orthonormalise(directions))


def _gram_eigen(rows: Float[Tensor, "row unit"]) -> tuple[Tensor, Tensor]:
    """Singular values, descending, and the matching eigenvectors of the smaller Gram matrix."""
    gram = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows
    eigenvalues, vectors = torch.linalg.eigh(gram)
    return eigenvalues.flip(0).clamp(min=0).sqrt(), vectors.flip(1)


def chosen_components(rank: int | None, components: Sequence[int] | None, *, width: int) -> tuple[int, ...]:
    """The components to keep, counted from 0: those given, else the first ``rank``, else the first one.

    Raises:
        ValueError: If both are given and disagree, or if they are negative, repeated, or beyond the width.
    """
    if components is None:
        if rank is not None and not 0 <= rank <= width:
            raise ValueError(f"rank must be from 0 to the number of units, {width}; got {rank}")
        return tuple(range(1 if rank is None else rank))
    chosen = tuple(int(component) for component in components)
    if rank is not None and rank != len(chosen):
        raise ValueError(f"rank {rank} and components {list(chosen)} disagree; give one of the two")
    if len(set(chosen)) != len(chosen) or any(not 0 <= component < width for component in chosen):
        raise ValueError(
            f"components must be distinct and counted from 0, below the number of units, {width}; got {list(chosen)}"
        )
    return chosen


def require_components(chosen: tuple[int, ...], *, n_available: int, limit: str) -> None:
    """Refuse components beyond those that exist; ``limit`` says what sets their number."""
    if max(chosen, default=-1) < n_available:
        return
    wanted = f"rank {len(chosen)}" if chosen == tuple(range(len(chosen))) else f"component {max(chosen)}"
    raise ValueError(
        f"{wanted} is more than the data has: {n_available} components ({limit}); ask for fewer, or give more tokens"
    )
