"""What results say about the prompts that they were measured on."""

from collections.abc import Sequence
from dataclasses import dataclass

from tlesion.stimuli import Prompt


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
    def of(cls, prompts: Sequence[Prompt]) -> "Labels":
        """The labels of some prompts."""
        return cls(
            prompts=tuple(prompt.text for prompt in prompts),
            targets=tuple(prompt.targets for prompt in prompts),
            correct=tuple(prompt.correct for prompt in prompts),
            groups=tuple(prompt.group for prompt in prompts),
        )
