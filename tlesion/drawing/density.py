"""Density plots: many points as counts in cells, so that a page stays small however many there are."""

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from tlesion.drawing.style import NEUTRAL, SEQUENTIAL, Figure

N_CELLS = 90
"""Cells along each axis."""

SHOWN = 0.999
"""The axes span this share of the values; the few outside are counted in the title of the axis."""


def add_density(
    figure: Figure, x: Float[np.ndarray, "..."], y: Float[np.ndarray, "..."], *, names: tuple[str, str], unit: str
) -> None:
    """Draw pairs of values as a density, both axes with the same range, and the diagonal on which they are equal.

    Args:
        figure: What to draw into; its axes get titles and a common range.
        x: Values of the x axis.
        y: Their partners.
        names: Titles of the axes.
        unit: What a pair is ("token and neuron"), for the hover.
    """
    x, y = np.ravel(x).astype(np.float64), np.ravel(y).astype(np.float64)
    both = np.concatenate([x, y])
    tail = (1 - SHOWN) / 2
    low, high = (float(bound) for bound in np.quantile(both, [tail, 1 - tail]))
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, N_CELLS + 1)
    counts = np.histogram2d(x, y, bins=(edges, edges))[0].T
    n_outside = len(x) - int(counts.sum())
    middles = np.round((edges[1:] + edges[:-1]) / 2, 4)
    with np.errstate(divide="ignore"):
        shown = np.where(counts > 0, np.log10(counts), np.nan)
    ticks = range(int(np.nanmax(shown)) + 1 if np.isfinite(shown).any() else 1)
    figure.add_trace(
        go.Heatmap(
            x=middles,
            y=middles,
            z=np.round(shown, 3),
            customdata=counts.astype(int),
            colorscale=[list(stop) for stop in SEQUENTIAL],
            zmin=-0.3,
            colorbar={
                "title": {"text": f"number of {unit}s", "side": "right"},
                "tickvals": list(ticks),
                "ticktext": [f"{10**tick:,}" for tick in ticks],
                "thickness": 12,
                "outlinewidth": 0,
            },
            hovertemplate=(
                f"{names[0].split('<br>')[0]} %{{x:.3f}}<br>{names[1].split('<br>')[0]} %{{y:.3f}}"
                f"<br>%{{customdata:,}} {unit}s<extra></extra>"
            ),
        )
    )
    diagonal = {"color": NEUTRAL, "width": 1.5, "dash": "dash"}
    figure.add_trace(
        go.Scatter(x=[low, high], y=[low, high], mode="lines", line=diagonal, showlegend=False, hoverinfo="skip")
    )
    outside = f"<br>{n_outside:,} of {len(x):,} pairs lie outside" if n_outside else ""
    figure.update_xaxes(title_text=f"{names[0]}{outside}", range=[low, high], constrain="domain")
    figure.update_yaxes(title_text=names[1], range=[low, high], scaleanchor="x", constrain="domain")
