"""Figures of one selection: how many neurons tell the conditions apart, how strongly, and what could be missed."""

import math
from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from tlesion.drawing.axes import name_layers
from tlesion.drawing.style import NEUTRAL, Figure, TemplateLike, colour_map, finish
from tlesion.selection import NeuronSelection
from tlesion.stats import PowerCurve
from tlesion.stats.power import PAIRED


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
    name_layers(figure, len(density))
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
    row = _row_of(selection, layer)
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


def _row_of(selection: NeuronSelection, layer: int) -> int:
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


def power_curve(curves: PowerCurve | Mapping[str, PowerCurve], *, template: TemplateLike = None) -> Figure:
    """The smallest effect that is found with the curve's power, against the number of pairs.

    Read upwards from a number of pairs: what it can find. Read across from an effect: how many pairs it needs.

    Args:
        curves: A curve, or several by name that share power and kind of test (pairs, or two samples).
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Raises:
        ValueError: No curve, or curves whose effects or power cannot share an axis.

    Example:
        >>> import tlesion
        >>> figure = tlesion.plots.power_curve(tlesion.stats.power_curve(n_tests=512))
        >>> figure.layout.yaxis.title.text
        'smallest effect found<br>d_z (standard deviations)'
    """
    named = dict(curves) if isinstance(curves, Mapping) else {_described(curves): curves}
    if not named:
        raise ValueError("no power curve was given; make one with tlesion.stats.power_curve(...)")
    kinds = {(curve.test in PAIRED, curve.power) for curve in named.values()}
    if len(kinds) > 1:
        raise ValueError(
            f"curves of tests {[curve.test for curve in named.values()]} with power "
            f"{[curve.power for curve in named.values()]} do not share an axis; draw those of pairs and those of two "
            "samples, and those of different power, apart"
        )
    ((pairs, power),) = kinds
    figure = Figure()
    colours = colour_map((), list(named)) if len(named) > 1 else colour_map(list(named))
    for name, curve in named.items():
        figure.add_trace(
            go.Scatter(
                x=curve.n.numpy(),
                y=curve.effect.numpy(),
                name=name,
                mode="lines+markers",
                line={"color": colours[name], "width": 2.2},
                hovertemplate=(
                    f"<b>{name}</b><br>%{{x}} {'pairs find' if pairs else 'sentences per condition find'} an effect of "
                    f"%{{y:.2f}}<br>in {100 * power:.0f} % of studies, level of a single test {curve.level:.2g}"
                    "<extra></extra>"
                ),
            )
        )
    ticks = sorted({int(n) for curve in named.values() for n in curve.n})
    figure.update_xaxes(title_text="pairs" if pairs else "sentences per condition", type="log", tickvals=ticks)
    effect = "d_z" if pairs else "d"
    title = f"smallest effect found<br>{effect} (standard deviations)"
    figure.update_yaxes(title_text=title, type="log", tickvals=[0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100])
    figure.update_layout(showlegend=True)
    return finish(figure, template, title=f"What a study can find: effects detected with {100 * power:.0f} % power")


def _described(curve: PowerCurve) -> str:
    return f"{curve.test} t, {curve.correction} at {curve.alpha:g} over {curve.n_tests} neurons"
