"""Least-squares concept erasure (LEACE), through the optional concept-erasure package."""

import importlib
import warnings
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from tlesion.public import public
from tlesion.subspace.decomposition import principal_directions
from tlesion.subspace.oblique import ObliqueEraser
from tlesion.subspace.rows import CentredRows, centre_rows, check_labels
from tlesion.subspace.shrinkage import shrink_covariance

UNRELATED = 1e-6
"""Multiple correlation of activations and labels below which there is no concept to erase."""


@public
def fit_leace(activations: Any, labels: Any, *, shrinkage: float | None = None) -> ObliqueEraser:
    """The smallest edit after which no linear classifier can tell two conditions apart.

    Of all affine maps that make the covariance of activations and labels zero, it is the one with the least mean
    squared change, whatever positive weights that change is measured with. (This holds for Σ the covariance of the
    tokens; shrinkage gives some of it up to do better on other tokens.) With Σ the covariance, W = Σ^(−1/2) and c the
    covariance with the labels::

        x − W⁻¹ u uᵀ W (x − m),     u = W c / |W c|

    W⁻¹ u differs from W u, so the cut is oblique: an `ObliqueEraser`, not a `Subspace`. After it the two
    conditions have the same mean, whatever the shrinkage. The fit runs on coordinates within the span of the
    centred activations, where both factors lie: with fewer tokens than units it never forms a unit-by-unit matrix.

    Args:
        activations: ``[token, unit]``, floating point, without padding; not changed.
        labels: Bool ``[token]``, True for condition a.
        shrinkage: Weight, 0 to 1, of the mean variance · I in Σ. None: the Ledoit–Wolf weight. At 0, fewer
            tokens than units make the eraser subtract each token's own label, which says nothing about
            other tokens.

    Returns:
        The eraser, to be used with :func:`tlesion.interventions.remove_subspace` or by its ``remove``.

    Raises:
        ImportError: If concept-erasure is not installed.
        TypeError: If the activations are not a tensor.
        ValueError: As for `fit_subspace`, or if labels and activations are uncorrelated.

    Source: Belrose et al. (2023), *LEACE: Perfect linear concept erasure in closed form*; agrees with
    ``concept_erasure.LeaceEraser.fit(x, z, shrinkage=False)`` at ``shrinkage=0``.

    Example:
        >>> import torch
        >>> activations = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
        >>> labels = activations[:, 0] > 0
        >>> erased = fit_leace(activations, labels).remove(activations)
        >>> bool((erased[labels].mean(dim=0) - erased[~labels].mean(dim=0)).abs().max() < 1e-6)
        True
    """
    package = _concept_erasure()
    data = centre_rows(activations)
    marks = check_labels(labels, n_tokens=data.n_tokens, purpose="LEACE")
    if shrinkage is not None and not 0 <= shrinkage <= 1:
        raise ValueError(f"shrinkage must be from 0 to 1, got {shrinkage}; None takes the Ledoit-Wolf weight")
    span = principal_directions(data)
    factors = _fit_in_span(package, data, span, marks, shrinkage=shrinkage)
    if not bool(factors.proj_right.any()):
        raise ValueError("the labels are not correlated with the activations: there is no concept to erase")
    left, right = factors.proj_left.T @ span, factors.proj_right @ span
    erased = data.rows - data.rows @ right.T @ left
    return ObliqueEraser(
        left=left,
        right=right,
        mean=data.mean,
        variance_lost=1 - float(erased.square().sum()) / data.scatter,
        method="leace",
        n_rows=data.n_tokens,
    )


def _fit_in_span(
    package: ModuleType,
    data: CentredRows,
    span: Float[Tensor, "component unit"],
    labels: Tensor,
    *,
    shrinkage: float | None,
) -> Any:
    """The package's eraser, fitted on coordinates within the span."""
    coordinates = data.rows @ span.T
    # To unit variance, so that svd_tol is a correlation whatever the share of either condition.
    concept = labels.to(device=coordinates.device, dtype=torch.float64)
    concept = (concept - concept.mean()) / concept.std()
    fitter = package.LeaceFitter(
        len(span),
        1,
        # Cannot bind: with the covariance it was fitted to, the map never adds variance.
        constrain_cov_trace=False,
        # The package's own shrinkage may turn negative where units outnumber tokens.
        shrinkage=False,
        svd_tol=UNRELATED,
        device=coordinates.device,
        dtype=torch.float64,
    )
    fitter.update(coordinates, concept)
    estimate = shrink_covariance(data.rows)
    weight = estimate.weight if shrinkage is None else shrinkage
    fitter.sigma_xx_ *= 1 - weight
    fitter.sigma_xx_.diagonal().add_(weight * estimate.scale * data.n_tokens)
    return fitter.eraser


def _concept_erasure() -> ModuleType:
    try:
        with warnings.catch_warnings():
            # It scripts a function while it is imported, which newer torch calls deprecated.
            warnings.simplefilter("ignore", DeprecationWarning)
            return importlib.import_module("concept_erasure")
    except ImportError as error:
        raise ImportError(
            "fit_leace needs the concept-erasure package, which is not installed: pip install 'tlesion[leace]'"
        ) from error
