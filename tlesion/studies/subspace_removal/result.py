"""The result of a subspace study."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float64, Int
from torch import Tensor

from tlesion.keep.results import Result
from tlesion.studies.subspace_removal.testing import DropTest, measure_drops


@dataclass(frozen=True, eq=False, kw_only=True)
class SubspaceRemoval(Result):
    """What the removal of a subspace at one hook point costs, per lesioned layer.

    Hidden state, token and layer axes are the model's: every block, and every token of every text, special tokens
    included. A *predicted* column is a token whose logits are read; which token's logit that is says ``reads``.

    Attributes:
        drift: Norm of (lesioned − clean) hidden state after every block; 0 before the lesioned layer.
        clean_norm: Norm of the clean hidden state.
        logit_drop: Clean − lesioned logit of the token that comes next in the text (``reads="next"``), or of the
            token itself (``"own"``, masked models). Positive: the lesion cost that token.
        clean_logit: That logit in the clean run.
        predicted: For every column of the drop the token at which it is read, an index into ``tokens``.
        t, dof, p, effect_size: Paired t-test of the drop against zero over rows: texts where there are several,
            else tokens (see ``caveat``); p is not corrected for the number of layers.
        mean_drop, drop_low, drop_high: Mean drop over the same rows, and its interval.
        variance_ratio: Share of the variance of the activations at the hook point that is removed.
        top_token, top_token_share: The token that holds most of what is removed, and its share of that variance.
        covariance_change, correlation_change: ‖C' − C‖ / ‖C‖ of neuron by neuron covariance and correlation.
        effective_rank_before, effective_rank_after: Participation ratio (tr C)² / ‖C‖².
        unit_change: Mean absolute change of a single unit's activation.
        unit_change_relative: The same in the unit's standard deviations.
        spectrum_before, spectrum_after: Eigenvalues of the covariance, largest first.
        sampled: The units of the pictured block; −1 where a layer has too few that vary.
        correlation_before, correlation_after: Correlations among them; NaN there.
        other_logit_drop, other_variance_ratio: As above for the other cuts: random controls, further ranks.
        other_drift, other_drift_relative: Mean over tokens of the drift, and of the drift by the clean norm.
        text, position, token_ids, tokens: Of every token: its text, its position in it, its id, itself.
        layers: The lesioned layers.
        cut: What is cut: kind, rank, components.
        others: The same of the other cuts; ``draw`` is the number of a random control, and None for a further rank.
        hook_point: Short form of the hook point.
        reads: ``"next"`` or ``"own"``.
        over: What the rows of the test are: ``"tokens"`` or ``"texts"``.
        n_rows: How many there are.
        level: Confidence level of the intervals.
        plan: How the sweep was run, and why.
    """

    drift: Float64[Tensor, "lesioned layer token"]
    clean_norm: Float64[Tensor, "layer token"]
    logit_drop: Float64[Tensor, "lesioned predicted"]
    clean_logit: Float64[Tensor, " predicted"]
    predicted: Int[Tensor, " predicted"]
    t: Float64[Tensor, " lesioned"]
    dof: Float64[Tensor, " lesioned"]
    p: Float64[Tensor, " lesioned"]
    effect_size: Float64[Tensor, " lesioned"]
    mean_drop: Float64[Tensor, " lesioned"]
    drop_low: Float64[Tensor, " lesioned"]
    drop_high: Float64[Tensor, " lesioned"]
    variance_ratio: Float64[Tensor, " lesioned"]
    top_token: Int[Tensor, " lesioned"]
    top_token_share: Float64[Tensor, " lesioned"]
    covariance_change: Float64[Tensor, " lesioned"]
    correlation_change: Float64[Tensor, " lesioned"]
    effective_rank_before: Float64[Tensor, " lesioned"]
    effective_rank_after: Float64[Tensor, " lesioned"]
    unit_change: Float64[Tensor, " lesioned"]
    unit_change_relative: Float64[Tensor, " lesioned"]
    spectrum_before: Float64[Tensor, "lesioned component"]
    spectrum_after: Float64[Tensor, "lesioned component"]
    sampled: Int[Tensor, "lesioned sample"]
    correlation_before: Float64[Tensor, "lesioned sample sample"]
    correlation_after: Float64[Tensor, "lesioned sample sample"]
    other_logit_drop: Float64[Tensor, "other lesioned predicted"]
    other_variance_ratio: Float64[Tensor, "other lesioned"]
    other_drift: Float64[Tensor, "other lesioned layer"]
    other_drift_relative: Float64[Tensor, "other lesioned layer"]
    text: Int[Tensor, " token"]
    position: Int[Tensor, " token"]
    token_ids: Int[Tensor, " token"]
    tokens: tuple[str, ...]
    layers: tuple[int, ...]
    cut: Mapping[str, Any]
    others: tuple[Mapping[str, Any], ...]
    hook_point: str
    reads: str
    over: str
    n_rows: int
    level: float
    plan: str

    @property
    def drift_relative(self) -> Float64[Tensor, "lesioned layer token"]:
        """Drift by the norm of the clean hidden state."""
        return self.drift / self.clean_norm

    @property
    def caveat(self) -> str:
        """What the t-test can say, and what not."""
        if self.over == "texts":
            return f"Rows of the t-test are {self.n_rows} texts: the mean over each text's tokens."
        return (
            f"Descriptive: the {self.n_rows} rows of the t-test are tokens of one text, which depend on each other, so "
            "that p says nothing about other texts. Give several texts for a test over texts."
        )

    @property
    def controls(self) -> list[int]:
        """Indices into ``others`` of the random controls of the main cut's rank."""
        rank = self.cut["rank"]
        return [i for i, cut in enumerate(self.others) if cut["draw"] is not None and cut["rank"] == rank]

    def test_others(self) -> DropTest:
        """The same test for every other cut; fields ``[other, lesioned]``."""
        return measure_drops(self.other_logit_drop, self.text[self.predicted], level=self.level)

    def to_frame(self) -> pd.DataFrame:
        """A row per lesioned layer.

        Columns: layer, variance_ratio, mean_drop, drop_low, drop_high, t, dof, p, effect_size, drift_at_lesion and
        drift_at_end (mean over tokens, relative to the clean norm), covariance_change, correlation_change,
        effective_rank_before, effective_rank_after, unit_change, unit_change_relative, top_token, top_token_share.
        """
        names = ["variance_ratio", "mean_drop", "drop_low", "drop_high", "t", "dof", "p", "effect_size"]
        frame = pd.DataFrame({"layer": self.layers} | {name: getattr(self, name).numpy() for name in names})
        relative = self.drift_relative.mean(dim=2)
        frame["drift_at_lesion"] = relative[torch.arange(len(self.layers)), list(self.layers)].numpy()
        frame["drift_at_end"] = relative[:, -1].numpy()
        for name in ("covariance_change", "correlation_change", "effective_rank_before", "effective_rank_after"):
            frame[name] = getattr(self, name).numpy()
        for name in ("unit_change", "unit_change_relative"):
            frame[name] = getattr(self, name).numpy()
        frame["top_token"] = [self.tokens[index] for index in self.top_token.tolist()]
        frame["top_token_share"] = self.top_token_share.numpy()
        return frame

    def drops_frame(self) -> pd.DataFrame:
        """A row per lesioned layer and predicted token.

        Columns: layer, text, position, token, target (the token whose logit it is), clean_logit, logit_drop.
        """
        axes = pd.MultiIndex.from_product([self.layers, self.predicted.tolist()], names=["layer", "index"])
        frame = axes.to_frame(index=False)
        index = torch.as_tensor(frame.pop("index").to_numpy().copy())
        frame["text"], frame["position"] = self.text[index].numpy(), self.position[index].numpy()
        frame["token"] = [self.tokens[i] for i in index.tolist()]
        step = 1 if self.reads == "next" else 0
        frame["target"] = [self.tokens[i + step] for i in index.tolist()]
        frame["clean_logit"] = self.clean_logit.expand_as(self.logit_drop).flatten().numpy()
        frame["logit_drop"] = self.logit_drop.flatten().numpy()
        return frame
