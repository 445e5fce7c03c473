"""Independent units: prompts and sentences that are made from one template are one unit of evidence, not several."""

from collections.abc import Sequence
from typing import Any

from tlesion.checks import label
from tlesion.public import public
from tlesion.stimuli import Contrast
from tlesion.stimuli.templates import templates_of


@public
def detected_groups(stimuli: Contrast | Sequence[Any], labels: Any = None) -> tuple[str, ...]:
    """The template of every prompt, text or pair: as its label says, and where it has none, as its words show.

    - A label that is given stands: texts with different labels stay apart, however alike they are.
    - Texts without one that are made from one template (:func:`tlesion.stimuli.likeness.template_labels`) get one
      label. If texts with a label are among them, that is the label of the first of these, else the template's frame.
    - Pairs of a contrast belong together where the sentences of either condition do.

    Args:
        stimuli: Prompts, texts, or a contrast. Words that all of them ask about are left open.
        labels: One for each, "" or None where none is known. None: the prompts' ``group``, the contrast's ``groups``
            (without pairs: of a's sentences, and of b's where there are as many).

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
    return templates_of(stimuli, labels)


@public
def effective_n(groups: Sequence[Any]) -> int:
    """How many independent units there are: the number of different groups.

    Args:
        groups: A label for each prompt, pair or sentence, as `detected_groups` gives them.

    Returns:
        Their number, 0 where there is none.

    Raises:
        TypeError: A label that is neither text nor a whole number.

    Example:
        >>> effective_n(["a", "a", "b"])
        2
    """
    return len({label(one, "group label") for one in groups})


@public
def independent_units(groups: Sequence[Any], what: str = "prompts") -> str:
    """Say how many independent units there are.

    Args:
        groups: A label for each prompt, pair or sentence.
        what: What they are labels of.

    Returns:
        A sentence without its full stop.

    Raises:
        TypeError: A label that is neither text nor a whole number.

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
