"""The parts of a subspace study's result: what is cut, the cuts beside it, and the covariance before and after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64, Int
from torch import Tensor

from tlesion.covariance import CovarianceChange
from tlesion.studies.subspace_removal.cuts import Cut, Fitting, LayerFit
from tlesion.studies.subspace_removal.damage import SubspaceSink


@dataclass(frozen=True, eq=False, kw_only=True)
class MainCut:
    """What is cut out of each lesioned layer.

    Attributes:
        label: In words.
        kind: The method by which it was fitted, or ``"given"``.
        rank: How many directions.
        components: Which components, where they are not the first ones; else None.
        variance_ratio: Share of the variance of the activations at the hook point that is removed.
        top_token, top_token_share: The token that holds most of what is removed (an index into ``texts``), and its
            share of that variance.
    """

    label: str
    kind: str
    rank: int
    components: tuple[int, ...] | None
    variance_ratio: Float64[Tensor, " lesioned"]
    top_token: Int[Tensor, " lesioned"]
    top_token_share: Float64[Tensor, " lesioned"]

    @classmethod
    def of(cls, fitting: Fitting, fits: Sequence[LayerFit]) -> "MainCut":
        """The first of the cuts, from its fit in each layer."""
        main, components = fitting.cuts[0], fitting.components
        return cls(
            label=main.label if not components else f"{main.kind}, components {', '.join(map(str, components))}",
            kind=main.kind,
            rank=main.rank,
            components=components,
            variance_ratio=torch.stack([fit.variance_ratio[0] for fit in fits]).cpu(),
            top_token=torch.tensor([fit.top_token[0] for fit in fits]),
            top_token_share=torch.tensor([fit.top_token[1] for fit in fits], dtype=torch.float64),
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class OtherCuts:
    """Further cuts, measured as the main one is: random controls, or other ranks.

    Attributes:
        labels: Each in words.
        kinds: The method of each.
        ranks: How many directions each has.
        draws: Which draw of a random control each is; None for a cut that is no control.
        variance_ratio: Share of the variance that each removes.
        logit_drop: As the result's own.
        drift: Mean over tokens of the drift.
        drift_relative: Mean over tokens of the drift by the clean norm.
    """

    labels: tuple[str, ...]
    kinds: tuple[str, ...]
    ranks: tuple[int, ...]
    draws: tuple[int | None, ...]
    variance_ratio: Float64[Tensor, "cut lesioned"]
    logit_drop: Float64[Tensor, "cut lesioned predicted"]
    drift: Float64[Tensor, "cut lesioned layer"]
    drift_relative: Float64[Tensor, "cut lesioned layer"]

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of(cls, cuts: Sequence[Cut], which: slice, fits: Sequence[LayerFit], sink: SubspaceSink) -> "OtherCuts":
        """Some of the cuts, from their fits and from what the sweep of all cuts over all layers has measured."""

        # One lesion that changes nothing comes before the first cut.
        def by_cut(values: Tensor) -> Tensor:
            cut: Tensor = values[1:].unflatten(0, (-1, len(fits)))[which]
            return cut

        chosen = cuts[which]
        return cls(
            labels=tuple(cut.label for cut in chosen),
            kinds=tuple(cut.kind for cut in chosen),
            ranks=tuple(cut.rank for cut in chosen),
            draws=tuple(cut.draw for cut in chosen),
            variance_ratio=torch.stack([fit.variance_ratio for fit in fits], dim=1).cpu()[which],
            logit_drop=by_cut(sink.clean - sink.lesioned),
            drift=by_cut(sink.mean_drift),
            drift_relative=by_cut(sink.mean_drift_relative),
        )

    @classmethod
    def from_older(cls, values: Mapping[str, Any], which: slice) -> "OtherCuts":
        """Some of the cuts of a result that was saved when it held them in fields of its own."""
        chosen = values["others"][which]
        return cls(
            labels=tuple(one["label"] for one in chosen),
            kinds=tuple(one["kind"] for one in chosen),
            ranks=tuple(one["rank"] for one in chosen),
            draws=tuple(one["draw"] for one in chosen),
            variance_ratio=values["other_variance_ratio"][which],
            logit_drop=values["other_logit_drop"][which],
            drift=values["other_drift"][which],
            drift_relative=values["other_drift_relative"][which],
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerCovariance:
    """What the cut does to the covariance of units over tokens, layer by layer; see `CovarianceChange`.

    Attributes:
        change, correlation_change: ‖C' − C‖ / ‖C‖ of unit by unit covariance and correlation.
        effective_rank_before, effective_rank_after: Participation ratio (tr C)² / ‖C‖².
        unit_change: Mean absolute change of a single unit's activation.
        unit_change_relative: The same in the unit's standard deviations.
        spectrum_before, spectrum_after: Eigenvalues of the covariance, largest first.
        sampled: The units of the pictured block; −1 where a layer has too few that vary.
        correlation_before, correlation_after: Correlations among them; NaN there.
    """

    change: Float64[Tensor, " lesioned"]
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

    @classmethod
    def of(cls, layers: Sequence[CovarianceChange]) -> "LayerCovariance":
        """The change in each layer, side by side."""
        return cls(
            change=_column([one.covariance_change for one in layers]),
            correlation_change=_column([one.correlation_change for one in layers]),
            effective_rank_before=_column([one.effective_rank_before for one in layers]),
            effective_rank_after=_column([one.effective_rank_after for one in layers]),
            unit_change=_column([one.mean_unit_change for one in layers]),
            unit_change_relative=_column([one.mean_unit_change_relative for one in layers]),
            spectrum_before=torch.stack([one.spectrum_before.cpu() for one in layers]),
            spectrum_after=torch.stack([one.spectrum_after.cpu() for one in layers]),
            sampled=_padded([one.sampled for one in layers], -1),
            correlation_before=_padded([one.correlation_before for one in layers], torch.nan),
            correlation_after=_padded([one.correlation_after for one in layers], torch.nan),
        )


def _column(values: Sequence[float]) -> Float64[Tensor, " lesioned"]:
    return torch.tensor(values, dtype=torch.float64)


def _padded(parts: Sequence[Tensor], value: float | int) -> Tensor:
    """Layers side by side, where some have fewer units that vary than others."""
    size = max(part.shape[0] for part in parts)
    stack = torch.full((len(parts), *[size] * parts[0].ndim), value, dtype=parts[0].dtype)
    for row, part in zip(stack, parts, strict=True):
        row[tuple(slice(0, extent) for extent in part.shape)] = part.cpu()
    return stack
