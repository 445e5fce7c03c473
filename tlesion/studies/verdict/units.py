"""Which prompts are one unit of evidence: the choice that a verdict and the plan of a study share."""

from collections.abc import Sequence

from tlesion.inference.likeness import detected_groups

GROUPS = ("detect", "given", "none")


def unit_labels(texts: Sequence[str], given: Sequence[str], groups: str) -> list[str]:
    """One label for every prompt: those of one label are no independent evidence.

    Args:
        texts: The prompts' texts.
        given: Their labels, "" where they have none.
        groups: One of `GROUPS`; see :func:`tlesion.verdict`.

    Example:
        >>> len(set(unit_labels(["We saw", "They met", "Nobody came"], ["a", "a", ""], "given")))
        2
    """
    # A group may be called "3": what has no label gets one that no label can be.
    alone = [f"\0{i}" for i in range(len(texts))]
    if groups == "none":
        return alone
    known = given if groups == "given" else detected_groups(texts, given)
    return [label or own for label, own in zip(known, alone, strict=True)]
