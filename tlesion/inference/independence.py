"""Independent selection: effects must not be measured on the sentences that the neurons were selected on."""

from collections.abc import Sequence
from typing import Any

from tlesion.keep.results import Result
from tlesion.public import public
from tlesion.stimuli import Contrast, Prompt


@public
def require_independent(
    selection_or_contrast: Any, prompts: Sequence[Prompt], *, allow_shared: bool = False
) -> tuple[int, ...]:
    """Refuse prompts that are made from sentences of a selection.

    Neurons selected on a sentence fit its noise as well as its meaning, so that their effect on that same sentence is
    overestimated. A prompt is shared where

    - it is a sentence of the selection, with one of the prompt's targets in its place, or
    - it is such a sentence with the word masked, whatever the targets, or
    - it is what such a sentence says before its word (a causal model's prompt ends there).

    Spaces and case do not matter. A selection that was saved and loaded knows its sentences as well.

    Args:
        selection_or_contrast: What :func:`tlesion.select_neurons` or :func:`tlesion.cross_fit` returned, or the
            contrast itself.
        prompts: The prompts that effects are to be measured on.
        allow_shared: Only count them.

    Returns:
        Indices of the shared prompts; none without ``allow_shared``.

    Raises:
        ValueError: Prompts are shared, or the selection does not record its sentences, and ``allow_shared`` is not set.
        TypeError: Neither a result nor a contrast.

    Example:
        >>> import tlesion
        >>> contrast = tlesion.Contrast.from_pairs([("We saw him.", "We saw her."), ("Ask him!", "Ask her!")],
        ...                                        words=("him", "her"))
        >>> prompts = [tlesion.Prompt(text, ("him", "her")) for text in ("They met [MASK].", "Ask [MASK]!")]
        >>> require_independent(contrast, prompts, allow_shared=True)
        (1,)
    """
    known = _known(selection_or_contrast)
    if not known:
        if allow_shared:
            return ()
        raise ValueError(
            f"this {type(selection_or_contrast).__name__} does not record sentences that neurons were selected on (one "
            "made from caches knows none), so that nobody can tell whether the prompts are new to it; select with "
            "tlesion.select_neurons, or pass allow_shared=True if they are new"
        )
    shared = tuple(i for i, one in enumerate(prompts) if known.intersection((*one.stimuli, one.context)))
    if shared and not allow_shared:
        raise ValueError(
            f"{len(shared)} of {len(prompts)} prompts are made from sentences that the neurons were selected on, which "
            f"overstates effects (first: prompt {shared[0]}, {prompts[shared[0]].text!r}); use other prompts, or "
            "tlesion.cross_fit, which selects and evaluates on different folds, or pass allow_shared=True"
        )
    return shared


def _known(source: Any) -> set[str]:
    if isinstance(source, Contrast):
        return {*source.stimuli, *source.contexts}
    if isinstance(source, Result):
        record = source.provenance
        return {*record.stimuli, *record.contexts} if record.contexts else set()
    raise TypeError(
        f"a {type(source).__name__} has no sentences to compare with; give a selection of tlesion.select_neurons, or a "
        "contrast"
    )
