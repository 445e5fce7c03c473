"""`Sufficiency`: how much of a layer's effect a set of neurons keeps, where nothing else of the layer is left."""

from dataclasses import dataclass

import pandas as pd
from jaxtyping import Float64, Int64
from torch import Tensor

from tlesion.keep.results import Result
from tlesion.studies.common.labels import tidy_rows
from tlesion.studies.common.point import whole_of

NOTHING_KEPT = "nothing kept"
"""The set has no neuron in the layer: the share is 0, and says nothing of the set."""
ALL_KEPT = "all kept"
"""The set is the whole layer: the share is 1, and says nothing of the set."""
NO_CEILING = "ceiling not shown"
"""The whole layer's effect is not shown to differ from zero: there is nothing to keep a share of."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Sufficiency(Result):
    """What sets of neurons keep where the rest of their layer is cut; :func:`tlesion.sufficiency` makes it.

    Attributes:
        logit_drop: Clean − lesioned logit of each target, with all units of the layer cut but the set's.
        whole_logit_drop: The same with all units cut, the ceiling.
        control_logit_drop: The same with all units cut but those of a random set, for every control.
        whole_effect: What cutting the whole layer costs the mask's word (its margin against the other targets, or its
            logit), positive where it costs it. NaN on prompts that the mask is not judged on.
        kept: What the set keeps of it, in logits: `whole_effect` minus the effect of cutting all but the set.
        share: Mean of `kept` over mean of `whole_effect`, 1 minus the ratio of the two effects. 1: as if nothing were
            cut; 0: as if the set were cut with the rest. Above 1, the rest of the layer works against the set; below 0,
            the set works against the layer. NaN where the whole layer's effect is not shown to differ from zero.
        low, high: Fieller's interval of the share over independent prompts.
        control_share: The share that each random set keeps.
        control_p: How often a random set keeps as much, (1 + count) / (1 + controls).
        control_p_corrected: The same, corrected over all masks and layers with a share.
        clean_logits: Logits of the targets in the clean run.
        n_kept: How many units each set keeps in each layer.
        reasons: Why a share is NaN or says nothing of the set, for each mask and layer: ``"nothing kept"``, ``"all
            kept"``, ``"few prompts"`` (fewer than two independent ones), ``"ceiling not shown"``; "" elsewhere.
        masks: Names of the masks.
        layers: The model's layer of every row.
        prompts: Texts of the prompts.
        targets: Target words of each prompt.
        correct: The right target of each prompt, or None.
        groups: Label of each prompt (such as its template), "" where it has none.
        plan: How the sweep was run, and why.
    """

    logit_drop: Float64[Tensor, "mask layer prompt target"]
    whole_logit_drop: Float64[Tensor, "layer prompt target"]
    control_logit_drop: Float64[Tensor, "mask control layer prompt target"]
    whole_effect: Float64[Tensor, "mask layer prompt"]
    kept: Float64[Tensor, "mask layer prompt"]
    share: Float64[Tensor, "mask layer"]
    low: Float64[Tensor, "mask layer"]
    high: Float64[Tensor, "mask layer"]
    control_share: Float64[Tensor, "mask control layer"]
    control_p: Float64[Tensor, "mask layer"]
    control_p_corrected: Float64[Tensor, "mask layer"]
    clean_logits: Float64[Tensor, "prompt target"]
    n_kept: Int64[Tensor, "mask layer"]
    reasons: tuple[tuple[str, ...], ...]
    masks: tuple[str, ...]
    layers: tuple[int, ...]
    prompts: tuple[str, ...]
    targets: tuple[tuple[str, ...], ...]
    correct: tuple[str | None, ...]
    groups: tuple[str, ...]
    plan: str

    @property
    def n_controls(self) -> int:
        """How many random sets were kept for each mask."""
        return self.control_logit_drop.shape[1]

    @property
    def about(self) -> dict[str, str]:
        """The word that each mask is about; "" where that is each prompt's right answer."""
        return dict(self.provenance.settings["about"])

    @property
    def whole(self) -> str:
        """What all units of a layer together are called (``"whole MLP"``, ``"all heads"``, ...)."""
        return whole_of(self.provenance.settings["hook_point"])

    @property
    def rest_effect(self) -> Float64[Tensor, "mask layer prompt"]:
        """What cutting all but the set costs its word; NaN on prompts that the mask is not judged on."""
        return self.whole_effect - self.kept

    def to_frame(self) -> pd.DataFrame:
        """Tidy: a row per mask, layer, prompt and target.

        Columns: mask, layer, n_kept, prompt, text, target, is_correct, clean_logit, logit_drop, whole_logit_drop, kept
        (of the mask's word, the same in each target's row).
        """
        drop = self.logit_drop
        frame = tidy_rows(self, {"mask": self.masks, "layer": self.layers})
        columns = {
            "clean_logit": self.clean_logits,
            "logit_drop": drop,
            "whole_logit_drop": self.whole_logit_drop,
            "kept": self.kept[..., None],
        }
        frame.insert(2, "n_kept", self.n_kept[..., None, None].expand_as(drop).flatten().numpy())
        for name, values in columns.items():
            frame[name] = values.expand_as(drop).flatten().numpy()
        return frame

    def summary(self) -> pd.DataFrame:
        """Means over prompts: a row per mask and layer.

        Columns: mask, about, layer, n_kept, whole_effect (what cutting the whole layer costs the mask's word),
        rest_effect (what cutting all but the set costs it), share, low, high, control_share (mean over controls, NaN
        without them), control_p, control_p_corrected, reason.
        """
        frame = pd.MultiIndex.from_product([self.masks, self.layers], names=["mask", "layer"]).to_frame(index=False)
        frame.insert(1, "about", [self.about[mask] for mask in frame["mask"]])
        columns = {
            "n_kept": self.n_kept,
            "whole_effect": self.whole_effect.nanmean(dim=-1),
            "rest_effect": self.rest_effect.nanmean(dim=-1),
            "share": self.share,
            "low": self.low,
            "high": self.high,
            "control_share": self.control_share.mean(dim=1),
            "control_p": self.control_p,
            "control_p_corrected": self.control_p_corrected,
        }
        for name, values in columns.items():
            frame[name] = values.flatten().numpy()
        frame["reason"] = [reason for row in self.reasons for reason in row]
        return frame
