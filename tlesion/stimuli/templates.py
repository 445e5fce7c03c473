"""Which stimuli are made from one template: as their labels say, and where they have none, as their words show."""

from collections.abc import Sequence
from typing import Any

from tlesion.checks import label, shown
from tlesion.stimuli.contrast import Contrast
from tlesion.stimuli.likeness import components, frame, template_labels
from tlesion.stimuli.prompt import Prompt


def templates_of(stimuli: Contrast | Sequence[Any], labels: Any = None) -> tuple[str, ...]:
    """The template of every prompt, text or pair; see :func:`tlesion.inference.detected_groups`."""
    texts, words, given = _read(stimuli)
    given = given if labels is None else ["" if one is None else label(one, "group label") for one in labels]
    n = len(texts[0])
    if len(given) != n:
        what = f"{len(given)} group label{'s' * (len(given) != 1)} for {n} text{'s' * (n != 1)}"
        raise ValueError(f'{what}; give one for each, "" where none is known')
    if all(given):
        return tuple(given)
    found = template_labels([one for side in texts for one in side], words=words)
    # Members and templates as one graph, with a link where a text of a member is of a template.
    component = components(n + len(found), [i % n for i in range(len(found))], [n + one for one in found])[:n]
    names: dict[int, str] = {}
    for one, name in zip(component, given, strict=True):
        if name:
            names.setdefault(one, name)
    taken = set(given)
    for one, text in zip(component, texts[0], strict=True):
        if one not in names:
            names[one] = _unlike(frame(text, words=words), taken)
            taken.add(names[one])
    return tuple(name or names[one] for one, name in zip(component, given, strict=True))


def _read(stimuli: Contrast | Sequence[Any]) -> tuple[list[list[str]], list[str], list[str]]:
    """Texts (of a paired contrast those of both conditions), the words asked about, and the labels that are there."""
    if isinstance(stimuli, Contrast):
        sides = [[one.masked for one in side] for side in (stimuli.a, stimuli.b)]
        sides = sides if stimuli.paired else [sides[0] + sides[1]]
        words = _in_all([{*asked} for asked in stimuli.asked])
        given = [*stimuli.groups] or [""] * len(stimuli.a)
        if not stimuli.paired:
            given += given if len(stimuli.b) == len(stimuli.a) else [""] * len(stimuli.b)
        return sides, words, given
    if isinstance(stimuli, str):
        raise TypeError(f"the text {stimuli!r} is one alone; give a list of texts")
    for one in stimuli:
        if not isinstance(one, str | Prompt):
            raise TypeError(f"{shown(one)} is neither a prompt nor a text; give prompts, texts or a contrast")
    texts = [one.text if isinstance(one, Prompt) else one for one in stimuli]
    words = _in_all([{*one.targets} for one in stimuli if isinstance(one, Prompt) and not one.ids])
    return [texts], words, [one.group if isinstance(one, Prompt) else "" for one in stimuli]


def _in_all(words: Sequence[set[str]]) -> list[str]:
    """The words asked about everywhere: one that is asked about in one text is a word like others in the next."""
    return sorted(set.intersection(*words)) if words else []


def _unlike(name: str, taken: set[str]) -> str:
    """A name that no label has."""
    while name in taken:
        name += " "
    return name
