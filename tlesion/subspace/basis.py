"""A subspace of activations as an orthonormal basis, and what cutting it out does."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from tlesion.activations import copy_in_float64
from tlesion.subspace.projection import check_width, cut_part, orthonormalise, remove_part
from tlesion.subspace.rows import centre_rows

ORTHONORMAL = 1e-4
"""How far basis · basisᵀ may be from the identity: room for a basis that was stored in float32."""


@dataclass(frozen=True, eq=False)
class Subspace:
    """A subspace of activation space that passes through the activations' mean.

    Made by `fit_subspace`, `SubspaceFitter` or `Subspace.from_directions`. Methods leave their argument
    as it is, keep its dtype and device, and compute in float32 (float64 for float64 activations).

    Attributes:
        basis: Orthonormal rows.
        mean: The point that removal moves activations to along the basis: the mean of the activations that
            the subspace was fitted on.
        variance_ratio: Share of the centred activations' variance along each row of the basis, NaN where
            no activations were given.
        method: What found the basis.
        n_rows: Number of tokens it was fitted on; 0 for given directions.
        components: Which components of the method the rows are, counted from 0.
        seed: Seed of a method that draws numbers, else None.

    Example:
        >>> import torch
        >>> subspace = Subspace.from_directions(torch.tensor([[3.0, 4.0, 0.0]]))
        >>> subspace.basis
        tensor([[0.6000, 0.8000, 0.0000]], dtype=torch.float64)
        >>> subspace.remove(torch.tensor([[3.0, 4.0, 5.0]])).round(decimals=4).abs()
        tensor([[0., 0., 5.]])
    """

    basis: Float[Tensor, "rank unit"]
    mean: Float[Tensor, " unit"]
    variance_ratio: Float[Tensor, " rank"]
    method: str
    n_rows: int
    components: tuple[int, ...]
    seed: int | None = None

    def __post_init__(self) -> None:
        if not bool(torch.isfinite(self.mean).all()):
            raise ValueError("the mean holds NaN or infinite values; give the mean of finite activations")
        gram = (self.basis @ self.basis.T).to(torch.float64)
        deviation = (gram - torch.eye(self.rank, dtype=torch.float64, device=gram.device)).abs()
        if self.rank and not float(deviation.max()) <= ORTHONORMAL:
            raise ValueError(
                f"the basis rows are not orthonormal (basis · basisᵀ is {float(deviation.max()):.2g} off the "
                "identity); use Subspace.from_directions, which makes them so"
            )

    @property
    def rank(self) -> int:
        """Number of directions."""
        return self.basis.shape[0]

    @property
    def width(self) -> int:
        """Number of units of the hook point that the subspace belongs to."""
        return self.basis.shape[1]

    @classmethod
    def from_directions(cls, directions: Any, mean: Any = None, *, activations: Tensor | None = None) -> "Subspace":
        """The span of given directions, for example rows of a sparse autoencoder's decoder.

        The directions are orthonormalised in their order (QR): row i of the basis lies in the span of
        the first i + 1 directions, and row 0 points along direction 0.

        Args:
            directions: ``[direction, unit]``, or one direction ``[unit]``; any length above zero.
            mean: ``[unit]``, where removal moves activations to. None: the mean of ``activations``, or
                zero where none are given, so that the projection onto the span becomes zero.
            activations: ``[token, unit]``, for the mean and the variance ratios.

        Returns:
            A subspace with ``method="directions"``.

        Raises:
            ValueError: If directions are zero, not finite, or linearly dependent, or if widths differ.

        Example:
            >>> import torch
            >>> Subspace.from_directions(torch.tensor([[0.0, 2.0], [1.0, 1.0]])).basis.abs()
            tensor([[0., 1.],
                    [1., 0.]], dtype=torch.float64)
        """
        rows = copy_in_float64(torch.as_tensor(directions))
        rows = rows[None] if rows.ndim == 1 else rows
        if rows.ndim != 2 or not bool(torch.isfinite(rows).all()):
            raise ValueError(
                f"directions must be finite, of shape [direction, unit], got shape {tuple(rows.shape)}"
                f"{'' if rows.ndim != 2 else ' with values that are not finite'}"
            )
        basis = orthonormalise(rows)
        ratio, centre, n_rows = torch.full((len(basis),), torch.nan, dtype=torch.float64), None, 0
        if activations is not None:
            data = centre_rows(activations)
            check_width(data.rows, width=basis.shape[1])
            basis = basis.to(data.rows.device)
            ratio, centre, n_rows = data.variance_ratio(basis), data.mean, data.n_tokens
        if mean is not None:
            centre = copy_in_float64(torch.as_tensor(mean)).to(basis.device)
            if centre.shape != basis.shape[1:]:
                raise ValueError(
                    f"directions of {basis.shape[1]} units need a mean of shape ({basis.shape[1]},), "
                    f"got shape {tuple(centre.shape)}"
                )
        if centre is None:
            centre = basis.new_zeros(basis.shape[1])
        components = tuple(range(len(basis)))
        return cls(basis, centre, ratio.to(basis.device), "directions", n_rows, components)

    def project(self, x: Shaped[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
        """The part of x within the subspace, (x − mean) Bᵀ B: what `remove` takes away.

        Args:
            x: Activations ``[..., unit]``.

        Raises:
            ValueError: If the last axis of x is not as wide as the subspace.
        """
        return cut_part(x, left=self.basis, right=self.basis, mean=self.mean).to(x.dtype)

    def remove(self, x: Shaped[Tensor, "*axes"], *, restore_mean: bool = True) -> Float[Tensor, "*axes"]:
        """Activations without their variation within the subspace.

        With B the basis and m the mean::

            restore_mean=True    x − (x − m) Bᵀ B
            restore_mean=False   (x − m) − (x − m) Bᵀ B

        For ``method="svd"`` on the tokens of x these are: centre, decompose, set the leading singular
        values to zero, multiply out, and add the mean back (True), or leave it out (False). Without the
        mean every activation shifts by m, whatever the rank; it exists to show why the mean matters.

        Args:
            x: Activations ``[..., unit]``; not changed.
            restore_mean: Whether the mean is added back. If so, rank 0 gives x's own values, bit for bit.

        Returns:
            A new tensor of the shape, dtype and device of x.

        Raises:
            ValueError: If the last axis of x is not as wide as the subspace.

        Example:
            >>> import torch
            >>> subspace = Subspace.from_directions(torch.tensor([1.0, 0.0]), mean=torch.tensor([7.0, 9.0]))
            >>> x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
            >>> subspace.remove(x)
            tensor([[7., 2.],
                    [7., 4.]])
            >>> subspace.remove(x, restore_mean=False)
            tensor([[ 0., -7.],
                    [ 0., -5.]])
        """
        return remove_part(x, left=self.basis, right=self.basis, mean=self.mean, restore_mean=restore_mean)
