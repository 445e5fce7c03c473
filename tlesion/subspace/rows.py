"""Activations as centred float64 rows: what every fit checks first, and works on."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tlesion.activations import check_activations


@dataclass(frozen=True, eq=False)
class CentredRows:
    """Centred activations, or any rows of the same scatter matrix (a sketch of a stream).

    Attributes:
        rows: Float64 rows whose ``rows.T @ rows`` is the scatter matrix of the activations.
        mean: Mean over tokens.
        n_tokens: How many tokens the mean and the scatter are of.
        scatter: Total sum of squares about the mean (the trace of the scatter matrix).
        floor: Singular values at or below this come from rounding of the input, not from the data.
    """

    rows: Float[Tensor, "row unit"]
    mean: Float[Tensor, " unit"]
    n_tokens: int
    scatter: float
    floor: float

    def __post_init__(self) -> None:
        if self.n_tokens < 2:
            raise ValueError(f"a subspace needs at least 2 tokens, got {self.n_tokens}")
        if math.sqrt(self.scatter) <= self.floor:
            raise ValueError(
                f"the activations are constant over the {self.n_tokens} tokens, so no direction varies; "
                "give tokens that differ, or another hook point"
            )

    @property
    def width(self) -> int:
        """Number of units."""
        return self.rows.shape[1]

    def variance_ratio(self, basis: Float[Tensor, "rank unit"]) -> Float[Tensor, " rank"]:
        """Share of the centred activations' variance along each orthonormal row of ``basis``."""
        return (self.rows @ basis.T).square().sum(dim=0) / self.scatter


def centre_rows(activations: Any) -> CentredRows:
    """Check activations ``[token, unit]`` and centre them in float64.

    Raises:
        TypeError: If they are not a tensor.
        ValueError: If they are not two-dimensional floating point, not finite, constant, or of fewer than
            two tokens.
    """
    values = check_activations(activations)
    mean = values.mean(dim=0)
    centred = values - mean
    floor = rounding_floor(
        float(values.square().sum()), shape=tuple(values.shape), precision=precision_of(activations.dtype)
    )
    return CentredRows(
        rows=centred, mean=mean, n_tokens=len(values), scatter=float(centred.square().sum()), floor=floor
    )


def precision_of(dtype: torch.dtype) -> float:
    """Relative rounding of a dtype; half precisions count as float32, since most models round no further."""
    return max(torch.finfo(torch.float64).eps, min(torch.finfo(dtype).eps, torch.finfo(torch.float32).eps))


def rounding_floor(sum_of_squares: float, *, shape: tuple[int, ...], precision: float) -> float:
    """Largest singular value that rounding alone can give to activations of this (uncentred) size.

    Rounding to relative precision ε changes the matrix by at most ε/2 · ‖X‖_F; four times that leaves room
    for the products the activations came from. In float64 the decomposition's own rounding, which grows
    with the size of the matrix, is the larger of the two.
    """
    decomposition = max(shape) * torch.finfo(torch.float64).eps
    return max(2 * precision, decomposition) * math.sqrt(sum_of_squares)


def check_labels(labels: Any, *, n_tokens: int, purpose: str) -> Bool[Tensor, " token"]:
    """Labels of a contrast as bool [token], True for condition a; both conditions have to occur."""
    if labels is None:
        raise ValueError(f"{purpose} needs labels: a bool per token, True for condition a, False for condition b")
    marks = torch.as_tensor(labels)
    if marks.dtype != torch.bool:
        raise ValueError(
            f"labels must be bool, True for condition a, got {marks.dtype}; for example labels=(condition == 'a')"
        )
    if tuple(marks.shape) != (n_tokens,):
        raise ValueError(f"labels must be one per token, shape ({n_tokens},), got shape {tuple(marks.shape)}")
    n_true = int(marks.sum())
    if n_true in (0, n_tokens):
        raise ValueError(
            f"labels hold one condition only ({n_true} of {n_tokens} tokens are condition a); give tokens of both"
        )
    return marks
