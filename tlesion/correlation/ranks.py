"""Spearman's correlation: Pearson's, of midranks."""

import numpy as np
import torch
from jaxtyping import Float, Float64
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

from tlesion.correlation.moments import CoMoments


def spearman(x: Float[Tensor, "row *unit"], y: Float[Tensor, "..."]) -> Float64[Tensor, "*unit"]:
    """Spearman's correlation over the first axis, for every unit; ties share the mean of their ranks.

    Returns:
        The correlations; NaN where x or y does not vary.

    Raises:
        ValueError: x and y differ in shape, or there is no row.

    Source:
        Agrees with ``scipy.stats.spearmanr``.

    Example:
        >>> import torch
        >>> round(spearman(torch.tensor([1.0, 2.0, 3.0, 9.0]), torch.tensor([1.0, 3.0, 2.0, 50.0])).item(), 4)
        0.8
    """
    if x.shape != y.shape:
        raise ValueError(
            f"x of shape {tuple(x.shape)} and y of shape {tuple(y.shape)} are not pairs; both must have the same shape"
        )
    ranks = (torch.from_numpy(np.asarray(rankdata(part.double().cpu().numpy(), axis=0))) for part in (x, y))
    return CoMoments.of(*ranks).r


def spearman_without_each(
    x: Float[Tensor, "group unit"], y: Float[Tensor, "group unit"]
) -> tuple[Float64[Tensor, ""], Float64[Tensor, " group"]]:
    """Spearman's correlation over all values, and the same without each group, ranked anew every time.

    Sorting once is enough: the values that are left keep their order.

    Args:
        x: Values; a row is one group (all neurons of one word).
        y: Their partners.

    Returns:
        The correlation of all pairs, and that without each row.

    Example:
        >>> import torch
        >>> x = torch.tensor([[1.0, 2.0], [3.0, 4.0], [9.0, 0.0]])
        >>> y = torch.tensor([[1.0, 2.0], [4.0, 3.0], [5.0, 9.0]])
        >>> whole, without = spearman_without_each(x, y)
        >>> round(whole.item(), 4), [round(value, 4) for value in without.tolist()]
        (0.0857, [-0.4, -0.2, 0.8])
    """
    levels_x, levels_y = _levels(x), _levels(y)
    whole = _r_of_levels(levels_x.ravel(), levels_y.ravel())
    without = []
    for row in range(len(x)):
        kept = np.ones(len(x), dtype=bool)
        kept[row] = False
        without.append(_r_of_levels(levels_x[kept].ravel(), levels_y[kept].ravel()))
    return torch.tensor(whole, dtype=torch.float64), torch.tensor(without, dtype=torch.float64)


def _levels(values: Tensor) -> NDArray[np.int64]:
    """For every value the number of smaller different values."""
    flat = values.double().cpu().numpy()
    return np.unique(flat, return_inverse=True)[1].reshape(flat.shape)


def _r_of_levels(x: NDArray[np.int64], y: NDArray[np.int64]) -> float:
    x_ranks, y_ranks = _midranks(x), _midranks(y)
    return float(CoMoments.of(torch.from_numpy(x_ranks), torch.from_numpy(y_ranks)).r)


def _midranks(levels: NDArray[np.int64]) -> NDArray[np.float64]:
    counts = np.bincount(levels)
    return (np.cumsum(counts) - (counts - 1) / 2)[levels]
