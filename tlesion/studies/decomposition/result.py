"""`DropDecomposition`: by which path a logit drop reaches the logits from the lesioned MLP."""

from dataclasses import dataclass

import pandas as pd
from jaxtyping import Float64, Int
from torch import Tensor

from tlesion.keep.results import Result
from tlesion.studies.common.labels import tidy_rows

PARTS = ("direct", "downstream", "direct_rescaling", "downstream_rescaling")


@dataclass(frozen=True, eq=False, kw_only=True)
class DropDecomposition(Result):
    """Parts of the logit drop, per mask, lesioned layer, prompt and target; positive: it cost the target.

    Attributes:
        direct: What the changed output of the lesioned MLP costs by itself, norms on its way at their clean scale.
        downstream: What the changed answers of later attention and MLPs cost, norms at their clean scale.
        direct_rescaling: What the norms' changed scales add to the direct part.
        downstream_rescaling: What they add to the downstream part.
        measured_drop: The drop as the model computes it, in its own dtype.
        clean_logits: Logits of the targets in the clean run.
        n_lesioned: How many units each mask cuts in each layer.
        masks: Names of the masks.
        layers: The model's layer of every row.
        prompts: Texts of the prompts.
        targets: Target words of each prompt.
        correct: The right target of each prompt, or None.
        post_norm: Whether every block ends in a norm, as BERT's do, so that norms of later blocks are on the way.
        plan: How the sweep was run, and why.
    """

    direct: Float64[Tensor, "mask layer prompt target"]
    downstream: Float64[Tensor, "mask layer prompt target"]
    direct_rescaling: Float64[Tensor, "mask layer prompt target"]
    downstream_rescaling: Float64[Tensor, "mask layer prompt target"]
    measured_drop: Float64[Tensor, "mask layer prompt target"]
    clean_logits: Float64[Tensor, "prompt target"]
    n_lesioned: Int[Tensor, "mask layer"]
    masks: tuple[str, ...]
    layers: tuple[int, ...]
    prompts: tuple[str, ...]
    targets: tuple[tuple[str, ...], ...]
    correct: tuple[str | None, ...]
    post_norm: bool
    plan: str

    @property
    def logit_drop(self) -> Float64[Tensor, "mask layer prompt target"]:
        """The sum of the four parts: `measured_drop` but for the rounding of the model's dtype."""
        return self.direct + self.downstream + self.direct_rescaling + self.downstream_rescaling

    @property
    def frozen_drop(self) -> Float64[Tensor, "mask layer prompt target"]:
        """Direct part and its rescaling: the drop that is left when all later attention and MLPs answer as if clean."""
        return self.direct + self.direct_rescaling

    @property
    def rescaling(self) -> Float64[Tensor, "mask layer prompt target"]:
        """Both rescalings: what the norms' changed scales alone move."""
        return self.direct_rescaling + self.downstream_rescaling

    def to_frame(self) -> pd.DataFrame:
        """Tidy: a row per mask, layer, prompt and target.

        Columns: mask, layer, prompt, text, target, is_correct, direct, downstream, direct_rescaling,
        downstream_rescaling, logit_drop (their sum), measured_drop, n_lesioned.
        """
        frame = tidy_rows(self, {"mask": self.masks, "layer": self.layers})
        for name in (*PARTS, "logit_drop", "measured_drop"):
            frame[name] = getattr(self, name).flatten().numpy()
        frame["n_lesioned"] = self.n_lesioned[..., None, None].expand_as(self.direct).flatten().numpy()
        return frame

    def summary(self) -> pd.DataFrame:
        """Means over prompts: a row per mask, layer and target (by its place, 0 first).

        Columns: mask, layer, target, n_lesioned, direct, downstream, rescaling, logit_drop. Means of parts add up as
        the parts do.
        """
        n_targets = self.direct.shape[-1]
        axes = [self.masks, self.layers, range(n_targets)]
        frame = pd.MultiIndex.from_product(axes, names=["mask", "layer", "target"]).to_frame(index=False)
        frame["n_lesioned"] = self.n_lesioned.flatten().repeat_interleave(n_targets).numpy()
        for name in ("direct", "downstream", "rescaling", "logit_drop"):
            frame[name] = getattr(self, name).mean(dim=2).flatten().numpy()
        return frame
