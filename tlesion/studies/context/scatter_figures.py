"""Activations against each other as densities: many points as counts in cells, so that a page stays small."""

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from tlesion.checks import row_of_layer
from tlesion.drawing.axes import colour_bar, sequential
from tlesion.drawing.style import NEUTRAL, Figure, TemplateLike, finish
from tlesion.studies.context.result import ContextModulation
from tlesion.studies.context.space_result import SpaceModulation

N_CELLS = 90
"""Cells along each axis."""

SHOWN = 0.999
"""The axes span this share of the values; the few outside are counted in the title of the axis."""


def context_scatter(result: ContextModulation, *, layer: int, template: TemplateLike = None) -> Figure:
    """Activations in context against the same tokens alone, as a density, for one layer.

    Args:
        result: The result; the tokens that it keeps are drawn.
        layer: The model's layer.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Raises:
        ValueError: The layer is not in the result, or the result keeps no activations.

    Example:
        >>> import tlesion
        >>> model, text = tlesion.load_model("toy-gpt"), "The teacher gave the boy an apple, and he thanked her."
        >>> result = tlesion.context_modulation(model, text, layers=[2, 8])
        >>> tlesion.plots.context_scatter(result, layer=8).data[0].type
        'heatmap'
    """
    row = row_of_layer(layer, result.layers)
    if not len(result.kept):
        raise ValueError("this result has no activations (keep=0), so there is nothing to draw")
    figure = Figure()
    names = ("activation alone", "activation in context")
    _add_density(figure, result.isolated[row].numpy(), result.in_context[row].numpy(), names=names)
    r = float(result.correlation[row])
    return finish(figure, template, title=f"Context, layer {layer}: r = {r:.2f}", height=460)


def space_scatter(result: SpaceModulation, *, layer: int, template: TemplateLike = None) -> Figure:
    """Activations of words with a leading space against the same words without, as a density, for one layer.

    Args:
        result: The result.
        layer: The model's layer.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Raises:
        ValueError: The layer is not in the result.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-gpt")
        >>> result = tlesion.space_modulation(model, ["apple", "dog", "house"], layers=[6])
        >>> tlesion.plots.space_scatter(result, layer=6).data[0].type
        'heatmap'
    """
    row = row_of_layer(layer, result.layers)
    figure = Figure()
    names = ("activation without the space", "activation with the space")
    _add_density(figure, result.without_space[row].numpy(), result.with_space[row].numpy(), names=names)
    r = float(result.correlation[row])
    return finish(figure, template, title=f"Leading space, layer {layer}: r = {r:.2f}", height=460)


def _add_density(
    figure: Figure, x: Float[np.ndarray, "..."], y: Float[np.ndarray, "..."], *, names: tuple[str, str]
) -> None:
    """Draw pairs of values as a density, both axes with the same range, and the diagonal on which they are equal."""
    low, high, counts, n_outside = _cells(x, y)
    middles = np.round(low + (high - low) * (np.arange(N_CELLS) + 0.5) / N_CELLS, 4)
    with np.errstate(divide="ignore"):
        shown = np.where(counts > 0, np.log10(counts), np.nan)
    ticks = range(int(np.nanmax(shown)) + 1 if np.isfinite(shown).any() else 1)
    labels = [f"{10**tick:,}" for tick in ticks]
    figure.add_trace(
        go.Heatmap(
            x=middles,
            y=middles,
            z=np.round(shown, 3),
            customdata=counts.astype(int),
            colorscale=sequential(),
            zmin=-0.3,
            colorbar=colour_bar("number of values", tickvals=list(ticks), ticktext=labels),
            hovertemplate=f"{names[0]} %{{x:.3f}}<br>{names[1]} %{{y:.3f}}<br>%{{customdata:,}} values<extra></extra>",
        )
    )
    diagonal = {"color": NEUTRAL, "width": 1.5, "dash": "dash"}
    figure.add_trace(
        go.Scatter(x=[low, high], y=[low, high], mode="lines", line=diagonal, showlegend=False, hoverinfo="skip")
    )
    outside = f"<br>{n_outside:,} of {np.size(x):,} pairs lie outside" if n_outside else ""
    figure.update_xaxes(title_text=f"{names[0]}{outside}", range=[low, high], constrain="domain")
    figure.update_yaxes(title_text=names[1], range=[low, high], scaleanchor="x", constrain="domain")


def _cells(
    x: Float[np.ndarray, "..."], y: Float[np.ndarray, "..."]
) -> tuple[float, float, Float[np.ndarray, "cell cell"], int]:
    """Both ends of the axes, how many pairs each cell holds, and how many lie outside."""
    x, y = np.ravel(x).astype(np.float64), np.ravel(y).astype(np.float64)
    tail = (1 - SHOWN) / 2
    low, high = (float(bound) for bound in np.quantile(np.concatenate([x, y]), [tail, 1 - tail]))
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, N_CELLS + 1)
    counts = np.histogram2d(x, y, bins=(edges, edges))[0].T
    return low, high, counts, len(x) - int(counts.sum())
