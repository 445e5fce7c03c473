"""Does the model do the task at all? Its share of right answers against guessing, over independent groups."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float64
from scipy import stats
from torch import Tensor


@runtime_checkable
class Answers(Protocol):
    """What a model answers, lesions apart: a laminar profile has it, and so has the pilot of a plan."""

    @property
    def clean_logits(self) -> Float64[Tensor, "prompt target"]: ...
    @property
    def targets(self) -> tuple[tuple[str, ...], ...]: ...
    @property
    def correct(self) -> tuple[str | None, ...]: ...


@dataclass(frozen=True, kw_only=True)
class Chance:
    """The clean model's answers.

    Attributes:
        accuracy: Share of prompts whose right target has the largest logit of the targets; NaN where none names one.
        p: Of guessing doing as well: one-sided; NaN likewise.
        least: The smallest p that so many groups could give.
    """

    accuracy: float
    p: float
    least: float

    def above(self, alpha: float) -> bool | None:
        """Whether the model is above chance; None where it cannot be asked."""
        return None if self.p != self.p else self.p <= alpha


def chance_of(answers: Answers, prompts: Sequence[int], groups: Sequence[Any]) -> Chance:
    r"""Test the clean answers against guessing among the targets.

    Prompts that stand alone: a binomial test with one over the number of targets. Groups: a sign test, whether more of
    them have a share of right answers above chance than below.

    Args:
        answers: The clean logits of the targets, and which of them is right.
        prompts: Which prompts count: no copies.
        groups: Their groups.
    """
    n_targets = answers.clean_logits.shape[1]
    asked = [(i, group) for i, group in zip(prompts, groups, strict=True) if answers.correct[i] is not None]
    if not asked or n_targets < 2:
        return Chance(accuracy=float("nan"), p=float("nan"), least=float("nan"))
    right = torch.tensor([_is_right(answers, i) for i, _ in asked], dtype=torch.float64)
    labels = [group for _, group in asked]
    accuracy = float(right.mean())
    if len(set(labels)) == len(labels):
        hits, n, share = int(right.sum()), len(labels), 1 / n_targets
    else:
        means = _means(right, labels) - 1 / n_targets
        hits, n, share = int((means > 1e-9).sum()), int((means.abs() > 1e-9).sum()), 0.5
    p = float(stats.binomtest(hits, n, share, alternative="greater").pvalue) if n else 1.0
    return Chance(accuracy=accuracy, p=p, least=share ** len(set(labels)))


def _is_right(answers: Answers, prompt: int) -> bool:
    """Whether the right target is ahead of every other; a tie is not."""
    logits = answers.clean_logits[prompt]
    own = answers.targets[prompt].index(str(answers.correct[prompt]))
    return int((logits >= logits[own]).sum()) == 1


def _means(right: Float64[Tensor, " prompt"], labels: Sequence[Any]) -> Float64[Tensor, " group"]:
    """The share of right answers in each group."""
    number = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    index = torch.tensor([number[label] for label in labels])
    zeros = torch.zeros(len(number), dtype=torch.float64)
    return zeros.index_add(0, index, right) / zeros.index_add(0, index, torch.ones_like(right))
