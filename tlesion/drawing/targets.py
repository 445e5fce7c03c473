"""What figures call the targets of a result, and the colours of targets and masks: the same in every figure."""

from collections.abc import Sequence

from tlesion.checks import one_of
from tlesion.drawing.style import colour_map


def target_words(targets: Sequence[Sequence[str]]) -> list[str]:
    """A name for each target: its word where all prompts share it, else its place.

    Example:
        >>> target_words([("dog", "dogs"), ("cat", "dogs")])
        ['target 1', 'dogs']
    """
    columns = list(zip(*targets, strict=True))
    return [words[0] if len(set(words)) == 1 else f"target {j}" for j, words in enumerate(columns, start=1)]


def target_colours(masks: Sequence[str], targets: Sequence[Sequence[str]]) -> dict[str, str]:
    """Colours of masks and targets, in the targets' order; a mask has that of the target of its name.

    Example:
        >>> from tlesion.drawing.style import A, B
        >>> target_colours(["her", "any"], [("him", "her")])["her"] == B
        True
    """
    return colour_map(target_words(targets), list(masks))


def chosen_masks(masks: Sequence[str] | None, allowed: Sequence[str]) -> list[str]:
    """The masks that a figure is asked to show; None stands for all.

    Raises:
        ValueError: A mask that is not in the result.
    """
    chosen = list(allowed) if masks is None else list(masks)
    for mask in chosen:
        one_of("mask", mask, allowed)
    return chosen
