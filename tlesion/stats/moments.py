"""Count, mean and variance of every unit, from rows that are seen once and not kept."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64, Num
from torch import Tensor


def float64_device(device: torch.device | str) -> torch.device:
    """Where float64 sums over a device's tensors live: there, or on the CPU for MPS, which has no float64.

    Example:
        >>> float64_device("mps"), float64_device("cuda:1")
        (device(type='cpu'), device(type='cuda', index=1))
    """
    device = torch.device(device)
    return torch.device("cpu") if device.type == "mps" else device


@dataclass(eq=False)
class Moments:
    r"""Streamed float64 moments of rows, one set per unit.

    The sums are taken over :math:`c_i = x_i - x_1`, the distance to the first row that was seen
    (the shifted-data algorithm of Chan, Golub and LeVeque):

    .. math::

        \bar x = x_1 + \frac{\sum c_i}{n}, \qquad
        M_2 = \sum (x_i - \bar x)^2 = \sum c_i^2 - \frac{(\sum c_i)^2}{n}.

    Because :math:`x_1` is itself one of the rows, :math:`\sum c_i^2 \le n M_2`: the subtraction loses
    at most a factor ``n`` of float64's precision, however small the variance and however large the
    mean. For the same reason :math:`M_2` is exactly zero where all values are equal, and only there.

    Attributes:
        n: rows seen so far.
        origin: the first row, :math:`x_1` (zeros before any row was seen).
        total: :math:`\sum c_i`.
        total_sq: :math:`\sum c_i^2`.

    Source:
        Chan, Golub & LeVeque (1983), Algorithms for computing the sample variance, The American
        Statistician 37:242-247. Agrees with ``numpy.mean`` and ``numpy.var(ddof=1)``.

    Example:
        >>> import torch
        >>> from tlesion.stats import Moments
        >>> moments = Moments.zeros((2,))
        >>> moments = moments.update(torch.tensor([[1.0, 7.0], [2.0, 7.0]]))
        >>> moments = moments.update(torch.tensor([[6.0, 7.0]]))
        >>> moments.n, moments.mean.tolist(), moments.variance.tolist()
        (3, [3.0, 7.0], [7.0, 0.0])
        >>> moments.constant.tolist()
        [False, True]
    """

    n: int
    origin: Float64[Tensor, "*unit"]
    total: Float64[Tensor, "*unit"]
    total_sq: Float64[Tensor, "*unit"]

    @classmethod
    def zeros(cls, shape: Sequence[int], device: torch.device | str | None = None) -> "Moments":
        """Moments before any row was seen.

        Args:
            shape: the shape of one row, for example ``(d_mlp,)``.
            device: where the sums live, if it has float64; None is the CPU. Rows from elsewhere are moved there.
        """
        zero = torch.zeros(tuple(shape), dtype=torch.float64, device=float64_device(device or "cpu"))
        return cls(0, zero, zero.clone(), zero.clone())

    @classmethod
    def of(cls, rows: Num[Tensor, "row *unit"]) -> "Moments":
        """Moments of rows that are already in memory, on their device if it has float64: `zeros` and one `update`."""
        return cls.zeros(rows.shape[1:], rows.device).update(rows)

    @classmethod
    def stack(cls, parts: "Sequence[Moments]") -> "Moments":
        """Join several ``parts``, moments of equal ``n``, along a new first axis: one per layer -> ``[layer, *unit]``.

        Raises:
            ValueError: no parts, or parts that saw different numbers of rows.
        """
        counts = sorted({part.n for part in parts})
        if len(counts) != 1:
            raise ValueError(
                f"cannot stack {len(parts)} Moments that saw {counts or 'no'} rows; "
                "stack at least one, all of the same number of rows"
            )
        return cls(
            counts[0],
            torch.stack([part.origin for part in parts]),
            torch.stack([part.total for part in parts]),
            torch.stack([part.total_sq for part in parts]),
        )

    def update(self, rows: Num[Tensor, "row *unit"]) -> "Moments":
        """Add a batch of rows, in place; any dtype and device, the rows are left as they are.

        NaN and infinite values are not refused here, in the middle of a forward pass; `finite` shows them afterwards.

        Args:
            rows: one row per observation, each of the shape given to `zeros`.

        Returns:
            This object, so that calls can be chained.

        Raises:
            ValueError: the rows have another shape than these moments.
        """
        if rows.shape[1:] != self.origin.shape:
            raise ValueError(
                f"rows of shape {list(rows.shape)} do not fit moments of shape {list(self.origin.shape)}; "
                f"expected [row, *{list(self.origin.shape)}]"
            )
        if len(rows) == 0:
            return self
        rows = rows.detach().to(self.origin.device)
        if self.n == 0:
            self.origin = rows[0].to(torch.float64, copy=True)
        centred = rows - self.origin  # float64 by promotion: the rows are never copied as such
        self.total = self.total + centred.sum(0)
        self.total_sq = self.total_sq + centred.square_().sum(0)
        self.n += len(rows)
        return self

    def merge(self, other: "Moments") -> "Moments":
        """Moments of these rows and those of ``other`` together; neither operand changes.

        Raises:
            ValueError: the two describe different shapes.
        """
        if other.origin.shape != self.origin.shape:
            raise ValueError(
                f"cannot merge moments of shape {list(self.origin.shape)} with {list(other.origin.shape)}; "
                "both must describe the same units"
            )
        if self.n == 0:
            return Moments(other.n, other.origin, other.total, other.total_sq)
        shift = other.origin - self.origin if other.n else torch.zeros_like(self.origin)
        return Moments(
            self.n + other.n,
            self.origin,
            self.total + other.total + other.n * shift,
            self.total_sq + other.total_sq + shift * (2 * other.total + other.n * shift),
        )

    @property
    def mean(self) -> Float64[Tensor, "*unit"]:
        """Mean of the rows, in their own units; NaN before any row was seen."""
        return self.origin + self.total / self.n if self.n else torch.full_like(self.origin, torch.nan)

    @property
    def m2(self) -> Float64[Tensor, "*unit"]:
        """Sum of squared distances from the mean."""
        return self.total_sq - self.total.square() / max(self.n, 1)

    @property
    def variance(self) -> Float64[Tensor, "*unit"]:
        """Unbiased variance, divisor ``n - 1``; NaN for fewer than two rows."""
        return self.m2 / (self.n - 1) if self.n > 1 else torch.full_like(self.origin, torch.nan)

    @property
    def constant(self) -> Bool[Tensor, "*unit"]:
        """True where all values seen were exactly equal (a dead neuron, if so in both conditions)."""
        return self.total_sq == 0

    @property
    def finite(self) -> Bool[Tensor, "*unit"]:
        """False where a row held NaN or an infinite value (or a float64 too large to square)."""
        return self.total_sq.isfinite()
