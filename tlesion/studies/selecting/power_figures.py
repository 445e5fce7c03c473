"""Figure of statistical power: the smallest effect that a number of sentences can find."""

from collections.abc import Mapping

import plotly.graph_objects as go

from tlesion.drawing.style import Figure, TemplateLike, colour_map, finish
from tlesion.stats import PowerCurve
from tlesion.stats.power import PAIRED


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
                    f"%{{y:.2f}}<br>in {power:.0%} of studies, level of a single test {curve.level:.2g}<extra></extra>"
                ),
            )
        )
    ticks = sorted({int(n) for curve in named.values() for n in curve.n})
    figure.update_xaxes(title_text="pairs" if pairs else "sentences per condition", type="log", tickvals=ticks)
    effect = "d_z" if pairs else "d"
    title = f"smallest effect found<br>{effect} (standard deviations)"
    figure.update_yaxes(title_text=title, type="log", tickvals=[0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100])
    figure.update_layout(showlegend=True)
    return finish(figure, template, title=f"What a study can find: effects detected with {power:.0%} power")


def _described(curve: PowerCurve) -> str:
    return f"{curve.test} t, {curve.correction} at {curve.alpha:g} over {curve.n_tests} neurons"
