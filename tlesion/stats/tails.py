"""p-values of t statistics, and their logarithms where the p-values are too small for float64."""

import numpy as np
import torch
from jaxtyping import Float64
from scipy import special
from torch import Tensor

SMALLEST = 1e-290  # below it p loses digits as a float64 (subnormal, then 0), and only its logarithm is exact


def p_of_t(t: Float64[Tensor, "*unit"], dof: Float64[Tensor, "*unit"]) -> Float64[Tensor, "*unit"]:
    """Two-sided p-value of a t statistic; infinite ``dof`` is the normal distribution, NaN stays NaN."""
    p = 2 * special.stdtr(dof.numpy(force=True), -np.abs(t.numpy(force=True)))
    return torch.as_tensor(np.minimum(p, 1.0), dtype=torch.float64)


def log_p_of_t(t: Float64[Tensor, "*unit"], dof: Float64[Tensor, "*unit"]) -> Float64[Tensor, "*unit"]:
    """Natural logarithm of `p_of_t`, also where p itself is too small for a float64."""
    p = p_of_t(t, dof).numpy()
    with np.errstate(divide="ignore"):
        return torch.as_tensor(np.log(p), dtype=torch.float64)
