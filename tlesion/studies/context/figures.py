"""Figures of context modulation: correlations by layer, by length of context, and neuron by neuron."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float
from plotly.colors import sample_colorscale

from tlesion.checks import row_of_layer
from tlesion.drawing.axes import name_layers, sequential
from tlesion.drawing.bands import add_spread
from tlesion.drawing.style import MORE, A, B, Figure, TemplateLike, finish, translucent
from tlesion.studies.context.result import ContextModulation
from tlesion.studies.context.space_result import SpaceModulation


def correlation_by_layer(
    result: ContextModulation, *, space: SpaceModulation | None = None, template: TemplateLike = None
) -> Figure:
    """Correlations over all tokens and neurons by layer, with their intervals.

    Args:
        result: In context against alone, for every way of being alone.
        space: With a leading space against without, beside it.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Example:
        >>> import tlesion
        >>> model, text = tlesion.load_model("toy-gpt"), "The teacher gave the boy an apple, and he thanked her."
        >>> result = tlesion.context_modulation(model, text, layers=[2, 8])
        >>> tlesion.plots.correlation_by_layer(result).layout.xaxis.title.text
        'layer'
    """
    figure = Figure()
    ends = (result.correlation_low.numpy(), result.correlation_high.numpy())
    name = f"in context / alone ({result.alone[0]})"
    _line(figure, result.layers, result.correlation.numpy(), name, A, ends=ends)
    for way, r in zip(result.alone[1:], result.correlation_by_alone[1:].numpy(), strict=True):
        _line(figure, result.layers, r, f"in context / alone ({way})", MORE[3], dash="dot")
    if space is not None:
        ends = (space.overall.low.numpy(), space.overall.high.numpy())
        _line(figure, space.layers, space.correlation.numpy(), "with / without a leading space", B, ends=ends)
    name_layers(figure, len(result.layers))
    figure.update_yaxes(title_text="Pearson r over all tokens and neurons", range=[_floor(figure), 1.03])
    figure.update_layout(
        legend={"orientation": "v", "y": 0.02, "yanchor": "bottom", "bgcolor": "rgba(128,128,128,0.08)"}
    )
    return finish(figure, template, title="How similar are the activations?", height=440)


def correlation_by_length(
    result: ContextModulation, *, layers: Sequence[int] | None = None, template: TemplateLike = None
) -> Figure:
    """Correlation with the token alone, by the number of tokens before it: a line per layer.

    Args:
        result: The result.
        layers: Which of the model's layers; None: at most seven, evenly spaced.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Raises:
        ValueError: The result has no lengths (a text of one token, or ``context_lengths=()``), or not that layer.

    Example:
        >>> import tlesion
        >>> model, text = tlesion.load_model("toy-gpt"), "The teacher gave the boy an apple, and he thanked her."
        >>> result = tlesion.context_modulation(model, text, layers=[2, 8])
        >>> tlesion.plots.correlation_by_length(result).layout.xaxis.title.text
        'tokens before'
    """
    part = result.by_length
    if not part.lengths:
        raise ValueError(
            "this result has no correlations by length of context; leave context_lengths=None, and give "
            "a text of several tokens"
        )
    n_layers = len(result.layers)
    spaced = sorted({round(i) for i in np.linspace(0, n_layers - 1, min(7, n_layers))})
    rows = spaced if layers is None else [row_of_layer(layer, result.layers) for layer in layers]
    labels = [*map(str, part.lengths), "whole text"]
    values = np.concatenate([part.correlation.numpy(), part.whole.numpy()[None]])
    depths = [0.25 + 0.75 * i / max(1, len(rows) - 1) for i in range(len(rows))]
    colours = sample_colorscale(sequential(), depths)
    figure = Figure()
    for row, colour in zip(rows, colours, strict=True):
        layer = result.layers[row]
        figure.add_trace(
            go.Scatter(
                x=labels,
                y=values[:, row],
                name=f"layer {layer}",
                mode="lines+markers",
                line={"color": colour, "width": 2},
                hovertemplate=f"<b>layer {layer}</b><br>%{{x}} tokens before<br>r %{{y:.3f}}<extra></extra>",
            )
        )
    figure.update_xaxes(title_text="tokens before", type="category")
    figure.update_yaxes(title_text="Pearson r with the token alone", range=[_floor(figure), 1.03])
    return finish(figure, template, title=f"How much context does it take? ({part.n_tokens} tokens)", height=440)


def correlation_by_neuron(result: ContextModulation, *, template: TemplateLike = None) -> Figure:
    """Spread over neurons, by layer, of their correlation and of the variance that the token's identity explains.

    Args:
        result: The result.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Example:
        >>> import tlesion
        >>> model, text = tlesion.load_model("toy-gpt"), "The teacher gave the boy an apple, and he thanked her."
        >>> result = tlesion.context_modulation(model, text, layers=[2, 8])
        >>> tlesion.plots.correlation_by_neuron(result).layout.xaxis.title.text
        'layer'
    """
    figure = Figure()
    found = result.by_neuron
    shares = {"r in context / alone": (found.correlation.numpy(), A)}
    if bool(found.identity_share.isfinite().any()):
        shares["variance explained by the token"] = (found.identity_share.numpy(), MORE[0])
    for name, (values, colour) in shares.items():
        filled = np.where(np.isnan(values), np.nanmedian(values, axis=1, keepdims=True), values)
        add_spread(figure, result.layers, filled, name=name, colour=colour, prompts=None, unit=name)
    name_layers(figure, len(result.layers))
    figure.update_yaxes(title_text="per neuron: median and middle half")
    return finish(figure, template, title="Neuron by neuron")


def _line(
    figure: Figure,
    layers: Sequence[int],
    r: Float[np.ndarray, " layer"],
    name: str,
    colour: str,
    *,
    ends: tuple[np.ndarray, np.ndarray] | None = None,
    dash: str = "solid",
) -> None:
    if ends is not None and np.isfinite(ends[0]).all():
        band = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False, "legendgroup": name}
        figure.add_trace(go.Scatter(x=list(layers), y=ends[0], **band))
        figure.add_trace(
            go.Scatter(x=list(layers), y=ends[1], fill="tonexty", fillcolor=translucent(colour, 0.2), **band)
        )
    figure.add_trace(
        go.Scatter(
            x=list(layers),
            y=r,
            name=name,
            legendgroup=name,
            mode="lines+markers",
            line={"color": colour, "width": 2.5, "dash": dash},
            hovertemplate=f"<b>{name}</b><br>layer %{{x}}: r %{{y:.3f}}<extra></extra>",
        )
    )


def _floor(figure: Figure) -> float:
    """The bottom of an axis of correlations: zero, or below the lowest."""
    lowest = min((float(np.nanmin(trace.y)) for trace in figure.data), default=0.0)
    return min(0.0, lowest) - 0.03
