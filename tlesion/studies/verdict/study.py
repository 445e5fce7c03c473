"""The verdict: is what a lesion did real, is it more than damage, and is it large enough to care about?"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from tlesion.checks import one_of
from tlesion.inference.bootstrap import METHODS as INTERVALS
from tlesion.keep.results import Provenance
from tlesion.public import public
from tlesion.stats.correction import METHODS
from tlesion.studies.common.effects import MEASURES, PROMPTS
from tlesion.studies.common.labels import without_copies
from tlesion.studies.common.smallest import SmallestEffect
from tlesion.studies.common.units import how_grouped, unit_labels
from tlesion.studies.laminar.result import LaminarProfile
from tlesion.studies.verdict.chance import Chance, chance_of
from tlesion.studies.verdict.decide import Study, words_of
from tlesion.studies.verdict.dissociation import dissociation_of, no_dissociation, pair_of
from tlesion.studies.verdict.evidence import evidence_of, selected_interval
from tlesion.studies.verdict.result import OPPOSITE, PER_LESION, RIGHT_ANSWER, SPECIFIC, Verdict
from tlesion.studies.verdict.rules import MAX, OneMask, Rules
from tlesion.studies.verdict.setting import (
    mask_of,
    overlap_of,
    rounding_of,
    smallest_of,
    warn_of_wide,
)


@public
def verdict(
    profile: LaminarProfile,
    *,
    smallest: float | int | SmallestEffect | None = None,
    share: float | int = 0.1,
    measure: str = "margin",
    prompts: str = "right",
    groups: Any = "detect",
    alpha: float | int = 0.05,
    power: float | int = 0.95,
    correction: str = MAX,
    level: float | int = 0.95,
    interval: str = "t",
    n_resamples: int = 5000,
    n_permutations: int = 10_000,
    seed: int = 0,
) -> Verdict:
    r"""Judge every lesion of a profile by one of six words.

    The effect e of a mask that is about a word (``profile.about``) is what its lesion costs that word *against the
    other targets*: the drop of the margin, mean over the prompts in which the word is the right answer. Of any other
    mask it is the drop of the right answer's margin. S is the smallest effect of interest. Independent units are groups
    of prompts that are made from one template. The first rule that holds gives the word:

    1. *nothing cut*: the mask has no neuron in the layer.
    2. *inconclusive, model at chance*: the clean model does not give the right answers more often than guessing would.
    3. *negligible*: the 90 % interval of e lies within ± S (two one-sided tests at ``alpha``), and all logits change by
       less than S, with the same confidence.
    4. *specific*: e > 0, and not by chance over groups (``p``); further from the mean of random lesions of as many,
       equally active neurons than chance makes the furthest of all masks and layers (``control_p_corrected``); and
       so per unit of change of all logits, too (``selective_p``), so that it is not just more damage of the usual kind.
       Each p is two-sided and at most ``alpha``.
    5. *specific, opposite*: the same with e < 0: the lesion helps its word.
    6. *damage*: e or the change of all logits is S or more (one-sided, at ``alpha``), and it is not more than random
       lesions do, or only in proportion to the change of all logits.
    7. *inconclusive*: anything else. ``reasons`` says what is missing: *few prompts*, *few controls* (p may fall below
       ``alpha`` with others), *wide set* (the controls hold more than a fifth of its neurons, as sets of that size and
       activity must),
       *rounding* (S is finer than the model's numbers).

    Args:
        profile: A profile with matched controls, which :func:`tlesion.laminar_profile` runs by itself.
        smallest: S, in logits, or what :func:`tlesion.smallest_effect` made of other prompts. None: what the profile
            was given before it ran; if that is nothing, ``share`` of the clean margin, which is then no
            choice made beforehand (``smallest_origin`` says so).
        share: Of the median clean margin on these prompts, without its sign; with a lone target, of the largest mean
            drop that cutting a whole layer causes.
        measure: ``"margin"``, or ``"drop"``: what the lesion costs the target, whatever it costs the others.
        prompts: ``"right"``: judge a mask that is about a word where that is the right answer (everywhere, if
            it never is). ``"all"``: on all prompts that have the target. A mean or median in place of activations
            costs a word where it is right and helps it where it is wrong, so that both cancel under ``"all"``.
        groups: ``"detect"``: prompts with the same label belong together, and so do prompts that are made from one
            template, as their texts show (:func:`tlesion.inference.detected_groups`). ``"given"``: labels alone.
            ``"none"``: every prompt stands alone. Or a label for each prompt of the profile.
        alpha: Level of every test.
        power: Probability with which `minimal_effect` and `detectable_effect` are found.
        correction: Over masks and layers. ``"max"``: the maximum statistic over sign flips, and over controls.
            Or a method of :func:`tlesion.stats.adjust`, or ``"none"``; those need more controls than lesions / alpha.
        level: Of the intervals.
        interval: ``"t"``: Student's over groups. ``"bca"`` or ``"percentile"``: bootstraps, which are too narrow with
            few groups or heavy tails.
        n_resamples: Resamples of a bootstrap.
        n_permutations: Sign flips to draw; where no more than that exist, all are used. With fewer than six independent
            groups p cannot reach 0.05.
        seed: Of resamples and flips.

    Returns:
        A row per mask and layer (``.to_frame()``), and the double dissociation of two masks that are about two targets.

    Raises:
        ValueError: A profile without controls; a mask that is about no word; settings out of range; no clean margin to
            take a share of.

    Warns:
        UserWarning: A mask of whose neurons the controls hold more than a fifth, with the largest z that it could
            reach.

    Source:
        benchmarks/results/verdicts.md: how often each word is right. Two one-sided tests: Schuirmann (1987), J.
        Pharmacokinet. Biopharm. 15:657-680.

    Example:
        >>> import tlesion
        >>> planted = tlesion.toy.planted_model("causal", n_layers=2, d_mlp=32, layers=(1,), n_causal=4)
        >>> masks = {word: planted.truth.mask("causal", word) for word in ("him", "her")}
        >>> profile = tlesion.laminar_profile(planted.model, masks, planted.language.prompts(40, seed=1))
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
    _check(profile, measure, prompts, rules, share)
    labels = unit_labels(profile.prompts, profile.groups, groups)
    masks = [mask_of(profile, mask, labels, measure=measure, prompts=prompts) for mask in profile.masks]
    sizes = [smallest_of(profile, one.effects, smallest, float(share)) for one in masks]
    every = without_copies(range(len(labels)), profile.prompts, profile.targets, profile.correct)
    chance = chance_of(profile, every, [labels[i] for i in every])
    study = _study(profile, sizes, chance, rules)
    warn_of_wide(profile, study.overlap)
    found = evidence_of(masks, rules)
    words, reasons = words_of(found, study, rules.alpha)
    settings = {"measure": measure, "prompts": prompts, "share": float(share), "groups": how_grouped(groups)}
    return Verdict(
        **{name: getattr(found, name) for name in PER_LESION if hasattr(found, name)},
        **_quoted(masks, words, study, rules),
        **_dissociation(profile, masks, words, rules),
        smallest_effect=study.smallest,
        accuracy=torch.tensor(chance.accuracy, dtype=torch.float64),
        chance_p=torch.tensor(chance.p, dtype=torch.float64),
        n_lesioned=profile.n_lesioned,
        share_lesioned=profile.n_lesioned.double() / int(profile.provenance.settings["n_units"]),
        control_overlap=study.overlap.where(study.active, torch.nan),
        n_prompts=torch.tensor([len(one.groups) for one in masks]),
        n_groups=torch.tensor([one.n_groups for one in masks]),
        masks=profile.masks,
        layers=profile.layers,
        about=tuple(one.effects.own.about or RIGHT_ANSWER for one in masks),
        dissociated=pair_of(profile),
        smallest_origin=tuple(size.origin for size in sizes),
        verdicts=words,
        reasons=reasons,
        provenance=_provenance(profile, settings | dataclasses.asdict(rules)),
    )


def _study(profile: LaminarProfile, sizes: Sequence[SmallestEffect], chance: Chance, rules: Rules) -> Study:
    return Study(
        active=profile.n_lesioned > 0,
        overlap=overlap_of(profile),
        smallest=torch.tensor([size.value for size in sizes], dtype=torch.float64),
        rounding=rounding_of(profile),
        above_chance=chance.above(rules.alpha),
        could_show=not chance.least > rules.alpha,
        n_controls=profile.n_controls,
    )


def _quoted(
    masks: Sequence[OneMask], words: Sequence[Sequence[str]], study: Study, rules: Rules
) -> dict[str, Float64[Tensor, "mask layer"]]:
    """Intervals for what is quoted because it was called specific."""
    n_selected = sum(word in (SPECIFIC, OPPOSITE) for row in words for word in row)
    low, high = selected_interval(masks, n_selected, int(study.active.sum()), rules)
    return {"selected_low": low, "selected_high": high}


def _dissociation(
    profile: LaminarProfile, masks: Sequence[OneMask], words: Sequence[Sequence[str]], rules: Rules
) -> dict[str, Any]:
    pair = pair_of(profile)
    if not pair:
        return no_dissociation(len(profile.layers))
    rows = [profile.masks.index(mask) for mask in pair]
    first, second = (masks[row] for row in rows)
    return dissociation_of(first, second, [words[row] for row in rows], alpha=rules.alpha, level=rules.level)


def _provenance(profile: LaminarProfile, settings: dict[str, Any]) -> Provenance:
    """The provenance of the profile, with its settings and content hash among the verdict's own."""
    made_from = {"profile": profile.provenance.settings, "content": profile.content_hash}
    return dataclasses.replace(profile.provenance, settings=settings | made_from)


def _check(profile: LaminarProfile, measure: str, prompts: str, rules: Rules, share: float | int) -> None:
    one_of("measure", measure, MEASURES)
    one_of("prompts", prompts, PROMPTS)
    one_of("correction", rules.correction, (MAX, *METHODS))
    one_of("interval", rules.interval, INTERVALS)
    if not 0 < rules.alpha < 0.5:
        raise ValueError(f"alpha must lie between 0 and 0.5, got {rules.alpha!r}; 0.05 is usual")
    if not rules.alpha < rules.power < 1:
        raise ValueError(f"power must lie between alpha and 1, got {rules.power!r}; 0.95 is the default")
    if not share > 0:
        raise ValueError(f"share {share!r} defines the smallest effect of interest; give a number above zero")
    if not profile.n_controls:
        raise ValueError(
            "the profile holds no matched controls, without which nothing tells an effect from damage; make it with "
            "laminar_profile(..., n_controls=99)"
        )
