"""Which prompts are one unit of evidence: the choice that studies share."""

from collections.abc import Sequence
from typing import Any

from tlesion.inference.likeness import detected_groups
from tlesion.selection.templates import settled_groups


def unit_labels(texts: Sequence[str], given: Sequence[str], groups: Any) -> list[str]:
    """One label for every prompt: those of one label are no independent evidence.

    Args:
        texts: The prompts' texts.
        given: Their own labels, "" where they have none.
        groups: ``"detect"``, ``"given"``, ``"none"``, or labels in place of their own; see :func:`tlesion.verdict`.

    Raises:
        ValueError: Another word, or not one label for each prompt.
        TypeError: Neither a word nor labels.

    Example:
        >>> len(set(unit_labels(["We saw", "They met", "Nobody came"], ["a", "a", ""], "detect")))
        2
    """
    groups = settled_groups(groups)
    # A group may be called "3": what has no label gets one that no label can be.
    alone = [f"\0{i}" for i in range(len(texts))]
    if groups == "none":
        return alone
    if not isinstance(groups, str) and len(groups) != len(alone):
        raise ValueError(f"{len(groups)} group labels for {len(alone)} prompts; give one for each prompt")
    known = detected_groups(texts, given) if groups == "detect" else given if groups == "given" else groups
    return [label or own for label, own in zip(known, alone, strict=True)]


def how_grouped(groups: Any) -> str:
    """What a record says of the choice: ``"detect"``, ``"none"``, or ``"given"`` for labels."""
    settled = settled_groups(groups)
    return settled if isinstance(settled, str) else "given"
