"""A line with the band of its controls behind it: their mean dotted, their range filled."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from tlesion.drawing.style import NEUTRAL, Figure, translucent


def add_with_controls(
    figure: Figure,
    x: Sequence[float | int],
    values: Float[np.ndarray, " x"],
    controls: Float[np.ndarray, "control x"],
    *,
    name: str,
    colour: str,
    hover: str,
    dash: str = "solid",
    group: str | None = None,
    show_legend: bool = True,
    row: int = 1,
    col: int = 1,
) -> None:
    """Draw a quantity over x, and what it is for matched controls.

    Args:
        figure: What to draw into.
        x: The x axis.
        values: The quantity.
        controls: The same of every control; without one no band is drawn.
        name: For the legend.
        colour: ``#RRGGBB``.
        hover: What x and y are, with ``%{x}`` and ``%{y}``.
        dash: Of the line.
        group: What is shown and hidden together from the legend; None: its own name.
        show_legend: Whether this one stands in the legend (once per figure is enough).
        row: Subplot row.
        col: Subplot column.
    """
    where: dict[str, Any] = {"row": row, "col": col}
    common: dict[str, Any] = {"x": list(x), "legendgroup": group or name}
    if len(controls):
        low, high, mean = controls.min(axis=0), controls.max(axis=0), controls.mean(axis=0)
        band = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
        figure.add_trace(go.Scatter(y=low, **common, **band), **where)
        fill = {"fill": "tonexty", "fillcolor": translucent(colour, 0.16)}
        figure.add_trace(go.Scatter(y=high, **common, **band, **fill), **where)
        figure.add_trace(
            go.Scatter(
                y=mean,
                name=f"controls of {name}",
                mode="lines",
                line={"color": colour, "width": 1.5, "dash": "dot"},
                showlegend=False,
                customdata=np.stack([low, high], axis=1),
                hovertemplate=f"<b>controls of {name}</b><br>{hover}"
                "<br>range %{customdata[0]:.3f} to %{customdata[1]:.3f}<extra></extra>",
                **common,
            ),
            **where,
        )
    figure.add_trace(
        go.Scatter(
            y=values,
            name=name,
            mode="lines+markers",
            line={"color": colour, "width": 2.5, "dash": dash},
            marker={"size": 6},
            showlegend=show_legend,
            hovertemplate=f"<b>{name}</b><br>{hover}<extra></extra>",
            **common,
        ),
        **where,
    )


def add_controls_key(figure: Figure, n_controls: int) -> None:
    """What dots and bands are, once for the legend; nothing where there are no controls."""
    if n_controls:
        key = go.Scatter(
            x=[None],
            y=[None],
            name=f"{n_controls} matched controls: mean and range",
            mode="lines",
            line={"color": NEUTRAL, "width": 1.5, "dash": "dot"},
            legendrank=1001,  # after the lines that they are controls of
            hoverinfo="skip",
        )
        figure.add_trace(key, row=1, col=1)
