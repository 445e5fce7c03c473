"""``python -m benchmarks.verdicts``: writes benchmarks/results/verdicts.json and .md.  ``--studies 20`` for a trial."""

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch

from benchmarks.timing import machine
from benchmarks.verdicts.copies import copy_claims
from benchmarks.verdicts.rows import Row, claims, measured
from benchmarks.verdicts.table import render
from benchmarks.verdicts.toys import N_POOL, toy_claims

RESULTS = Path(__file__).parents[1] / "results"
N_STUDIES = 1000
NOTES = (
    "A study, unless a row says otherwise: 6 layers of 200 neurons, two masks of 5 % of each layer, 40 prompts (20 for "
    "each mask's word), 99 controls matched on activity, a verdict by its default rules with 2,000 sign flips. Neurons "
    "write to the two words and to many other tokens; their activations vary over prompts.",
    "Wrongly: nothing tells the masks from random ones, and a study counts if any of its lesions is called so; a "
    "random mask has an effect, too, but none beyond those of other random masks.",
    "negligible: the true effect is exactly (or half) the smallest effect of interest, of either sign; its standard "
    "deviation over prompts is half of that.",
    "interval covers: 20 means in each study.",
    "planted: four neurons of each mask in the last layer carry the effect. A pilot study on other prompts gives "
    "`detectable_effect`.",
    f"toy-bert: a pool of {N_POOL} random masks was lesioned once; each study takes two of them, 99 controls for each, "
    "and some of the prompts, so that studies share lesions.",
    "Refused: six sentences select, one prompt is a near-copy of one of them.",
)


def run(place: tuple[str, int], n_studies: int) -> list[Row]:
    """The rows of one claim, by its place in its list."""
    torch.set_num_threads(1)
    made = {"worlds": claims, "copies": copy_claims, "toys": toy_claims}[place[0]]()
    rows = measured(made[place[1]], range(n_studies))
    for row in rows:
        print(row, flush=True)
    return rows


def main() -> None:
    """Run all studies and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdicts", description=__doc__)
    parser.add_argument("--studies", type=int, default=N_STUDIES, help="in each row")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    on, start = machine() | {"tlesion": version("tlesion")}, time.perf_counter()
    places = [("toys", 0), *(("worlds", i) for i in range(len(claims()))), *(("copies", i) for i in range(4))]
    with ProcessPoolExecutor(given.workers) as workers:
        rows = [row for some in workers.map(partial(run, n_studies=given.studies), places) for row in some]
    minutes = round((time.perf_counter() - start) / 60, 1)
    result = {"machine": on, "minutes": minutes, "notes": list(NOTES), "rows": [asdict(row) for row in rows]}
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "verdicts.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    (given.out / "verdicts.md").write_text(render(result))


if __name__ == "__main__":
    main()
