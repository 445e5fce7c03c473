"""What results say about the prompts that they were measured on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import pandas as pd

from tlesion.encoding import PromptLabel


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What a result says about its prompts, in their order; nothing in a study of texts.

    Attributes:
        prompts: Their texts.
        targets: Target words of each.
        correct: The right one of each, or None.
        groups: Label of each (its template, say), "" where it has none.
    """

    prompts: tuple[str, ...] = ()
    targets: tuple[tuple[str, ...], ...] = ()
    correct: tuple[str | None, ...] = ()
    groups: tuple[str, ...] = ()

    @classmethod
    def of(cls, prompts: Sequence[PromptLabel]) -> "Labels":
        """The labels of some prompts."""
        return cls(
            prompts=tuple(prompt.text for prompt in prompts),
            targets=tuple(prompt.targets for prompt in prompts),
            correct=tuple(prompt.correct for prompt in prompts),
            groups=tuple(prompt.group for prompt in prompts),
        )


def without_copies(
    chosen: Sequence[int],
    prompts: Sequence[str],
    targets: Sequence[Sequence[str]],
    correct: Sequence[str | None],
) -> list[int]:
    """Those of some prompts that are no copies of others among them: a copy is no further evidence.

    Args:
        chosen: Places of the prompts.
        prompts: The texts of all; spaces do not count.
        targets: Target words of each, in any order.
        correct: The right one of each.

    Example:
        >>> without_copies([0, 1, 2], ["We saw", "We  saw", "We met"], [("him", "her")] * 3, [None] * 3)
        [0, 2]
    """
    first: dict[tuple[object, ...], int] = {}
    for i in chosen:
        first.setdefault((" ".join(prompts[i].split()), frozenset(targets[i]), correct[i]), i)
    return list(first.values())


@runtime_checkable
class OfPrompts(Protocol):
    """A result that says which prompts it is of."""

    @property
    def prompts(self) -> tuple[str, ...]: ...
    @property
    def targets(self) -> tuple[tuple[str, ...], ...]: ...
    @property
    def correct(self) -> tuple[str | None, ...]: ...


def tidy_rows(result: OfPrompts, axes: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """A row for every combination of axes, prompts and targets, the last ones fastest.

    Args:
        result: The result.
        axes: Labels of each axis that comes before the prompts, by the column's name.

    Returns:
        The axes' columns, then prompt (its place), text, target (its word), is_correct.
    """
    every = [*axes.values(), range(len(result.prompts)), range(len(result.targets[0]))]
    frame = pd.MultiIndex.from_product(every, names=[*axes, "prompt", "target"]).to_frame(index=False)
    prompt, target = frame["prompt"].to_numpy(), frame["target"].to_numpy()
    frame["target"] = [result.targets[i][j] for i, j in zip(prompt, target, strict=True)]
    frame.insert(len(axes) + 1, "text", [result.prompts[i] for i in prompt])
    frame["is_correct"] = [word == result.correct[i] for word, i in zip(frame["target"], prompt, strict=True)]
    return frame
