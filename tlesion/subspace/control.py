"""Random directions: the control that shows what removing any subspace of that rank does."""

import torch
from jaxtyping import Float
from torch import Tensor

from tlesion.subspace.decomposition import principal_directions
from tlesion.subspace.rows import CentredRows


def random_directions(rank: int, data: CentredRows, *, seed: int) -> Float[Tensor, "rank unit"]:
    """Independent Gaussian directions: their span is uniform over all subspaces of this rank."""
    # Drawn on the CPU, so that a seed means the same directions on every device.
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(rank, data.width, generator=generator, dtype=torch.float64)
    return drawn.to(data.rows.device)


def random_directions_in_span(rank: int, data: CentredRows, *, seed: int) -> Float[Tensor, "rank unit"]:
    """The same draws, projected onto the span of the centred activations: uniform within it.

    Fewer than ``rank`` where the span has fewer dimensions. Where units far outnumber tokens, a direction of the whole
    space is nearly orthogonal to the data; one within their span is not.
    """
    span = principal_directions(data)
    return (random_directions(rank, data, seed=seed) @ span.T @ span)[: len(span)]
