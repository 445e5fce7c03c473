"""Sign flips over samples: the permutations of a test that a mean is zero."""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from tlesion.checks import one_of
from tlesion.inference.groups import group_index, group_totals
from tlesion.public import public
from tlesion.stats.relabelling import all_labels, drawn_labels, n_relabellings

TAILS = ("two-sided", "larger", "smaller")
TIE = 1e-12  # as in tlesion.stats.permutation: sizes run from -1 to 1, and summing makes errors of 1e-14
NEARLY_ONE = 1 - 1e-15  # keeps t finite where all samples are equal: 3e7 times the root of the degrees of freedom


@public
def sign_flip_p(
    values: Shaped[Tensor, "..."],
    *,
    n_permutations: int = 10_000,
    seed: int = 0,
    groups: Any = None,
    tail: str = "two-sided",
) -> Float64[Tensor, "..."]:
    r"""Is the mean over the last axis zero? p of each row by itself, by flipping the samples' signs.

    .. math:: p = (1 + \#\{t^* \ge t\}) \,/\, (1 + B)

    over B random flips; where there are no more than ``n_permutations`` of them, each is counted once, the observed
    one among them, and no 1 is added. The null hypothesis is that samples are symmetric about zero.

    Args:
        values: Effects ``[*shape, sample]``; a sample is a prompt.
        n_permutations: Flips to draw.
        seed: Of the draws.
        groups: One label per sample; samples of a group are flipped together, and t is of the groups' totals.
        tail: ``"two-sided"``, ``"larger"`` (than zero) or ``"smaller"``.

    Returns:
        p ``[*shape]``; NaN where every sample is zero, or one is NaN or infinite.

    Raises:
        ValueError: Fewer than two samples or groups, no permutation, an unknown tail.

    Source:
        Agrees with ``scipy.stats.permutation_test(permutation_type="samples")``.

    Example:
        >>> import torch
        >>> sign_flip_p(torch.tensor([1.0, 2.0, 3.0, 4.0])).item()  # 2 of 16
        0.125
    """
    rows, flips = prepare(values, n_permutations=n_permutations, seed=seed, groups=groups, tail=tail)
    flat = rows.reshape(-1, rows.shape[-1])
    observed = directed(size_of(flat.sum(dim=1)[None], flat), tail)[0]
    count, n_seen = torch.zeros(len(flat), dtype=torch.float64), 0
    for signs in flips:
        count += (directed(size_of(signs @ flat.T, flat), tail) >= observed - TIE).sum(dim=0)
        n_seen += len(signs)
    return as_p(count, n_seen, exact=is_exact(rows.shape[-1], n_permutations), unknown=unknown_rows(flat)).reshape(
        rows.shape[:-1]
    )


def prepare(
    values: Tensor, *, n_permutations: int, seed: int, groups: Any, tail: str
) -> tuple[Float64[Tensor, "*shape group"], Iterator[Float64[Tensor, "flip group"]]]:
    """Values as groups' totals, and all flips of them, or drawn ones, in batches."""
    one_of("tail", tail, TAILS)
    if n_permutations < 1:
        raise ValueError(f"n_permutations must be 1 or more, got {n_permutations}; 10000 is usual")
    if values.ndim < 1:
        raise ValueError("values are a single number; give samples on the last axis")
    data = values.detach().cpu().double()
    rows = group_totals(data, group_index(groups, data.shape[-1]))
    n = rows.shape[-1]
    exact = is_exact(n, n_permutations)
    return rows, all_labels(n, n, pairs=True) if exact else drawn_labels(n, n, n_permutations, seed, pairs=True)


def is_exact(n_samples: int, n_permutations: int) -> bool:
    """Whether all flips are counted."""
    return n_relabellings(n_samples, n_samples, pairs=True) <= n_permutations


def size_of(sums: Float64[Tensor, "flip row"], rows: Float64[Tensor, "row group"]) -> Float64[Tensor, "flip row"]:
    r"""An increasing function of t, from −1 to 1: :math:`r = t / \sqrt{t^2 + n - 1}`; NaN for a row that cannot be
    tested.

    Flips leave the sum of squares as it is, so that the flipped sums are all that changes.
    """
    squares = rows.square().sum(dim=1)
    return sums / (rows.shape[1] * squares).sqrt()


def t_of(size: Float64[Tensor, "..."], n: int) -> Float64[Tensor, "..."]:
    """Student's t of a size; very large, but finite, where all samples are equal."""
    size = size.clamp(-NEARLY_ONE, NEARLY_ONE)
    return size * ((n - 1) / (1 - size.square())).sqrt()


def directed(size: Float64[Tensor, "..."], tail: str) -> Float64[Tensor, "..."]:
    """The larger, the further out in the tail."""
    return {"two-sided": size.abs, "larger": size.clone, "smaller": size.neg}[tail]()


def unknown_rows(rows: Float64[Tensor, "row group"]) -> Shaped[Tensor, " row"]:
    """True where no test exists: all samples zero, or one of them NaN or infinite."""
    return ~rows.isfinite().all(dim=1) | (rows == 0).all(dim=1)


def as_p(count: Float64[Tensor, " row"], n_seen: int, *, exact: bool, unknown: Tensor) -> Float64[Tensor, " row"]:
    """Counts as p: all flips include the observed one; among drawn ones it is counted in addition."""
    extra = 0 if exact else 1
    return ((count + extra) / (n_seen + extra)).masked_fill(unknown, torch.nan)
