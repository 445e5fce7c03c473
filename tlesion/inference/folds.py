"""Folds of a contrast that keep like with like: pairs made from one template are never on both sides."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from tlesion.inference.likeness import detected_groups
from tlesion.public import public
from tlesion.selection.templates import settled_groups
from tlesion.stimuli import Contrast, Prompt, Sentence
from tlesion.stimuli.likeness import components, normalised
from tlesion.tokens import MASK


def template_groups(contrast: Contrast, *, groups: Any = None, causal: bool = False) -> Int64[Tensor, " pair"]:
    """Which pairs of a contrast belong together, numbered from 0 in the order of their first pairs.

    Pairs belong together where they have the same label (:func:`tlesion.inference.detected_groups`), and in any case
    where they share a sentence, or one with its word masked, or one with the other's word in its place: no label can
    put a sentence on both sides, however it is punctuated. If a pair belongs to two others, all three belong together.

    Args:
        contrast: A paired contrast.
        groups: One label per pair, or as in :func:`tlesion.cross_fit`. None: the contrast's own ``groups``. Pairs
            without a label ("") are put with those that are made from the same template, as their words show it.
        causal: Pairs that say the same before the word belong together as well: a causal model's prompt ends there.

    Raises:
        ValueError: An unpaired contrast, or not one label per pair.

    Example:
        >>> starts = ("Robert knew that they saw", "We like", "Lucy knew that they saw")
        >>> pairs = [(f"{start} him.", f"{start} her.") for start in starts]
        >>> template_groups(Contrast.from_pairs(pairs, ("him", "her"))).tolist()
        [0, 1, 0]
    """
    if not contrast.paired:
        raise ValueError("an unpaired contrast has no pairs to put into folds; build it with Contrast.from_pairs")
    n_pairs = len(contrast.a)
    templates = detected_groups(with_groups(contrast, groups))
    marks: dict[tuple[str, Any], int] = {}
    pairs, held = [], []
    for i, both in enumerate(zip(contrast.a, contrast.b, strict=True)):
        own = {("label", templates[i])} | {("text", text) for text in _texts(*both, causal=causal)}
        pairs += [i] * len(own)
        held += [n_pairs + marks.setdefault(mark, len(marks)) for mark in sorted(own)]
    # Pairs and marks as one graph, with a link where a pair has a mark: what is linked belongs together.
    return torch.tensor(components(n_pairs + len(marks), pairs, held)[:n_pairs])


def with_groups(contrast: Contrast, groups: Any) -> Contrast:
    """A paired contrast with the labels that are given for it; as it is where they are None or ``"detect"``.

    Args:
        contrast: A paired contrast.
        groups: See :func:`tlesion.cross_fit`.

    Raises:
        ValueError: Not one label for each pair, or a word that stands for none.
    """
    settled = "detect" if groups is None else settled_groups(groups)
    if settled in ("detect", "given"):
        return contrast
    n_pairs = len(contrast.a)
    labels = tuple(map(str, range(n_pairs) if settled == "none" else settled))
    if len(labels) != n_pairs:
        raise ValueError(f"{len(labels)} group labels for {n_pairs} pairs; give one for each pair")
    return replace(contrast, groups=labels)


@public
def split_folds(groups: Int64[Tensor, " pair"], k: int, *, seed: int) -> Int64[Tensor, " pair"]:
    """The fold of every pair: whole groups, folds of about equal size.

    Groups are put in random order, then from the largest to the smallest each goes into the fold with fewest pairs.

    Args:
        groups: The group of every pair, from :func:`template_groups`.
        k: How many folds.
        seed: Of the order.

    Raises:
        ValueError: Fewer than two folds, or fewer groups than folds.

    Example:
        >>> split_folds(torch.tensor([0, 0, 1, 2]), 2, seed=0).tolist()
        [0, 0, 1, 1]
    """
    sizes = torch.bincount(groups)
    if k < 2:
        raise ValueError(f"k is {k}; give two folds or more, one is left out while the others select")
    if len(sizes) < k:
        raise ValueError(
            f"{k} folds of {len(groups)} pairs that fall into {len(sizes)} template(s); a template is never split, so "
            f"give {len(sizes)} folds at most, more templates, or finer ones with groups=..."
        )
    order = torch.randperm(len(sizes), generator=torch.Generator().manual_seed(seed))
    order = order[sizes[order].argsort(descending=True, stable=True)]
    fold, filled = torch.empty_like(sizes), [0] * k
    for group in order.tolist():
        least = filled.index(min(filled))
        fold[group] = least
        filled[least] += int(sizes[group])
    return fold[groups]


def prompts_of(
    contrast: Contrast, groups: Int64[Tensor, " pair"], pairs: Sequence[int], *, causal: bool
) -> list[Prompt]:
    """The prompts made from some pairs of a contrast; they ask for the words of both conditions.

    Args:
        contrast: A paired contrast of two different words in each pair.
        groups: The group of every pair, which its prompts name as their ``group``.
        pairs: Indices of the pairs.
        causal: The sentence up to the word; if not, the sentence with the word masked.

    Returns:
        Two prompts per pair, or one without a right answer where both sentences give the same prompt; what several
        pairs ask alike is asked once.

    Raises:
        ValueError: A pair with the same word in both sentences; a word that begins its sentence (causal).

    Example:
        >>> pairs = [("We saw him.", "We saw her."), ("He saw him.", "She saw her.")]
        >>> contrast = Contrast.from_pairs(pairs, ("him", "her"))
        >>> [one.text for one in prompts_of(contrast, template_groups(contrast), [0, 1], causal=True)]
        ['We saw', 'He saw', 'She saw']
    """
    prompts = []
    for i in pairs:
        a, b = contrast.a[i], contrast.b[i]
        if a.word == b.word:
            raise ValueError(
                f"the pair {a.text!r} and {b.text!r} has the word {a.word!r} in both sentences, so that there are no "
                "two targets to compare; give pairs of two different words"
            )
        asked = [_asked(one, (a.word, b.word), f"template {int(groups[i])}", causal=causal) for one in (a, b)]
        if asked[0].text == asked[1].text:
            asked = [replace(asked[0], correct=None)]
        prompts += asked
    return list(dict.fromkeys(prompts))


def _asked(sentence: Sentence, targets: tuple[str, str], label: str, *, causal: bool) -> Prompt:
    prompt = Prompt(sentence.masked, targets, correct=sentence.word, group=label)
    if not causal:
        return prompt
    if not sentence.before:
        raise ValueError(
            f"the word {sentence.word!r} begins {sentence.text!r}, so that a causal model has nothing to predict it "
            "from; use sentences with something before the word"
        )
    return prompt.before_mask()


def _texts(a: Sentence, b: Sentence, *, causal: bool) -> set[str]:
    """The pair's sentences, and every sentence that prompts made from them ask about, but for case and punctuation."""
    contexts = [text for one in (a, b) for text in ((one.masked, one.before) if causal else (one.masked,)) if text]
    filled = [
        context.replace(MASK, word) if MASK in context else f"{context} {word}"
        for context in contexts
        for word in (a.word, b.word)
    ]
    return {normalised(text) for text in (a.text, b.text, *contexts, *filled)}
