"""Figures of activations before and after the activation function, and of what it silences."""

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tlesion.checks import one_of
from tlesion.drawing.style import Figure, TemplateLike, colour_map, finish
from tlesion.studies.evidence.activation_histogram import ActivationHistogram

POINTS = ("before", "after")
MAX_BINS = 64
"""Most bins that a figure shows; the result has more."""


def activation_histogram(
    histogram: ActivationHistogram,
    *,
    layer: int,
    point: str | None = None,
    template: TemplateLike = None,
) -> Figure:
    """Distribution of one layer's activations in both conditions, before and after the activation function.

    The legend states the share of values that the function silences.

    Args:
        histogram: The histograms.
        layer: The model's layer.
        point: Only the values ``"before"`` or ``"after"`` the activation function; None: both, side by side.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Raises:
        ValueError: The result has no such layer, or an unknown point.

    Example:
        >>> import tlesion
        >>> from tlesion.studies.evidence.activation_histogram import activation_histogram
        >>> model, contrast = tlesion.load_model("toy-bert"), tlesion.contrasts.him_her()
        >>> found = activation_histogram(model, contrast, layers=[3])
        >>> figure = tlesion.plots.activation_histogram(found, layer=3)
        >>> figure.layout.title.text
        'Activations of layer 3'
    """
    if layer not in histogram.layers:
        raise ValueError(f"layer {layer} is not in this histogram; it has the layers {list(histogram.layers)}")
    if point is not None:
        one_of("point", point, POINTS)
    shown = POINTS if point is None else (point,)
    titles = [f"{name} the activation function" for name in shown]
    figure = make_subplots(cols=len(shown), horizontal_spacing=0.1, subplot_titles=titles if not point else None)
    row = histogram.layers.index(layer)
    for col, name in enumerate(shown, start=1):
        for condition in range(2):
            figure.add_trace(_steps(histogram, name, condition, row, show_legend=col == 1), row=1, col=col)
        figure.update_xaxes(title_text=f"activation, mlp.hook_{'pre' if name == 'before' else 'post'}", col=col)
    figure.update_yaxes(type="log", exponentformat="power", dtick=1)  # a tick per power of ten
    figure.update_yaxes(title_text="density (share of values per unit)", col=1)
    title = f"Layer {layer}, {titles[0]}" if point else f"Activations of layer {layer}"
    return finish(figure, template, title=title)


def silenced_share(histogram: ActivationHistogram, *, template: TemplateLike = None) -> Figure:
    """Share of values that the activation function silences, per layer and condition, and of negative ones (dots).

    Args:
        histogram: The histograms; its ``silenced`` says what counts.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Example:
        >>> import tlesion
        >>> from tlesion.studies.evidence.activation_histogram import activation_histogram
        >>> model, contrast = tlesion.load_model("toy-bert"), tlesion.contrasts.him_her()
        >>> found = activation_histogram(model, contrast, layers=[3])
        >>> figure = tlesion.plots.silenced_share(found)
        >>> figure.layout.title.text
        'What the activation function lets through'
    """
    colours = colour_map(histogram.conditions)
    figure = Figure()
    parts = (("silenced", histogram.silenced, "solid", 2.5), ("negative", histogram.negative, "dot", 1.5))
    for what, shares, dash, width in parts:
        for condition, values in zip(histogram.conditions, 100 * shares.numpy(), strict=True):
            figure.add_trace(
                go.Scatter(
                    x=list(histogram.layers),
                    y=values,
                    name=f"{what}, {condition}",
                    mode="lines+markers" if what == "silenced" else "lines",
                    line={"color": colours[condition], "dash": dash, "width": width},
                    hovertemplate=f"<b>{what}</b>, {condition}, layer %{{x}}<br>%{{y:.1f}} % of values<extra></extra>",
                )
            )
    figure.update_xaxes(title_text="layer", dtick=max(1, -(-len(histogram.layers) // 12)))
    figure.update_yaxes(title_text="values (% of the layer's)", range=[0, 100])
    return finish(figure, template, title="What the activation function lets through")


def _steps(histogram: ActivationHistogram, point: str, condition: int, row: int, *, show_legend: bool) -> go.Scatter:
    """One condition's histogram as a stepped line; empty bins are gaps, which a log axis cannot show otherwise."""
    counts, width = _joined(getattr(histogram, point)[:, row].numpy(), float(getattr(histogram, f"width_{point}")[row]))
    used = np.flatnonzero(counts.sum(axis=0))
    first, last = int(used[0]), int(used[-1])
    share = counts[condition, first : last + 1] / counts[condition].sum()
    low = (np.arange(first, last + 1) - counts.shape[1] // 2) * width
    name = histogram.conditions[condition]
    colour = colour_map(histogram.conditions)[name]
    silenced = f" ({100 * float(histogram.silenced[condition, row]):.1f} % silenced)" if point == "before" else ""
    return go.Scatter(
        x=low + width / 2,
        y=np.where(share > 0, share / width, np.nan),
        name=f"{name}{silenced}",
        legendgroup=name,
        showlegend=show_legend,
        mode="lines",
        line={"color": colour, "width": 2, "shape": "hvh"},
        customdata=np.stack([low, low + width, 100 * share], axis=1),
        hovertemplate=(
            f"<b>{name}</b>, layer {histogram.layers[row]}<br>%{{customdata[0]:.3g}} to %{{customdata[1]:.3g}}: "
            "%{customdata[2]:.3g} % of values<extra></extra>"
        ),
    )


def _joined(counts: np.ndarray, width: float) -> tuple[np.ndarray, float]:
    """Neighbouring bins joined until few enough are in use to be drawn; zero stays an edge."""
    while np.ptp(np.flatnonzero(counts.sum(axis=0))) >= MAX_BINS and counts.shape[1] % 4 == 0:
        counts, width = counts.reshape(len(counts), -1, 2).sum(axis=2), 2 * width
    return counts, width
