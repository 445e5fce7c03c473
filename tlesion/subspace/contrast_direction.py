"""The one direction that tells two conditions apart: difference of means, or Fisher's discriminant."""

from jaxtyping import Bool, Float
from torch import Tensor

from tlesion.subspace.rows import CentredRows
from tlesion.subspace.shrinkage import shrink_covariance


def mean_difference(data: CentredRows, labels: Bool[Tensor, " token"]) -> Float[Tensor, " unit"]:
    """Mean of condition a (True) minus mean of condition b: t > 0 along it where a is larger.

    Raises:
        ValueError: If the two means are equal.
    """
    marks = labels.to(data.rows.device)
    difference = data.rows[marks].mean(dim=0) - data.rows[~marks].mean(dim=0)
    # Rounding of the rows, spread over n of them, is all that a difference below this can be.
    if float(difference.norm()) <= data.floor / data.n_tokens**0.5:
        raise ValueError("the two conditions have the same mean, so no direction tells them apart; check the labels")
    return difference


def fisher_discriminant(data: CentredRows, labels: Bool[Tensor, " token"]) -> Float[Tensor, " unit"]:
    """Σ⁻¹ (mean a − mean b), Σ the Ledoit–Wolf estimate of the covariance within conditions.

    Shrinkage makes Σ invertible where units outnumber tokens. The sign is that of a minus b.

    Source: agrees with ``sklearn.discriminant_analysis.LinearDiscriminantAnalysis(solver="lsqr",
    shrinkage=γ)``, at the γ used here.

    Raises:
        ValueError: If the two means are equal, or nothing varies within the conditions.
    """
    difference = mean_difference(data, labels)
    marks = labels.to(data.rows.device)
    within = data.rows.clone()
    for members in (marks, ~marks):
        within[members] -= within[members].mean(dim=0)
    if float(within.norm()) <= data.floor:
        raise ValueError(
            'nothing varies within the conditions, so "lda" has no covariance to weigh by; use "mean_difference"'
        )
    return shrink_covariance(within).solve(difference)
