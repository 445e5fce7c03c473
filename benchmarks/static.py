"""Static images of plotly figures: one browser for many of them, and nothing fetched."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import kaleido

Render = Callable[..., bytes]


@contextmanager
def browser() -> Iterator[Render]:
    """A function ``render(figure as a dict, width=..., height=..., scale=...)`` that returns a PNG's bytes.

    Needs a Chrome or Chromium, which stays open for as long as the ``with`` block lasts.
    """
    # It logs half a message that it reads from a browser being closed; what fails raises an exception.
    logging.getLogger("choreographer").setLevel(logging.CRITICAL)
    # Without MathJax, which the page would try to fetch.
    kaleido.start_sync_server(mathjax=False, silence_warnings=True)
    try:
        yield render
    finally:
        kaleido.stop_sync_server(silence_warnings=True)


def render(figure: dict[str, Any], *, width: int, height: int, scale: float = 1.5) -> bytes:
    """One figure, on the transparent ground that tlesion's template has."""
    return kaleido.calc_fig_sync(figure, opts={"format": "png", "width": width, "height": height, "scale": scale})
