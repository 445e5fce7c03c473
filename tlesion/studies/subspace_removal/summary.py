"""A subspace study in fewer numbers: against its controls, over ranks, and variance against damage over layers."""

import math

import pandas as pd
import torch
from jaxtyping import Float64
from torch import Tensor

from tlesion.correlation import CoMoments, fisher_interval, spearman
from tlesion.public import public
from tlesion.studies.subspace_removal.result import SubspaceRemoval


@public
def correlate_with_variance(result: SubspaceRemoval) -> pd.DataFrame:
    """Do layers that lose more variance lose more of the logit? Over lesioned layers, for the cut and for its controls.

    Layers of one model are not an independent sample, so the intervals (Fisher's) are descriptive.

    Args:
        result: The result.

    Returns:
        A row per cut and coefficient. Columns: cut, coefficient (pearson, spearman), r, low, high, n (layers).

    Example:
        >>> import tlesion
        >>> result = tlesion.subspace_removal(tlesion.load_model("toy-gpt"), "The teacher gave the boy an apple.")
        >>> tlesion.correlate_with_variance(result)[["cut", "coefficient", "n"]].values.tolist()[:2]
        [['svd, rank 1', 'pearson', 12], ['svd, rank 1', 'spearman', 12]]
    """
    rows = [_coefficients(result.cut.label, result.variance_ratio, result.mean_drop, result.level)]
    if len(result.controls):
        drops = result.test_of(result.controls).mean.mean(dim=0)
        shares = result.controls.variance_ratio.mean(dim=0)
        rows.append(_coefficients(f"{len(result.controls)} controls, mean", shares, drops, result.level))
    return pd.concat(rows, ignore_index=True)


def compare_cuts(result: SubspaceRemoval) -> pd.DataFrame:
    """Every cut beside the main one, layer by layer.

    Returns:
        A row per cut and lesioned layer. Columns: cut, kind, rank, draw (NaN where this is no control), layer,
        variance_ratio, mean_drop, drop_low, drop_high, t, p, drift_at_end (mean over tokens, relative to the clean
        norm).
    """
    others = (result.controls, result.ranks)
    made = pd.DataFrame(
        {
            "cut": [result.cut.label, *(label for cuts in others for label in cuts.labels)],
            "kind": [result.cut.kind, *(kind for cuts in others for kind in cuts.kinds)],
            "rank": [result.cut.rank, *(rank for cuts in others for rank in cuts.ranks)],
            "draw": [math.nan, *(math.nan if draw is None else draw for cuts in others for draw in cuts.draws)],
        }
    )
    frame = made.merge(pd.DataFrame({"layer": result.layers}), how="cross")
    tests = [result.test, *map(result.test_of, others)]
    columns = {
        "variance_ratio": [result.variance_ratio, *(cuts.variance_ratio for cuts in others)],
        "mean_drop": [test.mean for test in tests],
        "drop_low": [test.low for test in tests],
        "drop_high": [test.high for test in tests],
        "t": [test.t for test in tests],
        "p": [test.p for test in tests],
        "drift_at_end": [result.drift_relative[:, -1].mean(dim=1), *(cuts.drift_relative[..., -1] for cuts in others)],
    }
    for name, values in columns.items():
        frame[name] = torch.cat([value.flatten() for value in values]).numpy()
    return frame


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


def _coefficients(
    cut: str, share: Float64[Tensor, " lesioned"], drop: Float64[Tensor, " lesioned"], level: float
) -> pd.DataFrame:
    values = {"pearson": CoMoments.of(share, drop).r, "spearman": spearman(share, drop)}
    rows = []
    for coefficient, r in values.items():
        low, high = fisher_interval(r, len(share), coefficient=coefficient, level=level)
        rows.append([cut, coefficient, float(r), float(low), float(high), len(share)])
    return pd.DataFrame(rows, columns=["cut", "coefficient", "r", "low", "high", "n"])
