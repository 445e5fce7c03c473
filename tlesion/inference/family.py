"""Which of many lesions have an effect over prompts, given that all masks and layers were looked at?"""

import torch
from jaxtyping import Float64
from torch import Tensor

from tlesion.inference.sign_flips import TIE, as_p, is_exact
from tlesion.stats.relabelling import all_labels, drawn_labels


def family_sign_flip_p(
    values: Float64[Tensor, "*family group"], *, n_permutations: int = 10_000, seed: int = 0
) -> Float64[Tensor, "*family"]:
    r"""p of every member of a family by flipping the groups' signs, corrected for the whole family.

    .. math:: p_l = \frac{1 + \#\{\max_k |u_k^*| \ge |u_l|\}}{1 + B}, \qquad u = \sum_g y_g \,/\, \sqrt{\sum_g y_g^2}

    A flip turns a group round in all members at once, which preserves any dependence between them. u orders the flips
    of a member as t does, and has variance one under them, whatever the number of groups. The null hypothesis is that
    effects are symmetric about zero. Effects whose mean is zero but which are skewed do not fulfil it: with many of
    them p is small more often than it should be.

    Args:
        values: Totals of the groups; NaN where a member has none of a group.
        n_permutations: Flips to draw; where no more than that exist, all are used, and no 1 is added.
        seed: Of the draws.

    Returns:
        Corrected p, two-sided. NaN where all values are zero, one is infinite, or fewer than two groups are there.

    Source:
        Nichols & Holmes (2002), Human Brain Mapping 15:1-25. One layer, or several with the same groups:
        :func:`tlesion.inference.max_statistic`.

    Example:
        >>> rows = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0], [1.0, -1.0, 2.0, -2.0, float("nan")]]).double()
        >>> family_sign_flip_p(rows).tolist()
        [0.0625, 1.0]
    """
    rows = values.reshape(-1, values.shape[-1])
    counted = (~rows.isnan()).sum(dim=1)
    filled = rows.nan_to_num(nan=0.0)
    size = filled.square().sum(dim=1).sqrt()
    unknown = (counted < 2) | (size == 0) | ~size.isfinite()
    filled = (filled / size.where(~unknown, 1.0)[:, None]).masked_fill(unknown[:, None], 0.0)
    observed = filled.sum(dim=1).abs()
    n = rows.shape[1]
    exact = is_exact(n, n_permutations)
    flips = all_labels(n, n, pairs=True) if exact else drawn_labels(n, n, n_permutations, seed, pairs=True)
    count, n_seen = torch.zeros(len(rows), dtype=torch.float64), 0
    for signs in flips:
        largest = (signs @ filled.T).abs().amax(dim=1, keepdim=True)
        count += (largest >= observed - TIE * n).sum(dim=0)
        n_seen += len(signs)
    return as_p(count, n_seen, exact=exact, unknown=unknown).reshape(values.shape[:-1])
