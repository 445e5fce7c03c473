"""Correction for many tests, by the methods of statsmodels."""

import difflib
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from statsmodels.stats.multitest import multipletests
from torch import Tensor

from tlesion.checks import number

METHODS = (
    "none",
    "bonferroni",
    "sidak",
    "holm",
    "holm-sidak",
    "simes-hochberg",
    "hommel",
    "fdr_bh",
    "fdr_by",
    "fdr_tsbh",
    "fdr_tsbky",
    "fdr_gbs",
)
Family = Literal["layer", "model"]


def adjust(
    p: Float[Tensor, "*layer neuron"],
    *,
    method: str = "fdr_bh",
    family: str = "layer",
    alpha: float | int = 0.05,
) -> Float64[Tensor, "*layer neuron"]:
    """Adjust p-values for the number of tests in their family.

    Args:
        p: p-values; NaN (dead units) belong to no family and stay NaN.
        method: one of `METHODS`: the names of ``statsmodels.stats.multitest.multipletests``, or "none".
        family: what one correction spans: "layer" (each layer by itself) or "model" (all together).
        alpha: the level at which the result will be judged. The two-stage methods ("fdr_tsbh",
            "fdr_tsbky") estimate the share of true null hypotheses at this level, so their adjusted
            p-values hold for this level only; the other methods ignore it.

    Returns:
        Adjusted p-values: reject where they are at most ``alpha`` (`reject`).

    Raises:
        ValueError: an unknown method or family, alpha outside (0, 1), or p outside [0, 1].

    Source:
        ``statsmodels.stats.multitest.multipletests``, with which all methods agree.

    Example:
        >>> import torch
        >>> from tlesion.stats import adjust, reject
        >>> p = torch.tensor([[0.01, 0.02, 0.9, torch.nan]], dtype=torch.float64)
        >>> adjust(p, method="fdr_bh")
        tensor([[0.0300, 0.0300, 0.9000,    nan]], dtype=torch.float64)
        >>> reject(adjust(p, method="fdr_bh"), alpha=0.05)
        tensor([[ True,  True, False, False]])
    """
    check_method(method)
    check_family(family)
    check_alpha(alpha)
    values = p.detach().to("cpu", torch.float64).numpy().copy()
    tested = ~np.isnan(values)
    if ((values[tested] < 0) | (values[tested] > 1)).any():
        raise ValueError(f"p-values run from 0 to 1, got {np.nanmin(values)} to {np.nanmax(values)}")
    families = values.reshape(-1, max(values.size, 1) if family == "model" else max(values.shape[-1], 1))
    for row in families:  # rows are views: what is written to them is written to `values`
        row[~np.isnan(row)] = _adjust_family(row[~np.isnan(row)], method, alpha)
    return torch.from_numpy(values)


def reject(p_adjusted: Float[Tensor, "*unit"], alpha: float | int = 0.05) -> Bool[Tensor, "*unit"]:
    """True where the adjusted p-value is at most alpha; NaN is never rejected.

    Args:
        p_adjusted: adjusted p-values, as `adjust` gives them.
        alpha: the level.

    Returns:
        True where the unit is significant.

    Raises:
        ValueError: alpha outside (0, 1).

    Example:
        >>> import torch
        >>> from tlesion.stats import reject
        >>> reject(torch.tensor([0.01, 0.05, 0.2, torch.nan]))
        tensor([ True,  True, False, False])
    """
    check_alpha(alpha)
    return p_adjusted <= alpha


def check_method(method: str) -> None:
    """Refuse a correction that is not in `METHODS`, naming the nearest that is."""
    if method not in METHODS:
        near = difflib.get_close_matches(str(method), METHODS, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ValueError(f"unknown correction {method!r}{hint}; allowed are {', '.join(METHODS)}")


def check_family(family: str) -> None:
    """Refuse a family other than "layer" and "model"."""
    if family not in get_args(Family):
        raise ValueError(f"unknown family {family!r}; allowed are 'layer' (each by itself) and 'model' (all)")


def check_alpha(alpha: float | int) -> None:
    """Refuse a level outside (0, 1)."""
    if not 0 < number("alpha", alpha, finite=False) < 1:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha!r}; 0.05 is usual")


def _adjust_family(p: np.ndarray, method: str, alpha: float) -> np.ndarray:
    if method == "none" or len(p) == 0:
        return p
    if method == "holm":
        return _holm(p)
    adjusted: np.ndarray = multipletests(p, alpha=alpha, method=method)[1]
    return adjusted


def _holm(p: np.ndarray) -> np.ndarray:
    """Holm's method, as statsmodels has it, but without the full garbage collection that its version ends with.

    With a model in memory that takes a tenth of a second, and it would be one for every layer.
    """
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted
