"""Permutation t-tests: p-values that assume no distribution, single and max-T over a family."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from tlesion.public import public
from tlesion.stats.correction import check_family
from tlesion.stats.moments import Moments
from tlesion.stats.relabelling import all_labels, drawn_labels, n_relabellings, relabelled_size
from tlesion.stats.ttest import TTest, paired, student, welch

STATISTICS = ("student", "welch", "paired")
N_UNITS = 4096  # measured at once; times 1024 relabellings: 32 MB for each intermediate
TIE = 1e-12  # sizes run from 0 to 1 and are equal if this close: the order of summation makes 1e-14


@dataclass(frozen=True, eq=False, kw_only=True)
class PermutationTest(TTest):
    """A `TTest` whose ``p`` and ``log_p`` come from relabelling the rows instead of from a t distribution.

    Attributes:
        p_max_t: p-value adjusted for the whole family: how often the largest \\|t\\| of the family, under a
            relabelling, reaches this unit's. It controls the family-wise error rate, whatever the
            dependence between units (Westfall & Young's single-step max-T); no further correction is needed.
        n_permutations: number of relabellings compared.
        exact: True if these are all the relabellings there are; False if they were drawn at random.
    """

    p_max_t: Float64[Tensor, "*unit"]
    n_permutations: int
    exact: bool


@public
def permutation(
    rows_a: Float[Tensor, "row_a *unit"],
    rows_b: Float[Tensor, "row_b *unit_b"],
    *,
    statistic: str = "welch",
    n_permutations: int = 10_000,
    seed: int = 0,
    family: str = "layer",
) -> PermutationTest:
    r"""Permutation t-test of every unit, with max-T adjusted p-values.

    .. math::

        p = \frac{1 + \#\{|t^*| \ge |t|\}}{1 + B}, \qquad
        p_{\max T} = \frac{1 + \#\{\max_{family} |t^*| \ge |t|\}}{1 + B}

    over B random relabellings. Where no more than ``n_permutations`` relabellings exist, each is counted
    once, the observed one among them, and no 1 is added. The smallest p is 1 / (1 + B): it needs a
    B well above the number of tests to survive a correction other than max-T.

    Args:
        rows_a: rows of condition a.
        rows_b: rows of condition b; for "paired", row i belongs to row i of a.
        statistic: "student" or "welch" (conditions are shuffled over the rows) or "paired" (a and b are
            swapped within pairs).
        n_permutations: relabellings B to draw.
        seed: of the random relabellings.
        family: what one maximum spans: "layer" (the last axis) or "model" (all axes).

    Returns:
        t (positive where a is larger), p and max-T adjusted p of every unit; NaN for dead units.

    Raises:
        ValueError: an unknown statistic or family, no permutations, unequal numbers of rows for a paired test, or rows
            that the t-test refuses.

    Source:
        Westfall & Young (1993), Resampling-based multiple testing. Phipson & Smyth (2010), Permutation
        p-values should never be zero. p agrees with ``scipy.stats.permutation_test``.

    Example:
        >>> import torch
        >>> from tlesion.stats import permutation
        >>> a = torch.tensor([[5.0], [6.0], [7.0], [8.0]])
        >>> test = permutation(a, a - 4, statistic="student")
        >>> test.exact, test.n_permutations, round(test.p.item(), 4)  # 2 of the 70 are as extreme
        (True, 70, 0.0286)
    """
    check_family(family)
    if n_permutations < 1:
        raise ValueError(f"n_permutations must be 1 or more, got {n_permutations}; 10000 is usual")
    rows_a, rows_b = rows_a.detach().cpu().double(), rows_b.detach().cpu().double()
    observed = _observed(rows_a, rows_b, statistic)
    pairs = statistic == "paired"
    if pairs:
        rows, identity = rows_a - rows_b, torch.ones(1, len(rows_a), dtype=torch.float64)
    else:
        rows = torch.cat([rows_a, rows_b])
        rows = rows - rows[0]  # before the mean, whose rounding would matter if it is large
        rows = rows - rows.mean(0)
        identity = (torch.arange(len(rows)) < len(rows_a)).double()[None]
    n_a, n_b = len(rows_a), len(rows_b)
    exact = n_relabellings(n_a, n_b, pairs=pairs) <= n_permutations
    labels = all_labels(n_a, n_b, pairs=pairs) if exact else drawn_labels(n_a, n_b, n_permutations, seed, pairs=pairs)
    rows = rows.masked_fill(observed.dead, 0.0)  # never the largest of a family
    families = rows.flatten(1)[:, None] if family == "model" else rows.reshape(len(rows), -1, rows.shape[-1])
    single, largest, n_seen = _count_as_large(families, identity, labels, statistic)
    extra = 0 if exact else 1  # all relabellings include the observed one; drawn ones are given it
    p, p_max_t = (
        ((count + extra) / (n_seen + extra)).reshape(observed.t.shape).masked_fill(observed.dead, torch.nan)
        for count in (single, largest)
    )
    result = vars(observed) | {"p": p, "log_p": p.log()}
    return PermutationTest(**result, p_max_t=p_max_t, n_permutations=n_seen, exact=exact)


def _observed(rows_a: Tensor, rows_b: Tensor, statistic: str) -> TTest:
    if rows_a.ndim < 2 or rows_a.shape[1:] != rows_b.shape[1:]:
        raise ValueError(
            f"rows of shapes {list(rows_a.shape)} and {list(rows_b.shape)} cannot be compared; "
            "both must be [row, *unit] over the same units"
        )
    if statistic == "student":
        return student(Moments.of(rows_a), Moments.of(rows_b))
    if statistic == "welch":
        return welch(Moments.of(rows_a), Moments.of(rows_b))
    if statistic != "paired":
        raise ValueError(f"unknown statistic {statistic!r}; allowed are {', '.join(STATISTICS)}")
    if len(rows_a) != len(rows_b):
        raise ValueError(
            f"a paired test needs as many rows of a as of b, got {len(rows_a)} and {len(rows_b)}; "
            "row i of both must come from pair i (statistic='welch' compares unpaired rows)"
        )
    return paired(Moments.of(rows_a - rows_b))


def _count_as_large(
    families: Float64[Tensor, "row family unit"],
    identity: Float64[Tensor, "1 row"],
    batches: Iterable[Float64[Tensor, "relabelling row"]],
    statistic: str,
) -> tuple[Float64[Tensor, "family unit"], Float64[Tensor, "family unit"], int]:
    """Count, per unit, relabellings of which the unit, or the largest of its family, reaches the observed."""
    n_families, n_units = families.shape[1:]
    pieces = [families[:, f].split(N_UNITS, dim=1) for f in range(n_families)]
    thresholds = [
        [relabelled_size(identity, columns, statistic=statistic)[0] - TIE for columns in family] for family in pieces
    ]
    single = torch.zeros(n_families, n_units, dtype=torch.float64)
    maxima: list[Tensor] = []
    for labels in batches:
        top = torch.zeros(n_families, len(labels), dtype=torch.float64)
        for f, family in enumerate(pieces):
            for i, columns in enumerate(family):
                size = relabelled_size(labels, columns, statistic=statistic)
                single[f, i * N_UNITS : i * N_UNITS + columns.shape[1]] += (size >= thresholds[f][i]).sum(0)
                top[f] = torch.maximum(top[f], size.amax(1))
        maxima.append(top)
    ranked = torch.cat(maxima, dim=1).sort(dim=1).values
    threshold = torch.stack([torch.cat(family) for family in thresholds])
    largest = ranked.shape[1] - torch.searchsorted(ranked, threshold, side="left").double()
    return single, largest, ranked.shape[1]
