"""A subspace study in fewer numbers: against its controls, over ranks, and variance against damage over layers."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from jaxtyping import Float64
from torch import Tensor

from tlesion.correlation import CoMoments, fisher_interval, spearman
from tlesion.studies.subspace_removal.result import SubspaceRemoval


def correlate_with_variance(result: SubspaceRemoval) -> pd.DataFrame:
    """Do layers that lose more variance lose more of the logit? Over lesioned layers, for the cut and for its controls.

    Layers of one model are no independent sample, so that the intervals describe; see
    :func:`tlesion.correlation.fisher_interval`.

    Returns:
        A row per cut and coefficient. Columns: cut, coefficient (pearson, spearman), r, low, high, n (layers).

    Example:
        >>> import tlesion
        >>> from tlesion.studies.subspace_removal.summary import correlate_with_variance
        >>> result = tlesion.subspace_removal(tlesion.load_model("toy-gpt"), "The teacher gave the boy an apple.")
        >>> correlate_with_variance(result)[["cut", "coefficient", "n"]].values.tolist()[:2]
        [['svd, rank 1', 'pearson', 12], ['svd, rank 1', 'spearman', 12]]
    """
    rows = [_coefficients(str(result.cut["label"]), result.variance_ratio, result.mean_drop, result.level)]
    if result.controls:
        drops = result.test_others().mean[result.controls].mean(dim=0)
        shares = result.other_variance_ratio[result.controls].mean(dim=0)
        rows.append(_coefficients(f"{len(result.controls)} controls, mean", shares, drops, result.level))
    return pd.concat(rows, ignore_index=True)


def compare_cuts(result: SubspaceRemoval) -> pd.DataFrame:
    """Every cut beside the main one, layer by layer.

    Returns:
        A row per cut and lesioned layer. Columns: cut, kind, rank, draw (NaN where this is no control), layer,
        variance_ratio, mean_drop, drop_low, drop_high, t, p, drift_at_end (mean over tokens, relative to the clean
        norm).
    """
    test = result.test_others() if result.others else None
    main = result.drift_relative[:, -1].mean(dim=1)
    frames = [_cut_frame(result, result.cut, result, result.variance_ratio, main, None)]
    for i, cut in enumerate(result.others):
        end = result.other_drift_relative[i, :, -1]
        frames.append(_cut_frame(result, cut, test, result.other_variance_ratio[i], end, i))
    return pd.concat(frames, ignore_index=True)


def ranks_frame(result: SubspaceRemoval) -> pd.DataFrame:
    """What each rank costs, fitted and random: means over lesioned layers.

    Returns:
        A row per rank and kind. Columns: rank, kind (``fitted`` or ``control``), variance_ratio, mean_drop,
        drift_at_end.
    """
    frame = compare_cuts(result)
    frame["kind"] = frame["draw"].isna().map({True: "fitted", False: "control"})
    numbers = ["variance_ratio", "mean_drop", "drift_at_end"]
    means = frame.groupby(["rank", "kind"], sort=True)[numbers].mean().reset_index()
    return means.sort_values(["rank", "kind"], ascending=[True, False], ignore_index=True)


def _cut_frame(
    result: SubspaceRemoval, made: Mapping[str, Any], test: Any, share: Tensor, end: Tensor, index: int | None
) -> pd.DataFrame:
    frame = pd.DataFrame({"cut": made["label"], "kind": made["kind"], "rank": made["rank"]}, index=result.layers)
    frame["draw"] = float("nan") if made["draw"] is None else float(made["draw"])
    frame["layer"], frame["variance_ratio"] = list(result.layers), share.numpy()
    names = {"mean_drop": "mean", "drop_low": "low", "drop_high": "high", "t": "t", "p": "p"}
    for name, in_test in names.items():
        values = getattr(test, name if index is None else in_test)
        frame[name] = (values if index is None else values[index]).numpy()
    frame["drift_at_end"] = end.numpy()
    return frame.reset_index(drop=True)


def _coefficients(
    cut: str, share: Float64[Tensor, " lesioned"], drop: Float64[Tensor, " lesioned"], level: float
) -> pd.DataFrame:
    values = {"pearson": CoMoments.of(share, drop).r, "spearman": spearman(share, drop)}
    rows = []
    for coefficient, r in values.items():
        low, high = fisher_interval(r, len(share), coefficient=coefficient, level=level)
        rows.append([cut, coefficient, float(r), float(low), float(high), len(share)])
    return pd.DataFrame(rows, columns=["cut", "coefficient", "r", "low", "high", "n"])
