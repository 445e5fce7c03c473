"""Histograms of values that are seen once and not kept, whatever their range turns out to be."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

SMALLEST_EXPONENT = -30


@dataclass(eq=False)
class Histogram:
    r"""Counts in bins of width :math:`2^e`, with a bin edge at zero; all rows share their bins.

    When a value falls outside, ``e`` grows by one and neighbouring bins are joined:
    :math:`[kw, (k+1)w)` goes into bin :math:`\lfloor k/2 \rfloor` of twice the width. The counts are exact, and the
    same in whatever batches the values came.

    Attributes:
        counts: values in each bin; one row per condition, for example.
        exponent: the bins' width is ``2 ** exponent``.

    Source:
        Agrees with ``numpy.histogram(values, bins=histogram.edges)`` but for its last edge, which numpy closes.

    Example:
        >>> import torch
        >>> histogram = Histogram.zeros(n_rows=1, n_bins=4)
        >>> histogram.update(0, torch.tensor([0.5, 1.5]))
        >>> histogram.update(0, torch.tensor([-3.0]))
        >>> histogram.edges.tolist(), histogram.counts.tolist()
        ([-4.0, -2.0, 0.0, 2.0, 4.0], [[1, 0, 2, 0]])
    """

    counts: Int[Tensor, "row bin"]
    exponent: int = SMALLEST_EXPONENT

    @classmethod
    def zeros(cls, *, n_rows: int, n_bins: int = 256) -> "Histogram":
        """An empty histogram.

        Args:
            n_rows: sets of values that share their bins.
            n_bins: even, so that zero is an edge.

        Raises:
            ValueError: an odd number of bins, or fewer than 2.
        """
        if n_bins < 2 or n_bins % 2:
            raise ValueError(f"n_bins {n_bins} puts no edge at zero; give an even number, 2 or more")
        return cls(torch.zeros(n_rows, n_bins, dtype=torch.int64))

    def update(self, row: int, values: Float[Tensor, "..."]) -> None:
        """Count values, of any shape and on any device.

        Raises:
            ValueError: NaN or infinite values.
        """
        flat = values.detach().flatten().double().cpu()
        if not bool(flat.isfinite().all()):
            raise ValueError(
                f"{int((~flat.isfinite()).sum())} of {flat.numel()} values are NaN or infinite and fit no bin; "
                "look at the model's weights and dtype (float16 overflows at 65504)"
            )
        if not len(flat):
            return
        half = self.counts.shape[1] // 2
        low, high = float(flat.min()), float(flat.max())
        while math.floor(low / self.width) < -half or math.floor(high / self.width) >= half:
            self._widen()
        self.counts[row] += torch.bincount((flat / self.width).floor_().long() + half, minlength=2 * half)

    @property
    def width(self) -> float:
        """Width of a bin, in the values' units."""
        return 2.0**self.exponent

    @property
    def edges(self) -> Float[Tensor, " edge"]:
        """The bins' edges, one more than bins, in the values' units."""
        half = self.counts.shape[1] // 2
        return torch.arange(-half, half + 1, dtype=torch.float64) * self.width

    def _widen(self) -> None:
        """Join neighbours; bins on either side of zero never meet."""
        half = self.counts.shape[1] // 2
        # Bin k counted from zero goes into floor(k / 2).
        target = torch.arange(-half, half).div(2, rounding_mode="floor") + half
        self.counts = torch.zeros_like(self.counts).index_add_(1, target, self.counts)
        self.exponent += 1
