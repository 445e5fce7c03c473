"""Figures of a selection: how many neurons tell the conditions apart, and how strongly."""

import math

import numpy as np
import plotly.graph_objects as go

from tlesion.drawing.style import NEUTRAL, Figure, TemplateLike, colour_map, finish
from tlesion.selection import NeuronSelection


def selective_share(selection: NeuronSelection, *, template: TemplateLike = None) -> Figure:
    """Share of selected neurons per layer, stacked by the condition in which they are larger.

    Args:
        selection: The selection.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Example:
        >>> import tlesion
        >>> model, contrast = tlesion.load_model("toy-bert"), tlesion.contrasts.him_her()
        >>> selection = tlesion.select_neurons(model, contrast, layers=[3, 4])
        >>> figure = tlesion.plots.selective_share(selection)
        >>> figure.layout.yaxis.title.text
        'selected neurons (% of the layer)'
    """
    density = selection.density()
    colours = colour_map(selection.conditions)
    figure = Figure()
    for condition in selection.conditions:
        figure.add_trace(
            go.Bar(
                x=density["layer"],
                y=100 * density[condition],
                name=f"larger for {condition}",
                marker={"color": colours[condition], "line": {"width": 0}},
                customdata=np.stack([density["n_neurons"] * density[condition], density["n_neurons"]], axis=1),
                hovertemplate=(
                    f"<b>larger for {condition}</b>, layer %{{x}}<br>%{{y:.1f}} % of the layer"
                    "<br>%{customdata[0]:.0f} of %{customdata[1]} neurons<extra></extra>"
                ),
            )
        )
    figure.update_layout(barmode="stack", bargap=0.25)
    figure.update_xaxes(title_text="layer", dtick=max(1, -(-len(density) // 12)))
    figure.update_yaxes(title_text="selected neurons (% of the layer)", range=[0, 100])
    return finish(figure, template, title="Neurons that tell the conditions apart")


def volcano(selection: NeuronSelection, *, layer: int, template: TemplateLike = None) -> Figure:
    """Effect size against evidence, a point per neuron of one layer.

    Args:
        selection: The selection.
        layer: The model's layer.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Raises:
        ValueError: The selection has no such layer.

    Example:
        >>> import tlesion
        >>> model, contrast = tlesion.load_model("toy-bert"), tlesion.contrasts.him_her()
        >>> selection = tlesion.select_neurons(model, contrast, layers=[3, 4])
        >>> figure = tlesion.plots.volcano(selection, layer=3)
        >>> figure.layout.title.text
        'Every neuron of layer 3'
    """
    row = row_of(selection, layer)
    a, b = selection.conditions
    colours = colour_map(selection.conditions)
    in_a, in_b = selection.mask(a)[row].numpy(), selection.mask(b)[row].numpy()
    alive = ~selection.dead[row].numpy()
    figure = Figure()
    groups = (
        ("not selected", alive & ~in_a & ~in_b, NEUTRAL, 0.45),
        (f"larger for {a}", in_a, colours[a], 0.75),
        (f"larger for {b}", in_b, colours[b], 0.75),
    )
    for name, where, colour, opacity in groups:
        figure.add_trace(_neurons(selection, row, np.flatnonzero(where), name, colour, opacity))
    size = "d_z" if selection.is_paired else "d"
    figure.update_xaxes(
        zeroline=True, title_text=f"effect size {size} (standard deviations)<br>← larger for {b}   larger for {a} →"
    )
    figure.update_yaxes(title_text="evidence, −log10 p (before correction)", rangemode="tozero")
    return finish(figure, template, title=f"Every neuron of layer {layer}", height=460)


def row_of(selection: NeuronSelection, layer: int) -> int:
    """The row of a model's layer in a selection.

    Raises:
        ValueError: The selection has no such layer.
    """
    if layer not in selection.layers:
        raise ValueError(f"layer {layer} is not in this selection; it has the layers {list(selection.layers)}")
    return selection.layers.index(layer)


def _neurons(
    selection: NeuronSelection, row: int, neurons: np.ndarray, name: str, colour: str, opacity: float
) -> go.Scatter:
    columns = [getattr(selection, field)[row].numpy()[neurons] for field in ("t", "p_adjusted")]
    evidence = -selection.log_p[row].numpy()[neurons] / math.log(10)
    return go.Scatter(
        x=np.round(selection.effect_size[row].numpy()[neurons], 5),
        y=np.round(evidence, 5),
        name=f"{name} ({len(neurons)})",
        mode="markers",
        marker={"size": 5, "color": colour, "opacity": opacity, "line": {"width": 0}},
        customdata=np.stack([neurons, *columns], axis=1),
        hovertemplate=(
            f"layer {selection.layers[row]}, <b>neuron %{{customdata[0]:d}}</b>, {name}<br>effect size %{{x:.3f}}, "
            "t %{customdata[1]:.2f}<br>−log10 p %{y:.2f}, adjusted p %{customdata[2]:.3g}<extra></extra>"
        ),
    )
