"""Claims on the layers of a profile: stretches with an effect, and double dissociations of two masks."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from tlesion.inference import cluster_permutation, double_dissociation
from tlesion.studies.common.labels import without_copies
from tlesion.studies.laminar.result import LaminarProfile
from tlesion.studies.verdict.judgement import FEW, Rules, n_independent

Stretch = tuple[str, int, int, float, float, float]


def stretches(
    mask: str,
    layers: Sequence[int],
    values: Float64[Tensor, "layer prompt"],
    groups: Sequence[Any] | None,
    rules: Rules,
) -> list[Stretch]:
    """Stretches of adjacent layers with an effect over prompts: mask, first, last, mean effect, mass and p."""
    if n_independent(groups, values.shape[1]) < 2:
        return []
    found = cluster_permutation(values, n_permutations=rules.n_permutations, seed=rules.seed, groups=groups)
    return [
        (
            mask,
            layers[one.first],
            layers[one.last],
            float(values[one.first : one.last + 1].mean()),
            one.mass,
            one.p,
        )
        for one in found
    ]


def dissociation_of(
    profile: LaminarProfile, rules: Rules
) -> tuple[tuple[str, ...], dict[str, Float64[Tensor, " layer"]]]:
    """The two masks that are about two targets, and their double dissociation; NaN where there are none.

    Over all prompts with these two targets: the interaction compares what each mask costs both of them, whichever is
    right.
    """
    names = ("dissociation", "dissociation_low", "dissociation_high", "dissociation_p")
    pair, chosen = _pair(profile)
    words = [profile.about[mask] for mask in pair]
    groups = group_labels(profile, chosen)
    if not pair or n_independent(groups, len(chosen)) < 2:
        return (), {name: torch.full((len(profile.layers),), torch.nan, dtype=torch.float64) for name in names}
    place = torch.tensor([[profile.targets[i].index(word) for word in words] for i in chosen])
    drop = profile.logit_drop[[profile.masks.index(mask) for mask in pair]][:, :, chosen]
    found = double_dissociation(
        drop.gather(-1, place.expand(*drop.shape[:-1], 2)),
        level=rules.level,
        method=rules.interval or ("t" if n_independent(groups, len(chosen)) < FEW else "bca"),
        n_resamples=rules.n_resamples,
        n_permutations=rules.n_permutations,
        seed=rules.seed,
        groups=groups,
    )
    values = (found.interaction, found.interval.low, found.interval.high, found.p_both)
    return pair, dict(zip(names, values, strict=True))


def group_labels(profile: LaminarProfile, prompts: Sequence[int]) -> list[Any] | None:
    """Labels of some prompts, one of its own for each without; None where no prompt has a label."""
    if not any(profile.groups[i] for i in prompts):
        return None
    # A group may be called "3": what has no label gets one that no label can be.
    return [profile.groups[i] or f"\0{i}" for i in prompts]


def _pair(profile: LaminarProfile) -> tuple[tuple[str, ...], list[int]]:
    """Two masks that are about two targets, in the targets' order, and the prompts that have both targets."""
    of_word: dict[str, str] = {}
    # Of several masks about one word the one of its name comes first, then the first that was given.
    for mask in sorted(profile.masks, key=lambda name: profile.about[name] != name):
        of_word.setdefault(profile.about[mask], mask)
    for words in profile.targets:
        pair = [word for word in words if word in of_word]
        if len(pair) == 2:
            chosen = [i for i, others in enumerate(profile.targets) if set(pair) <= set(others)]
            chosen = without_copies(chosen, profile.prompts, profile.targets, profile.correct)
            return tuple(of_word[word] for word in pair), chosen
    return (), []
