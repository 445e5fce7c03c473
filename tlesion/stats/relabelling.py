"""The relabellings of a permutation test, and how large the t statistics are under each."""

import itertools
import math
from collections.abc import Iterator

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

BATCH = 1024  # relabellings made at once


def n_relabellings(n_a: int, n_b: int, *, pairs: bool) -> int:
    """How many relabellings exist: swaps within pairs, or choices of which rows are a's."""
    return 2**n_a if pairs else math.comb(n_a + n_b, n_a)


def all_labels(n_a: int, n_b: int, *, pairs: bool) -> Iterator[Float64[Tensor, "relabelling row"]]:
    """Every relabelling once, in batches: ±1 per pair, or 1 for the rows assigned to condition a."""
    rows = range(n_a + n_b)
    choices = itertools.product((1.0, -1.0), repeat=n_a) if pairs else itertools.combinations(rows, n_a)
    while batch := list(itertools.islice(choices, BATCH)):
        yield torch.tensor(batch, dtype=torch.float64) if pairs else _membership(torch.tensor(batch), len(rows))


def drawn_labels(
    n_a: int, n_b: int, n_draws: int, seed: int, *, pairs: bool
) -> Iterator[Float64[Tensor, "relabelling row"]]:
    """Random relabellings, drawn independently, in batches; as `all_labels` has them."""
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, n_draws, BATCH):
        size = min(BATCH, n_draws - start)
        if pairs:
            yield torch.randint(0, 2, (size, n_a), generator=generator).double() * 2 - 1
        else:
            order = torch.rand(size, n_a + n_b, generator=generator, dtype=torch.float64).argsort(1)
            yield _membership(order[:, :n_a], n_a + n_b)


def relabelled_size(
    labels: Float64[Tensor, "relabelling row"], columns: Float64[Tensor, "row unit"], *, statistic: str
) -> Float64[Tensor, "relabelling unit"]:
    r"""An increasing function of \|t\| under each relabelling, the same for all units.

    For Student's and the paired test it is :math:`r = |t| / \sqrt{t^2 + \nu}`, which needs only the sum of
    a's rows, because the total sum of squares is the same under all relabellings; for Welch's
    :math:`|t| / \sqrt{t^2 + 1}`. Both stay within 0 and 1 and, unlike t itself, lose no digits where the
    variance within conditions nearly vanishes.

    Args:
        labels: as from `all_labels`.
        columns: the rows of both conditions, each unit centred on its mean; for "paired" the differences.
        statistic: "student", "welch" or "paired".
    """
    sums = labels @ columns
    square_total = columns.square().sum(0).clamp(min=torch.finfo(torch.float64).tiny)
    if statistic == "paired":
        return sums.abs_() / (len(columns) * square_total).sqrt()
    n = len(columns)
    n_a = labels.sum(1, keepdim=True)
    n_b = n - n_a
    if statistic == "student":
        return sums.abs_() * (n / (n_a * n_b)).sqrt() / square_total.sqrt()
    squares_a = labels @ columns.square()
    within_a = (squares_a - sums.square() / n_a).clamp_(min=0)
    within_b = (square_total - squares_a - sums.square() / n_b).clamp_(min=0)
    error = within_a / (n_a * (n_a - 1)) + within_b / (n_b * (n_b - 1))
    difference = sums * (n / (n_a * n_b))
    scale = (difference.square() + error).clamp_(min=torch.finfo(torch.float64).tiny)
    return difference.abs_() / scale.sqrt_()


def _membership(rows: Int64[Tensor, "relabelling picked"], n_rows: int) -> Float64[Tensor, "relabelling row"]:
    """1 where a row is picked, 0 elsewhere."""
    return torch.zeros(len(rows), n_rows, dtype=torch.float64).scatter_(1, rows, 1.0)
