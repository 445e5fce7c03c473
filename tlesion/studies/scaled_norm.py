"""A model's norms in float64, with their divisor apart from the rest, so that it can be kept at a clean run's value."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float64
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ScaledNorm:
    r"""A layer norm or root-mean-square norm, as an affine function once its divisor is given.

    .. math:: N(x; \sigma) = w \odot \frac{x - \bar x}{\sigma} + b, \qquad
        \sigma(x) = \sqrt{\mathrm{mean}((x - \bar x)^2) + \epsilon}

    A root-mean-square norm has no :math:`\bar x`, and norms whose weights are folded into others have no w and b.

    Attributes:
        weight, bias: w and b, or None.
        centred: Whether the mean is taken away.
        eps: :math:`\epsilon`.
    """

    weight: Float64[Tensor, " d_model"] | None
    bias: Float64[Tensor, " d_model"] | None
    centred: bool
    eps: float

    def scale(self, x: Float64[Tensor, "*row d_model"]) -> Float64[Tensor, "*row 1"]:
        """The divisor that x itself has."""
        return (self._centred(x).square().mean(dim=-1, keepdim=True) + self.eps).sqrt()

    def __call__(
        self, x: Float64[Tensor, "*row d_model"], scale: Float64[Tensor, "*#row 1"]
    ) -> Float64[Tensor, "*row d_model"]:
        """The norm of x with a divisor of the caller's."""
        normed = self._centred(x) / scale
        if self.weight is not None:
            normed = normed * self.weight
        return normed if self.bias is None else normed + self.bias

    def _centred(self, x: Tensor) -> Tensor:
        return x - x.mean(dim=-1, keepdim=True) if self.centred else x


def scaled_norm(module: Any, eps: float) -> ScaledNorm:
    """The norm of one of TransformerLens' modules: ``LayerNorm``, ``RMSNorm``, or either with folded weights."""
    weight, bias = (getattr(module, name, None) for name in ("w", "b"))
    return ScaledNorm(
        weight=None if weight is None else weight.detach().cpu().double(),
        bias=None if bias is None else bias.detach().cpu().double(),
        centred=not type(module).__name__.startswith("RMS"),
        eps=float(getattr(module, "eps", eps)),
    )
