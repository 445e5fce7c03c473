"""Axes and colour scales that several figures share."""

from typing import Any

from tlesion.drawing.style import SEQUENTIAL, Figure

MAX_TICKS = 12


def tick_step(n: int, *, most: int = MAX_TICKS) -> int:
    """The step between ticks that labels at most so many of ``n`` layers, heads, ....

    Example:
        >>> tick_step(12), tick_step(48)
        (1, 4)
    """
    return max(1, -(-n // most))


def name_layers(figure: Figure, n_layers: int, *, title: str = "layer") -> None:
    """Name the x axis of a figure over layers, with at most about a dozen ticks."""
    figure.update_xaxes(title_text=title, dtick=tick_step(n_layers))


def sequential() -> list[list[object]]:
    """The colour scale of sizes, from none to most, as plotly takes it."""
    return [list(stop) for stop in SEQUENTIAL]


def colour_bar(title: str, **more: Any) -> dict[str, Any]:
    """A thin colour bar with its title along it; ``more`` as plotly names it (``tickvals``, ``ticktext``)."""
    return {"title": {"text": title, "side": "right"}, "thickness": 12, "outlinewidth": 0, **more}
