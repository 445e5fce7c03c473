"""A ratio of two means with its interval: what share of a whole effect does a part have?"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64
from scipy import stats
from torch import Tensor

from tlesion.inference.groups import group_index, group_totals


@dataclass(frozen=True, eq=False, kw_only=True)
class Ratio:
    """Ratios of means, with intervals; all NaN where the denominator is not shown to differ from zero.

    Attributes:
        value: Mean of the part over mean of the whole.
        low, high: The ends of the interval.
    """

    value: Float64[Tensor, "*shape"]
    low: Float64[Tensor, "*shape"]
    high: Float64[Tensor, "*shape"]


def ratio_of_means(
    part: Float64[Tensor, "*shape sample"],
    whole: Float64[Tensor, "*shape sample"],
    *,
    level: float,
    groups: Any = None,
    least: float = 0.0,
) -> Ratio:
    r"""The ratio of two means over the same samples, with Fieller's interval.

    The interval holds every r for which Student's interval of the mean of :math:`x_i - r y_i` holds zero. It has two
    ends exactly where Student's interval of the mean of y does not hold zero. Elsewhere a ratio says nothing: it is
    NaN, and so are its ends.

    .. math:: (\bar x - r \bar y)^2 \le t_\nu^2 (V_{xx} - 2 r V_{xy} + r^2 V_{yy}), \qquad
        V_{xy} = \frac{G}{(G - 1) n^2} \sum_g \sum_{i \in g} (x_i - \bar x) \sum_{i \in g} (y_i - \bar y)

    Args:
        part: The numerator's samples, x.
        whole: The denominator's, y.
        level: Of the intervals, between 0 and 1.
        groups: One label per sample: samples of a group are not independent. See
            :func:`tlesion.inference.bootstrap_mean`, whose method ``"t"`` makes the same intervals of single means.
        least: Means of the whole of this size or less are rounding, and count as zero.

    Raises:
        ValueError: Fewer than two samples or groups.

    Source:
        Fieller (1954), Some problems in interval estimation, J. R. Stat. Soc. B 16:175-185.

    Example:
        >>> whole = torch.tensor([2.0, 4.0, 3.0, 3.0], dtype=torch.float64)
        >>> half = ratio_of_means(whole / 2, whole, level=0.95)
        >>> half.low.item(), half.value.item(), half.high.item()
        (0.5, 0.5, 0.5)
    """
    n = part.shape[-1]
    index = group_index(groups, n)
    n_groups = int(index.max()) + 1
    x, y = part.mean(dim=-1), whole.mean(dim=-1)
    # Totals are scaled to have the samples' mean, n / G times less than the sums in the equation.
    of_part, of_whole = group_totals(part - x[..., None], index), group_totals(whole - y[..., None], index)
    reach = float(stats.t.ppf((1 + level) / 2, n_groups - 1)) ** 2 / (n_groups * (n_groups - 1))
    xx, xy, yy = (
        mean - reach * (one * other).sum(dim=-1)
        for mean, one, other in ((x * x, of_part, of_part), (x * y, of_part, of_whole), (y * y, of_whole, of_whole))
    )
    shown = (yy > 0) & (y.abs() > least)
    root, divisor = (xy * xy - xx * yy).clamp(min=0).sqrt(), yy.where(shown, torch.nan)
    value = x / y.where(shown, torch.nan)
    # The ratio lies in its interval; rounding does not put it beside one without width.
    low, high = torch.minimum((xy - root) / divisor, value), torch.maximum((xy + root) / divisor, value)
    return Ratio(value=value + 0.0, low=low + 0.0, high=high + 0.0)  # 0 over a negative whole is 0, not −0
