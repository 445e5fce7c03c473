"""Random controls beside what they are controls of: the band of their values by layer."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from tlesion.drawing.style import NEUTRAL, B, Figure, translucent


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
