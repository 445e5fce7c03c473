"""Sufficiency: what does a set of neurons do where nothing else of its layer is left?

A lesion of a set shows what the model loses without it. Here all units of a layer are cut but the set's, beside a run
with all of them cut, the ceiling. What the set keeps of the ceiling's effect is its share::

    share = 1 - effect(all but the set) / effect(the whole layer)

with means over prompts above and below the line. Random sets of the same size are kept in the same way, because many a
random set keeps something.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from tlesion.hooks import Model
from tlesion.keep.checkpoint import Folder
from tlesion.positions import PromptPosition
from tlesion.public import public
from tlesion.studies.common.controls import Controls, controls_of
from tlesion.studies.common.frame import Run
from tlesion.studies.sufficiency.against_random import p_among_random, require_alternative
from tlesion.studies.sufficiency.asked import Asked, asked_of
from tlesion.studies.sufficiency.lesions import Drops, measure_drops
from tlesion.studies.sufficiency.result import ALL_KEPT, NO_CEILING, NOTHING_KEPT, Sufficiency
from tlesion.studies.sufficiency.shares import Shares, least_effect, shares_of


@public
def sufficiency(
    model: Model,
    masks: Any,
    prompts: Any,
    *,
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
    n_controls: int = 99,
    match: Tensor | str | None = "activity",
    alternative: str = "larger",
    level: float | int = 0.95,
    selected_on: Any = None,
    allow_shared: bool = False,
    checkpoint: Folder = None,
) -> Sufficiency:
    r"""Keep only a set's neurons of a layer, cut the rest of it, and see how much of the layer's effect is kept.

    .. math:: \text{share} = 1 - \frac{\bar e(\text{all but the set})}{\bar e(\text{the whole layer})}

    A mask is judged on the prompts in which its word is the right answer, as a profile is. Where the whole layer's
    effect is not shown to differ from zero over prompts, there is nothing to keep a share of, and it is NaN. A share is
    of what is lost at this hook point and position: the other layers and positions are as in the clean run.

    Args:
        model: A `HookedTransformer` or `HookedEncoder`.
        masks: Named bool masks ``[layer, unit]`` over all layers, as for :func:`tlesion.laminar_profile`.
        prompts: A list of `Prompt` with equally many targets each.
        measure: ``"margin"``: what a lesion costs a mask's word against the other targets; ``"drop"``: what it costs
            the word, whatever it costs the others.
        ablation: ``"zero"``; ``"mean"`` or ``"median"`` (the values of ``reference``); ``"gaussian"`` (standard
            normal noise).
        hook_point: Short form of the point whose units are ablated.
        position: ``"readout"``, ``"all"``, or an index for every prompt.
        reference: For ``"mean"`` and ``"median"``: what to put in, ``[layer, unit]``.
        seed: Of the noise and of the random sets.
        plan: How runs are combined, ``"auto"`` for the cheapest that is exact; see :func:`tlesion.sweep`.
        max_bytes: Budget for activations; see :func:`tlesion.sweep`.
        prepend_bos: None follows the model's TransformerLens default; False leaves the token out.
        about: The word that a mask is about, by the mask's name; see :func:`tlesion.laminar_profile`.
        n_controls: Random sets of the same size that are kept instead, for each mask and layer; 0: none.
        match: ``"activity"``: random sets are about as active as the mask's, by their mean absolute activation at the
            ablated position over these prompts; None: any units of the layer; or a tensor ``[layer, unit]`` to match
            on.
        alternative: ``"larger"``: p is how often a random set keeps as much, or more, which is the claim that the set
            keeps more than random ones; ``"smaller"``; or ``"two-sided"``: how often one lies as far out.
        level: Of the intervals; and a whole layer's effect is shown where Student's interval of that level does not
            hold zero, each layer by itself.
        selected_on: The selection that the masks come from, or its contrast: prompts that are made from its sentences
            are refused, because they overstate the effect.
        allow_shared: Use them anyway.
        checkpoint: As in :func:`tlesion.laminar_profile`.

    Returns:
        Drops, what is kept on each prompt, and shares with intervals and p, per mask and layer.

    Raises:
        ValueError: As for :func:`tlesion.laminar_profile`; an unknown measure or alternative, a level that is not
            between 0 and 1, a mask that is about no word.
        TypeError: The masks are not a dict, or the prompts not a list of `Prompt`.

    Source:
        Sufficiency: DeYoung et al. (2020), ERASER, ACL. Keeping a part and ablating the rest: "faithfulness" of Wang et
        al. (2023), Interpretability in the wild, ICLR.

    Example:
        >>> import tlesion
        >>> planted = tlesion.toy.planted_model("causal", n_layers=2, layers=(1,), background=0.0)
        >>> masks = {"both": planted.truth.mask("causal")}  # all that writes to the logits
        >>> found = tlesion.sufficiency(planted.model, masks, planted.language.prompts(8, seed=1), n_controls=19)
        >>> found.share.round(decimals=3).tolist(), found.reasons
        ([[nan, 1.0]], (('ceiling not shown', ''),))
    """
    require_alternative(alternative)
    asked = asked_of(
        model,
        masks,
        prompts,
        study="sufficiency",
        title="sufficiency",
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
    controls = controls_of(n_controls, match, asked.frame)
    run = asked.opened(checkpoint, {"alternative": alternative, **controls.settings})
    every = torch.ones_like(asked.stack[:1])
    own = measure_drops(run, asked.frame, torch.cat([~asked.stack, every]), stage="sets")
    control_drop = _measure_controls(run, asked, controls, own)
    run.checkpoint.finish()
    numbers, reasons = _judged(asked, own, control_drop, alternative, dtype=run.provenance.model["dtype"])
    labels = asked.frame.labels
    return Sufficiency(
        **numbers,
        logit_drop=own.drop[:-1],
        whole_logit_drop=own.drop[-1],
        control_logit_drop=control_drop.transpose(0, 1),
        clean_logits=own.clean,
        n_kept=asked.stack.sum(dim=2),
        reasons=reasons,
        masks=tuple(asked.masks),
        layers=asked.frame.point.layers,
        prompts=labels.prompts,
        targets=labels.targets,
        correct=labels.correct,
        groups=labels.groups,
        plan=own.plan,
        provenance=run.provenance,
    )


def _measure_controls(
    run: Run, asked: Asked, controls: Controls, own: Drops
) -> Float64[Tensor, "control mask layer prompt target"]:
    """The drops with all but a random set cut.

    They are swept apart from the sets, whose numbers are the same with and without them.
    """
    if not controls.n:
        return own.drop[None, :-1][:0]
    match = run.checkpoint.part("match", lambda: {"values": controls.measured(asked.frame).match})["values"]
    kept = replace(controls, match=match).draw_together(asked.stack)
    return measure_drops(run, asked.frame, ~kept, stage="controls").drop


@dataclass(frozen=True, eq=False, kw_only=True)
class _Kept:
    """What one mask keeps, and its random sets do, of the whole layer's effect."""

    whole: Float64[Tensor, "layer own"]
    own: Float64[Tensor, "layer own"]
    controls: Float64[Tensor, "control layer"]
    shares: Shares


def _kept(asked: Asked, mask: str, own: Drops, control_drop: Tensor, *, least: float) -> _Kept:
    row = list(asked.masks).index(mask)
    whole = asked.effect(mask, own.drop[-1])
    kept = whole - asked.effect(mask, own.drop[row])
    shares = shares_of(kept, whole, groups=asked.groups(mask), level=asked.level, least=least, reason=NO_CEILING)
    random = whole - asked.effect(mask, control_drop[:, row])
    return _Kept(whole=whole, own=kept, controls=random.mean(dim=-1), shares=shares)


def _judged(
    asked: Asked, own: Drops, control_drop: Tensor, alternative: str, *, dtype: str
) -> tuple[dict[str, Tensor], tuple[tuple[str, ...], ...]]:
    """The result's numbers that are not logit drops, and its reasons."""
    least = least_effect(own.clean, dtype)
    found = {mask: _kept(asked, mask, own, control_drop, least=least) for mask in asked.masks}
    share = torch.stack([one.shares.share for one in found.values()])
    whole = torch.stack([one.whole.mean(dim=-1) for one in found.values()])
    kept = torch.stack([one.own.mean(dim=-1) for one in found.values()])
    controls = torch.stack([one.controls for one in found.values()], dim=1)
    # In the direction of the whole layer's effect, so that a larger one is a larger share, in logits as ties are.
    takes_part = ~share.isnan() & asked.stack.any(dim=2)
    p, corrected = p_among_random(
        (kept * whole.sign()).where(takes_part, torch.nan), controls * whole.sign(), alternative=alternative
    )
    numbers = {
        "whole_effect": torch.stack([asked.on_every_prompt(mask, one.whole) for mask, one in found.items()]),
        "kept": torch.stack([asked.on_every_prompt(mask, one.own) for mask, one in found.items()]),
        "share": share,
        "low": torch.stack([one.shares.low for one in found.values()]),
        "high": torch.stack([one.shares.high for one in found.values()]),
        "control_share": (controls / whole.where(~share.isnan(), torch.nan)).transpose(0, 1),
        "control_p": p,
        "control_p_corrected": corrected,
    }
    return numbers, tuple(_reasons(mask, one) for mask, one in zip(asked.stack, found.values(), strict=True))


def _reasons(mask: Bool[Tensor, "layer unit"], found: _Kept) -> tuple[str, ...]:
    """Why each layer's share is NaN, or says nothing of the set."""
    trivial = [{0: NOTHING_KEPT, mask.shape[1]: ALL_KEPT}.get(n, "") for n in mask.sum(dim=1).tolist()]
    return tuple(why or what for why, what in zip(found.shares.reasons, trivial, strict=True))
