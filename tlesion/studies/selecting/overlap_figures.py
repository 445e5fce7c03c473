"""Figures of selections side by side: how much of each layer they select, and how much they share."""

import numpy as np
import plotly.graph_objects as go

from tlesion.drawing.style import SEQUENTIAL, Figure, TemplateLike, colour_map, finish
from tlesion.selection.overlap import MaskOverlap
from tlesion.studies.selecting.positions import SelectionComparison


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
            colorscale=[list(stop) for stop in SEQUENTIAL],
            colorbar={"title": {"text": "Jaccard", "side": "right"}, "outlinewidth": 0, "thickness": 14},
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
    figure.update_xaxes(title_text="layer", dtick=max(1, -(-len(comparison.layers) // 12)))
    figure.update_yaxes(title_text="selected neurons (% of the layer)", range=[-2, 102])
    figure.update_layout(showlegend=True)
    return finish(figure, template, title="What is selected, by where the question is asked")


def _cell(found: float, chance: float, size: int, *, same: bool) -> str:
    if same:
        return f"{size} neurons"
    return "both empty" if np.isnan(found) else f"{found:.2f}<br>chance {chance:.2f}"
