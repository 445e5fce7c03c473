"""Cost of the sweep against layers, prompts, tokens and lesions, the loop beside it.  ``python -m benchmarks.scaling``

Writes a table and a figure (scaling.png) into benchmarks/results. The figure needs kaleido (in the ``docs`` extra) and
a Chrome or Chromium.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

from benchmarks.peers import Work
from benchmarks.shapes import Shape, hooked, hugging_face
from benchmarks.static import browser
from benchmarks.timing import RESULTS, machine, save_table, side_by_side
from tlesion import interventions as iv
from tlesion.drawing import style
from tlesion.sweeps.engine import run_sweep
from tlesion.sweeps.groups import Reading
from tlesion.sweeps.lesions import read_lesions
from tlesion.sweeps.sinks import TargetSink

BASE = {"layers": 12, "prompts": 4, "tokens": 32, "lesions": 12}
STEPS = {
    "layers": (4, 8, 12, 24),
    "prompts": (1, 4, 16, 64),
    "tokens": (8, 32, 128, 512),
    "lesions": (3, 12, 48, 192),
}
SHAPES = {
    "causal": Shape("causal, d_model 256", False, 12, 256, 4, 8000),
    "masked": Shape("masked, d_model 256", True, 12, 256, 4, 8000),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="timed calls of each point (default 3)")
    parser.add_argument("--threads", type=int, default=0, help="torch threads (default: torch's own choice)")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    on = machine()
    notes = [
        f"One size varies, the others stay at {BASE}; lesions are one layer each, at the readout position.",
        "Drawn in scaling.png.",
    ]
    rows = []
    for kind, axis in product(SHAPES, STEPS):
        rows += [measure(kind, axis, value, rounds=options.rounds) for value in STEPS[axis]]
        save_table("scaling", "Cost of the sweep against size", rows, notes=notes, on=on)
    with browser() as render:
        (RESULTS / "scaling.png").write_bytes(render(figure(rows).to_dict(), width=1200, height=640))


def measure(kind: str, axis: str, value: int, *, rounds: int) -> dict[str, Any]:
    """Seconds of the loop, fan-out and the plan that auto takes, at one size."""
    sizes = BASE | {axis: value}
    if axis == "layers":
        sizes["lesions"] = value
    shape = replace(SHAPES[kind], n_layers=sizes["layers"])
    model = hooked(shape, hugging_face(shape))
    rng = torch.Generator().manual_seed(0)
    ids = torch.randint(10, shape.d_vocab, (sizes["prompts"], sizes["tokens"]), generator=rng)
    at = sizes["tokens"] - 1
    work = Work(shape=shape, hf=None, tl=model, ours=model, ids=ids, units=torch.arange(100), at=at)
    plans: dict[str, Callable[[], Any]] = {
        plan: lambda plan=plan: sweep(work, sizes["lesions"], plan) for plan in ("loop", "fanout", "auto")
    }
    with torch.no_grad():
        seconds = side_by_side(plans, rounds=rounds)
    row = {"model": kind, "varied": axis, **sizes, **{f"{plan} [s]": s for plan, s in seconds.items()}}
    print(row, flush=True)
    return row


def sweep(work: Work, n_lesions: int, plan: str) -> None:
    readings = [Reading(ids, torch.tensor([work.at]), torch.tensor([[7]])) for ids in work.ids]
    lesions = [
        [iv.zero(f"blocks.{i % work.shape.n_layers}.mlp.hook_post", units=work.units, positions=work.at)]
        for i in range(n_lesions)
    ]
    sink = TargetSink(readings, global_change=False)
    run_sweep(work.ours, readings, read_lesions(work.ours, lesions), sink, plan=plan)


def figure(rows: list[dict[str, Any]]) -> go.Figure:
    """Log-log cost against each size, a row per kind of model."""
    titles = [f"{kind}: {axis}" for kind in SHAPES for axis in STEPS]
    fig = make_subplots(rows=len(SHAPES), cols=len(STEPS), subplot_titles=titles, shared_yaxes=True)
    styles = {"loop": (style.NEUTRAL, "dot"), "fanout": (style.A, "dash"), "auto": (style.B, "solid")}
    for r, kind in enumerate(SHAPES, start=1):
        for c, axis in enumerate(STEPS, start=1):
            few = [row for row in rows if row["model"] == kind and row["varied"] == axis]
            for plan, (colour, dash) in styles.items():
                fig.add_scatter(
                    x=[row[axis] for row in few],
                    y=[row[f"{plan} [s]"] for row in few],
                    name=plan,
                    legendgroup=plan,
                    showlegend=r == c == 1,
                    line={"color": colour, "dash": dash},
                    row=r,
                    col=c,
                )
            fig.update_xaxes(type="log", title_text=axis, tickvals=STEPS[axis], row=r, col=c)
    fig.update_yaxes(type="log", dtick=1)
    fig.update_yaxes(title_text="seconds", col=1)
    style.finish(fig, None, title="Cost of the sweep against size, the loop beside it", height=640)
    return fig.update_layout(margin={"t": 90})


if __name__ == "__main__":
    main()
