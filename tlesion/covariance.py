"""How far a lesion changes the covariance of neurons, compared with how far it changes single ones.

A lesion along one direction may move every neuron only a little and yet remove most of what they share.
Where units outnumber tokens, all norms come from token-by-token products: no unit-by-unit matrix is formed.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tlesion.activations import check_activations
from tlesion.public import public


@dataclass(frozen=True, eq=False)
class CovarianceChange:
    """Activations before and after a lesion, compared as covariances and neuron by neuron.

    Attributes:
        n_tokens: Number of tokens.
        covariance_change: ‖C' − C‖ / ‖C‖ in the Frobenius norm, C the covariance before, C' after.
        correlation_change: The same of the correlation matrices, over the units that vary in both states;
            NaN where none does.
        effective_rank_before: Participation ratio (tr C)² / ‖C‖², the number of equal variances that C amounts to.
        effective_rank_after: The same of C'; 0 where no variance is left.
        spectrum_before: Eigenvalues of C, largest first, as many as tokens or units, whichever are fewer.
        spectrum_after: Those of C'.
        unit_change: Mean over tokens of |after − before|, per unit.
        unit_change_relative: The same over the unit's standard deviation before; NaN where that is zero.
        constant_before: Units that do not vary before, up to the rounding of their dtype.
        constant_after: Units that do not vary after.
        sampled: The units of the pictured block, ascending, drawn from those that vary in both states.
        correlation_before: Correlations among the sampled units before.
        correlation_after: The same after.
        seed: Seed of the sample.
    """

    n_tokens: int
    covariance_change: float
    correlation_change: float
    effective_rank_before: float
    effective_rank_after: float
    spectrum_before: Float[Tensor, " component"]
    spectrum_after: Float[Tensor, " component"]
    unit_change: Float[Tensor, " unit"]
    unit_change_relative: Float[Tensor, " unit"]
    constant_before: Bool[Tensor, " unit"]
    constant_after: Bool[Tensor, " unit"]
    sampled: Int[Tensor, " sample"]
    correlation_before: Float[Tensor, "sample sample"]
    correlation_after: Float[Tensor, "sample sample"]
    seed: int

    @property
    def mean_unit_change(self) -> float:
        """Mean absolute change of one unit's activation, over tokens and units."""
        return float(self.unit_change.mean())

    @property
    def mean_unit_change_relative(self) -> float:
        """The same in standard deviations of the unit before, over the units that vary before."""
        return float(self.unit_change_relative.nanmean())


@public
def measure_covariance_change(before: Any, after: Any, *, n_sampled: int = 64, seed: int = 0) -> CovarianceChange:
    """Compare the covariance of activations before and after a lesion.

    With A and A + D the centred activations before and after, and every norm Frobenius::

        C' − C = (AᵀD + DᵀA + DᵀD) / (n − 1)
        ‖AᵀD + DᵀA + DᵀD‖² = 2⟨AAᵀ, DDᵀ⟩ + 2⟨ADᵀ, DAᵀ⟩ + 4⟨ADᵀ, DDᵀ⟩ + ‖DDᵀ‖²

    Every term shrinks with D, so that a small change keeps its digits; ‖AAᵀ‖² + ‖BBᵀ‖² − 2‖ABᵀ‖² with
    B = A + D, the same number, would lose them all to cancellation below a relative change of 1e-8.

    Args:
        before: Clean activations ``[token, unit]``, floating point, without padding.
        after: Lesioned activations of the same tokens and units.
        n_sampled: How many units the correlation block for a picture holds, at most.
        seed: Of the sample.

    Returns:
        The changes, in float64, on the device of ``before``.

    Raises:
        TypeError: If either is not a tensor.
        ValueError: If shapes differ or are not [token, unit], values are not finite, there are fewer than
            two tokens, or no unit varies before.

    Example:
        >>> import torch
        >>> before = torch.tensor([[1.0, 2.0], [-1.0, -2.0], [2.0, -1.0], [-2.0, 1.0]])
        >>> change = measure_covariance_change(before, before * torch.tensor([1.0, 0.0]))
        >>> change.effective_rank_before, change.effective_rank_after, change.mean_unit_change
        (2.0, 1.0, 0.75)
    """
    start, end = _check_pair(before, after)
    precision = max(torch.finfo(before.dtype).eps, torch.finfo(after.dtype).eps)
    size_before, size_after = (values.square().mean(dim=0).sqrt() for values in (start, end))
    constant_before = start.std(dim=0) <= precision * size_before
    # What is left of a unit that was cut down to its mean is the rounding of what it was before.
    constant_after = end.std(dim=0) <= precision * size_before.maximum(size_after)
    if bool(constant_before.all()):
        raise ValueError(
            "no unit varies over the tokens before the lesion, so there is no covariance to compare; "
            "give tokens that differ"
        )
    live = ~(constant_before | constant_after)
    sampled = _sample_units(live, n_sampled=n_sampled, seed=seed)
    centred, lesioned = _centre(start), _centre(end)
    spectrum_before, spectrum_after = _spectrum(centred), _spectrum(lesioned)
    unit_change = (end - start).abs().mean(dim=0)
    return CovarianceChange(
        n_tokens=len(start),
        covariance_change=_relative_change(centred, lesioned),
        correlation_change=_relative_change(_standardise(centred[:, live]), _standardise(lesioned[:, live])),
        effective_rank_before=_participation_ratio(spectrum_before),
        effective_rank_after=0.0 if bool(constant_after.all()) else _participation_ratio(spectrum_after),
        spectrum_before=spectrum_before,
        spectrum_after=spectrum_after,
        unit_change=unit_change,
        unit_change_relative=unit_change / start.std(dim=0).where(~constant_before, torch.nan),
        constant_before=constant_before,
        constant_after=constant_after,
        sampled=sampled,
        correlation_before=_correlation(centred[:, sampled]),
        correlation_after=_correlation(lesioned[:, sampled]),
        seed=seed,
    )


def _check_pair(before: Any, after: Any) -> tuple[Tensor, Tensor]:
    start, end = check_activations(before, name="before"), check_activations(after, name="after")
    if start.shape != end.shape:
        raise ValueError(
            f"before and after must be of the same tokens and units, got shapes {tuple(start.shape)} and "
            f"{tuple(end.shape)}"
        )
    if len(start) < 2:
        raise ValueError(f"a covariance needs at least 2 tokens, got {len(start)}")
    return start, end.to(start.device)


def _centre(values: Float[Tensor, "token unit"]) -> Float[Tensor, "token unit"]:
    return values - values.mean(dim=0)


def _standardise(centred: Float[Tensor, "token unit"]) -> Float[Tensor, "token unit"]:
    """Columns of length 1, so that their inner products are correlations."""
    lengths: Tensor = centred.norm(dim=0)
    return centred / lengths


def _correlation(centred: Float[Tensor, "token sample"]) -> Float[Tensor, "sample sample"]:
    standard = _standardise(centred)
    return standard.T @ standard


def _smaller_gram(centred: Float[Tensor, "token unit"]) -> Float[Tensor, "side side"]:
    """AAᵀ or AᵀA, whichever is smaller: both have the same eigenvalues, other than zeros."""
    n, width = centred.shape
    return centred @ centred.T if n <= width else centred.T @ centred


def _relative_change(start: Float[Tensor, "token unit"], end: Float[Tensor, "token unit"]) -> float:
    """‖BᵀB − AᵀA‖ / ‖AᵀA‖ of centred A (start) and B (end); NaN where A has no units."""
    change, (n, width) = end - start, start.shape
    if n <= width:
        within, across, changed = start @ start.T, start @ change.T, change @ change.T
        square = 2 * (within * changed + across * across.T) + 4 * across * changed + changed.square()
        # Rounding may leave a sum of squares below zero only where nothing changed.
        difference = float(square.sum().clamp(min=0).sqrt())
    else:
        across = start.T @ change
        difference = float((across + across.T + change.T @ change).norm())
    size = float(_smaller_gram(start).norm())
    return difference / size if size > 0 else math.nan


def _spectrum(centred: Float[Tensor, "token unit"]) -> Float[Tensor, " component"]:
    eigenvalues: Tensor = torch.linalg.eigvalsh(_smaller_gram(centred)).flip(0).clamp(min=0)
    return eigenvalues / (len(centred) - 1)


def _participation_ratio(spectrum: Float[Tensor, " component"]) -> float:
    return float(spectrum.sum()) ** 2 / float(spectrum.square().sum())


def _sample_units(live: Bool[Tensor, " unit"], *, n_sampled: int, seed: int) -> Int[Tensor, " sample"]:
    if n_sampled < 0:
        raise ValueError(f"n_sampled must be 0 or more units, got {n_sampled}")
    units = torch.nonzero(live).flatten()
    # Drawn on the CPU, so that a seed means the same units on every device.
    order = torch.randperm(len(units), generator=torch.Generator().manual_seed(seed))
    return units[order[:n_sampled].to(units.device)].sort().values
