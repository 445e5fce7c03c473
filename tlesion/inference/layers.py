"""Claims about layers: which differ from zero, given that all were looked at, and which stretches of layers do."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from jaxtyping import Float64, Shaped
from scipy import stats
from torch import Tensor

from tlesion.inference.sign_flips import TIE, as_p, directed, is_exact, prepare, size_of, t_of, unknown_rows
from tlesion.public import public

LEVEL = 0.05  # two-sided, of the default threshold


@dataclass(frozen=True, kw_only=True)
class LayerCluster:
    """Adjacent layers whose effects all pass the threshold, with the same sign.

    Attributes:
        first, last: Its first and its last layer, as rows of the values; both belong to it.
        mass: Sum of their t; negative where the effects are.
        p: How often the largest cluster of sign-flipped samples has at least as much mass, which corrects for the
            number of clusters.
    """

    first: int
    last: int
    mass: float
    p: float


@public
def max_statistic(
    values: Shaped[Tensor, "..."],
    *,
    n_permutations: int = 10_000,
    seed: int = 0,
    groups: Any = None,
    tail: str = "two-sided",
) -> Float64[Tensor, " layer"]:
    r"""Which layers' means differ from zero, corrected for having looked at all of them.

    .. math:: p_l = (1 + \#\{\max_k |t_k^*| \ge |t_l|\}) \,/\, (1 + B)

    Signs are flipped by sample, one flip for all layers of a sample, which preserves any dependence between layers.
    Controls the family-wise error rate. Where there are no more than ``n_permutations`` flips, each is counted
    once, the observed one among them, and no 1 is added.

    Args:
        values: Effects ``[layer, sample]``; a sample is a prompt.
        n_permutations: Flips to draw.
        seed: Of the draws.
        groups: One label per sample; samples of a group are flipped together, and t is of the groups' totals.
        tail: ``"two-sided"``, ``"larger"`` (than zero) or ``"smaller"``.

    Returns:
        Corrected p per layer. NaN for a layer whose effects are all zero, or that holds NaN; it takes no part in the
        maxima.

    Raises:
        ValueError: Values that are not ``[layer, sample]``, fewer than two samples or groups, no permutation, an
            unknown tail.

    Source:
        Nichols & Holmes (2002), Human Brain Mapping 15:1-25. Agrees with ``mne.stats.permutation_t_test``.

    Example:
        >>> import torch
        >>> effects = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0], [1.0, -1.0, 2.0, -2.0, 0.5]])
        >>> max_statistic(effects).tolist()  # 4 of 32, and all of them
        [0.125, 1.0]
    """
    rows, flips = _prepare(values, n_permutations, seed, groups, tail)
    unknown = unknown_rows(rows)
    observed = directed(size_of(rows.sum(dim=1)[None], rows), tail)[0]
    count, n_seen = torch.zeros(len(rows), dtype=torch.float64), 0
    for signs in flips:
        size = directed(size_of(signs @ rows.T, rows), tail)
        largest = size.masked_fill(unknown, -torch.inf).amax(dim=1, keepdim=True)
        count += (largest >= observed - TIE).sum(dim=0)
        n_seen += len(signs)
    return as_p(count, n_seen, exact=is_exact(rows.shape[1], n_permutations), unknown=unknown)


@public
def cluster_permutation(
    values: Shaped[Tensor, "..."],
    *,
    threshold: float | int | None = None,
    n_permutations: int = 10_000,
    seed: int = 0,
    groups: Any = None,
    tail: str = "two-sided",
) -> tuple[LayerCluster, ...]:
    r"""Stretches of adjacent layers with an effect, each with a p-value.

    A cluster is a run of adjacent layers with :math:`t > c` (or :math:`t < -c`); its mass is the sum of their t. p is
    the share of sign flips whose largest cluster has at least as much mass in absolute value. It is a claim about the
    stretch as a whole: that it holds *some* effect, not that each of its layers does, nor where exactly it ends.

    Args:
        values: Effects ``[layer, sample]`` of adjacent layers, in their order; a sample is a prompt.
        threshold: c, above zero; None: the critical value of t at p < 0.05 (two-sided, or one-sided with a ``tail``).
        n_permutations: Flips to draw; where no more than that exist, all are used.
        seed: Of the draws.
        groups: One label per sample; samples of a group are flipped together, and t is of the groups' totals.
        tail: ``"two-sided"`` (clusters of either sign), ``"larger"`` (than zero) or ``"smaller"``.

    Returns:
        The clusters of the observed effects, in the order of the layers, significant or not. A layer without any
        effect, or with NaN, belongs to no cluster and separates its neighbours.

    Raises:
        ValueError: Values that are not ``[layer, sample]``, fewer than two samples or groups, a threshold of zero or
            less, no permutation, an unknown tail.

    Source:
        Maris & Oostenveld (2007), J. Neurosci. Methods 164:177-190. Agrees with
        ``mne.stats.permutation_cluster_1samp_test``.

    Example:
        >>> import torch
        >>> strong = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        >>> weak = torch.tensor([1.0, -1.0, 2.0, -2.0, 0.5, -0.5])
        >>> [(one.first, one.last, one.p) for one in cluster_permutation(torch.stack([strong, strong, weak]))]
        [(0, 1, 0.03125)]
    """
    rows, flips = _prepare(values, n_permutations, seed, groups, tail)
    n = rows.shape[1]
    c = _threshold(threshold, n, tail)
    observed = _t(rows.sum(dim=1)[None], rows)[0]
    found = list(_runs(observed, c, tail))
    if not found:
        return ()
    mass = torch.tensor([float(observed[first : last + 1].sum()) for first, last in found], dtype=torch.float64)
    count, n_seen = torch.zeros(len(found), dtype=torch.float64), 0
    for signs in flips:
        largest = _largest_mass(_t(signs @ rows.T, rows), c, tail)
        # Relative: masses are sums of t, which have no upper bound.
        count += (largest[:, None] >= mass.abs() * (1 - 1e-9)).sum(dim=0)
        n_seen += len(signs)
    p = as_p(count, n_seen, exact=is_exact(n, n_permutations), unknown=torch.zeros(len(found), dtype=torch.bool))
    return tuple(
        LayerCluster(first=first, last=last, mass=float(mass[i]), p=float(p[i]))
        for i, (first, last) in enumerate(found)
    )


def _prepare(
    values: Tensor, n_permutations: int, seed: int, groups: Any, tail: str
) -> tuple[Float64[Tensor, "layer group"], Iterator[Float64[Tensor, "flip group"]]]:
    if values.ndim != 2 or not len(values):
        raise ValueError(f"values have shape {tuple(values.shape)}; give [layer, sample], the effects of one mask")
    return prepare(values, n_permutations=n_permutations, seed=seed, groups=groups, tail=tail)


def _threshold(threshold: float | int | None, n: int, tail: str) -> float:
    if threshold is None:
        return float(stats.t.isf(LEVEL / 2 if tail == "two-sided" else LEVEL, n - 1))
    if not threshold > 0:
        raise ValueError(f"threshold {threshold} of t; give a number above zero (for tail='smaller' as well), or None")
    return float(threshold)


def _t(sums: Float64[Tensor, "flip layer"], rows: Float64[Tensor, "layer group"]) -> Float64[Tensor, "flip layer"]:
    """Student's t under every flip; 0, in no cluster, where none exists."""
    return t_of(size_of(sums, rows), rows.shape[1]).masked_fill(unknown_rows(rows), 0.0)


def _signs(tail: str) -> tuple[int, ...]:
    return {"two-sided": (1, -1), "larger": (1,), "smaller": (-1,)}[tail]


def _runs(t: Float64[Tensor, " layer"], c: float, tail: str) -> Iterator[tuple[int, int]]:
    """First and last layer of every cluster."""
    sign = (t > c).long() * (1 in _signs(tail)) - (t < -c).long() * (-1 in _signs(tail))
    for value, run in groupby(range(len(t)), key=sign.tolist().__getitem__):
        rows = list(run)
        if value:
            yield rows[0], rows[-1]


def _largest_mass(t: Float64[Tensor, "flip layer"], c: float, tail: str) -> Float64[Tensor, " flip"]:
    """The largest cluster's mass under every flip; 0 where there is no cluster."""
    largest = torch.zeros(len(t), dtype=torch.float64)
    for sign in _signs(tail):
        run = torch.zeros_like(largest)
        for layer in (sign * t).unbind(dim=1):
            run = torch.where(layer > c, run + layer, 0.0)
            largest = torch.maximum(largest, run)
    return largest
