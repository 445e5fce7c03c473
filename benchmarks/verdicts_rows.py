"""What the simulated studies of `verdicts` add up to: shares with their errors, beside the targets."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.calibration_tally import uniformity
from benchmarks.verdicts_studies import N_CONTROLS, PLANTED_LAYER

ALPHA = 0.05
ENOUGH, COVERED, UNIFORM = 0.90, (0.93, 0.97), 0.01
MULTIPLES = (0.5, 0.75, 1.0, 1.25, 1.5, math.inf)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A measured number, and what was asked of it.

    Attributes:
        claim: What it is about.
        setting: On which masks and models.
        n: How many masks or layers were counted.
        value, error: The share (of KS: the p-value), and its standard error (None where it has none).
        target: What should hold, in words; "" where the issue asks nothing and the number is for orientation.
        holds: "yes", "within 2 standard errors", "NO", or "".
    """

    claim: str
    setting: str
    n: int
    value: float | None
    error: float | None
    target: str
    holds: str


def rows_of(records: Sequence[dict[str, Any]], null_records: Sequence[dict[str, Any]]) -> list[Row]:
    """All rows of the table."""
    planted, null = pd.DataFrame(list(records)), pd.DataFrame(list(null_records))
    return [
        *_found(planted),
        *_called_specific(planted, null),
        *_coverage(planted, null),
        *_uniform(planted, null),
    ]


def _found(planted: pd.DataFrame) -> list[Row]:
    """Causal masks called specific where the study's own power analysis, or an independent one, says detectable."""
    causal = planted[planted["mask"] == "causal"].sort_values(["model", "study"]).copy()
    causal["specific"] = causal["verdict"] == "specific"
    causal["own"] = causal["truth"] / causal["detectable_effect"]
    # The study before on the same model, the last one for the first: other prompts, other controls.
    pilot = causal.groupby("model")["detectable_effect"].transform(lambda values: np.roll(values, 1))
    causal["pilot"] = causal["truth"] / pilot
    claim, target = "specific: causal neurons", f"at least {ENOUGH:.0%}"
    rows = []
    for column, source in (("own", "the study's own power analysis"), ("pilot", "a pilot study's power analysis")):
        detectable = causal[causal[column] >= 1]["specific"]
        asked = target if column == "own" else ""
        rows.append(_share(claim, f"effect detectable by {source}", detectable, asked, least=ENOUGH))
    for low, high in zip((0.0, *MULTIPLES[:-1]), MULTIPLES, strict=True):
        inside = causal[(causal["pilot"] >= low) & (causal["pilot"] < high)]["specific"]
        shown = f"{low:g} to {high:g}" if math.isfinite(high) else f"{low:g} or more"
        rows.append(_share(claim, f"effect {shown} times what a pilot study calls detectable", inside, ""))
    return rows


def _called_specific(planted: pd.DataFrame, null: pd.DataFrame) -> list[Row]:
    """Masks that are called specific in any layer, and should not be."""
    wrong = {
        "read-only decoys": planted[planted["mask"] == "decoy"],
        "random masks, planted model": planted[planted["mask"] == "random"],
        "random masks, nothing planted": null[null["mask"] == "random"],
        "selected neurons, nothing planted": null[null["mask"] == "selected"],
    }
    claim, target = "specific, wrongly", f"at most {ALPHA:.0%}"
    rows = [
        _share(claim, f"{name}: in any layer", _any_layer(part), target, most=ALPHA) for name, part in wrong.items()
    ]
    loud = planted[planted["mask"] == "loud"]
    rows.append(_share(claim, "the noise neurons that write most: in any layer", _any_layer(loud), "", most=ALPHA))
    damage = loud["verdict"] == "unspecific damage"
    rows.append(_share("unspecific damage", "the noise neurons that write most: layers", damage, ""))
    nothing = planted[planted["mask"] == "decoy"]["verdict"] == "no effect found"
    rows.append(_share("no effect found", "read-only decoys", nothing, ""))
    return rows


def _any_layer(part: pd.DataFrame) -> "pd.Series[bool]":
    return (part["verdict"] == "specific").groupby([part["model"], part["study"]]).any()


def _coverage(planted: pd.DataFrame, null: pd.DataFrame) -> list[Row]:
    """Intervals that hold the true effect."""
    both = pd.concat([planted, null])
    both = both[both["truth"].notna()]
    target = f"{COVERED[0]:.0%} to {COVERED[1]:.0%}"
    inside = (both["low"] <= both["truth"]) & (both["truth"] <= both["high"])
    student = (both["t_low"] <= both["truth"]) & (both["truth"] <= both["t_high"])
    rows = []
    for name, chosen in {
        "causal and random masks, all models": both["mask"].notna(),
        "causal masks, normal noise": (both["mask"] == "causal") & (both["tails"] == "normal"),
        "random masks, normal noise": (both["mask"] == "random") & (both["tails"] == "normal"),
        "causal and random masks, heavy tails": both["tails"] == "heavy",
    }.items():
        rows.append(_share("interval covers", name, inside[chosen], target, least=COVERED[0], most=COVERED[1]))
    for tails in ("normal", "heavy"):
        rows.append(_share("Student's interval covers", f"{tails} noise", student[both["tails"] == tails], ""))
    return rows


def _uniform(planted: pd.DataFrame, null: pd.DataFrame) -> list[Row]:
    """Is the control p uniform where the mask is a random draw? Kolmogorov and Smirnov, one layer of each mask."""
    parts = {
        "random masks, layer without planted neurons": planted[(planted["mask"] == "random") & (planted["layer"] == 0)],
        "random masks, layer with planted neurons": planted[
            (planted["mask"] == "random") & (planted["layer"] == PLANTED_LAYER)
        ],
        "random masks, nothing planted, layer 0": null[(null["mask"] == "random") & (null["layer"] == 0)],
        "selected neurons, nothing planted, layer 0": null[(null["mask"] == "selected") & (null["layer"] == 0)],
    }
    rows = []
    for number, (name, part) in enumerate(parts.items()):
        p = torch.tensor(part["control_p"].to_numpy())
        # p has steps of 1 / 51; spread within its step it is continuous, and uniform if it was so on the steps.
        drawn = torch.rand(len(p), generator=torch.Generator().manual_seed(number), dtype=torch.float64)
        distance, p_value = uniformity(p - drawn / (1 + N_CONTROLS))
        holds = "yes" if p_value > UNIFORM else "NO"
        setting = f"{name}: KS distance {distance:.3f}"
        rows.append(
            Row(
                claim="control p uniform (p of KS)",
                setting=setting,
                n=len(p),
                value=p_value,
                error=None,
                target=f"above {UNIFORM:g}",
                holds=holds,
            )
        )
    return rows


def _share(
    claim: str,
    setting: str,
    hits: "pd.Series[bool]",
    target: str,
    *,
    least: float = 0.0,
    most: float = 1.0,
) -> Row:
    n = len(hits)
    if not n:
        return Row(claim=claim, setting=setting, n=0, value=None, error=None, target=target, holds="")
    value = float(hits.mean())
    error = math.sqrt(max(value * (1 - value), 1 / n**2) / n)
    if not target:
        holds = ""
    elif least <= value <= most:
        holds = "yes"
    else:
        holds = "within 2 standard errors" if least - 2 * error <= value <= most + 2 * error else "NO"
    return Row(claim=claim, setting=setting, n=n, value=value, error=error, target=target, holds=holds)
