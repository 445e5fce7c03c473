"""`SubspaceRemoval`: what the removal of a subspace costs, layer by layer."""

from dataclasses import dataclass, fields
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float64, Int
from torch import Tensor

from tlesion.keep.results import Result
from tlesion.studies.common.token_axis import TokenAxis
from tlesion.studies.subspace_removal.damage import DropTest, measure_drops
from tlesion.studies.subspace_removal.parts import LayerCovariance, MainCut, OtherCuts


@dataclass(frozen=True, eq=False, kw_only=True)
class SubspaceRemoval(Result):
    """What the removal of a subspace at one hook point costs, per lesioned layer.

    Hidden state, token and layer axes are the model's: every block, and every token of every text, special tokens
    included. A *predicted* column is a token whose logits are read; ``reads`` says which token's logit that is.

    Attributes:
        drift: Norm of (lesioned − clean) hidden state after every block; 0 before the lesioned layer.
        clean_norm: Norm of the clean hidden state.
        logit_drop: Clean − lesioned logit of the token that comes next in the text (``reads="next"``), or of the
            token itself (``"own"``, masked models). Positive: the lesion cost that token.
        clean_logit: That logit in the clean run.
        predicted: For every column of the drop the token at which it is read, an index into ``texts``.
        cut: What is cut, and how much of the variance that is.
        test: Paired t-test of the drop against zero, over texts where there are several, else over tokens (see
            ``caveat``); p is not corrected for the number of layers.
        covariance: What the cut does to the covariance of units.
        controls: Random cuts of the same rank.
        ranks: Cuts of further ranks, each followed by its random control.
        texts: The tokens.
        layers: The lesioned layers.
        hook_point: Short form of the hook point.
        reads: ``"next"`` or ``"own"``.
        level: Confidence level of the intervals.
        plan: How the sweep was run, and why.
    """

    drift: Float64[Tensor, "lesioned layer token"]
    clean_norm: Float64[Tensor, "layer token"]
    logit_drop: Float64[Tensor, "lesioned predicted"]
    clean_logit: Float64[Tensor, " predicted"]
    predicted: Int[Tensor, " predicted"]
    cut: MainCut
    test: DropTest
    covariance: LayerCovariance
    controls: OtherCuts
    ranks: OtherCuts
    texts: TokenAxis
    layers: tuple[int, ...]
    hook_point: str
    reads: str
    level: float
    plan: str

    @property
    def t(self) -> Float64[Tensor, " lesioned"]:
        """The t-statistic of ``test``."""
        return self.test.t

    @property
    def p(self) -> Float64[Tensor, " lesioned"]:
        """The p-value of ``test``."""
        return self.test.p

    @property
    def mean_drop(self) -> Float64[Tensor, " lesioned"]:
        """The mean drop over the rows of ``test``."""
        return self.test.mean

    @property
    def variance_ratio(self) -> Float64[Tensor, " lesioned"]:
        """Share of the variance that the cut removes."""
        return self.cut.variance_ratio

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tokens as they are written."""
        return self.texts.words

    @property
    def drift_relative(self) -> Float64[Tensor, "lesioned layer token"]:
        """Drift by the norm of the clean hidden state."""
        return self.drift / self.clean_norm

    @property
    def caveat(self) -> str:
        """What the t-test can say, and what it cannot."""
        if self.test.over == "texts":
            return f"Rows of the t-test are {self.test.n_rows} texts: the mean over each text's tokens."
        return (
            f"Descriptive: the {self.test.n_rows} rows of the t-test are tokens of one text, which depend on each "
            "other, so that p says nothing about other texts. Give several texts for a test over texts."
        )

    @classmethod
    def from_older(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Gather the ``values`` of a result that was saved before it had parts."""
        cut, others = values["cut"], values["others"]
        n_controls = sum(one["draw"] is not None and one["rank"] == cut["rank"] for one in others)
        main = {name: values[name] for name in ("variance_ratio", "top_token", "top_token_share")}
        covariance = {field.name: values[field.name] for field in fields(LayerCovariance) if field.name != "change"}
        names = {"mean": "mean_drop", "low": "drop_low", "high": "drop_high"}
        test = {field.name: values[names.get(field.name, field.name)] for field in fields(DropTest)}
        return values | {
            "cut": MainCut(**main, **{name: cut[name] for name in ("label", "kind", "rank", "components")}),
            "test": DropTest(**test),
            "covariance": LayerCovariance(change=values["covariance_change"], **covariance),
            "controls": OtherCuts.from_older(values, slice(n_controls)),
            "ranks": OtherCuts.from_older(values, slice(n_controls, None)),
            "texts": TokenAxis(values["text"], values["position"], values["token_ids"], values["tokens"]),
        }

    def test_of(self, cuts: OtherCuts) -> DropTest:
        """The same test for other cuts, ``controls`` or ``ranks``; its tensors are ``[cut, lesioned]``."""
        return measure_drops(cuts.logit_drop, self.texts.text[self.predicted], level=self.level)

    def to_frame(self) -> pd.DataFrame:
        """A row per lesioned layer.

        Columns: layer, variance_ratio, mean_drop, drop_low, drop_high, t, dof, p, effect_size, drift_at_lesion and
        drift_at_end (mean over tokens, relative to the clean norm), covariance_change, correlation_change,
        effective_rank_before, effective_rank_after, unit_change, unit_change_relative, top_token, top_token_share.
        """
        test, change, relative = self.test, self.covariance, self.drift_relative.mean(dim=2)
        columns = {
            "variance_ratio": self.variance_ratio,
            "mean_drop": test.mean,
            "drop_low": test.low,
            "drop_high": test.high,
            "t": test.t,
            "dof": test.dof,
            "p": test.p,
            "effect_size": test.effect_size,
            "drift_at_lesion": relative[torch.arange(len(self.layers)), list(self.layers)],
            "drift_at_end": relative[:, -1],
            "covariance_change": change.change,
            "correlation_change": change.correlation_change,
            "effective_rank_before": change.effective_rank_before,
            "effective_rank_after": change.effective_rank_after,
            "unit_change": change.unit_change,
            "unit_change_relative": change.unit_change_relative,
        }
        frame = pd.DataFrame({"layer": self.layers} | {name: value.numpy() for name, value in columns.items()})
        frame["top_token"] = [self.tokens[index] for index in self.cut.top_token.tolist()]
        frame["top_token_share"] = self.cut.top_token_share.numpy()
        return frame

    def drops_frame(self) -> pd.DataFrame:
        """A row per lesioned layer and predicted token.

        Columns: layer, text, position, token, target (the token whose logit it is), clean_logit, logit_drop.
        """
        axes = pd.MultiIndex.from_product([self.layers, self.predicted.tolist()], names=["layer", "index"])
        frame = axes.to_frame(index=False)
        index = torch.as_tensor(frame.pop("index").to_numpy().copy())
        frame["text"], frame["position"] = self.texts.text[index].numpy(), self.texts.position[index].numpy()
        frame["token"] = [self.tokens[i] for i in index.tolist()]
        step = 1 if self.reads == "next" else 0
        frame["target"] = [self.tokens[i + step] for i in index.tolist()]
        frame["clean_logit"] = self.clean_logit.expand_as(self.logit_drop).flatten().numpy()
        frame["logit_drop"] = self.logit_drop.flatten().numpy()
        return frame
