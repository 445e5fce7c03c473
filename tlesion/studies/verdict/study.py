"""The verdict: is what a lesion did real, is it more than damage, and could the study have detected it?"""

import dataclasses
import math
from typing import Any

import torch
from torch import Tensor

from tlesion.checks import one_of
from tlesion.inference.bootstrap import METHODS as INTERVALS
from tlesion.keep.results import Provenance
from tlesion.public import public
from tlesion.stats.correction import METHODS
from tlesion.studies.common.effects import MEASURES, PROMPTS, MaskEffect
from tlesion.studies.laminar.result import LaminarProfile
from tlesion.studies.verdict.judgement import MAX, Judgement, Rules, judge, n_independent
from tlesion.studies.verdict.layer_claims import dissociation_of, group_labels, stretches
from tlesion.studies.verdict.result import (
    DAMAGE,
    NOT_CUT,
    NOTHING,
    PER_LESION,
    RIGHT_ANSWER,
    SPECIFIC,
    UNCLEAR,
    Verdict,
)

ROUNDING = 4  # units in the last place


@public
def verdict(
    profile: LaminarProfile,
    *,
    measure: str = "margin",
    prompts: str = "right",
    alpha: float | int = 0.05,
    power: float | int = 0.95,
    smallest: float | int | None = None,
    share: float | int = 0.1,
    correction: str = MAX,
    level: float | int = 0.95,
    interval: str | None = None,
    n_resamples: int = 5000,
    n_permutations: int = 10_000,
    seed: int = 0,
) -> Verdict:
    r"""Judge every lesion of a profile: specific, unspecific damage, no effect found, too little power, nothing cut.

    The effect of a mask that is about a word (``profile.about``) is what its lesion costs that word *against the other
    targets*: the drop of the margin, mean over the prompts in which the word is the right answer. Of any other mask it
    is the drop of the right answer's margin. A lesion that lowers all targets alike leaves the choice between them
    as it was; that is damage. The first rule that holds gives the verdict:

    1. *nothing cut*: the mask has no neuron in the layer.
    2. *specific*: the effect is positive; it is not zero over prompts (``p``); it is larger than that of random lesions
       of as many neurons in the same layer (``control_p_corrected``); and it is larger than theirs per unit of global
       change (counted from the median change in the layer), so that it is not just more damage of the usual kind
       (``selective_p``). Each p is at most ``alpha`` after correction over the layers.
    3. *too little power*: ``p`` is larger, and the prompts could not show an effect as large as the smallest of
       interest, or as the change there was (``minimal_effect``). Or: an effect of interest exceeds the controls of
       its layer (both p at most ``alpha``), and does not once it is corrected over layers.
    4. *unspecific damage*: the effect is not zero over prompts (``p``), however small and whatever its sign, and random
       lesions do as much; or the targets' logits, or all logits, changed by the smallest effect of interest or more
       (root mean square), or are no longer finite.
    5. *no effect found*: anything else. An effect as large as the smallest of interest would have shown.

    An effect within the rounding of the logits counts as zero, whatever its p.

    Args:
        profile: A profile with matched controls, ``laminar_profile(..., n_controls=50)``.
        measure: ``"margin"``, or ``"drop"``: what the lesion costs the target, whatever it costs the others.
        prompts: ``"right"``: judge a mask that is about a word where that is the right answer (everywhere, if
            it never is). ``"all"``: on all prompts that have the target. A mean or median in place of activations
            costs a word where it is right and helps it where it is wrong, so that both cancel under ``"all"``.
        alpha: Level of every test.
        power: Probability with which `minimal_effect` and `detectable_effect` are found. By default, missing an effect
            of interest is as rare as a false positive.
        smallest: Smallest effect of interest, in logits. None: ``share`` of the median margin (without its sign)
            in the clean run; with a lone target, of the largest mean drop that cutting a whole layer causes.
        share: See ``smallest``.
        correction: Over the layers of a mask. ``"max"``: the maximum statistic over sign flips, and over controls.
            Or a method of :func:`tlesion.stats.adjust`, or ``"none"``; those need more controls than layers / alpha.
        level: Of the intervals.
        interval: ``"bca"``, ``"percentile"`` or ``"t"``. None: BCa, and Student's with fewer than 20 independent
            prompts, where a bootstrap is too narrow.
        n_resamples: Resamples of the bootstrap.
        n_permutations: Sign flips to draw; where no more than that exist, all are used. With fewer than six independent
            prompts p cannot reach 0.05.
        seed: Of resamples and flips.

    Returns:
        A row per mask and layer (``.to_frame()``), and stretches of layers with an effect (``.clusters_frame()``).

    Raises:
        ValueError: A profile without controls, or with too few for ``alpha``; a mask that is about no word; settings
            out of range; no clean margin to take a share of.

    Source:
        benchmarks/results/verdicts.md: how often it is right, on models with planted neurons.

    Example:
        >>> import tlesion
        >>> planted = tlesion.toy.planted_model("causal", n_layers=2, d_mlp=32, layers=(1,), n_causal=4)
        >>> masks = {word: planted.truth.mask("causal", word) for word in ("him", "her")}
        >>> profile = tlesion.laminar_profile(planted.model, masks, planted.language.prompts(20, seed=1), n_controls=50)
        >>> tlesion.verdict(profile).verdicts
        (('nothing cut', 'specific'), ('nothing cut', 'specific'))
    """
    rules = Rules(
        alpha=float(alpha),
        power=float(power),
        correction=correction,
        level=float(level),
        interval=interval,
        n_resamples=n_resamples,
        n_permutations=n_permutations,
        seed=seed,
    )
    _check(profile, measure, prompts, rules, smallest, share)
    effects = [profile.effect_of(mask, measure=measure, prompts=prompts) for mask in profile.masks]
    groups = [group_labels(profile, one.own.prompts.tolist()) for one in effects]
    active = profile.n_lesioned > 0
    judged = [judge(one, here, labels, rules) for one, here, labels in zip(effects, active, groups, strict=True)]
    least = [_smallest(profile, one, smallest, float(share)) for one in effects]
    pair, dissociation = dissociation_of(profile, rules)
    settings = {"measure": measure, "prompts": prompts, "share": float(share)}
    return Verdict(
        **{name: torch.stack([getattr(one, name) for one in judged]) for name in PER_LESION},
        **dissociation,
        smallest_effect=torch.tensor(least, dtype=torch.float64),
        n_lesioned=profile.n_lesioned,
        n_prompts=torch.tensor([one.values.shape[1] for one in effects]),
        n_groups=torch.tensor([n_independent(g, one.values.shape[1]) for g, one in zip(groups, effects, strict=True)]),
        masks=profile.masks,
        layers=profile.layers,
        about=tuple(one.own.about or RIGHT_ANSWER for one in effects),
        dissociated=pair,
        verdicts=tuple(
            _words(one, here, smallest=size, rounding=_rounding(profile), alpha=rules.alpha)
            for one, here, size in zip(judged, active, least, strict=True)
        ),
        clusters=tuple(
            row
            for mask, one, labels in zip(profile.masks, effects, groups, strict=True)
            for row in stretches(mask, profile.layers, one.values, labels, rules)
        ),
        provenance=_provenance(profile, settings | dataclasses.asdict(rules)),
    )


def _provenance(profile: LaminarProfile, settings: dict[str, Any]) -> Provenance:
    """The provenance of the profile, with its settings and content hash among the verdict's own."""
    made_from = {"profile": profile.provenance.settings, "content": profile.content_hash}
    return dataclasses.replace(profile.provenance, settings=settings | made_from)


def _words(one: Judgement, active: Tensor, *, smallest: float, rounding: float, alpha: float) -> tuple[str, ...]:
    """The rules of :func:`verdict`, layer by layer; a p that is NaN is not small."""
    change = torch.maximum(one.target_change, one.global_change)
    shown, positive = (one.p <= alpha) & (one.effect.abs() > rounding), one.effect > 0
    specific = active & shown & positive & (one.control_p_corrected <= alpha) & (one.selective_p <= alpha)
    alone = shown & (one.effect >= smallest) & (one.control_p <= alpha) & (one.selective_p_single <= alpha)
    unseen = ~shown & (one.minimal_effect > change.clamp(min=smallest))
    damage = shown | ~(change < smallest)  # not ">=": logits that became NaN are damage
    words = []
    for layer in range(len(active)):
        if not active[layer]:
            words.append(NOT_CUT)
        elif specific[layer]:
            words.append(SPECIFIC)
        elif alone[layer] or unseen[layer]:
            words.append(UNCLEAR)
        else:
            words.append(DAMAGE if damage[layer] else NOTHING)
    return tuple(words)


def _smallest(profile: LaminarProfile, one: MaskEffect, smallest: float | int | None, share: float) -> float:
    """The smallest effect of interest of a mask, in logits."""
    if smallest is not None:
        return float(smallest)
    if profile.clean_logits.shape[1] == 1:
        scale, what = float(profile.reference_logit_drop[1].mean(dim=1).abs().max()), "cutting whole layers costs"
    else:
        scale, what = float(one.clean.abs().median()), "the clean margin between the targets is"
    if not scale > 0:
        raise ValueError(
            f"{what} 0 on these prompts, and a share of it is no effect of interest; give smallest=..., in logits"
        )
    return share * scale


def _rounding(profile: LaminarProfile) -> float:
    """What effects may be made of by rounding alone: a few units in the last place of the largest logit."""
    dtype = getattr(torch, str(profile.provenance.model.get("dtype", "float32")), torch.float32)
    return ROUNDING * torch.finfo(dtype).eps * float(profile.clean_logits.abs().max())


def _check(
    profile: LaminarProfile, measure: str, prompts: str, rules: Rules, smallest: float | int | None, share: float | int
) -> None:
    one_of("measure", measure, MEASURES)
    one_of("prompts", prompts, PROMPTS)
    one_of("correction", rules.correction, (MAX, *METHODS))
    if rules.interval is not None:
        one_of("interval", rules.interval, INTERVALS)
    if not 0 < rules.alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, got {rules.alpha!r}; 0.05 is usual")
    if not rules.alpha < rules.power < 1:
        raise ValueError(f"power must lie between alpha and 1, got {rules.power!r}; 0.95 is the default")
    if not (share > 0 and (smallest is None or 0 < smallest < math.inf)):
        raise ValueError(
            f"smallest {smallest!r} and share {share!r} define the smallest effect of interest; give numbers above zero"
        )
    needed = math.ceil(1 / rules.alpha - 1e-9) - 1
    if profile.n_controls < max(1, needed):
        raise ValueError(
            f"the profile holds {profile.n_controls} matched controls, with which p cannot reach {rules.alpha:g}; make "
            f"it with laminar_profile(..., n_controls=50), {needed} at least"
        )
