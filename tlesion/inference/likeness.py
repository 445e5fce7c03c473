"""Independent units: prompts and sentences that are made from one template are one unit of evidence, not several."""

from collections.abc import Sequence
from typing import Any

from tlesion.checks import label, shown
from tlesion.public import public
from tlesion.stimuli import Contrast, Prompt
from tlesion.stimuli.likeness import components, frame, template_labels


@public
def detected_groups(stimuli: Contrast | Sequence[Any], labels: Any = None) -> tuple[str, ...]:
    """The template of every prompt, text or pair: as its label says, and where it has none, as its words show.

    - A label that is given stands: texts with different labels stay apart, however alike they are.
    - Texts without one that are made from one template (:func:`tlesion.stimuli.likeness.template_labels`) get one
      label. If texts with a label are among them, that is the label of the first of these, else the template's frame.
    - Pairs of a contrast belong together where the sentences of either condition do.

    Args:
        stimuli: Prompts, texts, or a contrast. Words that all of them ask about are left open.
        labels: One for each, "" or None where none is known. None: the prompts' ``group``, the contrast's ``groups``.

    Returns:
        One label for each prompt or text; of a contrast one for each pair, and of one without pairs one for each
        sentence, those of condition a first.

    Raises:
        ValueError: Not one label for each.
        TypeError: A label that is neither text nor a whole number; something that is no prompt or text.

    Example:
        >>> texts = ["Robert helped Lucy with the ladder.", "Karl helped Olga with the map.", "Nobody knew the way."]
        >>> detected_groups(texts, ["a", "", ""])
        ('a', 'a', '... knew the way')
    """
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


def effective_n(groups: Sequence[Any]) -> int:
    """How many independent units there are: the number of different groups.

    Example:
        >>> effective_n(["a", "a", "b"])
        2
    """
    return len({label(one, "group label") for one in groups})


def independent_units(groups: Sequence[Any], what: str = "prompts") -> str:
    """Say how many independent units there are.

    Example:
        >>> independent_units(["a", "a", "b"])
        '3 prompts from 2 templates: 2 independent units'
        >>> independent_units(["a", "b"], "pairs")
        '2 pairs, each from a template of its own: 2 independent units'
    """
    n, n_groups = len(groups), effective_n(groups)
    plural = "s" * (n_groups != 1)
    origin = f"{what}, each from a template of its own" if n == n_groups else f"{what} from {n_groups} template{plural}"
    return f"{n} {origin}: {n_groups} independent unit{plural}"


def _read(stimuli: Contrast | Sequence[Any]) -> tuple[list[list[str]], list[str], list[str]]:
    """Texts (of a paired contrast those of both conditions), the words asked about, and the labels that are there."""
    if isinstance(stimuli, Contrast):
        sides = [[one.masked for one in side] for side in (stimuli.a, stimuli.b)]
        sides = sides if stimuli.paired else [sides[0] + sides[1]]
        words = _in_all([{a.word, b.word} for a, b in zip(stimuli.a, stimuli.b, strict=False)])
        return sides, words, list(stimuli.groups) if stimuli.paired and stimuli.groups else [""] * len(sides[0])
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
