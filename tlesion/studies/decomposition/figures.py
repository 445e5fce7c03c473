"""Figure of a decomposed drop: what goes straight to the logits, what through later layers, what the norms move."""

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots
from torch import Tensor

from tlesion.drawing.style import MORE, Figure, TemplateLike, finish
from tlesion.drawing.targets import chosen_masks, target_colours, target_words
from tlesion.studies.common.point import neurons_of
from tlesion.studies.decomposition.result import DropDecomposition

_PARTS = {
    "direct": ("direct", MORE[0]),
    "downstream": ("through later layers", MORE[3]),
    "rescaling": ("rescaling by norms", MORE[2]),
}


def direct_downstream(
    result: DropDecomposition,
    *,
    masks: Sequence[str] | None = None,
    template: TemplateLike = None,
) -> Figure:
    """Stacked bars per lesioned layer, a panel per mask and target: means over prompts, which add up as the parts do.

    Parts that cost the target stand above zero, parts that help it below; the line is their sum, the logit drop.

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
        >>> parts = tlesion.decompose_drop(planted.model, None, planted.language.prompts(4, seed=1))
        >>> figure = tlesion.plots.direct_downstream(parts)
        >>> [bar.name for bar in figure.data[:3]]
        ['direct', 'through later layers', 'rescaling by norms']
    """
    shown, words = chosen_masks(masks, result.masks), target_words(result.targets)
    titles = [_title(mask, word, alone=len(shown) == 1) for mask in shown for word in words]
    figure = make_subplots(
        rows=len(shown),
        cols=len(words),
        shared_xaxes=True,
        shared_yaxes="all",
        horizontal_spacing=0.03,
        vertical_spacing=0.16 / len(shown),
        subplot_titles=titles,
    )
    colours = target_colours(result.masks, result.targets)
    for row, mask in enumerate(shown, start=1):
        for j, word in enumerate(words):
            _add_panel(figure, result, mask, j, first=row == 1 and j == 0, row=row, col=j + 1)
            _add_total(figure, result, mask, j, word, colours[word], first=row == 1, row=row, col=j + 1)
    figure.update_layout(barmode="relative", bargap=0.25)
    figure.update_xaxes(dtick=max(1, -(-len(result.layers) // 12)))
    figure.update_xaxes(title_text="lesioned layer", row=len(shown))
    figure.update_yaxes(title_text="mean logit drop<br>positive: it cost this token", col=1)
    lesioned = neurons_of(shown[0])
    title = "The paths of a logit drop" + (f": {lesioned} lesioned" if len(shown) == 1 else "")
    finish(figure, template, title=title, height=440 if len(shown) == 1 else 160 + 270 * len(shown))
    figure.update_yaxes(title_standoff=12)
    return figure.update_layout(margin_t=84)  # titles of panels stand between the figure's title and the panels


def _add_panel(
    figure: Figure, result: DropDecomposition, mask: str, target: int, *, first: bool, row: int, col: int
) -> None:
    at = result.masks.index(mask)
    for name, (label, shade) in _PARTS.items():
        figure.add_trace(
            go.Bar(
                x=list(result.layers),
                y=_mean(getattr(result, name), at, target),
                name=label,
                legendgroup=label,
                showlegend=first,
                marker={"color": shade},
                hovertemplate=f"layer %{{x}}<br>{label} %{{y:.3f}}<extra></extra>",
            ),
            row=row,
            col=col,
        )


def _add_total(
    figure: Figure,
    result: DropDecomposition,
    mask: str,
    target: int,
    word: str,
    colour: str,
    *,
    first: bool,
    row: int,
    col: int,
) -> None:
    figure.add_trace(
        go.Scatter(
            x=list(result.layers),
            y=_mean(result.logit_drop, result.masks.index(mask), target),
            name=f"logit drop of {word}: the sum",
            legendgroup=word,
            showlegend=first,
            mode="lines+markers",
            line={"color": colour, "width": 2},
            marker={"size": 7},
            hovertemplate=f"layer %{{x}}<br>logit drop of {word} %{{y:.3f}}<extra></extra>",
        ),
        row=row,
        col=col,
    )


def _mean(part: Tensor, mask: int, target: int) -> list[float]:
    return part[mask, :, :, target].mean(dim=1).tolist()


def _title(mask: str, word: str, *, alone: bool) -> str:
    if alone:
        return word
    return f"{neurons_of(mask)} lesioned: {word}"
