"""Figure of a repeated selection: what holds on other sentences, and what power predicted."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from tlesion.drawing.style import MORE, NEUTRAL, A, B, Figure, TemplateLike, finish
from tlesion.studies.selecting.stability import SelectionStability


def selection_stability(result: SelectionStability, *, template: TemplateLike = None) -> Figure:
    """By layer: the share that is selected again, what power predicts for it, and the overlap of the masks.

    Args:
        result: The result.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Example:
        >>> import tlesion
        >>> planted = tlesion.toy.planted_model("masked", n_token=12)
        >>> one, other = (planted.language.contrast(30, seed=seed) for seed in (0, 1))
        >>> selection = tlesion.select_neurons(planted.model, one, test="paired", position="mask")
        >>> stability = tlesion.selection_stability(planted.model, selection, other)
        >>> figure = tlesion.plots.selection_stability(stability)
        >>> figure.layout.xaxis.title.text
        'layer'
    """
    figure = Figure()
    _line(figure, result.layers, result.replicated.numpy(), "selected again", A)
    _line(figure, result.layers, result.predicted.numpy(), "predicted from the effects as seen", NEUTRAL, dash="dot")
    _line(
        figure,
        result.layers,
        result.predicted_shrunken.numpy(),
        "predicted, winner's curse removed",
        NEUTRAL,
        dash="dash",
    )
    _line(figure, result.layers, result.jaccard.numpy(), "overlap of the masks (Jaccard)", B)
    _line(figure, result.layers, result.jaccard_by_chance.numpy(), "overlap by chance", B, dash="dot")
    _line(figure, result.layers, result.correlation.numpy(), "correlation of t", MORE[0])
    figure.update_xaxes(title_text="layer", dtick=max(1, -(-len(result.layers) // 12)))
    figure.update_yaxes(title_text="share, index or correlation", range=[-0.03, 1.03])
    return finish(figure, template, title="The same selection on other sentences", height=460)


def _line(
    figure: Figure, layers: Sequence[int], values: np.ndarray, name: str, colour: str, *, dash: str = "solid"
) -> None:
    figure.add_trace(
        go.Scatter(
            x=list(layers),
            y=values,
            name=name,
            mode="lines+markers",
            line={"color": colour, "width": 2.2, "dash": dash},
            hovertemplate=f"<b>{name}</b><br>layer %{{x}}: %{{y:.3f}}<extra></extra>",
        )
    )
