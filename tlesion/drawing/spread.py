"""The spread over prompts: a median line, a band of the middle half, and a faint point for every prompt."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from tlesion.drawing.style import Figure, translucent


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
