"""Seconds side by side, and tables that say on which machine they were taken."""

import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

RESULTS = Path(__file__).parent / "results"
SLOW = 15.0  # seconds: a contender that takes longer than this is timed once
PACKAGES = ("torch", "transformer-lens", "transformers", "nnsight", "pyvene", "captum")


def side_by_side(contenders: Mapping[str, Callable[[], Any]], *, rounds: int, warm: bool = True) -> dict[str, float]:
    """Median seconds of each contender, all of them in turn in every round, so that drift hits them alike.

    Args:
        contenders: What to time, by name.
        rounds: How often each is timed; those that take longer than :data:`SLOW` seconds in the first round, once.
        warm: Call each once first, untimed.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    if warm:
        for run in contenders.values():
            run()
    for _ in range(rounds):
        for name, run in contenders.items():
            if seconds[name] and seconds[name][0] > SLOW:
                continue
            gc.collect()
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def matmul_rate(d_in: int, d_out: int, *, rows: int = 2048, repeats: int = 40) -> float:
    """The best float32 matrix-product rate seen on this machine at a block's size, in FLOP/s."""
    a, b = torch.randn(rows, d_in), torch.randn(d_in, d_out)
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * rows * d_in * d_out / best


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    installed = {}
    for package in PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            installed[package] = "not installed"
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        **installed,
    }


def save_table(
    name: str, title: str, rows: Sequence[Mapping[str, Any]], *, notes: Sequence[str], on: Mapping[str, Any]
) -> None:
    """Write ``results/<name>.json`` and ``.md``; every number of the table is in both."""
    RESULTS.mkdir(exist_ok=True)
    record = {"title": title, "machine": dict(on), "rows": [dict(row) for row in rows], "notes": list(notes)}
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [f"# {title}", "", f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]
    lines += [f"| {' | '.join(_shown(row.get(column, '')) for column in columns)} |" for row in rows]
    lines += [
        "",
        *[f"- {note}" for note in notes],
        "",
        "Measured on: " + ", ".join(f"{k} {v}" for k, v in on.items()) + ".",
    ]
    (RESULTS / f"{name}.md").write_text("\n".join(lines) + "\n")


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
