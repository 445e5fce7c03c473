"""Do the tests keep what they promise? Simulated studies with a known truth.  ``python -m benchmarks.calibration``

Writes benchmarks/results/calibration.json and .md. Most studies draw rows directly (`calibration_tensors`); a part runs
sentences through planted models with `select_neurons` (`calibration_models`). Two processes of one thread each.
"""

import argparse
import json
import math
import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from benchmarks import calibration_models, calibration_rows
from benchmarks.calibration_rows import Row, described
from benchmarks.calibration_table import render
from benchmarks.calibration_tally import merged
from benchmarks.calibration_tensors import PERMUTED, Design, simulate, simulate_permutation

RESULTS = Path(__file__).parent / "results"
PROCESSES = 2
N_PAIRS = (5, 20, 54)
SIZES = {8: (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0), 20: (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5)}
SIZES[54] = tuple(size * 0.6 for size in SIZES[20])
MODEL_SIZES = {5: (2.0, 3.0, 4.0, 6.0), 8: (1.0, 2.0, 3.0, 4.0), 20: (0.5, 1.0, 1.5, 2.0), 54: (0.3, 0.6, 0.9, 1.2)}
MODEL_STUDIES = (
    (5, "normal", ("welch", "moderated")),
    (8, "normal", ("welch", "moderated")),
    (20, "normal", ("welch", "moderated", "paired", "permutation")),
    (20, "heavy", ("welch", "moderated", "permutation")),
    (54, "normal", ("welch", "moderated")),
)
PRIOR_DOF = 8.0


def null_rows(design: Design, n_studies: int, seed: int) -> list[Row]:
    """Nothing differs: family-wise errors, false discoveries and the distribution of p."""
    simulated = simulate(design, n_studies, seed)
    rows = calibration_rows.error_rows(simulated.tallies, "tensors", described(design), null=True)
    return rows + calibration_rows.uniform_rows(simulated, described(design))


def planted_rows(design: Design, n_studies: int, seed: int) -> list[Row]:
    """Some units differ: false discoveries of BH."""
    simulated = simulate(design, n_studies, seed, corrections=("fdr_bh",))
    return calibration_rows.error_rows(simulated.tallies, "tensors", described(design), null=False)


def permutation_rows(design: Design, n_studies: int, seed: int, *, kind: str) -> list[Row]:
    """Nothing differs: family-wise error of max-T."""
    tally = simulate_permutation(design, n_studies, seed, kind=kind)
    return calibration_rows.error_rows({(kind, "max_t"): tally}, "tensors", described(design), null=True)


def power_rows(design: Design, n_studies: int, seed: int) -> list[Row]:
    """Some units differ: how many of each size are found."""
    tests = ("paired", "moderated_paired", "welch", "moderated")
    simulated = simulate(design, n_studies, seed, tests=tests, corrections=("bonferroni", "fdr_bh"))
    return calibration_rows.power_rows(
        simulated.tallies,
        "tensors",
        described(design),
        n=design.n,
        n_tests=design.n_units,
        share_true=design.n_true / design.n_units,
        together=[design.effects],
        prior_dof=design.variance_dof,
    )


def moderated_rows(design: Design, n_studies: int, seed: int) -> list[Row]:
    """Some units differ: the moderated tests beside the plain ones."""
    tests = ("welch", "moderated", "paired", "moderated_paired")
    simulated = simulate(design, n_studies, seed, tests=tests, corrections=(), keep_p=True)
    return calibration_rows.moderated_rows(simulated.p, design.effect != 0, "tensors", described(design))


def tensor_jobs(scale: float) -> list[Callable[[], list[Row]]]:
    """Every simulation without a model, with its own seed."""
    many, few = max(20, int(20_000 * scale)), max(20, int(1_000 * scale))
    jobs: list[Callable[[], list[Row]]] = []
    for n in N_PAIRS:
        for tails in ("normal", "heavy"):
            seed = 1_000_000 * (1 + len(jobs))
            jobs.append(partial(null_rows, Design(n, 200, tails), many, seed))
            planted = Design(n, 200, tails, effects=(0.5, 1.0, 1.5, 2.0), n_true=20)
            jobs.append(partial(planted_rows, planted, many, seed + 100_000))
            for number, kind in enumerate(PERMUTED):
                seed_here = seed + 200_000 * (1 + number)
                jobs.append(partial(permutation_rows, Design(n, 100, tails), many // 2, seed_here, kind=kind))
    for n, sizes in SIZES.items():
        # 16 sizes' worth of units: each size comes with both signs, six or seven times.
        jobs.append(partial(power_rows, Design(n, 1024, effects=sizes, n_true=112), few, 50_000_000 + n))
    for dof in (4.0, PRIOR_DOF, math.inf):
        design = Design(8, 1000, effects=(1.0, 2.0, 3.0), n_true=102, variance_dof=dof)
        jobs.append(partial(moderated_rows, design, few, 60_000_000 + len(jobs)))
    return jobs


def model_part(n: int, tails: str, tests: tuple[str, ...], n_studies: int, seed: int) -> Any:
    """A part of the studies of one kind through planted models."""
    return calibration_models.simulate_models(n, n_studies, seed, tests=tests, effects=MODEL_SIZES[n], tails=tails)


def model_rows(pool: ProcessPoolExecutor, scale: float) -> list[Row]:
    """All studies through planted models."""
    rows = []
    for number, (n, tails, tests) in enumerate(MODEL_STUDIES):
        size = max(20, int(100 * scale))
        seeds = [100_000 * (1 + number) + 1_000 * part for part in range(10)]
        parts = list(pool.map(partial(model_part, n, tails, tests, size), seeds))
        keys = list(parts[0][0])
        tallies = {key: merged([part[0][key] for part in parts]) for key in keys}
        setting = f"{n} pairs, {tails}, {calibration_models.N_CARRIERS} of {calibration_models.D_MLP} planted"
        rows += calibration_rows.layer_rows(tallies, setting, n=n, effects=MODEL_SIZES[n], prior_dof=PRIOR_DOF)
        if n == 8:
            p = {test: torch.cat([part[1][test] for part in parts]) for test in tests}
            true = torch.cat([part[2] for part in parts])
            rows += calibration_rows.moderated_rows(p, true, "planted model", setting)
        print(f"planted models: {setting}", flush=True)
    return rows


def environment() -> dict[str, Any]:
    """Machine and versions."""
    packages = ("torch", "transformer-lens", "transformers", "numpy", "scipy", "statsmodels", "tlesion")
    info = Path("/proc/cpuinfo")
    models = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }


def tensor_rows(pool: ProcessPoolExecutor, scale: float) -> list[Row]:
    """All simulations without a model."""
    futures = [pool.submit(job) for job in tensor_jobs(scale)]
    rows = []
    for number, future in enumerate(futures, start=1):
        rows += future.result()
        print(f"simulations on tensors: {number} of {len(futures)}", flush=True)
    return rows


def main() -> None:
    """Run everything, or one source alone, and write the table."""
    sources = {"tensors": tensor_rows, "planted model": model_rows}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full number of studies, for a trial")
    parser.add_argument("--source", choices=sources, help="run only this; the other's saved numbers stay")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    saved = arguments.out / "calibration.json"
    kept = arguments.source and saved.exists()
    result: dict[str, Any] = json.loads(saved.read_text()) if kept else {"minutes": {}, "rows": []}
    result["environment"] = environment()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(PROCESSES, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        for source in [arguments.source] if arguments.source else sources:
            start = time.perf_counter()
            rows = [asdict(row) for row in sources[source](pool, arguments.scale)]
            result["rows"] = [row for row in result["rows"] if row["source"] != source] + rows
            result["minutes"][source] = round((time.perf_counter() - start) / 60, 1)
            if source == "planted model":
                result["truth"] = calibration_models.realised_effects(max(200, int(5_000 * arguments.scale)), 7)
            saved.write_text(json.dumps(result, indent=1) + "\n")
            (arguments.out / "calibration.md").write_text(render(result))


if __name__ == "__main__":
    main()
