"""Does a plan keep its word? Planted studies whose effect it calls detectable.  ``python -m benchmarks.plan_power``

Writes benchmarks/results/plan_power.json and .md. One process of one thread; ``--studies 20 --out trial`` for a trial.
"""

import argparse
import itertools
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

import tlesion
from benchmarks.timing import machine
from tlesion.toy import Planted

RESULTS = Path(__file__).parent / "results"
N_STUDIES = 1000
D_MLP, LAYER, N_POPULATION, N_CONTROLS = 40, 1, 600, 99
N_PROMPTS = (16, 40)
SHARES = (0.05, 0.1, 0.15, 0.2)
LOGIT_EFFECTS = (0.15, 1.5)  # of one causal neuron, drawn evenly on the logarithmic scale
POWER, ENOUGH = 0.9, 0.9
RATIOS = (0.0, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, math.inf)
NOTES = (
    f"A study: {N_PROMPTS[0]} or {N_PROMPTS[1]} fresh prompts, half of them for each of two words; a set for each "
    f"word, in one of two layers of {D_MLP} neurons, of {SHARES[0]:.0%} to {SHARES[-1]:.0%} of the layer: its 2 to 4 "
    f"causal neurons, filled up with random ones; {N_CONTROLS} controls of each, and a verdict with its default rules.",
    "The plan has a pilot: a profile of the same sets on other prompts, with other controls. An effect is detectable "
    "if its true size, the mean over many prompts that neither sees, is at least the plan's `detectable_logits`, and "
    "the plan finds the model above chance. Rows on the plan's own pilot are of plans without one: it cuts 20 random "
    "sets.",
    "What zeroing one causal neuron costs its logit is drawn per model, 0.15 to 1.5. Every fifth model has "
    "heavy-tailed noise.",
)


@dataclass(frozen=True)
class Row:
    """A share of sets that are called specific, with its standard error."""

    what: str
    n: int
    specific: float
    error: float
    holds: str


def study(number: int) -> list[dict[str, Any]]:
    """One planned study: a record for each of its two sets. Its number decides everything."""
    rng = np.random.default_rng([number, 11])
    share = float(rng.choice(SHARES))
    size = round(share * D_MLP)
    n_causal = int(rng.integers(2, min(4, size) + 1))
    low, high = np.log(LOGIT_EFFECTS)
    planted = tlesion.toy.planted_model(
        "causal",
        n_layers=2,
        d_mlp=D_MLP,
        layers=(LAYER,),
        n_causal=2 * n_causal,
        n_decoys=4,
        n_token=0,
        logit_effect=float(np.exp(rng.uniform(low, high))),
        tails="heavy" if number % 5 == 4 else "normal",
        seed=number,
    )
    masks = {word: filled(planted, word, size, rng) for word in ("him", "her")}
    n_prompts, seed = int(rng.choice(N_PROMPTS)), 10 * number
    pilot = profile_of(planted, masks, n_prompts, seed + 1, N_CONTROLS)
    prompts = planted.language.prompts(n_prompts, seed=seed + 2)
    options: dict[str, Any] = {"share": share, "layers": [LAYER], "n_controls": N_CONTROLS, "power": POWER}
    plan = tlesion.plan_study(planted.model, prompts, pilot=pilot, **options)
    alone = tlesion.plan_study(planted.model, prompts, **options)
    said = tlesion.verdict(profile_of(planted, masks, n_prompts, seed + 2, N_CONTROLS))
    truth = profile_of(planted, masks, N_POPULATION, seed + 3, 0)
    able = bool(plan.chance_p <= plan.alpha)
    return [
        {
            "study": number,
            "share": share,
            "truth": float(truth.effect_of(mask).values[LAYER].mean()),
            "detectable": float(plan.detectable_logits[0]) if able else math.inf,
            "by_itself": float(alone.detectable_logits[0]) if able else math.inf,
            "specific": said.verdicts[row][LAYER] == "specific",
            "word": said.verdicts[row][LAYER],
        }
        for row, mask in enumerate(masks)
    ]


def filled(planted: Planted, word: str, size: int, rng: np.random.Generator) -> Tensor:
    """The causal neurons of a word, and as many random others of their layer as the set has room for."""
    mask = planted.truth.mask("causal", word)
    others = (~planted.truth.causal[LAYER]).nonzero()[:, 0].numpy()
    n_more = size - int(mask.sum())
    mask[LAYER, torch.from_numpy(rng.choice(others, n_more, replace=False))] = True
    return mask


def profile_of(
    planted: Planted, masks: dict[str, Tensor], n: int, seed: int, n_controls: int
) -> tlesion.LaminarProfile:
    """A profile on fresh prompts."""
    prompts = planted.language.prompts(n, seed=seed)
    return tlesion.laminar_profile(planted.model, masks, prompts, n_controls=n_controls, seed=seed)


def rows_of(records: Sequence[dict[str, Any]]) -> list[Row]:
    """Shares of sets called specific: of the detectable ones, and by how their true effect compares with the plan."""
    frame = pd.DataFrame(list(records))
    ratio = frame["truth"] / frame["detectable"]
    rows = [_row("detectable effects", frame[ratio >= 1], asked=True)]
    for share in SHARES:
        part = frame[(ratio >= 1) & (frame["share"] == share)]
        rows.append(_row(f"detectable effects, sets of {share:.0%} of the layer", part, asked=True))
    own = frame[frame["truth"] >= frame["by_itself"]]
    rows.append(_row("effects that are detectable by the plan's own pilot", own, asked=False))
    rows.append(_row("effects that are not detectable by the pilot", frame[ratio < 1], asked=False))
    for low, high in itertools.pairwise(RATIOS):
        shown = f"{low:g} to {high:g}" if math.isfinite(high) else f"{low:g} or more"
        part = frame[(ratio >= low) & (ratio < high)]
        rows.append(_row(f"true effect {shown} times what the plan calls detectable", part, asked=low >= 1))
    return rows


def _row(what: str, part: pd.DataFrame, *, asked: bool) -> Row:
    n = len(part)
    if not n:
        return Row(what=what, n=0, specific=0.0, error=0.0, holds="")
    value = float(part["specific"].mean())
    error = math.sqrt(max(value * (1 - value), 1 / n**2) / n)
    near = "within 2 standard errors" if value >= ENOUGH - 2 * error else "NO"
    return Row(what=what, n=n, specific=value, error=error, holds=("yes" if value >= ENOUGH else near) if asked else "")


def render(result: dict[str, Any]) -> str:
    """The page, from the saved numbers alone."""
    on = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    lines = [
        "# Plans",
        "",
        "Where `tlesion.plan_study` calls an effect detectable, is it called specific? Made by "
        "`python -m benchmarks.plan_power`.",
        "",
        *[f"- {line}" for line in result["notes"]],
        f"- {result['studies']} studies; asked for: specific in at least {ENOUGH:.0%}.",
        f"- Measured on {on}; one process, {result['minutes']} minutes on a shared machine.",
        "",
        "| sets | n | called specific | ± s.e. | holds |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for row in result["rows"]:
        value, error = (f"{row['specific']:.3f}", f"{row['error']:.3f}") if row["n"] else ("", "")
        lines.append(f"| {row['what']} | {row['n']} | {value} | {error} | {row['holds']} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Run all studies and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plan_power", description=__doc__)
    parser.add_argument("--studies", type=int, default=N_STUDIES)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    on, start, records = machine() | {"tlesion": version("tlesion")}, time.perf_counter(), []
    for number in range(arguments.studies):
        records += study(number)
        print(f"study {number + 1} of {arguments.studies}", flush=True)
    result = {
        "studies": arguments.studies,
        "machine": on,
        "minutes": round((time.perf_counter() - start) / 60, 1),
        "notes": list(NOTES),
        "rows": [vars(row) for row in rows_of(records)],
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "plan_power.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    (arguments.out / "plan_power.md").write_text(render(result))


if __name__ == "__main__":
    main()
