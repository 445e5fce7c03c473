"""`Verdict`: what can be said about every lesion of a profile, in numbers and in one of five phrases."""

from dataclasses import dataclass

import pandas as pd
from jaxtyping import Float64, Int
from torch import Tensor

from tlesion.keep.results import Result

SPECIFIC = "specific"
DAMAGE = "unspecific damage"
NOTHING = "no effect found"
UNCLEAR = "too little power"
NOT_CUT = "nothing cut"
VERDICTS = (SPECIFIC, DAMAGE, NOTHING, UNCLEAR, NOT_CUT)
RIGHT_ANSWER = "right answer"

PER_LESION = (
    "effect",
    "low",
    "high",
    "opposite",
    "p",
    "control_p",
    "control_p_corrected",
    "selective_p",
    "standardised",
    "target_change",
    "global_change",
    "minimal_effect",
    "detectable_effect",
)
"""Fields of one number per mask and layer, in the order of the table's columns."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Verdict(Result):
    """A verdict on every mask and layer; :func:`tlesion.verdict` states the rules.

    Attributes:
        effect: What the lesion costs the mask's own word (logits), mean over prompts. Positive: it costs it.
        low, high: Confidence interval of the same over prompts.
        opposite: Share of the prompts whose effect has the other sign than their mean.
        p: Is the mean effect over prompts zero? Sign flips, two-sided, corrected over layers. NaN where the mask is
            empty, or every effect is exactly zero.
        control_p: How often a matched control costs the word as much, one-sided, (1 + count) / (1 + controls).
        control_p_corrected: The same, corrected over layers.
        selective_p: The same for the effect per unit of global change, e / (g + median g), corrected over layers:
            whether the lesion moves its word by more than its damage alone would.
        standardised: The effect in standard deviations of the controls, from their mean.
        target_change: Root mean square over the targets of (lesioned − clean) logits, mean over prompts.
        global_change: The same over the vocabulary.
        minimal_effect: The smallest mean effect that prompts of such a spread show with the power asked for.
        detectable_effect: The smallest that is called specific with that power: it exceeds the controls as well.
        smallest_effect: Smallest effect of interest of each mask.
        dissociation: Interaction of two masks with the two targets that they are about, mean over prompts;
            NaN where the profile holds no such masks.
        dissociation_low, dissociation_high: Its confidence interval.
        dissociation_p: p of a double dissociation: that both masks cost their own target more than the other one.
        n_lesioned: How many neurons the mask cuts.
        n_prompts: On how many prompts the mask is judged.
        n_groups: How many groups these are; prompts of a group are not independent.
        masks, layers: Names of the masks, and the model's layer of every row.
        about: The word that each mask is about, as the profile has it; "right answer" where that is no one word.
        dissociated: The two masks of the dissociation; empty where there are none.
        verdicts: One of `VERDICTS` for each mask and layer.
        clusters: Stretches of adjacent layers with an effect: mask, first and last layer, mean effect, mass (sum of
            t), and p, which is corrected for all stretches.
    """

    effect: Float64[Tensor, "mask layer"]
    low: Float64[Tensor, "mask layer"]
    high: Float64[Tensor, "mask layer"]
    opposite: Float64[Tensor, "mask layer"]
    p: Float64[Tensor, "mask layer"]
    control_p: Float64[Tensor, "mask layer"]
    control_p_corrected: Float64[Tensor, "mask layer"]
    selective_p: Float64[Tensor, "mask layer"]
    standardised: Float64[Tensor, "mask layer"]
    target_change: Float64[Tensor, "mask layer"]
    global_change: Float64[Tensor, "mask layer"]
    minimal_effect: Float64[Tensor, "mask layer"]
    detectable_effect: Float64[Tensor, "mask layer"]
    smallest_effect: Float64[Tensor, " mask"]
    dissociation: Float64[Tensor, " layer"]
    dissociation_low: Float64[Tensor, " layer"]
    dissociation_high: Float64[Tensor, " layer"]
    dissociation_p: Float64[Tensor, " layer"]
    n_lesioned: Int[Tensor, "mask layer"]
    n_prompts: Int[Tensor, " mask"]
    n_groups: Int[Tensor, " mask"]
    masks: tuple[str, ...]
    layers: tuple[int, ...]
    about: tuple[str, ...]
    dissociated: tuple[str, ...]
    verdicts: tuple[tuple[str, ...], ...]
    clusters: tuple[tuple[str, int, int, float, float, float], ...]

    def to_frame(self) -> pd.DataFrame:
        """Tidy: a row per mask and layer.

        Columns: mask, about, layer, n_lesioned, n_prompts, effect, low, high, opposite, p, control_p,
        control_p_corrected, selective_p, standardised, target_change, global_change, minimal_effect,
        detectable_effect, smallest_effect, dissociation, dissociation_low, dissociation_high, dissociation_p, verdict.
        The dissociation stands beside both of its masks, and is NaN beside the others.
        """
        n_layers = len(self.layers)
        rows = pd.MultiIndex.from_product([self.masks, self.layers], names=["mask", "layer"]).to_frame(index=False)
        rows.insert(1, "about", [word for word in self.about for _ in range(n_layers)])
        rows["n_lesioned"] = self.n_lesioned.flatten().numpy()
        rows["n_prompts"] = self.n_prompts.repeat_interleave(n_layers).numpy()
        for name in PER_LESION:
            rows[name] = getattr(self, name).flatten().numpy()
        rows["smallest_effect"] = self.smallest_effect.repeat_interleave(n_layers).numpy()
        for name in ("dissociation", "dissociation_low", "dissociation_high", "dissociation_p"):
            rows[name] = getattr(self, name).repeat(len(self.masks)).numpy()
            rows.loc[~rows["mask"].isin(self.dissociated), name] = float("nan")
        rows["verdict"] = [word for words in self.verdicts for word in words]
        return rows

    def clusters_frame(self) -> pd.DataFrame:
        """A row per stretch of adjacent layers. Columns: mask, first, last, effect, mass, p."""
        return pd.DataFrame(self.clusters, columns=["mask", "first", "last", "effect", "mass", "p"])
