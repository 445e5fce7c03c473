"""Figures of a subspace study: what is removed, what it costs, and how far the damage goes."""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from tlesion.drawing.axes import colour_bar, name_layers, sequential, tick_step
from tlesion.drawing.bands import add_control_band
from tlesion.drawing.style import NEUTRAL, A, Figure, TemplateLike, finish
from tlesion.studies.subspace_removal.result import SubspaceRemoval
from tlesion.studies.subspace_removal.summary import correlate_with_variance, ranks_frame

DROP = "logit drop (clean − lesioned)<br>positive: the lesion cost the token"
MAX_NUMBERED = 24
"""Of more layers than that, points carry their layer in the hover text only."""


def variance_by_layer(result: SubspaceRemoval, *, template: TemplateLike = None) -> Figure:
    """Share of the activations' variance that is removed, per lesioned layer, beside that of the random controls.

    Args:
        result: The result.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Example:
        >>> import tlesion
        >>> model, text = tlesion.load_model("toy-gpt"), "The teacher gave the boy an apple, and he thanked her."
        >>> result = tlesion.subspace_removal(model, text, layers=[2, 8], n_random=1)
        >>> tlesion.plots.variance_by_layer(result).layout.yaxis.title.text
        'share of variance removed'
    """
    figure = Figure()
    if len(result.controls):
        shares = result.controls.variance_ratio.numpy()
        add_control_band(figure, result.layers, shares, unit="variance", form=".2%")
    figure.add_trace(
        go.Bar(
            x=list(result.layers),
            y=result.variance_ratio.numpy(),
            name=result.cut.label,
            marker={"color": A},
            hovertemplate="layer %{x}<br>%{y:.1%} of the variance<extra></extra>",
        )
    )
    name_layers(figure, result.drift.shape[1], title="lesioned layer")
    figure.update_yaxes(title_text="share of variance removed", tickformat=".0%", rangemode="tozero")
    return finish(figure, template, title="What is removed")


def subspace_drop(result: SubspaceRemoval, *, template: TemplateLike = None) -> Figure:
    """Logit drop per lesioned layer with its interval, and the band of the random controls.

    Args:
        result: The result.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Example:
        >>> import tlesion
        >>> model, text = tlesion.load_model("toy-gpt"), "The teacher gave the boy an apple, and he thanked her."
        >>> result = tlesion.subspace_removal(model, text, layers=[2, 8], n_random=1)
        >>> tlesion.plots.subspace_drop(result).layout.yaxis.title.text
        'logit drop (clean − lesioned)<br>positive: the lesion cost the token'
    """
    figure = Figure()
    if len(result.controls):
        means = result.test_of(result.controls).mean.numpy()
        add_control_band(figure, result.layers, means, unit="mean drop", form=".3f")
    mean, low, high = (part.numpy() for part in (result.test.mean, result.test.low, result.test.high))
    figure.add_trace(
        go.Scatter(
            x=list(result.layers),
            y=mean,
            name=f"{result.cut.label}: mean over {result.test.over} and its {result.level:.0%} interval",
            mode="lines+markers",
            line={"color": A, "width": 2.5},
            marker={"size": 7},
            error_y={"array": high - mean, "arrayminus": mean - low, "thickness": 1.5, "width": 4, "color": A}
            if np.isfinite(low).any()
            else None,
            customdata=np.stack([low, high, result.p.numpy()], axis=1),
            hovertemplate=(
                "layer %{x}<br>mean drop %{y:.3f}<br>interval %{customdata[0]:.3f} to %{customdata[1]:.3f}"
                "<br>p %{customdata[2]:.2g}<extra></extra>"
            ),
        )
    )
    name_layers(figure, result.drift.shape[1], title="lesioned layer")
    figure.update_yaxes(title_text=DROP)
    return finish(figure, template, title="What it costs the prediction", height=440)


def drift_map(result: SubspaceRemoval, *, relative: bool = True, template: TemplateLike = None) -> Figure:
    """Drift of the hidden state, lesioned layer against layer: mean over tokens.

    Args:
        result: The result.
        relative: By the norm of the clean hidden state, instead of in its own units.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-gpt")
        >>> result = tlesion.subspace_removal(model, "She gave him an apple.", layers=[2, 8], n_random=1)
        >>> tlesion.plots.drift_map(result).layout.yaxis.title.text
        'lesioned layer'
    """
    mean = (result.drift_relative if relative else result.drift).mean(dim=2).numpy().copy()
    for row, layer in enumerate(result.layers):
        mean[row, :layer] = np.nan
    unit = "drift by clean norm" if relative else "drift"
    figure = Figure(
        go.Heatmap(
            x=list(range(mean.shape[1])),
            y=list(result.layers),
            customdata=mean,
            colorscale=sequential(),
            hovertemplate=f"lesioned layer %{{y}}, after layer %{{x}}<br>{unit} %{{customdata:.4f}}<extra></extra>",
            hoverongaps=False,
            **_colours(mean, unit),
        )
    )
    figure.update_xaxes(title_text="hidden state after layer", dtick=tick_step(mean.shape[1]), showgrid=False)
    figure.update_yaxes(title_text="lesioned layer", dtick=tick_step(mean.shape[1]), showgrid=False, zeroline=False)
    title = "Drift by the clean norm" if relative else "Drift in its own units"
    return finish(figure, template, title=title, height=480)


def variance_against_drop(result: SubspaceRemoval, *, template: TemplateLike = None) -> Figure:
    """Share of variance removed against mean logit drop: a point per lesioned layer, grey ones for the controls.

    Args:
        result: The result.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Example:
        >>> import tlesion
        >>> model, text = tlesion.load_model("toy-gpt"), "The teacher gave the boy an apple, and he thanked her."
        >>> result = tlesion.subspace_removal(model, text, layers=[2, 8], n_random=1)
        >>> tlesion.plots.variance_against_drop(result).layout.xaxis.title.text
        'share of variance removed'
    """
    figure = Figure()
    if len(result.controls):
        means = result.test_of(result.controls).mean.numpy().ravel()
        figure.add_trace(
            go.Scatter(
                x=result.controls.variance_ratio.numpy().ravel(),
                y=means,
                name="random controls",
                mode="markers",
                marker={"color": NEUTRAL, "size": 5, "opacity": 0.6},
                text=[str(layer) for _ in result.controls.labels for layer in result.layers],
                hovertemplate="control, layer %{text}<br>%{x:.2%} of the variance, drop %{y:.3f}<extra></extra>",
            )
        )
    figure.add_trace(
        go.Scatter(
            x=result.variance_ratio.numpy(),
            y=result.mean_drop.numpy(),
            name=f"{result.cut.label}, numbered by layer",
            mode="markers+text" if len(result.layers) <= MAX_NUMBERED else "markers",
            text=[str(layer) for layer in result.layers],
            textposition="top center",
            marker={"color": A, "size": 9},
            hovertemplate="layer %{text}<br>%{x:.1%} of the variance, drop %{y:.3f}<extra></extra>",
        )
    )
    r = correlate_with_variance(result)["r"].tolist()
    found = f": r = {r[0]:.2f}, ρ = {r[1]:.2f}".replace("-", "−") if np.isfinite(r[0]) else ""
    figure.update_xaxes(title_text="share of variance removed", tickformat=".0%", rangemode="tozero")
    figure.update_yaxes(title_text=DROP)
    return finish(figure, template, title=f"Variance against damage{found}", height=440)


def rank_sweep(result: SubspaceRemoval, *, template: TemplateLike = None) -> Figure:
    """Mean logit drop over lesioned layers by rank, fitted and random.

    Args:
        result: A result with further ranks.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Raises:
        ValueError: The result has one rank only.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-gpt")
        >>> result = tlesion.subspace_removal(model, "She gave him an apple.", layers=[2], n_random=1, ranks=[2])
        >>> tlesion.plots.rank_sweep(result).layout.xaxis.title.text
        'rank'
    """
    frame = ranks_frame(result)
    if frame["rank"].nunique() < 2:
        raise ValueError("this result has one rank only; make it with tlesion.subspace_removal(..., ranks=[1, 2, 4])")
    figure = Figure()
    for kind, name, colour in (("fitted", result.cut.kind, A), ("control", "random", NEUTRAL)):
        rows = frame[frame["kind"] == kind]
        if len(rows):
            figure.add_trace(
                go.Scatter(
                    x=rows["rank"],
                    y=rows["mean_drop"],
                    name=name,
                    mode="lines+markers",
                    line={"color": colour, "width": 2.5},
                    marker={"size": 7},
                    customdata=rows[["variance_ratio", "drift_at_end"]],
                    hovertemplate=(
                        f"<b>{name}</b>, rank %{{x}}<br>mean drop %{{y:.3f}}<br>%{{customdata[0]:.1%}} of the variance"
                        "<br>drift at the end %{customdata[1]:.3f} of the norm<extra></extra>"
                    ),
                )
            )
    figure.update_xaxes(title_text="rank", type="log", tickvals=sorted(frame["rank"].unique()))
    figure.update_yaxes(title_text=DROP)
    return finish(figure, template, title="More directions", height=440)


def _colours(values: np.ndarray, unit: str) -> dict[str, Any]:
    """Colours from zero, or on a logarithmic scale where a few large values would leave the rest without colour."""
    positive = values[values > 0]
    if not len(positive) or positive.max() < 5 * np.median(positive):
        high = float(positive.max()) if len(positive) else 1.0
        return {"z": values, "zmin": 0.0, "zmax": high, "colorbar": colour_bar(unit)}
    shown = np.log10(np.where(values > 0, values, np.nan))
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    steps = [step * 10.0**power for power in range(int(np.floor(low)), int(np.ceil(high)) + 1) for step in (1, 2, 5)]
    ticks = [step for step in steps if low <= np.log10(step) <= high]
    labels = [f"{tick:g}" for tick in ticks]
    bar = colour_bar(unit, tickvals=np.log10(ticks), ticktext=labels)
    return {"z": shown, "zmin": low, "zmax": high, "colorbar": bar}
