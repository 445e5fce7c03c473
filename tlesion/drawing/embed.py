"""Figures as a web page needs them: JSON, and the plotly.js that draws it."""

import json

from plotly.offline import get_plotlyjs

from tlesion.drawing.style import Figure, template


def plotly_js() -> str:
    """The source of plotly.js, for a page that loads nothing from elsewhere."""
    return str(get_plotlyjs())


def figure_json(figure: Figure) -> str:
    """A figure as JSON, safe inside a ``<script>`` element.

    A figure with tlesion's own template goes without: the page puts in the light or the dark one.
    """
    bare = figure
    if figure.layout.template == template():
        bare = Figure(figure).update_layout(template=None)
    record = json.loads(bare.to_json())
    if bare is not figure:
        record["layout"].pop("template", None)
        record["themed"] = True
    return json.dumps(record, separators=(",", ":")).replace("<", "\\u003c")


def template_json(scheme: str) -> str:
    """The template of one colour scheme as JSON, safe inside a ``<script>`` element."""
    return json.dumps(template(scheme).to_plotly_json(), separators=(",", ":")).replace("<", "\\u003c")
