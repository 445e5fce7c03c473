"""What a lesion costs the words that its mask is about: the one number per prompt that inference is made on."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from tlesion.checks import label, one_of, plain, shown, warn
from tlesion.keep.results import Provenance
from tlesion.options import settle_by

MEASURES = ("margin", "drop")
PROMPTS = ("right", "all")


@dataclass(frozen=True, eq=False, kw_only=True)
class OwnTargets:
    """The target that a mask is about, prompt by prompt.

    Attributes:
        about: The target's word; "" where the mask is about no one word, but about each prompt's right answer.
        prompts: Which prompts it can be judged on.
        target: In each of those, the target's place.
    """

    about: str
    prompts: Int64[Tensor, " prompt"]
    target: Int64[Tensor, " prompt"]

    def only(self, prompts: Sequence[int]) -> "OwnTargets":
        """The same on some of its prompts."""
        kept = torch.isin(self.prompts, torch.tensor(prompts, dtype=torch.long))
        return OwnTargets(about=self.about, prompts=self.prompts[kept], target=self.target[kept])


@dataclass(frozen=True, eq=False, kw_only=True)
class MaskEffect:
    """Effects of one mask on the prompts that it is judged on, beside those of its controls.

    Attributes:
        own: What the mask is about, and where.
        values: What the lesion costs it, see :func:`own_effect`. Positive: it costs the mask's own word.
        controls: The same of every matched control.
        change: Standard deviation over the vocabulary of (lesioned − clean) logits.
        control_change: Likewise.
        clean: The same measure of the clean logits: how far the word is ahead.
    """

    own: OwnTargets
    values: Float64[Tensor, "layer prompt"]
    controls: Float64[Tensor, "control layer prompt"]
    change: Float64[Tensor, "layer prompt"]
    control_change: Float64[Tensor, "control layer prompt"]
    clean: Float64[Tensor, " prompt"]


def spread_of_change(provenance: Provenance) -> str:
    """What ``global_change`` is in a result, in words: version 0.1 saved another measure, which shifts move as well.

    Example:
        >>> spread_of_change(Provenance(model={}, versions={}, settings={}, stimuli=(), stimuli_hash=""))
        'standard deviation over the vocabulary'
    """
    older = str(provenance.versions.get("tlesion", "")).startswith("0.1.")
    return "root mean square" if older else "standard deviation over the vocabulary"


def words_of_masks(masks: Sequence[str], targets: Sequence[Sequence[str]], about: Any = None) -> dict[str, str]:
    """The word that each mask is about, settled once for everything that is computed from it.

    Args:
        masks: Names of the masks.
        targets: Target words of each prompt.
        about: Words that were given, by mask; ``""`` for each prompt's right answer. A mask that is not in it is about
            the target of exactly its name, or, where there is none, about each prompt's right answer.

    Returns:
        A word, or ``""``, for every mask.

    Raises:
        ValueError: ``about`` names no mask, or a word that is no target of any prompt.
        TypeError: ``about`` is no dict.

    Warns:
        UserWarning: A mask that ``about`` leaves out has one target's word in its name, and is about the right answer.

    Example:
        >>> words_of_masks(["him", "her_neurons"], [("him", "her")], {"her_neurons": "her"})
        {'him': 'him', 'her_neurons': 'her'}
    """
    given = {} if about is None else settled_about("about", about)
    known = list(dict.fromkeys(word for words in targets for word in words))
    for name in given:
        one_of("mask", name, masks, otherwise="about={mask: word} names masks that were given")
    for name, word in given.items():
        if word != "":
            one_of(f"the word of mask {name!r}", word, known, otherwise="or '' for each prompt's right answer")
    for name in masks:
        inside = [word for word in known if _within(word, name)]
        if name not in given and name not in known and len(inside) == 1 and len(known) > 1:
            warn(
                f"mask {name!r} is taken to be about each prompt's right answer, not about {inside[0]!r}; if that is "
                f"its word, say so: about={{{name!r}: {inside[0]!r}}}, and if not: about={{{name!r}: ''}}",
            )
    return {name: given.get(name, name if name in known else "") for name in masks}


def settled_about(name: str, about: Any) -> dict[str, str]:
    """Words by the names of masks, as text.

    Raises:
        TypeError: It is no dict, or a key is no label.
    """
    if not isinstance(about, Mapping):
        raise TypeError(f"{name} is a {shown(about)}; give each mask's word by the mask's name, {name}={{mask: word}}")
    return {label(mask, "mask name"): plain(word) for mask, word in about.items()}


settle_by(settled_about, "about")


def _within(word: str, name: str) -> bool:
    """Whether a name has a word in it, whole: "her_neurons" has "her", "other" has not."""
    return word.strip().lower() in re.split(r"[\W_]+", name.lower())


def own_targets(
    mask: str,
    targets: Sequence[Sequence[str]],
    correct: Sequence[str | None],
    *,
    about: str | None = None,
    prompts: str = "right",
) -> OwnTargets:
    """The target that a mask is about, prompt by prompt, and which prompts can say something on it.

    A mask that is about a word is judged on the prompts where that is the right answer. Where no prompt says so, and
    with ``prompts="all"``, it is judged on all prompts that have the target. Any other mask is about the right answer,
    on the prompts that name one; a lone target is always meant.

    Args:
        mask: Its name.
        targets: Target words of each prompt.
        correct: The right one of each, or None.
        about: Its word, ``""`` for the right answer; None: by its name, see :func:`words_of_masks`.
        prompts: ``"right"`` or ``"all"``.

    Raises:
        ValueError: An unknown ``prompts``; a mask that is about no word, where no prompt names a right answer.

    Example:
        >>> own = own_targets("her", [("him", "her")] * 3, ["him", "her", None])
        >>> own.about, own.prompts.tolist(), own.target.tolist()
        ('her', [1], [1])
    """
    one_of("prompts", prompts, PROMPTS)
    word = mask if about is None else about
    holding = [i for i, words in enumerate(targets) if word in words]
    if holding:
        right = [i for i in holding if correct[i] == word]
        chosen = right if right and prompts == "right" else holding
        return OwnTargets(
            about=word,
            prompts=torch.tensor(chosen),
            target=torch.tensor([list(targets[i]).index(word) for i in chosen]),
        )
    if all(len(words) == 1 for words in targets):
        return OwnTargets(about="", prompts=torch.arange(len(targets)), target=torch.zeros(len(targets)).long())
    known = [(i, right) for i, right in enumerate(correct) if right is not None]
    if not known:
        raise ValueError(
            f"mask {mask!r} bears no target's name, and no prompt names its right answer, so that nobody can tell "
            f"which word it should cost; name the mask after a target ({', '.join(map(repr, targets[0]))}), say "
            f"so with about={{{mask!r}: {targets[0][0]!r}}}, or give the prompts correct=..."
        )
    return OwnTargets(
        about="",
        prompts=torch.tensor([i for i, _ in known]),
        target=torch.tensor([list(targets[i]).index(right) for i, right in known]),
    )


def own_effect(
    drop: Float64[Tensor, "*lesion prompt target"], own: OwnTargets, *, measure: str = "margin"
) -> Float64[Tensor, "*lesion own_prompt"]:
    r"""What a lesion costs a mask's own target, on the prompts that the mask is judged on.

    .. math:: \text{margin:}\; d_{own} - \frac{1}{T - 1} \sum_{t \ne own} d_t \qquad \text{drop:}\; d_{own}

    The margin is the default, because a lesion that moves all targets alike has not touched the choice between them:
    it leaves their relative probabilities as they are. Such a shift is damage and counts as such, never as an effect
    on one word. With a single target there is no margin, and the drop is used.

    Args:
        drop: Logit drops; or clean logits, for the clean margin.
        own: The mask's targets.
        measure: ``"margin"`` or ``"drop"``.

    Raises:
        ValueError: An unknown measure.

    Example:
        >>> drop = torch.tensor([[3.0, 1.0], [0.5, 2.0]], dtype=torch.float64)  # prompt, target
        >>> own_effect(drop, own_targets("her", [("him", "her")] * 2, [None, None])).tolist()
        [-2.0, 1.5]
    """
    one_of("measure", measure, MEASURES)
    drop = drop[..., own.prompts, :]
    index = own.target[:, None].expand(*drop.shape[:-1], 1)
    mine = drop.gather(-1, index)[..., 0]
    if measure == "drop" or drop.shape[-1] == 1:
        return mine
    return mine - (drop.sum(dim=-1) - mine) / (drop.shape[-1] - 1)


def spacing_of_logits(clean: Float64[Tensor, "prompt target"], dtype: str) -> float:
    """The distance between neighbouring numbers of a model's dtype at its largest clean logit.

    Args:
        clean: The clean logits.
        dtype: Of the model, as its provenance has it.
    """
    return torch.finfo(getattr(torch, dtype, torch.float32)).eps * float(clean.abs().max())
