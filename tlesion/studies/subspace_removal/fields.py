"""The fields of a subspace study's result, from what its sweep and its fits found."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float64, Int
from torch import Tensor

from tlesion.hooks import Model
from tlesion.studies.common.reading import Texts, written
from tlesion.studies.subspace_removal.layer_fit import LayerFit
from tlesion.studies.subspace_removal.sink import SubspaceSink
from tlesion.studies.subspace_removal.testing import measure_drops
from tlesion.sweeps.groups import Reading


def fields_of_effects(
    sink: SubspaceSink, readings: Sequence[Reading], n_layers: int, *, level: float
) -> dict[str, Any]:
    """What the sweep measured, and the test of it; ``n_layers`` is the number of lesioned layers."""
    text = torch.cat([torch.full((len(one.readout),), index) for index, one in enumerate(readings)])
    firsts = torch.tensor([0, *(len(one.ids) for one in readings)]).cumsum(0)
    drop: Float64[Tensor, "cut lesioned predicted"] = (sink.clean - sink.lesioned[1:]).unflatten(0, (-1, n_layers))
    test = measure_drops(drop[0], text, level=level)
    return {
        "drift": sink.drift[1:],
        "clean_norm": sink.clean_norm,
        "logit_drop": drop[0],
        "clean_logit": sink.clean,
        "predicted": torch.cat([one.readout + firsts[index] for index, one in enumerate(readings)]),
        "t": test.t,
        "dof": test.dof,
        "p": test.p,
        "effect_size": test.effect_size,
        "mean_drop": test.mean,
        "drop_low": test.low,
        "drop_high": test.high,
        "over": test.over,
        "n_rows": test.n_rows,
        "other_logit_drop": drop[1:],
        "other_drift": sink.mean_drift[1:].unflatten(0, (-1, n_layers))[1:],
        "other_drift_relative": sink.mean_drift_relative[1:].unflatten(0, (-1, n_layers))[1:],
    }


def fields_of_fits(fits: Sequence[LayerFit]) -> dict[str, Any]:
    """What the cuts do to the activations that they are made in."""
    changes = [fit.covariance for fit in fits]
    share = torch.stack([fit.variance_ratio for fit in fits], dim=1).cpu()
    found: dict[str, Any] = {
        "variance_ratio": share[0],
        "other_variance_ratio": share[1:],
        "top_token": torch.tensor([fit.top_token[0] for fit in fits]),
        "top_token_share": torch.tensor([fit.top_token[1] for fit in fits], dtype=torch.float64),
        "unit_change": torch.tensor([one.mean_unit_change for one in changes], dtype=torch.float64),
        "unit_change_relative": torch.tensor([one.mean_unit_change_relative for one in changes], dtype=torch.float64),
        "sampled": _padded([one.sampled for one in changes], -1),
    }
    for name in ("covariance_change", "correlation_change", "effective_rank_before", "effective_rank_after"):
        found[name] = torch.tensor([getattr(one, name) for one in changes], dtype=torch.float64)
    for name in ("spectrum_before", "spectrum_after"):
        found[name] = torch.stack([getattr(one, name).cpu() for one in changes])
    for name in ("correlation_before", "correlation_after"):
        found[name] = _padded([getattr(one, name) for one in changes], torch.nan)
    return found


def _padded(parts: Sequence[Tensor], value: float | int) -> Tensor:
    """Layers side by side, where some have fewer units that vary than others."""
    size = max(part.shape[0] for part in parts)
    stack = torch.full((len(parts), *[size] * parts[0].ndim), value, dtype=parts[0].dtype)
    for row, part in zip(stack, parts, strict=True):
        row[tuple(slice(0, extent) for extent in part.shape)] = part.cpu()
    return stack


def fields_of_tokens(model: Model, texts: Texts) -> dict[str, Any]:
    """Every token of every text, special tokens included."""
    ids: Int[Tensor, " token"] = torch.cat(texts.sequences)
    return {
        "text": torch.cat([torch.full((len(one),), index) for index, one in enumerate(texts.sequences)]),
        "position": torch.cat([torch.arange(len(one)) for one in texts.sequences]),
        "token_ids": ids,
        "tokens": written(model, ids.tolist()),
    }
