"""What a verdict takes from a profile before it judges: masks, the smallest effect of interest, rounding, overlap."""

from collections.abc import Sequence

from jaxtyping import Float64
from torch import Tensor

from tlesion.checks import warn
from tlesion.studies.common.effects import MaskEffect, spacing_of_logits
from tlesion.studies.common.smallest import SmallestEffect, given_or_recorded, share_on_these_prompts
from tlesion.studies.laminar.result import LaminarProfile
from tlesion.studies.verdict.decide import WIDE_FROM
from tlesion.studies.verdict.rules import OneMask


def mask_of(profile: LaminarProfile, mask: str, labels: Sequence[str], *, measure: str, prompts: str) -> OneMask:
    effects = profile.effect_of(mask, measure=measure, prompts=prompts)
    own = [labels[i] for i in effects.own.prompts.tolist()]
    return OneMask(effects=effects, groups=own, active=profile.n_lesioned[profile.masks.index(mask)] > 0)


def smallest_of(
    profile: LaminarProfile, one: MaskEffect, smallest: float | int | SmallestEffect | None, share: float
) -> SmallestEffect:
    """The smallest effect of interest of a mask."""
    if (known := given_or_recorded(smallest, profile)) is not None:
        return known
    if profile.clean_logits.shape[1] == 1:
        scale, what = float(profile.reference_logit_drop[1].mean(dim=1).abs().max()), "what cutting whole layers costs"
    else:
        scale, what = float(one.clean.abs().median()), "the median clean margin"
    return share_on_these_prompts(scale, what, share)


def rounding_of(profile: LaminarProfile) -> float:
    """The distance between neighbouring numbers of the model's dtype at its largest logit."""
    return spacing_of_logits(profile.clean_logits, str(profile.provenance.model.get("dtype", "float32")))


def overlap_of(profile: LaminarProfile) -> Float64[Tensor, "mask layer"]:
    """Which share of a mask's neurons its controls hold; of older profiles, what draws from the whole layer would."""
    share = profile.n_lesioned.double() / int(profile.provenance.settings["n_units"])
    return profile.control_overlap.where(~profile.control_overlap.isnan(), share)


class WideSetWarning(UserWarning):
    """A set of neurons of which its controls hold much."""


def warn_of_wide(profile: LaminarProfile, overlap: Float64[Tensor, "mask layer"]) -> None:
    """Say of a mask that its controls hold much of it."""
    for mask, row in zip(profile.masks, overlap, strict=True):
        widest, layer = float(row.max()), profile.layers[int(row.argmax())]
        if WIDE_FROM < widest < 1:
            z = ((1 - widest) / widest) ** 0.5
            warn(
                f"the controls of mask {mask!r} hold {100 * widest:.0f} % of its neurons in layer {layer}, as random "
                "sets of its size and activity must: if k neurons carry the effect, all of them in the mask, it lies "
                f"at most {z:.2f} √k standard deviations from the controls; smaller masks can tell more: "
                "tlesion.select_neurons(..., top_k=...)",
                WideSetWarning,
            )
