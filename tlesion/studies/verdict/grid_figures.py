"""Figure of a grid of verdicts: the word of every condition and layer, as colours and letters."""

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tlesion.drawing.style import MORE, NEUTRAL, Figure, TemplateLike, finish, translucent
from tlesion.drawing.targets import chosen_masks
from tlesion.studies.verdict.grid_result import VerdictGrid
from tlesion.studies.verdict.result import DAMAGE, INCONCLUSIVE, NEGLIGIBLE, NOT_CUT, OPPOSITE, SPECIFIC

COLOURS = {
    SPECIFIC: MORE[0],
    OPPOSITE: MORE[1],
    DAMAGE: MORE[2],
    NEGLIGIBLE: MORE[3],
    INCONCLUSIVE: translucent(NEUTRAL, 0.35),
    NOT_CUT: translucent(NEUTRAL, 0.1),
}
LETTERS = {SPECIFIC: "S", OPPOSITE: "O", DAMAGE: "D", NEGLIGIBLE: "N", INCONCLUSIVE: "?", NOT_CUT: "–"}
STANDS = "stands"
"""The row of the words that all conditions give."""


def verdict_grid(grid: VerdictGrid, *, mask: str | None = None, template: TemplateLike = None) -> Figure:
    """The word of every condition and layer, and in the first row the words that stand in all conditions.

    Args:
        grid: The grid.
        mask: Which mask to show; None: all of them, side by side.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Raises:
        ValueError: An unknown mask.

    Example:
        >>> import tlesion
        >>> planted = tlesion.toy.planted_model("causal", n_layers=2, d_mlp=40, layers=(1,))
        >>> masks = {"him": planted.truth.mask("causal", "him")}
        >>> grid = tlesion.verdict_grid(planted.model, masks, planted.language.prompts(48, seed=1), ablations=["zero"])
        >>> list(tlesion.plots.verdict_grid(grid).data[0].y)
        ['zero, half 2', 'zero, half 1', 'zero', 'stands']
    """
    masks = chosen_masks(None if mask is None else [mask], grid.masks)
    figure = make_subplots(
        cols=len(masks), shared_yaxes=True, horizontal_spacing=0.03, subplot_titles=[f"{one}-neurons" for one in masks]
    )
    for column, name in enumerate(masks, start=1):
        figure.add_trace(_cells(grid, grid.masks.index(name)), row=1, col=column)
    for word, colour in COLOURS.items():
        marker = {"symbol": "square", "size": 12, "color": colour, "line": {"width": 1, "color": NEUTRAL}}
        key = go.Scatter(x=[None], y=[None], mode="markers", marker=marker, name=f"{LETTERS[word]}: {word}")
        figure.add_trace(key, row=1, col=1)
    figure.update_xaxes(title_text="lesioned layer", dtick=max(1, -(-len(grid.layers) // 12)), showgrid=False)
    figure.update_yaxes(showgrid=False, zeroline=False)
    height = 190 + 26 * (len(grid.conditions) + 1)
    return finish(figure, template, title="The verdict in every condition, and where it stands in all", height=height)


def _cells(grid: VerdictGrid, row: int) -> go.Heatmap:
    """One mask's words; the rows run from the last condition up to the word that stands."""
    names = [*reversed(grid.conditions), STANDS]
    words = [*(grid.words[at][row] for at in reversed(range(len(grid.conditions)))), grid.stands[row]]
    place = {word: number for number, word in enumerate(COLOURS)}
    n = len(COLOURS)
    scale = [[edge, colour] for word, colour in COLOURS.items() for edge in (place[word] / n, (place[word] + 1) / n)]
    return go.Heatmap(
        x=list(grid.layers),
        y=names,
        z=[[place[word] + 0.5 if word else None for word in line] for line in words],
        zmin=0,
        zmax=n,
        colorscale=scale,
        showscale=False,
        xgap=2,
        ygap=2,
        text=[[LETTERS.get(word, "") for word in line] for line in words],
        texttemplate="%{text}",
        customdata=[*(_told(grid, at, row) for at in reversed(range(len(grid.conditions)))), _standing(grid, row)],
        hovertemplate="<b>%{y}</b>, layer %{x}<br>%{customdata}<extra></extra>",
    )


def _told(grid: VerdictGrid, condition: int, row: int) -> list[str]:
    """What the mouse is told of each layer in a condition."""
    lines = []
    for layer, (word, reason) in enumerate(zip(grid.words[condition][row], grid.reasons[condition][row], strict=True)):
        effect, low, high = (float(one[condition, row, layer]) for one in (grid.effect, grid.low, grid.high))
        lines.append(f"{word}{f' ({reason})' if reason else ''}<br>effect {effect:.3f}, {low:.3f} to {high:.3f}")
    return lines


def _standing(grid: VerdictGrid, row: int) -> list[str]:
    return [word or "conditions differ" for word in grid.stands[row]]
