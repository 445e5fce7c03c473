"""Pearson's correlation from values that are seen once and not kept."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float64, Num
from torch import Tensor


@dataclass(frozen=True, eq=False)
class CoMoments:
    r"""Means and centred second moments of pairs (x, y), in float64, one set per unit.

    Two sets of pairs A and B are joined without their values (Chan, Golub and LeVeque), with
    :math:`\delta_x = \bar x_B - \bar x_A`:

    .. math::

        S_{xy} = S^A_{xy} + S^B_{xy} + \frac{n_A n_B}{n_A + n_B}\, \delta_x \delta_y, \qquad
        r = \frac{S_{xy}}{\sqrt{S_{xx} S_{yy}}}

    Every set of values is centred before it is squared, so that a large mean costs no digits.

    Attributes:
        n: Pairs seen.
        mean_x, mean_y: Means.
        xx, yy, xy: Sums of products of distances from the means.

    Source:
        Chan, Golub & LeVeque (1983), The American Statistician 37:242-247. r agrees with ``scipy.stats.pearsonr``.

    Example:
        >>> import torch
        >>> x = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
        >>> y = torch.tensor([[2.0], [1.0], [4.0], [3.0]])
        >>> first, second = CoMoments.of(x[:3], y[:3]), CoMoments.of(x[3:], y[3:])
        >>> round(first.merge(second).r.item(), 4)
        0.6
    """

    n: Float64[Tensor, "*unit"]
    mean_x: Float64[Tensor, "*unit"]
    mean_y: Float64[Tensor, "*unit"]
    xx: Float64[Tensor, "*unit"]
    yy: Float64[Tensor, "*unit"]
    xy: Float64[Tensor, "*unit"]

    @classmethod
    def of(cls, x: Num[Tensor, "row *unit"], y: Num[Tensor, "..."]) -> "CoMoments":
        """Moments of pairs that are already in memory; any dtype, one pair per row and unit, y in the shape of x.

        Raises:
            ValueError: x and y differ in shape, or there is no row.
        """
        if x.shape != y.shape or len(x) == 0:
            raise ValueError(
                f"x of shape {tuple(x.shape)} and y of shape {tuple(y.shape)} are not pairs; both must have the "
                "same shape [row, *unit], with at least one row"
            )
        # Taken from the first row, so that the spread of equal values is exactly zero.
        first_x, first_y = x[0].double(), y[0].double()
        x, y = x.double() - first_x, y.double() - first_y
        mean_x, mean_y = x.mean(0), y.mean(0)
        x, y = x - mean_x, y - mean_y
        return cls(
            n=torch.full_like(mean_x, len(x)),
            mean_x=first_x + mean_x,
            mean_y=first_y + mean_y,
            xx=(x * x).sum(0),
            yy=(y * y).sum(0),
            xy=(x * y).sum(0),
        )

    @classmethod
    def unseen(cls, *shape: int) -> "CoMoments":
        """Moments still to be filled in with `put_`, NaN until then."""
        return cls(*(torch.full(shape, torch.nan, dtype=torch.float64) for _ in fields(cls)))

    def merge(self, other: "CoMoments") -> "CoMoments":
        """Moments of both sets of pairs together; neither operand changes."""
        n = self.n + other.n
        share = other.n / n
        x, y = other.mean_x - self.mean_x, other.mean_y - self.mean_y
        weight = self.n * share
        return CoMoments(
            n=n,
            mean_x=self.mean_x + share * x,
            mean_y=self.mean_y + share * y,
            xx=self.xx + other.xx + weight * x * x,
            yy=self.yy + other.yy + weight * y * y,
            xy=self.xy + other.xy + weight * x * y,
        )

    def pooled(self) -> "CoMoments":
        """All units of the first axis taken together: ``[unit, ...]`` to ``[...]``."""
        n = self.n.sum(0)
        mean_x, mean_y = (self.n * self.mean_x).sum(0) / n, (self.n * self.mean_y).sum(0) / n
        x, y = self.mean_x - mean_x, self.mean_y - mean_y
        return CoMoments(
            n=n,
            mean_x=mean_x,
            mean_y=mean_y,
            xx=(self.xx + self.n * x * x).sum(0),
            yy=(self.yy + self.n * y * y).sum(0),
            xy=(self.xy + self.n * x * y).sum(0),
        )

    def without_each(self) -> "CoMoments":
        """All units of the first axis but one, for each of them in turn: what a jackknife needs."""
        whole = self.pooled()
        n = whole.n - self.n
        mean_x = whole.mean_x + (whole.mean_x - self.mean_x) * self.n / n
        mean_y = whole.mean_y + (whole.mean_y - self.mean_y) * self.n / n
        weight = self.n * n / whole.n
        x, y = self.mean_x - mean_x, self.mean_y - mean_y
        return CoMoments(
            n=n,
            mean_x=mean_x,
            mean_y=mean_y,
            xx=(whole.xx - self.xx - weight * x * x).clamp(min=0),
            yy=(whole.yy - self.yy - weight * y * y).clamp(min=0),
            xy=whole.xy - self.xy - weight * x * y,
        )

    @classmethod
    def stack(cls, parts: "Sequence[CoMoments]") -> "CoMoments":
        """Join moments along a new first axis, each of them a unit (or more) of its own."""
        names = [field.name for field in fields(cls)]
        return cls(*(torch.stack([getattr(part, name) for part in parts]) for name in names))

    def put_(self, index: Tensor | slice | int, part: "CoMoments") -> None:
        """Set the moments of some of the units, in place."""
        for field in fields(self):
            getattr(self, field.name)[index] = getattr(part, field.name)

    def __getitem__(self, index: Tensor | slice | int) -> "CoMoments":
        """Some of the units."""
        return CoMoments(*(getattr(self, field.name)[index] for field in fields(self)))

    @property
    def r(self) -> Float64[Tensor, "*unit"]:
        """Pearson's correlation; NaN where x or y does not vary."""
        varies = (self.xx > 0) & (self.yy > 0)
        size = self.xx.sqrt() * self.yy.sqrt()
        return torch.where(varies, self.xy / size, torch.nan).clamp(-1, 1)
