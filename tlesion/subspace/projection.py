"""Cut directions out of activations, and make directions orthonormal."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

DEPENDENT = 1e-6
"""Sine of the angle to the span of the earlier directions below which a direction adds nothing: what
float32 rounding leaves between two copies of one direction is about 1e-7."""


def cut_part(
    x: Shaped[Tensor, "*axes"],
    *,
    left: Float[Tensor, "rank unit"],
    right: Float[Tensor, "rank unit"],
    mean: Float[Tensor, " unit"],
) -> Float[Tensor, "*axes"]:
    """(x − mean) rightᵀ left: the part of x along the directions, in float32, or float64 where x is.

    For an orthonormal basis left and right are the same; they differ for an oblique eraser.
    """
    check_width(x, width=left.shape[1])
    working = torch.promote_types(x.dtype, torch.float32)
    left, right, mean = (factor.to(device=x.device, dtype=working) for factor in (left, right, mean))
    return ((x.to(working) - mean) @ right.T) @ left


def remove_part(
    x: Shaped[Tensor, "*axes"],
    *,
    left: Float[Tensor, "rank unit"],
    right: Float[Tensor, "rank unit"],
    mean: Float[Tensor, " unit"],
    restore_mean: bool,
) -> Float[Tensor, "*axes"]:
    """x without its part along the directions, in x's own dtype; x itself stays as it is.

    With ``restore_mean`` the part is subtracted from x itself, not from x − mean to which the mean is added
    again: units outside the directions keep their bits, and rank 0 gives x back exactly. Without it the
    centred remainder is returned, which differs from x by the whole mean even at rank 0.
    """
    cut = cut_part(x, left=left, right=right, mean=mean)
    start = x.to(cut.dtype) if restore_mean else x.to(cut.dtype) - mean.to(device=x.device, dtype=cut.dtype)
    return (start - cut).to(x.dtype)


def check_width(x: Tensor, *, width: int) -> None:
    """Refuse activations that cannot belong to the hook point that the subspace was fitted on."""
    if x.ndim == 0 or x.shape[-1] != width:
        raise ValueError(
            f"a subspace of width {width} was applied to activations of shape {tuple(x.shape)}, whose last axis "
            f"is not {width}; fit it on activations of the same hook point"
        )
    if not x.is_floating_point():
        raise ValueError(
            f"activations must be floating point, got {x.dtype}; convert them first, for example with x.float()"
        )


def orthonormalise(directions: Float[Tensor, "rank unit"]) -> Float[Tensor, "rank unit"]:
    """Orthonormal rows spanning the same space, row i within the first i + 1 directions, of the same sign.

    Raises:
        ValueError: If a direction is zero, or depends linearly on those before it.
    """
    rank, width = directions.shape
    norms = directions.norm(dim=1)
    for index in torch.nonzero(norms == 0).flatten().tolist():
        raise ValueError(f"direction {index} of {rank} (counted from 0) is zero; leave it out")
    if rank > width:
        raise ValueError(
            f"{rank} directions in a space of {width} units are linearly dependent; give at most {width} directions"
        )
    q, r = torch.linalg.qr((directions / norms[:, None]).T)
    sines = r.diagonal()
    for index in torch.nonzero(sines.abs() <= DEPENDENT).flatten().tolist():
        raise ValueError(
            f"direction {index} of {rank} (counted from 0) depends linearly on those before it; leave it out"
        )
    signed: Tensor = q * sines.sign()
    return signed.T.contiguous()


def orient(directions: Float[Tensor, "rank unit"]) -> Float[Tensor, "rank unit"]:
    """The same directions, each with its entry of largest magnitude made positive (the sign convention)."""
    if directions.shape[0] == 0:
        return directions
    largest = directions.abs().argmax(dim=1, keepdim=True)
    return directions * directions.gather(1, largest).sign()
