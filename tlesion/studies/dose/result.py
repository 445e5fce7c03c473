"""`DoseResponse`: what lesions of more and more of a layer's neurons do, the most selective first."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from tlesion.inference import empirical_p
from tlesion.keep.results import Result
from tlesion.public import public
from tlesion.studies.common.accuracy import WithAccuracy, first_below
from tlesion.studies.common.labels import tidy_rows


@dataclass(frozen=True, eq=False, kw_only=True)
class DoseResponse(WithAccuracy, Result):
    """Effects per lesioned layer, dose and prompt, beside matched controls.

    A control of a dose is as many random neurons of the same layer. At 100 % all controls are the lesion itself.

    Attributes:
        logit_drop: Clean − lesioned logit of each target. Positive: the lesion cost that token.
        kl: Divergence of the lesioned prediction from the clean one over the vocabulary, in nats.
        global_change: Standard deviation over the vocabulary of (lesioned − clean) logits.
        rank: How many other tokens have a logit at least as large as each target's after the lesion; 0: none.
        control_logit_drop, control_kl, control_global_change, control_rank: The same of every control.
        clean_logits: Logits of the targets in the clean run.
        clean_rank: Their ranks there.
        n_lesioned: How many neurons each dose cuts.
        weakest_t: t of the last neuron that a dose takes in; NaN where that is a dead one.
        doses: Shares of a layer's neurons, in percent.
        layers: The lesioned layers.
        direction: What the neurons are ranked by: a condition's name (signed t) or "any" (its size).
        prompts: Texts of the prompts.
        targets: Target words of each prompt.
        correct: The right target of each prompt, or None.
        plan: How the sweep was run, and why.
    """

    logit_drop: Float64[Tensor, "layer dose prompt target"]
    kl: Float64[Tensor, "layer dose prompt"]
    global_change: Float64[Tensor, "layer dose prompt"]
    rank: Int64[Tensor, "layer dose prompt target"]
    control_logit_drop: Float64[Tensor, "control layer dose prompt target"]
    control_kl: Float64[Tensor, "control layer dose prompt"]
    control_global_change: Float64[Tensor, "control layer dose prompt"]
    control_rank: Int64[Tensor, "control layer dose prompt target"]
    clean_logits: Float64[Tensor, "prompt target"]
    clean_rank: Int64[Tensor, "prompt target"]
    n_lesioned: Int64[Tensor, " dose"]
    weakest_t: Float64[Tensor, "layer dose"]
    doses: tuple[float, ...]
    layers: tuple[int, ...]
    direction: str
    prompts: tuple[str, ...]
    targets: tuple[tuple[str, ...], ...]
    correct: tuple[str | None, ...]
    plan: str

    def to_frame(self) -> pd.DataFrame:
        """Tidy: a row per layer, dose, prompt and target.

        Columns: layer, dose, n_lesioned, weakest_t, prompt, text, target, is_correct, clean_logit, logit_drop, kl,
        global_change, rank.
        """
        frame = tidy_rows(self, {"layer": self.layers, "dose": self.doses})
        counts = self.n_lesioned[:, None, None].expand_as(self.logit_drop)
        frame.insert(2, "n_lesioned", counts.flatten().numpy())
        frame.insert(3, "weakest_t", self.weakest_t[..., None, None].expand_as(self.logit_drop).flatten().numpy())
        frame["clean_logit"] = self.clean_logits.expand_as(self.logit_drop).flatten().numpy()
        frame["logit_drop"] = self.logit_drop.flatten().numpy()
        for name in ("kl", "global_change"):
            frame[name] = getattr(self, name)[..., None].expand_as(self.logit_drop).flatten().numpy()
        frame["rank"] = self.rank.flatten().numpy()
        return frame

    def summary(self) -> pd.DataFrame:
        """Means over prompts: a row per layer, dose and target (by its place, 0 first).

        Columns: layer, dose, target, n_lesioned, weakest_t, logit_drop, kl, accuracy, vocabulary_accuracy; the same
        four as means over controls (control_logit_drop, ...), NaN without controls; p: how often a control's mean drop
        is as far out as the lesion's (:func:`tlesion.inference.empirical_p`, two-sided).
        """
        n_targets = self.logit_drop.shape[-1]
        axes = [self.layers, self.doses, range(n_targets)]
        frame = pd.MultiIndex.from_product(axes, names=["layer", "dose", "target"]).to_frame(index=False)

        def column(values: Tensor) -> np.ndarray:
            values = values if values.ndim == 3 else values[..., None].expand(*values.shape, n_targets)
            return values.flatten().numpy()

        drop, controls = self.logit_drop.mean(dim=2), self.control_logit_drop.mean(dim=3)
        frame["n_lesioned"] = column(self.n_lesioned.expand(len(self.layers), -1))
        frame["weakest_t"] = column(self.weakest_t)
        frame["logit_drop"], frame["kl"] = column(drop), column(self.kl.mean(dim=2))
        frame["accuracy"], frame["vocabulary_accuracy"] = column(self.accuracy), column(self.vocabulary_accuracy)
        frame["control_logit_drop"] = column(controls.mean(dim=0))
        frame["control_kl"] = column(self.control_kl.mean(dim=(0, 3)))
        frame["control_accuracy"] = column(self.control_accuracy.mean(dim=0))
        frame["control_vocabulary_accuracy"] = column(self.control_vocabulary_accuracy.mean(dim=0))
        none = torch.full_like(drop, torch.nan)
        frame["p"] = column(empirical_p(drop, controls, alternative="two-sided") if len(controls) else none)
        return frame

    @public
    def collapse(self, *, share: float | int = 0.5) -> pd.DataFrame:
        """The dose at which each layer's lesion takes the right answer from the model: a row per layer.

        That is the smallest dose at which `vocabulary_accuracy` is less than ``share`` of the clean run's. Where the
        controls' mean falls at the same dose, the lesion is unspecific damage by then.

        Columns: layer, dose, n_lesioned, kl (mean over prompts at that dose), control_dose; NaN where there is none.

        Raises:
            ValueError: ``share`` is not between 0 and 1.
        """
        limit = share * self.clean_vocabulary_accuracy
        own = first_below(self.vocabulary_accuracy, limit, share=share)
        controls = first_below(self.control_vocabulary_accuracy.mean(dim=0), limit, share=share)
        kl, rows = self.kl.mean(dim=2), []
        for place, (layer, at, others) in enumerate(zip(self.layers, own, controls, strict=True)):
            found = {"dose": self.doses[at], "n_lesioned": int(self.n_lesioned[at]), "kl": float(kl[place, at])}
            none = dict.fromkeys(found, float("nan"))
            control = {"control_dose": self.doses[others] if others >= 0 else float("nan")}
            rows.append({"layer": layer, **(found if at >= 0 else none), **control})
        return pd.DataFrame(rows)
