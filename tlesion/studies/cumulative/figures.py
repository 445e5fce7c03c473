"""Figure of accumulation: the prediction and the right answer as more and more layers are lesioned."""

from collections.abc import Sequence

import numpy as np
from plotly.subplots import make_subplots

from tlesion.drawing.bands import add_controls_key, add_with_controls
from tlesion.drawing.style import Figure, TemplateLike, finish
from tlesion.drawing.targets import chosen_masks, target_colours
from tlesion.studies.common.point import neurons_of
from tlesion.studies.cumulative.result import CumulativeLesion


def cumulative_lesion(
    result: CumulativeLesion,
    *,
    masks: Sequence[str] | None = None,
    template: TemplateLike = None,
) -> Figure:
    """KL and accuracy when all layers up to one, or from one on, are lesioned at once.

    Left: layers 0 to l; right: layers l to the last. Above: mean over prompts of the divergence of the whole
    prediction. Below: share of the prompts whose right target is the likeliest of the targets (solid) and of the whole
    vocabulary (dashed); left out where no prompt names a right target. Dotted and filled: mean and range of the matched
    controls.

    Args:
        result: The result.
        masks: Which masks to show; None: all.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Raises:
        ValueError: An unknown mask.

    Example:
        >>> import tlesion
        >>> planted = tlesion.toy.planted_model("causal", n_layers=3, layers=(1,))
        >>> result = tlesion.cumulative_lesion(planted.model, None, planted.language.prompts(4, seed=1))
        >>> figure = tlesion.plots.cumulative_lesion(result)
        >>> figure.layout.yaxis.title.text
        'mean KL(clean ‖ lesioned)<br>nats'
    """
    shown = chosen_masks(masks, result.masks)
    known = not np.isnan(result.clean_accuracy)
    figure = make_subplots(
        rows=2 if known else 1,
        cols=2,
        shared_xaxes=True,
        shared_yaxes="rows",
        horizontal_spacing=0.03,
        vertical_spacing=0.08,
        subplot_titles=["layers 0 to l lesioned at once", f"layers l to {result.layers[-1]} lesioned at once"],
    )
    for direction in range(2):
        for mask in shown:
            _add_mask(figure, result, mask, direction, known=known)
    add_controls_key(figure, len(result.control_kl))
    _axes(figure, result, known=known)
    finish(figure, template, title="Lesions that accumulate over layers", height=680 if known else 420)
    figure.update_yaxes(title_standoff=12)
    return figure.update_layout(margin_t=84)  # titles of panels stand between the figure's title and the panels


def _add_mask(figure: Figure, result: CumulativeLesion, mask: str, direction: int, *, known: bool) -> None:
    at, colour = result.masks.index(mask), target_colours(result.masks, result.targets)[mask]
    label = neurons_of(mask)
    span = ("layers 0 to %{x}", f"layers %{{x}} to {result.layers[-1]}")[direction]
    kl, control_kl = result.kl.mean(dim=-1), result.control_kl.mean(dim=-1)
    lines = [(1, label, "solid", kl, control_kl, f"{span}<br>mean KL %{{y:.3f}} nats")]
    if known:
        rows = (
            ("among the targets", "solid", result.accuracy, result.control_accuracy),
            ("in the whole vocabulary", "dash", result.vocabulary_accuracy, result.control_vocabulary_accuracy),
        )
        lines += [
            (2, f"{label}: right {what}", dash, own, controls, f"{span}<br>%{{y:.1%}} right {what}")
            for what, dash, own, controls in rows
        ]
    for row, name, dash, own, controls, hover in lines:
        add_with_controls(
            figure,
            result.layers,
            own[at, direction].numpy(),
            controls[:, at, direction].numpy(),
            name=name,
            colour=colour,
            dash=dash,
            hover=hover,
            group=label,
            show_legend=direction == 0 and row == 1,
            row=row,
            col=direction + 1,
        )


def _axes(figure: Figure, result: CumulativeLesion, *, known: bool) -> None:
    lowest = 2 if known else 1
    figure.update_xaxes(dtick=max(1, -(-len(result.layers) // 12)))
    figure.update_xaxes(title_text="layer l", row=lowest)
    figure.update_yaxes(title_text="mean KL(clean ‖ lesioned)<br>nats", row=1, col=1)
    figure.update_yaxes(rangemode="tozero", row=1)
    if known:
        figure.update_yaxes(title_text="right among the targets<br>dashed: in the whole vocabulary", row=2, col=1)
        figure.update_yaxes(tickformat=".0%", range=[-0.03, 1.03], row=2)
