"""Is the right answer still given? Shares of prompts, strictly counted: a tie is not right."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor


def accuracy_among_targets(
    logits: Float64[Tensor, "*run prompt target"],
    targets: Sequence[Sequence[str]],
    correct: Sequence[str | None],
) -> Float64[Tensor, "*run"]:
    """Share of the prompts whose right target has a larger logit than every other target.

    Args:
        logits: Of the targets.
        targets: Target words of each prompt.
        correct: The right one of each; prompts with None are left out.

    Returns:
        NaN where no prompt names a right target.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[2.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
        >>> accuracy_among_targets(logits, [("him", "her")] * 2, ["him", "him"]).item()
        0.5
    """
    known, right = _right(targets, correct)
    own = logits[..., known, :].gather(-1, right.expand(*logits.shape[:-2], -1)[..., None])
    # "Not below" counts NaN as well; the right target itself is one of them.
    not_below = (~(logits[..., known, :] < own)).sum(dim=-1)
    return _share(not_below == 1)


def accuracy_in_vocabulary(
    rank: Int64[Tensor, "*run prompt target"],
    targets: Sequence[Sequence[str]],
    correct: Sequence[str | None],
) -> Float64[Tensor, "*run"]:
    """Share of the prompts whose right target is the likeliest token of the whole vocabulary (rank 0).

    Args:
        rank: How many other tokens have a logit at least as large as each target's.
        targets: Target words of each prompt.
        correct: The right one of each; prompts with None are left out.
    """
    known, right = _right(targets, correct)
    own = rank[..., known, :].gather(-1, right.expand(*rank.shape[:-2], -1)[..., None])[..., 0]
    return _share(own == 0)


def _right(
    targets: Sequence[Sequence[str]], correct: Sequence[str | None]
) -> tuple[Int64[Tensor, " known"], Int64[Tensor, " known"]]:
    """Which prompts name a right target, and its place among theirs."""
    pairs = [(i, words.index(word)) for i, (words, word) in enumerate(zip(targets, correct, strict=True)) if word]
    found = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _share(is_right: Bool[Tensor, "*run known"]) -> Float64[Tensor, "*run"]:
    return is_right.double().mean(dim=-1)
