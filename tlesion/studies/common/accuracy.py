"""Is the right answer still given? Shares of prompts; a tie does not count as right."""

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


class WithAccuracy:
    """Shares of right answers, for every result that has logits and ranks of targets and of matched controls.

    NaN where no prompt names a right target.
    """

    clean_logits: Tensor
    clean_rank: Tensor
    logit_drop: Tensor
    rank: Tensor
    control_logit_drop: Tensor
    control_rank: Tensor
    targets: tuple[tuple[str, ...], ...]
    correct: tuple[str | None, ...]

    @property
    def accuracy(self) -> Float64[Tensor, "..."]:
        """Share of the prompts whose right target is the likeliest of the targets; a tie is not right."""
        return accuracy_among_targets(self.clean_logits - self.logit_drop, self.targets, self.correct)

    @property
    def vocabulary_accuracy(self) -> Float64[Tensor, "..."]:
        """Share of the prompts whose right target is the likeliest token of the whole vocabulary."""
        return accuracy_in_vocabulary(self.rank, self.targets, self.correct)

    @property
    def control_accuracy(self) -> Float64[Tensor, "control ..."]:
        """`accuracy` of every control."""
        return accuracy_among_targets(self.clean_logits - self.control_logit_drop, self.targets, self.correct)

    @property
    def control_vocabulary_accuracy(self) -> Float64[Tensor, "control ..."]:
        """`vocabulary_accuracy` of every control."""
        return accuracy_in_vocabulary(self.control_rank, self.targets, self.correct)

    @property
    def clean_accuracy(self) -> float:
        """`accuracy` of the clean run."""
        return float(accuracy_among_targets(self.clean_logits, self.targets, self.correct))

    @property
    def clean_vocabulary_accuracy(self) -> float:
        """`vocabulary_accuracy` of the clean run."""
        return float(accuracy_in_vocabulary(self.clean_rank, self.targets, self.correct))


def _right(
    targets: Sequence[Sequence[str]], correct: Sequence[str | None]
) -> tuple[Int64[Tensor, " known"], Int64[Tensor, " known"]]:
    """Which prompts name a right target, and its place among theirs."""
    pairs = [
        (i, words.index(word)) for i, (words, word) in enumerate(zip(targets, correct, strict=True)) if word is not None
    ]
    found = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _share(is_right: Bool[Tensor, "*run known"]) -> Float64[Tensor, "*run"]:
    return is_right.double().mean(dim=-1)


def first_below(accuracy: Float64[Tensor, "row step"], limit: float, *, share: float | int) -> list[int]:
    """The first step of each row at which an accuracy is below a limit; -1 where it never is, and where all are NaN.

    Args:
        accuracy: Steps in the order in which damage grows.
        limit: The limit, ``share`` of the clean accuracy.
        share: That share, to be checked.

    Raises:
        ValueError: ``share`` is not between 0 and 1.

    Example:
        >>> import torch
        >>> first_below(torch.tensor([[1.0, 0.4, 0.2], [1.0, 0.9, 0.8]], dtype=torch.float64), 0.5, share=0.5)
        [1, -1]
    """
    if not 0 < share <= 1:
        raise ValueError(f"share {share} is out of range; give a share of the clean accuracy, above 0 and at most 1")
    below = accuracy < limit
    return [int(row.nonzero()[0, 0]) if bool(row.any()) else -1 for row in below]
