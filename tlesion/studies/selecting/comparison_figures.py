"""Figures of selections side by side: what each selects, how much they share, and what holds on other sentences."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from tlesion.drawing.axes import colour_bar, name_layers, sequential
from tlesion.drawing.style import MORE, NEUTRAL, A, B, Figure, TemplateLike, colour_map, finish
from tlesion.selection.overlap import MaskOverlap
from tlesion.studies.selecting.positions import SelectionComparison
from tlesion.studies.selecting.stability import SelectionStability


def mask_overlap(overlap: MaskOverlap, *, template: TemplateLike = None) -> Figure:
    """Jaccard index of every two masks over the whole model, with what chance would give in each cell.

    Args:
        overlap: The overlap of masks.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Example:
        >>> import torch, tlesion
        >>> him, her = torch.tensor([[True, True, False]]), torch.tensor([[False, True, True]])
        >>> figure = tlesion.plots.mask_overlap(tlesion.mask_overlap({"him": him, "her": her}))
        >>> figure.data[0].text[1][0]
        '0.33<br>chance 0.56'
    """
    found, chance = overlap.jaccard_model.numpy(), overlap.by_chance_model.numpy()
    size, both = overlap.size.sum(dim=1).numpy(), overlap.both.sum(dim=2).numpy()
    n = len(overlap.names)
    text = [[_cell(found[i, j], chance[i, j], int(size[i]), same=i == j) for j in range(n)] for i in range(n)]
    figure = Figure(
        go.Heatmap(
            z=found,
            x=list(overlap.names),
            y=list(overlap.names),
            text=text,
            texttemplate="%{text}",
            customdata=np.stack([chance, both, *np.broadcast_arrays(size[:, None], size[None])], axis=2),
            zmin=0.0,
            zmax=1.0,
            colorscale=sequential(),
            colorbar=colour_bar("Jaccard"),
            xgap=2,
            ygap=2,
            hovertemplate=(
                "<b>%{y}</b> (%{customdata[2]} neurons) and <b>%{x}</b> (%{customdata[3]})<br>%{customdata[1]} in both"
                "<br>Jaccard %{z:.3f}, by chance %{customdata[0]:.3f}<extra></extra>"
            ),
        )
    )
    figure.update_yaxes(autorange="reversed", zeroline=False)
    return finish(figure, template, title="How much the selections share", height=160 + 90 * n)


def position_shares(comparison: SelectionComparison, *, template: TemplateLike = None) -> Figure:
    """Share of each layer's neurons that every selection picks.

    Args:
        comparison: Selections side by side.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Example:
        >>> import tlesion
        >>> planted = tlesion.toy.planted_model("masked", n_token=12)
        >>> comparison = tlesion.compare_positions(planted.model, planted.language.contrast(30, seed=0))
        >>> figure = tlesion.plots.position_shares(comparison)
        >>> figure.layout.xaxis.title.text
        'layer'
    """
    frame = comparison.to_frame()
    colours = colour_map((), list(comparison.names))
    a, b = comparison.conditions
    figure = Figure()
    for name, test, rows in zip(
        comparison.names,
        comparison.tests,
        (frame[frame["selection"] == name] for name in comparison.names),
        strict=True,
    ):
        figure.add_trace(
            go.Scatter(
                x=rows["layer"],
                y=100 * rows["any"],
                name=name,
                mode="lines+markers",
                line={"color": colours[name], "width": 2.2},
                customdata=np.stack([rows["n_selected"], rows["n_neurons"], 100 * rows[a], 100 * rows[b]], axis=1),
                hovertemplate=(
                    f"<b>{name}</b>, layer %{{x}}<br>%{{y:.1f}} % of the layer (%{{customdata[0]:.0f}} of "
                    f"%{{customdata[1]:.0f}} neurons)<br>larger for {a}: %{{customdata[2]:.1f}} %, for {b}: "
                    f"%{{customdata[3]:.1f}} %<br>{test}<extra></extra>"
                ),
            )
        )
    name_layers(figure, len(comparison.layers))
    figure.update_yaxes(title_text="selected neurons (% of the layer)", range=[-2, 102])
    figure.update_layout(showlegend=True)
    return finish(figure, template, title="What is selected, by where the question is asked")


def _cell(found: float, chance: float, size: int, *, same: bool) -> str:
    if same:
        return f"{size} neurons"
    return "both empty" if np.isnan(found) else f"{found:.2f}<br>chance {chance:.2f}"


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
    _line(figure, result.layers, result.jaccard.numpy(), "overlap of the sets (Jaccard)", B)
    _line(figure, result.layers, result.jaccard_by_chance.numpy(), "overlap by chance", B, dash="dot")
    _line(figure, result.layers, result.correlation.numpy(), "correlation of t", MORE[0])
    name_layers(figure, len(result.layers))
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
