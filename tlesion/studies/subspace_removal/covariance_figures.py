"""Figures of what a removed subspace does to the covariance of neurons: small in each of them, deep between them."""

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tlesion.checks import row_of_layer
from tlesion.drawing.axes import name_layers
from tlesion.drawing.style import MORE, A, B, Figure, TemplateLike, centred, finish
from tlesion.studies.subspace_removal.result import SubspaceRemoval


def covariance_pair(result: SubspaceRemoval, *, layer: int, template: TemplateLike = None) -> Figure:
    """Correlations among a sample of units before and after, side by side, in one order and on one scale.

    The units are ordered by their part in the leading direction of the correlations before, so that those that vary
    together lie together.

    Args:
        result: The result.
        layer: The lesioned layer.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Raises:
        ValueError: The layer is not in the result, or too few of its units vary.

    Example:
        >>> import tlesion
        >>> model, text = tlesion.load_model("toy-gpt"), "The teacher gave the boy an apple, and he thanked her."
        >>> result = tlesion.subspace_removal(model, text, layers=[2, 8], n_random=1)
        >>> tlesion.plots.covariance_pair(result, layer=8).layout.title.text
        'Correlations in layer 8'
    """
    row, change = row_of_layer(layer, result.layers), result.covariance
    used = (change.sampled[row] >= 0).numpy()
    if used.sum() < 2:
        raise ValueError(
            f"fewer than two of the units of layer {layer} vary both before and after; there is nothing to draw"
        )
    before, after = (
        part[row].numpy()[np.ix_(used, used)] for part in (change.correlation_before, change.correlation_after)
    )
    order = np.argsort(np.linalg.eigh(before)[1][:, -1])
    units = [str(unit) for unit in change.sampled[row].numpy()[used][order]]
    figure = make_subplots(cols=2, horizontal_spacing=0.06, subplot_titles=["before", "after"])
    for col, values in enumerate((before, after), start=1):
        figure.add_trace(
            go.Heatmap(
                x=units,
                y=units,
                z=np.round(values[np.ix_(order, order)], 4),
                coloraxis="coloraxis",
                hovertemplate="neurons %{x} and %{y}<br>r %{z:.2f}<extra></extra>",
            ),
            row=1,
            col=col,
        )
    figure.update_xaxes(type="category", showticklabels=False, showgrid=False, title_text=f"{len(units)} neurons")
    figure.update_yaxes(type="category", showticklabels=False, showgrid=False, zeroline=False, autorange="reversed")
    figure.update_layout(coloraxis=centred(1.0) | {"colorbar": {"title": {"text": "r"}, "thickness": 12}})
    return finish(figure, template, title=f"Correlations in layer {layer}", height=460)


def covariance_spectrum(result: SubspaceRemoval, *, layer: int, template: TemplateLike = None) -> Figure:
    """Eigenvalues of the covariance before and after, largest first.

    Args:
        result: The result.
        layer: The lesioned layer.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Raises:
        ValueError: The layer is not in the result.

    Example:
        >>> import tlesion
        >>> model, text = tlesion.load_model("toy-gpt"), "The teacher gave the boy an apple, and he thanked her."
        >>> result = tlesion.subspace_removal(model, text, layers=[2, 8], n_random=1)
        >>> tlesion.plots.covariance_spectrum(result, layer=8).layout.title.text
        'Spectrum in layer 8'
    """
    row, change = row_of_layer(layer, result.layers), result.covariance
    figure = Figure()
    ranks = {"before": change.effective_rank_before, "after": change.effective_rank_after}
    spectra = {"before": change.spectrum_before[row].numpy(), "after": change.spectrum_after[row].numpy()}
    floor = 1e-6 * spectra["before"].max()
    for (name, values), colour in zip(spectra.items(), (A, B), strict=True):
        figure.add_trace(
            go.Scatter(
                x=np.arange(1, len(values) + 1),
                y=np.where(values > floor, values, np.nan),
                name=f"{name}, effective rank {float(ranks[name][row]):.1f}",
                mode="lines+markers",
                line={"color": colour, "width": 2},
                marker={"size": 5},
                hovertemplate=f"{name}<br>component %{{x}}: %{{y:.4g}}<extra></extra>",
            )
        )
    figure.update_xaxes(title_text="component")
    figure.update_yaxes(title_text="eigenvalue of the covariance", type="log", dtick=1)
    return finish(figure, template, title=f"Spectrum in layer {layer}", height=440)


def covariance_change(result: SubspaceRemoval, *, template: TemplateLike = None) -> Figure:
    """Change of the covariance against the change of a single neuron, per lesioned layer.

    Args:
        result: The result.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Example:
        >>> import tlesion
        >>> model, text = tlesion.load_model("toy-gpt"), "The teacher gave the boy an apple, and he thanked her."
        >>> result = tlesion.subspace_removal(model, text, layers=[2, 8], n_random=1)
        >>> tlesion.plots.covariance_change(result).layout.xaxis.title.text
        'lesioned layer'
    """
    figure = Figure()
    lines = {
        "covariance: ‖C′ − C‖ / ‖C‖": (result.covariance.change, A),
        "correlation, the same": (result.covariance.correlation_change, MORE[0]),
        "one neuron: mean change in its standard deviations": (result.covariance.unit_change_relative, B),
    }
    for name, (values, colour) in lines.items():
        figure.add_trace(
            go.Scatter(
                x=list(result.layers),
                y=values.numpy(),
                name=name,
                mode="lines+markers",
                line={"color": colour, "width": 2.5},
                hovertemplate=f"{name.split(':')[0]}, layer %{{x}}<br>%{{y:.3f}}<extra></extra>",
            )
        )
    name_layers(figure, len(result.layers), title="lesioned layer")
    figure.update_yaxes(title_text="relative change", rangemode="tozero")
    return finish(figure, template, title="Change between neurons, and in single ones", height=440)
