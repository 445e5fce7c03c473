"""Confidence intervals of means over prompts: by the bootstrap (BCa, percentile) or by Student's t."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int64, Shaped
from numpy.typing import NDArray
from scipy import special, stats
from torch import Tensor

from tlesion.checks import one_of
from tlesion.inference.groups import group_index
from tlesion.public import public

METHODS = ("bca", "percentile", "t")
N_VALUES = 1 << 22  # resampled means held at once: 32 MB
TIE = 1e-12  # of the samples' largest value: means this close are equal, whatever the order of summation

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Interval:
    """A confidence interval for each of many means.

    Attributes:
        low, high: The ends; NaN where a sample is NaN or infinite.
        level: Share of studies whose interval should contain the true mean.
        method: How it was made: "bca", "percentile" or "t".
    """

    low: Float64[Tensor, "*shape"]
    high: Float64[Tensor, "*shape"]
    level: float
    method: str


@public
def bootstrap_mean(
    values: Shaped[Tensor, "..."],
    *,
    level: float | int = 0.95,
    method: str = "bca",
    n_resamples: int = 5000,
    seed: int = 0,
    groups: Any = None,
) -> Interval:
    r"""Confidence interval of the mean over the last axis, for every row of the others at once.

    ``"percentile"``: quantiles of the means of resampled samples. ``"bca"``: the same at quantiles that are corrected
    for bias :math:`z_0` and for the skew of the samples, a,

    .. math:: \alpha' = \Phi\left(z_0 + \frac{z_0 + z_\alpha}{1 - a (z_0 + z_\alpha)}\right), \qquad
        z_0 = \Phi^{-1}(\#\{\bar x^* < \bar x\} / B), \qquad
        a = \frac{\sum_i d_i^3}{6 (\sum_i d_i^2)^{3/2}}

    with :math:`d_i` the mean of all leave-one-out means minus the one without sample i. ``"t"``: Student's interval,
    :math:`\bar x \pm t_{\nu} s / \sqrt n`, no resampling. All rows are resampled alike, so that rows of one study
    (layers, masks) stay comparable.

    Args:
        values: Samples on the last axis, ``[*shape, sample]``: for example the effects of a lesion on the prompts.
        level: Between 0 and 1.
        method: One of the three. With fewer than about 20 samples (or groups) both bootstraps are too narrow, and
            ``"t"`` is the better one.
        n_resamples: Resamples of the bootstraps.
        seed: Of the resamples.
        groups: One label per sample; whole groups are resampled, and left out, where samples of a group (variants of
            one template) are not independent. The mean stays that of all samples; ``"t"`` takes the groups' own
            deviations for its standard error, with G − 1 degrees of freedom,
            :math:`\sqrt{\frac{G}{G-1} \sum_g (\sum_{i \in g} (x_i - \bar x))^2} / n`.

    Returns:
        The interval. Where all samples are equal, both ends are that value.

    Raises:
        ValueError: Fewer than two samples or groups, a level outside (0, 1), no resamples, a negative seed, an unknown
            method.

    Source:
        Efron & Tibshirani (1993), An Introduction to the Bootstrap, 14.3. Resample for resample that of
        ``scipy.stats.bootstrap(rng=seed)``; ``"t"`` that of ``scipy.stats.ttest_1samp``.

    Example:
        >>> import torch
        >>> interval = bootstrap_mean(torch.tensor([[1.0, 2.0, 3.0, 4.0], [7.0, 7.0, 7.0, 7.0]]), method="t")
        >>> interval.low, interval.high
        (tensor([0.4457, 7.0000], dtype=torch.float64), tensor([4.5543, 7.0000], dtype=torch.float64))
    """
    one_of("method", method, METHODS)
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level!r}; 0.95 is usual")
    if n_resamples < 1:
        raise ValueError(f"n_resamples is {n_resamples}; give 1 or more (5000 are plenty for 95 %)")
    if seed < 0:
        raise ValueError(f"seed {seed} is negative; give 0 or more")
    if values.ndim < 1:
        raise ValueError("values are a single number; give samples on the last axis")
    data = values.detach().cpu().double()
    index = group_index(groups, data.shape[-1])
    rows = data.reshape(-1, data.shape[-1])
    known = rows.isfinite().all(dim=1)
    # Rows count from their first sample and in units of their largest: equal samples are then exactly 0 apart.
    start = rows[:, :1].nan_to_num(posinf=0.0, neginf=0.0)
    rows = (rows - start).masked_fill(~known[:, None], 0.0)
    scale = rows.abs().amax(dim=1, keepdim=True)
    scale = scale.where(scale > 0, 1.0)
    sums, sizes = _sums((rows / scale).numpy(), index)
    ends = _student(sums, sizes, level) if method == "t" else _resampled(sums, sizes, level, method, n_resamples, seed)
    low, high = (
        torch.from_numpy(end)[:, None].mul(scale).add(start)[:, 0].masked_fill(~known, torch.nan) for end in ends
    )
    shape = data.shape[:-1]
    return Interval(low=low.reshape(shape), high=high.reshape(shape), level=float(level), method=method)


def _sums(rows: Array, index: Int64[Tensor, " sample"]) -> tuple[Array, Array]:
    """Each group's sum in every row, and its number of samples."""
    sizes = np.bincount(index.numpy()).astype(np.float64)
    member = np.zeros((len(index), len(sizes)))
    member[np.arange(len(index)), index.numpy()] = 1.0
    return (rows if len(sizes) == len(index) else rows @ member), sizes


def _student(sums: Array, sizes: Array, level: float) -> tuple[Array, Array]:
    n_groups, n = len(sizes), sizes.sum()
    mean = sums.sum(axis=1) / n
    deviation = sums - sizes * mean[:, None]
    error = np.sqrt(n_groups / (n_groups - 1) * np.square(deviation).sum(axis=1)) / n
    reach = stats.t.ppf((1 + level) / 2, n_groups - 1) * error
    return mean - reach, mean + reach


def _resampled(
    sums: Array, sizes: Array, level: float, method: str, n_resamples: int, seed: int
) -> tuple[Array, Array]:
    counts = _counts(len(sizes), n_resamples, seed)
    weight = counts @ sizes
    low, high = np.empty(len(sums)), np.empty(len(sums))
    step = max(1, N_VALUES // n_resamples)
    for part in (slice(i, i + step) for i in range(0, len(sums), step)):
        means = np.sort(sums[part] @ counts.T / weight, axis=1)
        tails = np.broadcast_to([(1 - level) / 2, (1 + level) / 2], (len(means), 2))
        if method == "bca":
            tails = _corrected(means, sums[part], sizes, tails)
        low[part], high[part] = _quantile(means, tails[:, 0]), _quantile(means, tails[:, 1])
    return low, high


def _counts(n_groups: int, n_resamples: int, seed: int) -> Array:
    """How often each group is in each resample."""
    drawn = np.random.default_rng(seed).integers(0, n_groups, (n_resamples, n_groups))
    drawn += n_groups * np.arange(n_resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=n_resamples * n_groups).reshape(n_resamples, n_groups).astype(float)


def _corrected(means: Array, sums: Array, sizes: Array, tails: Array) -> Array:
    """The quantiles that BCa takes in place of the nominal ones; the nominal ones where nothing varies."""
    total, n = sums.sum(axis=1, keepdims=True), sizes.sum()
    mean = total / n
    below = ((means < mean - TIE).sum(axis=1) + (means <= mean + TIE).sum(axis=1)) / (2 * means.shape[1])
    without = (total - sums) / (n - sizes)
    d = without.mean(axis=1, keepdims=True) - without
    spread = np.square(d).sum(axis=1)
    varies = spread > TIE**2
    skew = np.power(d, 3).sum(axis=1) / (6 * np.where(varies, spread, 1.0) ** 1.5)
    bias = special.ndtri(np.where(varies, below, 0.5))[:, None]
    shifted = bias + special.ndtri(tails)
    corrected = special.ndtr(bias + shifted / (1 - skew[:, None] * shifted))
    return np.where(varies[:, None], corrected, tails)


def _quantile(ranked: Array, share: Array) -> Array:
    """Quantiles of ranked rows, a share for each row, linear between neighbours as NumPy has them."""
    place = share * (ranked.shape[1] - 1)
    left = np.floor(place).astype(int)
    right = np.minimum(left + 1, ranked.shape[1] - 1)
    rows = np.arange(len(ranked))
    lower, upper = ranked[rows, left], ranked[rows, right]
    between: Array = lower + (place - left) * (upper - lower)
    return between
