"""Ledoit–Wolf shrinkage of a covariance, from rows, through the smaller Gram matrix."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

LEAST = 1e-6
"""Smallest weight of the target: keeps a covariance of fewer rows than units invertible in float64."""


@dataclass(frozen=True, eq=False)
class ShrunkCovariance:
    """(1 − γ) ZᵀZ/n + γ μ I for centred rows Z, never formed where units outnumber rows.

    Attributes:
        rows: Z.
        gram: ZZᵀ or ZᵀZ, whichever is smaller.
        weight: γ, from 0 to 1.
        scale: μ, the mean variance of a unit.
    """

    rows: Float[Tensor, "row unit"]
    gram: Float[Tensor, "side side"]
    weight: float
    scale: float

    def solve(self, vector: Float[Tensor, " unit"]) -> Float[Tensor, " unit"]:
        """The direction of covariance⁻¹ · vector, up to a positive factor (Woodbury's identity)."""
        n, width = self.rows.shape
        ridge = self.weight * self.scale * n * torch.eye(len(self.gram), dtype=vector.dtype, device=vector.device)
        system = (1 - self.weight) * self.gram + ridge
        if width <= n:
            direction: Tensor = torch.linalg.solve(system, vector)
            return direction
        inner: Tensor = torch.linalg.solve(system, (1 - self.weight) * (self.rows @ vector))
        return vector - self.rows.T @ inner


def shrink_covariance(rows: Float[Tensor, "row unit"]) -> ShrunkCovariance:
    """The Ledoit–Wolf estimate of the covariance of centred rows.

    γ = min(β, δ)/δ with δ the distance of the sample covariance S from μI and β the sampling variance of S.
    The Frobenius norms of both need only tr S, ‖ZᵀZ‖ = ‖ZZᵀ‖ and the squared lengths of the rows.

    Source: Ledoit and Wolf (2004), *A well-conditioned estimator for large-dimensional covariance matrices*;
    agrees with ``sklearn.covariance.ledoit_wolf_shrinkage(rows, assume_centered=True)``.
    """
    n, width = rows.shape
    gram = rows @ rows.T if n < width else rows.T @ rows
    lengths = rows.square().sum(dim=1)
    scale = float(lengths.sum()) / (n * width)
    norm = float(gram.square().sum()) / n**2
    distance = norm - width * scale**2
    sampling = (float(lengths.square().sum()) / n - norm) / n
    # Equal variances in every direction leave nothing to shrink towards: any weight gives the same matrix.
    weight = min(sampling, distance) / distance if distance > 0 else 1.0
    return ShrunkCovariance(rows=rows, gram=gram, weight=min(max(weight, LEAST), 1.0), scale=scale)
