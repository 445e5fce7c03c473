"""Fit a subspace to activations that fit in memory."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from tlesion.checks import one_of
from tlesion.public import public
from tlesion.subspace.basis import Subspace
from tlesion.subspace.contrast_direction import fisher_discriminant, mean_difference
from tlesion.subspace.control import random_directions, random_directions_in_span
from tlesion.subspace.decomposition import chosen_components, principal_directions, require_components
from tlesion.subspace.independent import default_n_sources, mixing_directions
from tlesion.subspace.projection import orthonormalise
from tlesion.subspace.rows import CentredRows, centre_rows, check_labels

METHODS = ("svd", "ica", "mean_difference", "lda", "random", "random_in_span")
ORDERED = ("svd", "ica")
SEEDED = ("ica", "random", "random_in_span")


@public
def fit_subspace(
    activations: Any,
    rank: int | None = None,
    *,
    method: str = "svd",
    components: Sequence[int] | None = None,
    labels: Any = None,
    n_sources: int | None = None,
    seed: int = 0,
) -> Subspace:
    """Find the directions of activation space to cut.

    ========================  ====================================================================
    ``"svd"``                 right singular vectors of the centred activations, largest first
    ``"ica"``                 mixing directions of independent sources (FastICA), most variance first
    ``"mean_difference"``     mean of condition a minus mean of condition b; rank 1
    ``"lda"``                 Σ⁻¹ (mean a − mean b), Σ the shrunk covariance within conditions; rank 1
    ``"random"``              random directions of the whole space: the control of equal rank
    ``"random_in_span"``      random directions within the span of the centred activations
    ========================  ====================================================================

    All work in float64. Sign: ``"svd"`` and ``"ica"`` make the entry of largest magnitude positive; the
    directions of a contrast point from b to a. ICA's directions are not orthogonal to each other: the basis
    spans them in their order, and removal cuts that span orthogonally. Given directions:
    `Subspace.from_directions`. More tokens than memory holds: `SubspaceFitter`. The oblique LEACE
    eraser: `fit_leace`.

    Args:
        activations: ``[token, unit]``, floating point, without padding; not changed.
        rank: Number of directions. None: 1, or as many as ``components``.
        method: See above.
        components: Which components of ``"svd"`` or ``"ica"`` to take instead of the first ``rank``,
            counted from 0 in order of variance: ``[2, 5]`` are the third and the sixth.
        labels: Bool ``[token]``, True for condition a; for ``"mean_difference"`` and ``"lda"``.
        n_sources: How many sources ``"ica"`` separates, at least the components kept. None: twice as
            many, but 16 or more, as far as the data has them.
        seed: Of the draws of ``"random"``, ``"random_in_span"`` and ICA's first guess.

    Returns:
        The subspace, with the mean over all tokens and the share of variance along each direction.

    Raises:
        TypeError: If the activations are not a tensor.
        ValueError: If the method is unknown, the rank is above what the data has, the labels are missing or
            of one condition only, or the activations are not finite, constant, or of fewer than two tokens.

    Example:
        >>> import torch
        >>> activations = torch.tensor([[3.0, 1.0], [1.0, 1.0], [2.0, 1.5], [2.0, 0.5]])
        >>> subspace = fit_subspace(activations)
        >>> subspace.basis
        tensor([[1., 0.]], dtype=torch.float64)
        >>> subspace.variance_ratio
        tensor([0.8000], dtype=torch.float64)
        >>> subspace.remove(activations)[:2]
        tensor([[2., 1.],
                [2., 1.]])
    """
    _check_options(method, components=components, n_sources=n_sources)
    data = centre_rows(activations)
    chosen = chosen_components(rank, components, width=data.width)
    if method in ("mean_difference", "lda"):
        directions = _contrast_directions(data, chosen, method=method, labels=labels)
    elif method == "ica":
        directions = _independent_directions(data, chosen, n_sources=n_sources, seed=seed)
    else:
        directions = _ranked_directions(data, chosen, method=method, seed=seed)
    basis = orthonormalise(directions)
    return Subspace(
        basis=basis,
        mean=data.mean,
        variance_ratio=data.variance_ratio(basis),
        method=method,
        n_rows=data.n_tokens,
        components=chosen,
        seed=seed if method in SEEDED else None,
    )


def _check_options(method: str, *, components: Sequence[int] | None, n_sources: int | None) -> None:
    if method == "leace":
        raise ValueError(
            "LEACE is an oblique eraser, not an orthonormal subspace; "
            "fit it with tlesion.fit_leace(activations, labels)"
        )
    one_of("method", method, METHODS)
    if components is not None and method not in ORDERED:
        raise ValueError(f"method {method!r} has no components to choose from; give rank, or use one of {ORDERED}")
    if n_sources is not None and method != "ica":
        raise ValueError(f"n_sources is an option of method 'ica', and the method is {method!r}; leave it out")


def _ranked_directions(
    data: CentredRows, chosen: tuple[int, ...], *, method: str, seed: int
) -> Float[Tensor, "rank unit"]:
    n_wanted = max(chosen, default=-1) + 1
    if method == "random":
        return random_directions(n_wanted, data, seed=seed)
    if method == "random_in_span":
        directions = random_directions_in_span(n_wanted, data, seed=seed)
    else:
        directions = principal_directions(data, n_wanted)
    _require(chosen, data, n_available=len(directions))
    return directions[list(chosen)]


def _independent_directions(
    data: CentredRows, chosen: tuple[int, ...], *, n_sources: int | None, seed: int
) -> Float[Tensor, "rank unit"]:
    n_wanted = max(chosen, default=-1) + 1
    principal = principal_directions(data, default_n_sources(n_wanted) if n_sources is None else n_sources)
    if n_sources is not None and not n_wanted <= n_sources <= len(principal):
        raise ValueError(
            f"n_sources must be at least {n_wanted}, for the components asked for, and at most the number of "
            f"components that the data has; got {n_sources}, and found {len(principal)}"
        )
    _require(chosen, data, n_available=len(principal))
    return mixing_directions(data, principal, seed=seed)[list(chosen)]


def _contrast_directions(
    data: CentredRows, chosen: tuple[int, ...], *, method: str, labels: Any
) -> Float[Tensor, "rank unit"]:
    marks = check_labels(labels, n_tokens=data.n_tokens, purpose=f"method {method!r}")
    if len(chosen) > 1:
        raise ValueError(
            f"method {method!r} of two conditions gives one direction; rank must be 0 or 1, got {len(chosen)}"
        )
    direction = fisher_discriminant(data, marks) if method == "lda" else mean_difference(data, marks)
    return direction[None][: len(chosen)]


def _require(chosen: tuple[int, ...], data: CentredRows, *, n_available: int) -> None:
    require_components(chosen, n_available=n_available, limit=f"{data.n_tokens} tokens of {data.width} units, centred")
