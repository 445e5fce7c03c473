"""`CumulativeLesion`: what lesions of many layers at once do: from the first layer on, and up to the last."""

from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from tlesion.inference import empirical_p
from tlesion.keep.results import Result
from tlesion.public import public
from tlesion.studies.common.accuracy import WithAccuracy, first_below
from tlesion.studies.common.labels import tidy_rows

DIRECTIONS = ("from the first layer", "to the last layer")
"""Layers 0 to l at once, and layers l to L − 1 at once."""


@dataclass(frozen=True, eq=False, kw_only=True)
class CumulativeLesion(WithAccuracy, Result):
    """Effects of lesions of several layers at once, per mask, direction (`DIRECTIONS`), layer l and prompt.

    A control is as many random neurons in every one of these layers.

    Attributes:
        logit_drop: Clean − lesioned logit of each target. Positive: the lesion cost that token.
        kl: Divergence of the lesioned prediction from the clean one over the vocabulary, in nats.
        global_change: Standard deviation over the vocabulary of (lesioned − clean) logits.
        rank: How many other tokens have a logit at least as large as each target's after the lesion; 0: none.
        control_logit_drop, control_kl, control_global_change, control_rank: The same of every control.
        clean_logits: Logits of the targets in the clean run.
        clean_rank: Their ranks there.
        n_lesioned: How many units are cut in all layers together.
        masks: Names of the masks.
        layers: The layer l of every row.
        prompts: Texts of the prompts.
        targets: Target words of each prompt.
        correct: The right target of each prompt, or None.
        plan: How the sweep was run, and why.
    """

    logit_drop: Float64[Tensor, "mask direction layer prompt target"]
    kl: Float64[Tensor, "mask direction layer prompt"]
    global_change: Float64[Tensor, "mask direction layer prompt"]
    rank: Int64[Tensor, "mask direction layer prompt target"]
    control_logit_drop: Float64[Tensor, "control mask direction layer prompt target"]
    control_kl: Float64[Tensor, "control mask direction layer prompt"]
    control_global_change: Float64[Tensor, "control mask direction layer prompt"]
    control_rank: Int64[Tensor, "control mask direction layer prompt target"]
    clean_logits: Float64[Tensor, "prompt target"]
    clean_rank: Int64[Tensor, "prompt target"]
    n_lesioned: Int64[Tensor, "mask direction layer"]
    masks: tuple[str, ...]
    layers: tuple[int, ...]
    prompts: tuple[str, ...]
    targets: tuple[tuple[str, ...], ...]
    correct: tuple[str | None, ...]
    plan: str

    def to_frame(self) -> pd.DataFrame:
        """Tidy: a row per mask, direction, layer, prompt and target.

        Columns: mask, direction, layer, n_lesioned, prompt, text, target, is_correct, clean_logit, logit_drop, kl,
        global_change, rank.
        """
        drop = self.logit_drop
        frame = tidy_rows(self, {"mask": self.masks, "direction": DIRECTIONS, "layer": self.layers})
        frame.insert(3, "n_lesioned", self.n_lesioned[..., None, None].expand_as(drop).flatten().numpy())
        frame["clean_logit"] = self.clean_logits.expand_as(drop).flatten().numpy()
        frame["logit_drop"] = drop.flatten().numpy()
        for name in ("kl", "global_change"):
            frame[name] = getattr(self, name)[..., None].expand_as(drop).flatten().numpy()
        frame["rank"] = self.rank.flatten().numpy()
        return frame

    def summary(self) -> pd.DataFrame:
        """Means over prompts: a row per mask, direction and layer.

        Columns: mask, direction, layer, n_lesioned, kl, global_change, accuracy, vocabulary_accuracy; control_kl,
        control_accuracy, control_vocabulary_accuracy (means over controls, NaN without them); p: how often a control's
        mean KL is as large as the lesion's (:func:`tlesion.inference.empirical_p`).
        """
        axes = [self.masks, DIRECTIONS, self.layers]
        frame = pd.MultiIndex.from_product(axes, names=["mask", "direction", "layer"]).to_frame(index=False)
        kl, controls = self.kl.mean(dim=-1), self.control_kl.mean(dim=-1)
        columns = {
            "n_lesioned": self.n_lesioned,
            "kl": kl,
            "global_change": self.global_change.mean(dim=-1),
            "accuracy": self.accuracy,
            "vocabulary_accuracy": self.vocabulary_accuracy,
            "control_kl": controls.mean(dim=0),
            "control_accuracy": self.control_accuracy.mean(dim=0),
            "control_vocabulary_accuracy": self.control_vocabulary_accuracy.mean(dim=0),
            "p": empirical_p(kl, controls) if len(controls) else torch.full_like(kl, torch.nan),
        }
        for name, values in columns.items():
            frame[name] = values.flatten().numpy()
        return frame

    @public
    def collapse(self, *, share: float | int = 0.5) -> pd.DataFrame:
        """How many layers at once take the right answer from the model: a row per mask and direction.

        That is where `vocabulary_accuracy` first is less than ``share`` of the clean run's, as layers are added.

        Columns: mask, direction, layer (the l by then), n_layers (lesioned at once), kl (mean over prompts there); NaN
        where it never is.

        Raises:
            ValueError: ``share`` is not between 0 and 1.
        """
        limit, kl, rows = share * self.clean_vocabulary_accuracy, self.kl.mean(dim=-1), []
        for m, mask in enumerate(self.masks):
            for d, direction in enumerate(DIRECTIONS):
                # Layers are added upwards in one direction and downwards in the other.
                order = list(range(len(self.layers)))[:: 1 if d == 0 else -1]
                (step,) = first_below(self.vocabulary_accuracy[m, d, order][None], limit, share=share)
                at = order[step]
                found = {"layer": self.layers[at], "n_layers": step + 1, "kl": float(kl[m, d, at])}
                none = dict.fromkeys(found, float("nan"))
                rows.append({"mask": mask, "direction": direction, **(found if step >= 0 else none)})
        return pd.DataFrame(rows)
