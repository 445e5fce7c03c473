"""`Minimality`: what random halves of a set of neurons do, beside all of it."""

from dataclasses import dataclass

import pandas as pd
from jaxtyping import Float64, Int64
from torch import Tensor

from tlesion.keep.results import Result
from tlesion.studies.common.labels import tidy_rows

NOTHING_CUT = "nothing cut"
"""The set has no neuron in the layer."""
ONE_NEURON = "one neuron"
"""The set has one neuron in the layer, and no half."""
NO_EFFECT = "effect not shown"
"""The set's effect is not shown to differ from zero: there is nothing to have a share of."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Minimality(Result):
    """What halves of sets of neurons do; :func:`tlesion.minimality` makes it.

    Attributes:
        logit_drop: Clean − lesioned logit of each target, with the whole set cut.
        half_logit_drop: The same with half of it cut. NaN where the set has no half.
        effect: What cutting the set costs its word (its margin against the other targets, or its logit), positive where
            it costs it. NaN on prompts that the mask is not judged on.
        half_effect: The same with half of it cut. Halves come in pairs, which hold the whole set between them.
        share: Mean effect of the halves over mean effect of the set. 0.5: effects of two halves add up to the set's;
            towards 1: half the lesion does as much as all of it; towards 0: it does nothing while the other half is
            left. NaN where the set's effect is not shown to differ from zero, and where it has no half.
        low, high: Fieller's interval of the share over independent prompts, for the halves that were drawn.
        half_share: The share of every single half.
        spread: Standard deviation of `half_share` over the halves: 0 where all halves do the same, 0.5 where one neuron
            has all of the effect.
        clean_logits: Logits of the targets in the clean run.
        n_lesioned: How many units each set cuts in each layer.
        reasons: Why a share is NaN, for each mask and layer: ``"nothing cut"``, ``"one neuron"``, ``"few prompts"``
            (fewer than two independent ones), ``"effect not shown"``; "" elsewhere.
        masks: Names of the masks.
        layers: The model's layer of every row.
        prompts: Texts of the prompts.
        targets: Target words of each prompt.
        correct: The right target of each prompt, or None.
        groups: Label of each prompt (such as its template), "" where it has none.
        plan: How the sweep was run, and why.
    """

    logit_drop: Float64[Tensor, "mask layer prompt target"]
    half_logit_drop: Float64[Tensor, "mask half layer prompt target"]
    effect: Float64[Tensor, "mask layer prompt"]
    half_effect: Float64[Tensor, "mask half layer prompt"]
    share: Float64[Tensor, "mask layer"]
    low: Float64[Tensor, "mask layer"]
    high: Float64[Tensor, "mask layer"]
    half_share: Float64[Tensor, "mask half layer"]
    spread: Float64[Tensor, "mask layer"]
    clean_logits: Float64[Tensor, "prompt target"]
    n_lesioned: Int64[Tensor, "mask layer"]
    reasons: tuple[tuple[str, ...], ...]
    masks: tuple[str, ...]
    layers: tuple[int, ...]
    prompts: tuple[str, ...]
    targets: tuple[tuple[str, ...], ...]
    correct: tuple[str | None, ...]
    groups: tuple[str, ...]
    plan: str

    @property
    def n_halves(self) -> int:
        """How many halves each set has in each layer."""
        return self.half_logit_drop.shape[1]

    @property
    def about(self) -> dict[str, str]:
        """The word that each mask is about; "" where that is each prompt's right answer."""
        return dict(self.provenance.settings["about"])

    def to_frame(self) -> pd.DataFrame:
        """Tidy: a row per mask, half, layer, prompt and target.

        Columns: mask, half, layer, n_lesioned (of the set), prompt, text, target, is_correct, clean_logit, logit_drop
        (of the set), half_logit_drop, effect and half_effect (on the mask's word, the same in each target's row).
        """
        drop = self.half_logit_drop
        frame = tidy_rows(self, {"mask": self.masks, "half": range(self.n_halves), "layer": self.layers})
        columns = {
            "clean_logit": self.clean_logits,
            "logit_drop": self.logit_drop[:, None],
            "half_logit_drop": drop,
            "effect": self.effect[:, None, ..., None],
            "half_effect": self.half_effect[..., None],
        }
        counts = self.n_lesioned[:, None, :, None, None].expand_as(drop)
        frame.insert(3, "n_lesioned", counts.flatten().numpy())
        for name, values in columns.items():
            frame[name] = values.expand_as(drop).flatten().numpy()
        return frame

    def summary(self) -> pd.DataFrame:
        """Means over prompts: a row per mask and layer.

        Columns: mask, about, layer, n_lesioned, effect (of the set), half_effect (mean over halves), share, low, high,
        spread, smallest and largest (`half_share` of a single half), reason.
        """
        frame = pd.MultiIndex.from_product([self.masks, self.layers], names=["mask", "layer"]).to_frame(index=False)
        frame.insert(1, "about", [self.about[mask] for mask in frame["mask"]])
        columns = {
            "n_lesioned": self.n_lesioned,
            "effect": self.effect.nanmean(dim=-1),
            "half_effect": self.half_effect.nanmean(dim=-1).mean(dim=1),
            "share": self.share,
            "low": self.low,
            "high": self.high,
            "spread": self.spread,
            "smallest": self.half_share.amin(dim=1),
            "largest": self.half_share.amax(dim=1),
        }
        for name, values in columns.items():
            frame[name] = values.flatten().numpy()
        frame["reason"] = [reason for row in self.reasons for reason in row]
        return frame
