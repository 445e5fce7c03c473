"""`LaminarProfile`: effects of lesions by mask, layer and prompt, and of the random lesions of the same size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float64, Int
from torch import Tensor

from tlesion.checks import one_of, shown
from tlesion.inference import empirical_p, standardised_effect
from tlesion.keep.results import Result
from tlesion.options import settle_by
from tlesion.studies.common.accuracy import accuracy_among_targets
from tlesion.studies.common.effects import MaskEffect, own_effect, own_targets
from tlesion.studies.common.labels import tidy_rows, without_copies
from tlesion.studies.common.point import whole_of


@dataclass(frozen=True, eq=False, kw_only=True)
class LaminarProfile(Result):
    """Effects of lesions, per mask, lesioned layer and prompt.

    Attributes:
        logit_drop: Clean − lesioned logit of each target. Positive: the lesion cost that token.
        global_change: Standard deviation over the vocabulary of (lesioned − clean) logits.
        kl: Kullback-Leibler divergence of the lesioned prediction from the clean one, in nats.
        clean_logits: Logits of the targets in the clean run.
        n_lesioned: How many neurons each mask cuts in each layer.
        reference_logit_drop: The same effect for the two `references`: nothing, and all units of the lesioned hook
            point in the layer, the ceiling.
        reference_global_change: Likewise.
        reference_kl: Likewise. Of controls it is not measured.
        control_logit_drop: The same effect of each mask's matched controls; none where none was asked for. All of it is
            kept: two masks, 100 controls, 48 layers, 1000 prompts and two targets make 150 MB.
        control_global_change: Likewise.
        control_overlap: Which share of a mask's neurons its controls hold on average; NaN where nothing is cut, or
            there are no controls. Where it is large, controls do much of what the mask does.
        masks: Names of the masks.
        layers: The model's layer of every row.
        prompts: Texts of the prompts.
        targets: Target words of each prompt.
        correct: The right target of each prompt, or None.
        groups: Label of each prompt (such as its template), "" where it has none.
        plan: How the sweep was run, and why.
    """

    logit_drop: Float64[Tensor, "mask layer prompt target"]
    global_change: Float64[Tensor, "mask layer prompt"]
    kl: Float64[Tensor, "mask layer prompt"]
    clean_logits: Float64[Tensor, "prompt target"]
    n_lesioned: Int[Tensor, "mask layer"]
    reference_logit_drop: Float64[Tensor, "reference layer prompt target"]
    reference_global_change: Float64[Tensor, "reference layer prompt"]
    reference_kl: Float64[Tensor, "reference layer prompt"]
    control_logit_drop: Float64[Tensor, "mask control layer prompt target"]
    control_global_change: Float64[Tensor, "mask control layer prompt"]
    control_overlap: Float64[Tensor, "mask layer"]
    masks: tuple[str, ...]
    layers: tuple[int, ...]
    prompts: tuple[str, ...]
    targets: tuple[tuple[str, ...], ...]
    correct: tuple[str | None, ...]
    groups: tuple[str, ...]
    plan: str

    @classmethod
    def from_older(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Fill up the ``values`` of an older profile, whose change of all logits is a root mean square.

        Divergences and the controls' overlap are not known; the first format had no controls and no groups.

        Args:
            values: Fields by name, as they were saved.
        """
        drop, change = values["logit_drop"], values["global_change"]
        empty = {
            "control_logit_drop": drop.new_zeros(len(drop), 0, *drop.shape[1:]),
            "control_global_change": change.new_zeros(len(change), 0, *change.shape[1:]),
            "groups": ("",) * len(values["prompts"]),
            "control_overlap": torch.full_like(values["n_lesioned"], torch.nan, dtype=torch.float64),
            "kl": torch.full_like(change, torch.nan),
            "reference_kl": torch.full_like(values["reference_global_change"], torch.nan),
        }
        return empty | values

    @property
    def n_controls(self) -> int:
        """How many matched controls each mask has in each layer."""
        return self.control_logit_drop.shape[1]

    @property
    def references(self) -> tuple[str, str]:
        """What the two reference rows cut: nothing, and all that there is (``"whole MLP"``, ``"all heads"``, ...)."""
        return "nothing", whole_of(self.provenance.settings["hook_point"])

    @property
    def clean_accuracy(self) -> float:
        """Share of the prompts in which the right target's clean logit is the largest of the targets; a tie is not.

        Of the prompts that name a right target. NaN where none does, and where there is no other target to choose.
        """
        return float(self.accuracy_after(torch.zeros_like(self.clean_logits)))

    def accuracy_after(self, drop: Float64[Tensor, "*lesion prompt target"]) -> Float64[Tensor, "*lesion"]:
        """`clean_accuracy` after lesions.

        Args:
            drop: Their logit drops.
        """
        if self.clean_logits.shape[1] < 2:
            return drop.new_full(drop.shape[:-2], torch.nan)
        return accuracy_among_targets(self.clean_logits - drop, self.targets, self.correct)

    @property
    def about(self) -> dict[str, str]:
        """The word that each mask is taken to be about; "" where that is each prompt's right answer.

        See ``about`` of :func:`tlesion.laminar_profile`. Verdicts, summaries and figures go by it.
        """
        # A profile of tlesion 0.1 recorded nothing: the names of the masks decided.
        words = {word for targets in self.targets for word in targets}
        by_name = {mask: mask if mask in words else "" for mask in self.masks}
        recorded = self.provenance.settings.get("about", {})
        return {mask: recorded.get(mask, word) for mask, word in by_name.items()}

    def effect_of(self, mask: str, *, measure: str = "margin", prompts: str = "right") -> MaskEffect:
        """What a mask costs the word that it is about, prompt by prompt, beside its controls.

        Copies of a prompt count once.

        Args:
            mask: One of `masks`.
            measure: ``"margin"`` or ``"drop"``, see :func:`tlesion.studies.common.effects.own_effect`.
            prompts: ``"right"`` or ``"all"``, see :func:`tlesion.studies.common.effects.own_targets`.

        Raises:
            ValueError: No such mask, or one that is about no word; an unknown measure or choice of prompts.
        """
        one_of("mask", mask, self.masks)
        row = self.masks.index(mask)
        own = own_targets(mask, self.targets, self.correct, about=self.about[mask], prompts=prompts)
        own = own.only(without_copies(own.prompts.tolist(), self.prompts, self.targets, self.correct))
        drop = self.logit_drop[row]
        return MaskEffect(
            own=own,
            values=own_effect(drop, own, measure=measure),
            controls=own_effect(self.control_logit_drop[row], own, measure=measure),
            change=self.global_change[row][:, own.prompts],
            control_change=self.control_global_change[row][..., own.prompts],
            clean=own_effect(self.clean_logits, own, measure="margin"),
        )

    def control_p(self, *, measure: str = "margin", prompts: str = "right") -> Float64[Tensor, "mask layer"]:
        """How often a matched control costs a mask's word as much: (1 + as large ones) / (1 + controls), one-sided.

        Each layer by itself; :func:`tlesion.verdict` corrects for their number. 1 in a layer where the mask is empty.

        Args:
            measure: See `effect_of`.
            prompts: Likewise.

        Raises:
            ValueError: No controls were run; see `effect_of`.
        """
        self._require_controls()
        effects = [self.effect_of(mask, measure=measure, prompts=prompts) for mask in self.masks]
        return torch.stack([empirical_p(one.values.mean(dim=-1), one.controls.mean(dim=-1)) for one in effects])

    def standardised_effect(self, *, measure: str = "margin", prompts: str = "right") -> Float64[Tensor, "mask layer"]:
        """The same effect in standard deviations of the matched controls, from their mean.

        NaN where the controls do not differ, as in a layer where the mask is empty.

        Args:
            measure: See `effect_of`.
            prompts: Likewise.

        Raises:
            ValueError: No controls were run; see `effect_of`.
        """
        self._require_controls()
        effects = [self.effect_of(mask, measure=measure, prompts=prompts) for mask in self.masks]
        pairs = [(one.values.mean(dim=-1), one.controls.mean(dim=-1)) for one in effects]
        return torch.stack([standardised_effect(effect, controls) for effect, controls in pairs])

    def _require_controls(self) -> None:
        if not self.n_controls:
            raise ValueError(
                "the profile has no matched controls, so its effects cannot be compared with chance; make it "
                "with laminar_profile(..., n_controls=99)"
            )

    def to_frame(self) -> pd.DataFrame:
        """Tidy: a row per mask, layer, prompt and target.

        Columns: mask, layer, prompt, text, target, is_correct, clean_logit, lesioned_logit, logit_drop, global_change,
        kl, n_lesioned, about (the mask's word; "" for the prompt's right answer).
        """
        counts = self.n_lesioned
        return self._frame(self.masks, self.logit_drop, self.global_change, self.kl, counts)

    def references_frame(self) -> pd.DataFrame:
        """The same columns for the two reference rows, whose names stand in ``mask``; they are about no word."""
        counts = torch.zeros(2, len(self.layers), dtype=torch.long)
        counts[1] = int(self.provenance.settings["n_units"])
        measured = self.reference_logit_drop, self.reference_global_change, self.reference_kl
        return self._frame(self.references, *measured, counts)

    def _frame(
        self, masks: Sequence[str], drop: Tensor, change: Tensor, kl: Tensor, n_lesioned: Tensor
    ) -> pd.DataFrame:
        frame = tidy_rows(self, {"mask": masks, "layer": self.layers})
        frame["clean_logit"] = self.clean_logits.expand_as(drop).flatten().numpy()
        frame["lesioned_logit"] = (self.clean_logits - drop).flatten().numpy()
        frame["logit_drop"] = drop.flatten().numpy()
        frame["global_change"] = change[..., None].expand_as(drop).flatten().numpy()
        frame["kl"] = kl[..., None].expand_as(drop).flatten().numpy()
        frame["n_lesioned"] = n_lesioned[..., None, None].expand_as(drop).flatten().numpy()
        about = self.about
        frame["about"] = [about.get(mask, "") for mask in frame["mask"]]
        return frame


def require_profile(name: str, value: Any) -> LaminarProfile:
    """Refuse what is no laminar profile.

    Raises:
        TypeError: It is none.
    """
    if isinstance(value, LaminarProfile):
        return value
    raise TypeError(
        f"{name} is a {shown(value)}; give a LaminarProfile, of tlesion.laminar_profile or tlesion.load_result(folder)"
    )


settle_by(require_profile, "profile", "pilot")
