"""An oblique eraser: cuts along directions that it does not read from."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from tlesion.subspace.projection import cut_part, remove_part

BIORTHOGONAL = 1e-6
"""How far right · leftᵀ may be from the identity, relative to the lengths multiplied."""


@dataclass(frozen=True, eq=False)
class ObliqueEraser:
    """An affine projection x − (x − m) rightᵀ left whose two factors differ.

    It reads the rows of ``right`` and moves activations along the rows of ``left``. What it removes is not the share of
    an orthonormal basis, so it is not a `Subspace`: cutting the span of either factor orthogonally would be a different
    edit. It is used in the same way.

    Attributes:
        left: Directions along which activations move.
        right: Directions that are read: after removal nothing varies along them.
        mean: The point that stays where it is.
        variance_lost: Share of the fitted activations' variance that is gone, 1 − tr C after / tr C before;
            negative where the oblique cut adds variance.
        method: What found it.
        n_rows: Number of tokens it was fitted on.

    Example:
        >>> import torch
        >>> left, right = torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0, 0.0]])
        >>> eraser = ObliqueEraser(left, right, torch.zeros(2), variance_lost=0.5, method="given", n_rows=0)
        >>> eraser.remove(torch.tensor([[3.0, 5.0]]))
        tensor([[0., 2.]])
    """

    left: Float[Tensor, "rank unit"]
    right: Float[Tensor, "rank unit"]
    mean: Float[Tensor, " unit"]
    variance_lost: float
    method: str
    n_rows: int

    def __post_init__(self) -> None:
        product = (self.right @ self.left.T).to(torch.float64)
        off = float((product - torch.eye(self.rank, dtype=product.dtype, device=product.device)).norm())
        if not off <= BIORTHOGONAL * max(1.0, float(self.right.norm() * self.left.norm())):
            raise ValueError(
                "right · leftᵀ must be the identity, or removal is not a projection; "
                f"it is {off:.2g} off (Frobenius norm)"
            )

    @property
    def rank(self) -> int:
        """Number of directions."""
        return self.left.shape[0]

    @property
    def width(self) -> int:
        """Number of units of the hook point that the eraser belongs to."""
        return self.left.shape[1]

    def project(self, x: Shaped[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
        """The part of x that `remove` takes away, (x − mean) rightᵀ left."""
        return cut_part(x, left=self.left, right=self.right, mean=self.mean).to(x.dtype)

    def remove(self, x: Shaped[Tensor, "*axes"], *, restore_mean: bool = True) -> Float[Tensor, "*axes"]:
        """Activations ``x`` without that part; see `Subspace.remove` for ``restore_mean``.

        Raises:
            ValueError: If the last axis of x is not as wide as the eraser.
        """
        return remove_part(x, left=self.left, right=self.right, mean=self.mean, restore_mean=restore_mean)
