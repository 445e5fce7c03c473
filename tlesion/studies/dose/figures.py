"""Figure of dose and response: what more and more lesioned neurons of a layer cost, beside matched controls."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from plotly.subplots import make_subplots

from tlesion.checks import one_of
from tlesion.drawing.bands import add_controls_key, add_with_controls
from tlesion.drawing.style import MORE, Figure, TemplateLike, finish
from tlesion.drawing.targets import target_colours, target_words
from tlesion.studies.dose.result import DoseResponse

MEASURES = ("logit_drop", "kl", "accuracy")
_AXES = {
    "logit_drop": "mean logit drop (clean − lesioned)<br>positive: the lesion cost this token",
    "kl": "mean KL(clean ‖ lesioned), nats",
    "accuracy": "prompts answered right",
}
_COLUMNS = 4
_Line = tuple[str, str, str, Float[np.ndarray, "layer dose"], Float[np.ndarray, "control layer dose"]]


def dose_response(
    result: DoseResponse,
    *,
    measure: str = "logit_drop",
    layers: Sequence[int] | None = None,
    template: TemplateLike = None,
) -> Figure:
    """A panel per layer, all on the same axes: a measure against the share of the layer's neurons that is lesioned.

    Lines are means over prompts. Dotted and filled: mean and range of the matched controls' means.

    Args:
        result: The result.
        measure: ``"logit_drop"`` of every target; ``"kl"``: how far the whole prediction moved; ``"accuracy"``: share
            of the prompts whose right target is the likeliest of the targets (solid) and of the vocabulary (dashed).
        layers: Which layers to show; None: all.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Raises:
        ValueError: An unknown measure or layer; accuracy of prompts none of which names a right target.

    Example:
        >>> import tlesion
        >>> planted = tlesion.toy.planted_model("causal", n_layers=2, layers=(1,))
        >>> selection = tlesion.select_neurons(planted.model, planted.language.contrast(20, seed=0), position="before")
        >>> prompts = planted.language.prompts(6, seed=1)
        >>> response = tlesion.dose_response(planted.model, selection, prompts, doses=(10, 100), n_controls=2)
        >>> figure = tlesion.plots.dose_response(response, measure="kl")
        >>> [panel.text for panel in figure.layout.annotations]
        ['layer 0', 'layer 1']
    """
    one_of("measure", measure, MEASURES)
    shown = _shown(result, layers)
    cols = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // cols)
    figure = make_subplots(
        rows=rows,
        cols=cols,
        shared_xaxes="all",
        shared_yaxes="all",
        horizontal_spacing=0.03,
        vertical_spacing=0.12 / rows if rows > 1 else 0.1,
        specs=[[{} if row * cols + col < len(shown) else None for col in range(cols)] for row in range(rows)],
        subplot_titles=[f"layer {layer}" for layer in shown],
    )
    form = "%{y:.1%}" if measure == "accuracy" else "%{y:.3f}"
    for name, colour, dash, values, controls in _lines(result, measure):
        for panel, layer in enumerate(shown):
            at = result.layers.index(layer)
            add_with_controls(
                figure,
                result.doses,
                values[at],
                controls[:, at],
                name=name,
                colour=colour,
                dash=dash,
                hover=f"layer {layer}, %{{x:g}} % of its neurons<br>{measure.replace('_', ' ')} {form}",
                show_legend=panel == 0,
                row=panel // cols + 1,
                col=panel % cols + 1,
            )
    add_controls_key(figure, len(result.control_kl))
    _axes(figure, result, measure, n_panels=len(shown), rows=rows, cols=cols)
    first = "largest |t| first" if result.direction == "any" else f"{result.direction}-neurons first"
    finish(figure, template, title=f"Dose and response, {first}", height=160 + 190 * rows if rows > 1 else 420)
    figure.update_yaxes(title_standoff=12)
    return figure.update_layout(margin_t=84)  # titles of panels stand between the figure's title and the panels


def _lines(result: DoseResponse, measure: str) -> list[_Line]:
    """Name, colour, dash, values and controls of every line."""
    if measure == "logit_drop":
        words, colours = target_words(result.targets), target_colours((), result.targets)
        own, controls = result.logit_drop.mean(dim=2).numpy(), result.control_logit_drop.mean(dim=3).numpy()
        return [(word, colours[word], "solid", own[..., j], controls[..., j]) for j, word in enumerate(words)]
    if measure == "kl":
        return [("KL", MORE[0], "solid", result.kl.mean(dim=2).numpy(), result.control_kl.mean(dim=3).numpy())]
    if np.isnan(result.clean_accuracy):
        raise ValueError("no prompt has a right target, so there is no accuracy; give prompts with correct=")
    among, whole = result.accuracy.numpy(), result.vocabulary_accuracy.numpy()
    return [
        ("right among the targets", MORE[0], "solid", among, result.control_accuracy.numpy()),
        ("right in the whole vocabulary", MORE[1], "dash", whole, result.control_vocabulary_accuracy.numpy()),
    ]


def _shown(result: DoseResponse, layers: Sequence[int] | None) -> list[int]:
    shown = list(result.layers) if layers is None else list(layers)
    missing = [layer for layer in shown if layer not in result.layers]
    if missing or not shown:
        raise ValueError(f"layers {missing or shown} are not in this result; it has the layers {list(result.layers)}")
    return shown


def _axes(figure: Figure, result: DoseResponse, measure: str, *, n_panels: int, rows: int, cols: int) -> None:
    # In small panels only every other dose has room for its number.
    ticks = result.doses if cols <= 2 else result.doses[:: -2 if len(result.doses) > 4 else -1]
    figure.update_xaxes(type="log", tickvals=sorted(ticks), ticktext=[f"{dose:g}" for dose in sorted(ticks)])
    for col in range(1, cols + 1):
        lowest = rows if (rows - 1) * cols + col <= n_panels else rows - 1
        figure.update_xaxes(title_text="neurons lesioned (%)", showticklabels=True, row=lowest, col=col)
    figure.update_yaxes(title_text=_AXES[measure], row=(rows + 1) // 2, col=1)
    if measure == "accuracy":
        figure.update_yaxes(tickformat=".0%", range=[-0.03, 1.03])
    if measure == "kl":
        figure.update_yaxes(rangemode="tozero")
