"""Minimality: does half of a set of neurons do as much as all of it?

A lesion of a set shows that the set matters, not that all of it does, nor how its neurons share the work. Random halves
of it are cut, beside all of it::

    share = mean effect of the halves / effect(the set)

Two halves that hold the set between them have a mean share of 0.5 where their effects add up, whichever neurons have
them: how far single halves lie apart says whether many neurons do or few. A share above 0.5 means that halves overlap
in what they take away, so that a smaller lesion would have done; below 0.5 that each half is made up for, in part, by
the one that is left, which lesions of parts alone would miss.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from tlesion.checks import integer
from tlesion.hooks import Model
from tlesion.keep.checkpoint import Folder
from tlesion.options import settle_by
from tlesion.positions import PromptPosition
from tlesion.public import public
from tlesion.studies.common.controls import stream_of
from tlesion.studies.sufficiency.asked import Asked, asked_of
from tlesion.studies.sufficiency.halves_result import NO_EFFECT, NOTHING_CUT, ONE_NEURON, Minimality
from tlesion.studies.sufficiency.lesions import measure_drops
from tlesion.studies.sufficiency.shares import least_effect, shares_of

settle_by(partial(integer, least=2, usual="an even number, since halves come in pairs"), "n_halves")


@public
def minimality(
    model: Model,
    masks: Any,
    prompts: Any,
    *,
    n_halves: int = 20,
    measure: str = "margin",
    ablation: str = "zero",
    hook_point: str = "mlp.hook_post",
    position: PromptPosition = "readout",
    reference: Any = None,
    seed: int = 0,
    plan: str = "auto",
    max_bytes: int | None = None,
    prepend_bos: bool | None = None,
    about: Mapping[str, str] | None = None,
    level: float | int = 0.95,
    selected_on: Any = None,
    allow_shared: bool = False,
    checkpoint: Folder = None,
) -> Minimality:
    r"""Cut random halves of a set's neurons in each layer, and compare what they do with what the whole set does.

    .. math:: \text{share} = \frac{\frac1H \sum_h \bar e(\text{half } h)}{\bar e(\text{the set})}

    Halves are drawn in pairs: one at random, and the rest of the set, which has one neuron more where their number is
    odd. A mask is judged on the prompts in which its word is the right answer, as a profile is. Where the set's effect
    is not shown to differ from zero over prompts there is nothing to have a share of, and it is NaN.

    A share does not say that each neuron is needed: neurons that do nothing leave it at 0.5. How it is to be read
    stands at :class:`Minimality`.

    Args:
        model: A `HookedTransformer` or `HookedEncoder`.
        masks: Named bool masks ``[layer, unit]`` over all layers, as for :func:`tlesion.laminar_profile`.
        prompts: A list of `Prompt` with equally many targets each.
        n_halves: Halves of each set in each layer; an even number makes pairs of all of them.
        measure: ``"margin"``: what a lesion costs a mask's word against the other targets; ``"drop"``: what it costs
            the word, whatever it costs the others.
        ablation: ``"zero"``; ``"mean"`` or ``"median"`` (the values of ``reference``); ``"gaussian"`` (standard
            normal noise).
        hook_point: Short form of the point whose units are ablated.
        position: ``"readout"``, ``"all"``, or an index for every prompt.
        reference: For ``"mean"`` and ``"median"``: what to put in, ``[layer, unit]``.
        seed: Of the noise and of the halves.
        plan: How runs are combined, ``"auto"`` for the cheapest that is exact; see :func:`tlesion.sweep`.
        max_bytes: Budget for activations; see :func:`tlesion.sweep`.
        prepend_bos: None follows the model's TransformerLens default; False leaves the token out.
        about: The word that a mask is about, by the mask's name; see :func:`tlesion.laminar_profile`.
        level: Of the intervals; and a set's effect is shown where Student's interval of that level does not hold zero,
            each layer by itself.
        selected_on: The selection that the masks come from, or its contrast: prompts that are made from its sentences
            are refused, because they overstate the effect.
        allow_shared: Use them anyway.
        checkpoint: As in :func:`tlesion.laminar_profile`.

    Returns:
        Drops and effects of the sets and of every half, and shares with intervals, per mask and layer.

    Raises:
        ValueError: As for :func:`tlesion.laminar_profile`; fewer than two halves, an unknown measure, a level that is
            not between 0 and 1, a mask that is about no word.
        TypeError: The masks are not a dict, or the prompts not a list of `Prompt`.

    Source:
        After "minimality" of Wang et al. (2023), Interpretability in the wild, ICLR, which takes away single parts.

    Example:
        >>> import tlesion
        >>> planted = tlesion.toy.planted_model("causal", n_layers=2, layers=(1,), n_causal=8)
        >>> masks = {"him": planted.truth.mask("causal", "him")}  # four neurons, whose effects add up
        >>> found = tlesion.minimality(planted.model, masks, planted.language.prompts(8, seed=1))
        >>> found.share.round(decimals=3).tolist(), found.reasons
        ([[nan, 0.5]], (('nothing cut', ''),))
    """
    asked = asked_of(
        model,
        masks,
        prompts,
        study="minimality",
        title="minimality",
        measure=measure,
        level=level,
        ablation=ablation,
        hook_point=hook_point,
        position=position,
        reference=reference,
        seed=seed,
        plan=plan,
        max_bytes=max_bytes,
        prepend_bos=prepend_bos,
        about=about,
        selected_on=selected_on,
        allow_shared=allow_shared,
    )
    halves = [draw_halves(mask, n_halves, seed=seed, name=name) for name, mask in asked.masks.items()]
    run = asked.opened(checkpoint, {"n_halves": n_halves})
    cut = torch.cat([asked.stack[:, None], torch.stack(halves)], dim=1)
    measured = measure_drops(run, asked.frame, cut, stage="halves")
    run.checkpoint.finish()
    n_lesioned = asked.stack.sum(dim=2)
    drop, half_drop = measured.drop[:, 0], measured.drop[:, 1:]
    half_drop = half_drop.masked_fill((n_lesioned < 2)[:, None, :, None, None], torch.nan)
    least = least_effect(measured.clean, run.provenance.model["dtype"])
    numbers, reasons = _judged(asked, drop, half_drop, least=least)
    labels = asked.frame.labels
    return Minimality(
        **numbers,
        logit_drop=drop,
        half_logit_drop=half_drop,
        clean_logits=measured.clean,
        n_lesioned=n_lesioned,
        reasons=reasons,
        masks=tuple(asked.masks),
        layers=asked.frame.point.layers,
        prompts=labels.prompts,
        targets=labels.targets,
        correct=labels.correct,
        groups=labels.groups,
        plan=measured.plan,
        provenance=run.provenance,
    )


def draw_halves(
    mask: Bool[Tensor, "layer unit"], n_halves: int, *, seed: int, name: str
) -> Bool[Tensor, "half layer unit"]:
    """Random halves of a set in every layer, in pairs that hold the set between them.

    Args:
        mask: The set.
        n_halves: How many halves; a longer list begins with the halves of a shorter one.
        seed: Of the draws.
        name: The set's name: halves of one set say nothing of another's.

    Example:
        >>> halves = draw_halves(torch.tensor([[True, True, True, False]]), 4, seed=0, name="him")
        >>> halves.sum(dim=2).flatten().tolist(), (halves[0] | halves[1]).tolist()
        ([1, 2, 1, 2], [[True, True, True, False]])
    """
    keys = np.random.default_rng([seed, *stream_of(name)]).random(((n_halves + 1) // 2, *mask.shape))
    rank = torch.from_numpy(keys).masked_fill(~mask, 2.0).argsort(dim=-1).argsort(dim=-1)  # the set's units first
    first = rank < mask.sum(dim=-1, keepdim=True) // 2
    return torch.stack([first, mask & ~first], dim=1).flatten(0, 1)[:n_halves]


def _judged(
    asked: Asked, drop: Tensor, half_drop: Tensor, *, least: float
) -> tuple[dict[str, Float64[Tensor, "mask *rest"]], tuple[tuple[str, ...], ...]]:
    """The result's numbers that are not logit drops, and its reasons."""
    columns: dict[str, list[Tensor]] = {
        name: [] for name in ("effect", "half_effect", "share", "low", "high", "half_share", "spread")
    }
    reasons = []
    for row, (name, mask) in enumerate(asked.masks.items()):
        effect, halves = asked.effect(name, drop[row]), asked.effect(name, half_drop[row])
        counts = mask.sum(dim=1)
        found = shares_of(
            halves.mean(dim=0), effect, groups=asked.groups(name), level=asked.level, least=least, reason=NO_EFFECT
        )
        half_share = halves.mean(dim=-1) / effect.mean(dim=-1).where(~found.share.isnan(), torch.nan)
        values = (
            asked.on_every_prompt(name, effect),
            asked.on_every_prompt(name, halves),
            found.share,
            found.low,
            found.high,
            half_share,
            half_share.std(dim=0, correction=0),
        )
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)
        none = [{0: NOTHING_CUT, 1: ONE_NEURON}.get(n, "") for n in counts.tolist()]
        reasons.append(tuple(why or other for why, other in zip(none, found.reasons, strict=True)))
    return {name: torch.stack(column) for name, column in columns.items()}, tuple(reasons)
