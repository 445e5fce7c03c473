"""How often is `tlesion.verdict` right? Studies on planted models of known truth.  ``python -m benchmarks.verdicts``

Writes benchmarks/results/verdicts.json and .md. One process of one thread. ``--models 2 --out trial`` for a trial.
"""

import argparse
import json
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks import verdicts_studies as studies
from benchmarks.timing import machine
from benchmarks.verdicts_rows import rows_of
from benchmarks.verdicts_studies import Setting, studies_of
from benchmarks.verdicts_table import render

RESULTS = Path(__file__).parent / "results"
N_MODELS = 100
NOTES = (
    'A study: 40 fresh prompts whose right answer is "him", lesions of two neurons in each of two layers, 50 matched '
    "controls each, and a verdict with its default rules. Each planted model serves 5 studies, and so does each model "
    "with nothing planted. Every fifth model has heavy-tailed noise, every tenth is a masked model.",
    'causal: the two neurons that carry "him" and write to its logit; what zeroing one costs the logit is drawn per '
    "model, 0.08 to 0.8. Noise neurons cost a logit 0.05 (standard deviation over neurons). decoys: carry the context, "
    "write nothing. selected: the two neurons of a layer that a t-test on 16 pairs prefers, without correction. "
    "loud: the four noise neurons of a layer that write most.",
    "The truth of an effect is its mean over 1500 prompts that no study sees. An effect is detectable if it is at "
    "least `detectable_effect` of the verdict; a pilot study is another one on the same model, with prompts and "
    "controls of its own.",
    "p of the controls has steps of 1/51; it was spread evenly within its step before the Kolmogorov-Smirnov test.",
)


def run(n_models: int, *, null: bool, first: int = 0) -> list[dict[str, Any]]:
    """Records of all studies of so many models."""
    records: list[dict[str, Any]] = []
    for number in range(first, first + n_models):
        records += studies_of(Setting(number=number, null=null))
        print(f"{'nothing planted' if null else 'planted'}: model {number + 1 - first} of {n_models}", flush=True)
    return records


def settings(n_models: int) -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "planted studies": n_models * studies.STUDIES_PER_MODEL,
        "studies with nothing planted": n_models * studies.STUDIES_PER_MODEL,
        "seeds": f"1000 k, model k of {2 * n_models}",
        "neurons per layer": studies.D_MLP,
        "neurons lesioned": studies.N_LESIONED,
        "controls": studies.N_CONTROLS,
        "prompts": studies.N_PROMPTS,
        "resamples": studies.N_RESAMPLES,
        "sign flips": studies.N_PERMUTATIONS,
    }


def main() -> None:
    """Run all studies and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdicts", description=__doc__)
    parser.add_argument("--models", type=int, default=N_MODELS, help="planted models, and as many with nothing planted")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    on, start = machine() | {"tlesion": version("tlesion")}, time.perf_counter()
    rows = rows_of(run(arguments.models, null=False), run(arguments.models, null=True))
    result = {
        "settings": settings(arguments.models),
        "machine": on,
        "minutes": round((time.perf_counter() - start) / 60, 1),
        "notes": list(NOTES),
        "rows": [asdict(row) for row in rows],
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "verdicts.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    (arguments.out / "verdicts.md").write_text(render(result))


if __name__ == "__main__":
    main()
