"""Groups of samples that belong together: prompts made from one template are not independent draws."""

from typing import Any

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from tlesion.checks import label


def group_index(groups: Any, n_samples: int) -> Int64[Tensor, " sample"]:
    """Every sample's group, numbered from 0 in the order of their first samples.

    Args:
        groups: One label for each sample, whole numbers or words (1 and "1" are one label), or None: each sample is a
            group of its own.
        n_samples: How many samples there are.

    Raises:
        ValueError: Not one label per sample, or fewer than two groups.
        TypeError: A label that is neither text nor a whole number.

    Example:
        >>> group_index(["b", "a", "b"], 3).tolist()
        [0, 1, 0]
    """
    if groups is None:
        index = torch.arange(n_samples)
    else:
        labels = groups.tolist() if hasattr(groups, "tolist") else list(groups)
        if len(labels) != n_samples:
            raise ValueError(f"{len(labels)} group labels for {n_samples} samples; give one for each sample")
        number: dict[str, int] = {}
        texts = [label(one, "group label") for one in labels]
        index = torch.tensor([number.setdefault(text, len(number)) for text in texts], dtype=torch.long)
    n_groups = int(index.max()) + 1 if len(index) else 0
    if n_groups < 2:
        what = "sample(s)" if groups is None else "group(s) of samples"
        raise ValueError(f"{n_groups} {what} cannot show how much samples vary; give at least two")
    return index


def group_totals(
    values: Float64[Tensor, "*shape sample"], index: Int64[Tensor, " sample"]
) -> Float64[Tensor, "*shape group"]:
    r"""Sums over the samples of each group, scaled so that their mean is the mean of all samples.

    .. math:: y_g = \frac{G}{N} \sum_{i \in g} x_i
    """
    n_groups = int(index.max()) + 1
    if n_groups == len(index):
        return values
    sums = torch.zeros(*values.shape[:-1], n_groups, dtype=torch.float64).index_add_(-1, index, values)
    return sums * (n_groups / len(index))


def group_error(values: Float64[Tensor, "*shape sample"], groups: Any) -> tuple[Float64[Tensor, "*shape"], int]:
    r"""Standard error of the mean of all samples, whose groups are the independent units.

    .. math:: \sqrt{\frac{G}{G-1} \sum_g \left(\sum_{i \in g} (x_i - \bar x)\right)^2} \,/\, N

    Args:
        values: Samples on the last axis.
        groups: One label per sample, or None.

    Returns:
        The error, and its degrees of freedom, G − 1.

    Raises:
        ValueError: As `group_index`.

    Example:
        >>> group_error(torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64), ["a", "a", "b", "b"])[0].item()
        1.0
    """
    index = group_index(groups, values.shape[-1])
    n_groups = int(index.max()) + 1
    away = values - values.mean(dim=-1, keepdim=True)
    total = group_totals(away, index) * (values.shape[-1] / n_groups)
    return (n_groups / (n_groups - 1) * total.square().sum(dim=-1)).sqrt() / values.shape[-1], n_groups - 1
