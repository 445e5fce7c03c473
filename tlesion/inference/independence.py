"""Independent selection: effects must not be measured on the sentences that the neurons were selected on."""

from collections.abc import Sequence
from typing import Any

from tlesion.keep.results import Result
from tlesion.public import public
from tlesion.stimuli import Contrast, Prompt
from tlesion.stimuli.likeness import near_copies


@public
def require_independent(
    selection_or_contrast: Any, prompts: Sequence[Prompt], *, allow_shared: bool = False
) -> tuple[int, ...]:
    """Refuse prompts that are made from sentences of a selection, or say almost the same.

    Neurons selected on a sentence fit its noise as well as its meaning, so that their effect on that same sentence is
    overestimated. A prompt is shared where

    - it is a sentence of the selection, with one of the prompt's targets in its place, or
    - it is such a sentence with the word masked, whatever the targets, or
    - it is what such a sentence says before its word (a causal model's prompt ends there), or
    - it is one of these but for names and numbers (:func:`tlesion.stimuli.likeness.frame`), or
    - it shares almost all of its word pairs with such a sentence (:func:`tlesion.stimuli.likeness.near_copies`). This
      needs the sentences: a contrast has them, a selection has hashes.

    Spaces, case and punctuation do not matter. A selection that was saved and loaded knows its sentences as well; one
    that an older version saved knows nothing of names and punctuation.

    Prompts that differ in more than that, and are still made from the same template, pass: compare
    :func:`tlesion.inference.detected_groups`.

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
        >>> prompts = [tlesion.Prompt(text, ("him", "her")) for text in ("They met [MASK].", "Ask [MASK].")]
        >>> require_independent(contrast, prompts, allow_shared=True)
        (1,)
    """
    found = _resembled(selection_or_contrast, prompts)
    if found is None:
        if allow_shared:
            return ()
        raise ValueError(
            f"this {type(selection_or_contrast).__name__} does not record sentences that neurons were selected on (one "
            "made from caches knows none), so that nobody can tell whether the prompts are new to it; select with "
            "tlesion.select_neurons, or pass allow_shared=True if they are new"
        )
    shared = tuple(sorted(found))
    if shared and not allow_shared:
        first = shared[0]
        raise ValueError(
            f"{len(shared)} of {len(prompts)} prompts are made from sentences that the neurons were selected on, or "
            f"say the same but for names, punctuation or a few words, which overstates effects (first: prompt {first}, "
            f"{prompts[first].text!r}, is like {found[first]}); use other prompts, or tlesion.cross_fit, which selects "
            "and evaluates on different folds, or pass allow_shared=True"
        )
    return shared


def same_texts(contrast: Contrast, prompts: Sequence[Prompt]) -> tuple[int, ...]:
    """Indices of the prompts that are made from a contrast's very sentences, whatever they are like otherwise."""
    known = {*contrast.stimuli, *contrast.contexts}
    return tuple(i for i, one in enumerate(prompts) if known.intersection((*one.stimuli, one.context)))


def _resembled(source: Any, prompts: Sequence[Prompt]) -> dict[int, str] | None:
    """What each shared prompt is like, in words; None where nothing is known of the sentences."""
    if isinstance(source, Contrast):
        sentences = [one.text for one in (*source.a, *source.b)]
        found = _known_again(source.stimuli, source.contexts, source.frames, prompts, list(map(repr, sentences)))
        return {i: repr(sentences[place]) for i, place in _near(source, prompts).items()} | found
    if isinstance(source, Result):
        record = source.provenance
        named = [f"sentence {place + 1} of the {len(record.stimuli)}" for place in range(len(record.stimuli))]
        if not record.contexts:
            return None
        return _known_again(record.stimuli, record.contexts, record.frames, prompts, named)
    raise TypeError(
        f"a {type(source).__name__} has no sentences to compare with; give a selection of tlesion.select_neurons, or a "
        "contrast"
    )


def _known_again(
    stimuli: Sequence[str],
    contexts: Sequence[str],
    frames: Sequence[Sequence[str]],
    prompts: Sequence[Prompt],
    named: Sequence[str],
) -> dict[int, str]:
    """Prompts of which a hash is known, each with what messages call the sentence."""
    known = dict.fromkeys(contexts, "one of them")
    for place in reversed(range(len(stimuli))):
        known |= dict.fromkeys([stimuli[place], *(frames[place] if frames else ())], named[place])
    return {
        i: known[hits[0]]
        for i, one in enumerate(prompts)
        for hits in [[mark for mark in (*one.frames, *one.stimuli, one.context) if mark in known]]
        if hits
    }


def _near(contrast: Contrast, prompts: Sequence[Prompt]) -> dict[int, int]:
    """Prompts that share almost all of their word pairs with a sentence, and the sentence's place, a's first."""
    sentences = (*contrast.a, *contrast.b)
    words = sorted({word for pair in contrast.asked for word in pair}) if len(set(contrast.asked)) <= 2 else []
    of = [text for one in sentences for text in (one.masked, one.before)]
    texts = [(i, one.text) for i, one in enumerate(prompts) if not one.ids]
    found = near_copies([text for _, text in texts], of, words=words)
    return {i: place // 2 for (i, _), place in zip(texts, found, strict=True) if place >= 0}
