"""Bands behind lines: the range of controls, and the spread over prompts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from tlesion.drawing.style import NEUTRAL, B, Figure, translucent


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
    """Draw a quantity over x, and the same quantity of matched controls.

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
    """A legend entry that says what dots and bands are; nothing where there are no controls."""
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


def add_control_band(figure: Figure, layers: Sequence[int], values: np.ndarray, *, unit: str, form: str) -> None:
    """The range of the random controls, and their mean."""
    low, high, mean = values.min(axis=0), values.max(axis=0), values.mean(axis=0)
    name = f"{len(values)} random controls: mean and range"
    band = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False, "legendgroup": name}
    figure.add_trace(go.Scatter(x=list(layers), y=low, **band))
    figure.add_trace(go.Scatter(x=list(layers), y=high, fill="tonexty", fillcolor=translucent(NEUTRAL, 0.3), **band))
    figure.add_trace(
        go.Scatter(
            x=list(layers),
            y=mean,
            name=name,
            legendgroup=name,
            mode="lines",
            line={"color": B, "width": 1.5, "dash": "dot"},
            customdata=np.stack([low, high], axis=1),
            hovertemplate=(
                f"random, layer %{{x}}<br>{unit} %{{y:{form}}}"
                f"<br>range %{{customdata[0]:{form}}} to %{{customdata[1]:{form}}}<extra></extra>"
            ),
        )
    )


def add_spread(
    figure: Figure,
    layers: Sequence[int],
    values: Float[np.ndarray, "layer prompt"],
    *,
    name: str,
    colour: str,
    prompts: Sequence[str] | None,
    unit: str,
    offset: float = 0.0,
    show_legend: bool = True,
    row: int | None = None,
    col: int | None = None,
) -> None:
    """Draw one quantity over layers with its spread over prompts.

    Args:
        figure: What to draw into.
        layers: The x axis.
        values: The quantity for every layer and prompt.
        name: For the legend.
        colour: ``#RRGGBB``.
        prompts: Texts for the faint points' hover; None: no points.
        unit: What the value is, for the hover.
        offset: Shift of the faint points along x, so that two quantities' points lie beside each other.
        show_legend: Whether this one stands in the legend (once per figure is enough).
        row: Subplot row.
        col: Subplot column.
    """
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75], axis=1)
    where = {"row": row, "col": col}
    common = {"legendgroup": name, "x": list(layers)}
    if prompts is not None:
        figure.add_trace(_points(layers, values, prompts, name=name, colour=colour, unit=unit, offset=offset), **where)
    band = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    figure.add_trace(go.Scatter(y=low, **common, **band), **where)
    fill = {"fill": "tonexty", "fillcolor": translucent(colour, 0.22)}
    figure.add_trace(go.Scatter(y=high, **common, **band, **fill), **where)
    figure.add_trace(
        go.Scatter(
            y=median,
            name=name,
            mode="lines+markers",
            line={"color": colour, "width": 2.5},
            marker={"size": 6},
            showlegend=show_legend,
            customdata=np.stack([low, high], axis=1),
            hovertemplate=(
                f"<b>{name}</b>, layer %{{x}}<br>median {unit} %{{y:.3f}}"
                "<br>middle half %{customdata[0]:.3f} to %{customdata[1]:.3f}<extra></extra>"
            ),
            **common,
        ),
        **where,
    )


def _points(
    layers: Sequence[int],
    values: Float[np.ndarray, "layer prompt"],
    prompts: Sequence[str],
    *,
    name: str,
    colour: str,
    unit: str,
    offset: float,
) -> go.Scatter:
    n_layers, n_prompts = values.shape
    # Spread evenly by the prompt's number: the same picture every time, without a random state.
    jitter = offset + 0.16 * (np.arange(n_prompts) * 0.618034 % 1 - 0.5)
    x = np.asarray(layers, dtype=float)[:, None] + jitter
    return go.Scatter(
        x=np.round(x, 3).ravel(),
        y=np.round(values, 5).ravel(),
        mode="markers",
        marker={"size": 3.5, "color": colour, "opacity": 0.3, "line": {"width": 0}},
        legendgroup=name,
        showlegend=False,
        text=[prompt for _ in range(n_layers) for prompt in prompts],
        customdata=np.repeat(np.asarray(layers), n_prompts),
        hovertemplate=(f"<b>{name}</b>, layer %{{customdata}}<br>{unit} %{{y:.3f}}<br>%{{text}}<extra></extra>"),
    )
