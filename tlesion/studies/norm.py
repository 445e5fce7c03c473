"""The norm that a model applies before it reads its hidden states, as a function that fires no hook."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from tlesion.hooks import Model
from tlesion.tokens import is_masked

Norm = Callable[[Float[Tensor, "*row d_model"]], Float[Tensor, "*row d_model"]]


def final_norm(model: Model) -> Norm:
    """The final norm of a causal model, with its own weights; what stands for one in a masked model.

    A masked model (BERT) has no norm after its last block: every block ends in one. Its hidden states are brought to
    mean 0 and standard deviation 1 instead, so that sizes fall away there as well. A causal model without a final norm
    leaves them as they are.

    Returns:
        A function of hidden states that calls no hook point.
    """
    if not is_masked(model) and model.cfg.normalization_type is None:
        return lambda hidden: hidden
    module = None if is_masked(model) else model.ln_final
    weight, bias = (getattr(module, name, None) for name in ("w", "b"))
    centred, eps = not type(module).__name__.startswith("RMS"), float(model.cfg.eps)

    def norm(hidden: Tensor) -> Tensor:
        if centred:
            hidden = hidden - hidden.mean(dim=-1, keepdim=True)
        hidden = hidden / (hidden.square().mean(dim=-1, keepdim=True) + eps).sqrt()
        if weight is not None:
            hidden = hidden * weight.detach().to(hidden)
        return hidden if bias is None else hidden + bias.detach().to(hidden)

    return norm
