"""Variants of a replacement as lines: one colour for those that differ in their layer only."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from tlesion.drawing.style import MORE, NEUTRAL, A, B, Figure
from tlesion.studies.replacement.result import Replacement


def families(result: Replacement, chosen: Sequence[int]) -> dict[str, tuple[list[int], str]]:
    """Variants that differ in their layer only, by name, with a colour for each."""
    wanted = set(chosen)
    found = {name: [i for i in indices if i in wanted] for name, indices in result.families().items()}
    palette = (A, B, *MORE)
    return {name: (indices, palette[i % len(palette)]) for i, (name, indices) in enumerate(found.items())}


def add_variants(
    figure: Figure,
    result: Replacement,
    values: np.ndarray,
    chosen: Sequence[int],
    *,
    unit: str,
    show_legend: bool = True,
    row: int | None = None,
    col: int | None = None,
) -> None:
    """A thin line per variant, from its lesioned block on, in the colour of its family."""
    for name, (indices, colour) in families(result, chosen).items():
        for place, index in enumerate(indices):
            start = result.starts[index]
            layers = np.arange(start, values.shape[1])
            figure.add_trace(
                go.Scatter(
                    x=layers,
                    y=values[index, start:],
                    name=name,
                    legendgroup=name,
                    showlegend=show_legend and place == 0,
                    mode="lines+markers",
                    line={"color": colour, "width": 1.4},
                    opacity=0.85,
                    marker={"size": [8] + [3] * (len(layers) - 1), "color": colour},
                    hovertemplate=(
                        f"<b>{result.variants[index]}</b><br>after layer %{{x}}<br>{unit} %{{y:.4g}}<extra></extra>"
                    ),
                ),
                row=row,
                col=col,
            )


def clean_line(values: np.ndarray) -> go.Scatter:
    """The clean run, thick and grey."""
    return go.Scatter(
        x=np.arange(len(values)),
        y=values,
        name="clean",
        mode="lines+markers",
        line={"color": NEUTRAL, "width": 3.5},
        marker={"size": 7},
        hovertemplate="<b>clean</b><br>after layer %{x}<br>%{y:.4g}<extra></extra>",
    )
