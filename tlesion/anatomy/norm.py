"""A model's norms, firing no hook, with their divisor apart from the rest: it can be kept at a clean run's value."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float, Float64
from torch import Tensor, nn

from tlesion.activations import in_float64
from tlesion.anatomy.model import Model, blocks, is_masked

Norm = Callable[[Float[Tensor, "*row d_model"]], Float[Tensor, "*row d_model"]]


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

    def scale(self, x: Float[Tensor, "*row d_model"]) -> Float[Tensor, "*row 1"]:
        """The divisor that x itself has."""
        return (self._centred(x).square().mean(dim=-1, keepdim=True) + self.eps).sqrt()

    def __call__(
        self, x: Float[Tensor, "*row d_model"], scale: Float[Tensor, "*#row 1"] | None = None
    ) -> Float[Tensor, "*row d_model"]:
        """The norm of x with a divisor of the caller's; without one, with that which x itself has."""
        normed = self._centred(x) / (self.scale(x) if scale is None else scale)
        if self.weight is not None:
            normed = normed * self.weight.to(x)
        return normed if self.bias is None else normed + self.bias.to(x)

    def _centred(self, x: Tensor) -> Tensor:
        return x - x.mean(dim=-1, keepdim=True) if self.centred else x


def scaled_norm(module: nn.Module, eps: float) -> ScaledNorm:
    """The norm of one of TransformerLens' modules: ``LayerNorm``, ``RMSNorm``, or either with folded weights."""
    weight, bias = (getattr(module, name, None) for name in ("w", "b"))
    return ScaledNorm(
        weight=None if weight is None else in_float64(weight).cpu(),
        bias=None if bias is None else in_float64(bias).cpu(),
        centred=not type(module).__name__.startswith("RMS"),
        eps=float(getattr(module, "eps", eps)),
    )


def block_norms(model: Model) -> list[tuple[ScaledNorm, ScaledNorm]]:
    """The two norms of every block: before attention and MLP, or, in a masked model, after each of them."""
    eps = float(model.cfg.eps)
    return [(scaled_norm(block.ln1, eps), scaled_norm(block.ln2, eps)) for block in blocks(model)]


def norm_before_logits(model: Model) -> ScaledNorm | None:
    """The norm right before the unembedding, which in a masked model belongs to its head; None if there is none."""
    eps = float(model.cfg.eps)
    if is_masked(model):
        return scaled_norm(model.mlm_head.ln, eps)
    return None if model.cfg.normalization_type is None else scaled_norm(model.ln_final, eps)


def final_norm(model: Model) -> Norm:
    """The norm that a model applies before it reads out its hidden states, or a substitute for it in a masked model.

    A masked model (BERT) has no norm after its last block: every block ends in one. Its hidden states are brought to
    mean 0 and standard deviation 1 instead, so that sizes fall away there as well. A causal model without a final norm
    leaves them as they are.
    """
    if is_masked(model):
        return ScaledNorm(weight=None, bias=None, centred=True, eps=float(model.cfg.eps))
    return norm_before_logits(model) or (lambda hidden: hidden)
