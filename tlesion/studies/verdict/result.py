"""`Verdict`: what can be said about every lesion of a profile, in numbers and in one of six words."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
from jaxtyping import Bool, Float64, Int
from torch import Tensor

from tlesion.keep.results import Result

NOT_CUT = "nothing cut"
SPECIFIC = "specific"
OPPOSITE = "specific, opposite"
NEGLIGIBLE = "negligible"
DAMAGE = "damage"
INCONCLUSIVE = "inconclusive"
VERDICTS = (SPECIFIC, OPPOSITE, DAMAGE, NEGLIGIBLE, INCONCLUSIVE, NOT_CUT)

AT_CHANCE = "model at chance"
FEW_PROMPTS = "few prompts"
FEW_CONTROLS = "few controls"
WIDE = "wide set"
ROUNDING = "rounding"
REASONS = (AT_CHANCE, ROUNDING, WIDE, FEW_CONTROLS, FEW_PROMPTS)
"""Why a lesion is inconclusive."""

RIGHT_ANSWER = "right answer"

PER_LESION = (
    "effect",
    "low",
    "high",
    "opposite",
    "p",
    "control_p",
    "control_p_error",
    "control_p_corrected",
    "control_p_corrected_error",
    "selective_p",
    "standardised",
    "global_change",
    "global_low",
    "global_high",
    "minimal_effect",
    "detectable_effect",
    "selected_low",
    "selected_high",
)
"""Fields of one number per mask and layer, in the order of the table's columns."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Verdict(Result):
    """A verdict on every mask and layer; :func:`tlesion.verdict` states the rules.

    Attributes:
        effect: What the lesion costs the mask's own word (logits), mean over prompts. Positive: it costs it; negative:
            it helps it.
        low, high: Confidence interval of the same, over independent groups of prompts.
        opposite: Share of the prompts whose effect has the other sign than their mean.
        p: Are the effects of the groups symmetric about zero? Sign flips, two-sided, corrected over masks and layers.
            It tests the mean only where effects are not skewed. NaN where the mask is empty, or every effect is zero.
        control_p: How often a matched control does as much, two-sided, each lesion by itself.
        control_p_corrected: The same for the standardised effect, corrected over masks and layers.
        control_p_error, control_p_corrected_error: Monte-Carlo standard errors: how far other draws of as many
            controls would move p.
        selective_p: As `control_p_corrected`, for the effect per unit of global change, e / (g + median g): whether the
            lesion moves its word by more than its damage alone would.
        standardised: The effect in standard deviations of the controls, from their mean.
        global_change: Standard deviation over the vocabulary of (lesioned − clean) logits, mean over prompts.
        global_low, global_high: One-sided bounds of the same, at the level of the tests.
        minimal_effect: The smallest mean effect that prompts of such a spread show with the power asked for.
        detectable_effect: The smallest that is called specific with that power: it exceeds the controls as well.
        selected_low, selected_high: Interval for what is quoted because it was called specific: its level allows for
            having picked these lesions out of all (false coverage rate).
        smallest_effect: Smallest effect of interest of each mask, in logits.
        accuracy: Share of the prompts that the clean model gets right; NaN where none names a right answer.
        chance_p: Is the clean model above chance? One-sided, over groups; NaN likewise.
        dissociation: What both masks cost their own word more than the other one, summed; NaN where the profile holds
            no two masks that are about two targets.
        dissociation_low, dissociation_high: Its confidence interval.
        dissociation_p: How often pairs of controls do as much, one-sided, corrected over layers.
        dissociates: Whether a double dissociation is claimed: both masks are specific there, and the pair exceeds
            pairs of controls.
        n_lesioned: How many neurons the mask cuts.
        share_lesioned: The same as a share of the layer.
        control_overlap: Which share of the mask's neurons its controls hold on average; NaN where nothing is cut.
        n_prompts: On how many prompts the mask is judged; copies count once.
        n_groups: How many independent groups these are.
        masks, layers: Names of the masks, and the model's layer of every row.
        about: The word that each mask is about, as the profile has it; "right answer" where that is no one word.
        dissociated: The two masks of the dissociation; empty where there are none.
        smallest_origin: Where each mask's smallest effect of interest comes from.
        verdicts: One of `VERDICTS` for each mask and layer.
        reasons: One of `REASONS` where the verdict is inconclusive, "" elsewhere.
    """

    effect: Float64[Tensor, "mask layer"]
    low: Float64[Tensor, "mask layer"]
    high: Float64[Tensor, "mask layer"]
    opposite: Float64[Tensor, "mask layer"]
    p: Float64[Tensor, "mask layer"]
    control_p: Float64[Tensor, "mask layer"]
    control_p_error: Float64[Tensor, "mask layer"]
    control_p_corrected: Float64[Tensor, "mask layer"]
    control_p_corrected_error: Float64[Tensor, "mask layer"]
    selective_p: Float64[Tensor, "mask layer"]
    standardised: Float64[Tensor, "mask layer"]
    global_change: Float64[Tensor, "mask layer"]
    global_low: Float64[Tensor, "mask layer"]
    global_high: Float64[Tensor, "mask layer"]
    minimal_effect: Float64[Tensor, "mask layer"]
    detectable_effect: Float64[Tensor, "mask layer"]
    selected_low: Float64[Tensor, "mask layer"]
    selected_high: Float64[Tensor, "mask layer"]
    smallest_effect: Float64[Tensor, " mask"]
    accuracy: Float64[Tensor, ""]
    chance_p: Float64[Tensor, ""]
    dissociation: Float64[Tensor, " layer"]
    dissociation_low: Float64[Tensor, " layer"]
    dissociation_high: Float64[Tensor, " layer"]
    dissociation_p: Float64[Tensor, " layer"]
    dissociates: Bool[Tensor, " layer"]
    n_lesioned: Int[Tensor, "mask layer"]
    share_lesioned: Float64[Tensor, "mask layer"]
    control_overlap: Float64[Tensor, "mask layer"]
    n_prompts: Int[Tensor, " mask"]
    n_groups: Int[Tensor, " mask"]
    masks: tuple[str, ...]
    layers: tuple[int, ...]
    about: tuple[str, ...]
    dissociated: tuple[str, ...]
    smallest_origin: tuple[str, ...]
    verdicts: tuple[tuple[str, ...], ...]
    reasons: tuple[tuple[str, ...], ...]

    @classmethod
    def from_older(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Refuse a verdict of tlesion 0.1, whose words stood for other rules.

        Args:
            values: Fields by name, as they were saved.

        Raises:
            ValueError: It is one.
        """
        if "reasons" not in values:
            raise ValueError(
                "this verdict was made by the rules of tlesion 0.1, which called noise damage; its profile can still "
                "be read: call tlesion.verdict on it"
            )
        return values

    def to_frame(self) -> pd.DataFrame:
        """Tidy: a row per mask and layer.

        Columns: mask, about, layer, n_lesioned, share_lesioned, control_overlap, n_prompts, n_groups; the fields of one
        number per mask and layer; smallest; dissociation, dissociation_low, dissociation_high, dissociation_p,
        dissociates; verdict, reason. The dissociation stands beside both of its masks, and is NaN beside the others.
        """
        n_layers = len(self.layers)
        rows = pd.MultiIndex.from_product([self.masks, self.layers], names=["mask", "layer"]).to_frame(index=False)
        rows.insert(1, "about", [word for word in self.about for _ in range(n_layers)])
        rows["n_lesioned"] = self.n_lesioned.flatten().numpy()
        rows["share_lesioned"] = self.share_lesioned.flatten().numpy()
        rows["control_overlap"] = self.control_overlap.flatten().numpy()
        rows["n_prompts"] = self.n_prompts.repeat_interleave(n_layers).numpy()
        rows["n_groups"] = self.n_groups.repeat_interleave(n_layers).numpy()
        for name in PER_LESION:
            rows[name] = getattr(self, name).flatten().numpy()
        rows["smallest"] = self.smallest_effect.repeat_interleave(n_layers).numpy()
        for name in ("dissociation", "dissociation_low", "dissociation_high", "dissociation_p"):
            rows[name] = getattr(self, name).repeat(len(self.masks)).numpy()
            rows.loc[~rows["mask"].isin(self.dissociated), name] = float("nan")
        own = rows["mask"].isin(self.dissociated)
        rows["dissociates"] = self.dissociates.repeat(len(self.masks)).numpy() & own.to_numpy()
        rows["verdict"] = [word for words in self.verdicts for word in words]
        rows["reason"] = [reason for reasons in self.reasons for reason in reasons]
        return rows

    def said_of(self, mask: str, word: str) -> list[int]:
        """The layers in which a mask's lesion has this verdict.

        Args:
            mask: One of `masks`.
            word: One of `VERDICTS`.
        """
        row = self.masks.index(mask)
        return [layer for layer, said in zip(self.layers, self.verdicts[row], strict=True) if said == word]

    def methods(self) -> str:
        """A paragraph for the methods of a paper, in APA style: every count, test, level and version that was used."""
        from tlesion.studies.verdict import paper

        return paper.methods(self)

    def to_latex(self, *, label: str = "tab:verdict") -> str:
        """A table for a paper, a row per mask and layer. It needs LaTeX's package booktabs and no other.

        Args:
            label: By which the text refers to it.
        """
        from tlesion.studies.verdict import latex

        return latex.to_latex(self, label=label)
