"""How every figure looks: one palette, one template per figure, and nothing global.

The colours are Okabe and Ito's, which readers with any common colour blindness can tell apart, and which stand out on
white and on dark pages. Condition a (him) and condition b (her) have the same colour in every figure.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import plotly.graph_objects as go

Figure: TypeAlias = go.Figure
TemplateLike: TypeAlias = str | go.layout.Template | None

A = "#0072B2"
"""Condition a, in every figure."""
B = "#D55E00"
"""Condition b, in every figure."""
NEUTRAL = "#868B94"
"""What belongs to neither: references, what was not selected."""
MORE = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#A6761D")
"""For further names, in this order."""

DIVERGING = ((0.0, A), (0.25, "#7FB8D8"), (0.5, "#F4F4F2"), (0.75, "#EBB07F"), (1.0, B))
"""From the colour of a low value through near-white to that of a high one; use it with `centred`."""
SEQUENTIAL = ((0.0, "#F1F4F5"), (0.35, "#9CC3CF"), (0.7, "#3C7F9C"), (1.0, "#0B3B5A"))

_INK = {"neutral": "#7A808A", "light": "#2B2F36", "dark": "#D9DCE1"}
_GRID = {"neutral": "rgba(128,134,144,0.25)", "light": "#E4E6EA", "dark": "#33383F"}
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def template(scheme: str = "neutral") -> go.layout.Template:
    """The template of tlesion's figures.

    Args:
        scheme: ``"neutral"``: mid-grey ink on a transparent ground, readable on light and dark pages; ``"light"`` and
            ``"dark"``: full contrast on pages of that kind.

    Example:
        >>> template("dark").layout.paper_bgcolor
        'rgba(0,0,0,0)'
    """
    ink, grid = _INK[scheme], _GRID[scheme]
    axis = {"gridcolor": grid, "zerolinecolor": ink, "zerolinewidth": 1, "linecolor": grid, "ticks": "", "color": ink}
    return go.layout.Template(
        layout={
            "font": {"family": _FONT, "size": 13, "color": ink},
            "colorway": [A, B, *MORE],
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "hoverlabel": {"align": "left", "font": {"family": _FONT}},
            # Below the plot, where it may grow to several lines without reaching the title.
            "legend": {"orientation": "h", "x": 0, "yref": "container", "y": 0, "yanchor": "bottom"}
            | {"itemsizing": "constant", "traceorder": "normal"},
            "margin": {"l": 16, "r": 16, "t": 56, "b": 16},
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": grid, "activecolor": ink},
            "title": {"x": 0, "xref": "paper", "xanchor": "left", "yref": "container", "y": 0.97, "yanchor": "top"},
            "xaxis": axis | {"automargin": True, "zeroline": False},
            "yaxis": axis | {"automargin": True, "zeroline": True},
            "coloraxis": {"colorbar": {"outlinewidth": 0, "thickness": 14}},
        }
    )


def finish(figure: Figure, chosen: TemplateLike, *, title: str, height: int = 400) -> Figure:
    """Give a figure its title, height and template; the last step of every plot function.

    Args:
        figure: The figure, changed in place and returned.
        chosen: The caller's ``template=``: None for tlesion's own, a plotly name (``"plotly_dark"``), or a Template.
        title: Above the figure.
        height: In pixels; the width follows the page.
    """
    figure.update_layout(template=template() if chosen is None else chosen, title_text=title, height=height)
    return figure


def colour_map(conditions: Sequence[str], others: Sequence[str] = ()) -> dict[str, str]:
    """A colour for every name: the first two conditions have theirs, whatever else is in the figure.

    Example:
        >>> colour_map(("him", "her"), ("any",))["her"] == B
        True
    """
    palette = (A, B, *MORE)
    names = list(dict.fromkeys([*conditions, *others]))
    # An "any" or a control never takes a condition's colour, even where there is one condition or none.
    first_other = max(2, len(dict.fromkeys(conditions)))
    found = {name: palette[i % len(palette)] for i, name in enumerate(dict.fromkeys(conditions))}
    rest = [name for name in names if name not in found]
    return found | {name: palette[(first_other + i) % len(palette)] for i, name in enumerate(rest)}


def translucent(colour: str, alpha: float) -> str:
    """A ``#RRGGBB`` colour with some opacity, for bands.

    Example:
        >>> translucent("#0072B2", 0.2)
        'rgba(0,114,178,0.2)'
    """
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"


def centred(limit: float) -> dict[str, Any]:
    """Colour axis of a diverging heat map whose neutral colour is zero, from ``-limit`` to ``limit``."""
    return {"colorscale": [list(stop) for stop in DIVERGING], "cmid": 0.0, "cmin": -limit, "cmax": limit}
