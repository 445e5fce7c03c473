"""One self-contained HTML page: sections of text, figures, tables and facts; nothing is loaded from elsewhere."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import jinja2
from markupsafe import Markup

from tlesion.drawing.embed import figure_json, plotly_js, template_json
from tlesion.drawing.style import Figure
from tlesion.keep.writing import write_whole
from tlesion.paper.table import Table


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure on a page.

    Attributes:
        figure: A plotly figure.
        caption: What it shows and how to read it, in plain words.
        half: Half the page's width, beside its neighbour where the screen is wide enough.
    """

    figure: Figure
    caption: str = ""
    half: bool = False

    @property
    def title(self) -> str:
        """The figure's own title, which the page sets above it."""
        return str(self.figure.layout.title.text or "")


@dataclass(frozen=True, eq=False)
class Section:
    """A part of a page under its own heading.

    Attributes:
        title: The heading.
        text: Paragraphs, in plain words.
        drawings: Figures, in reading order.
        tables: Tables, after the figures.
        facts: Names and values, last.
    """

    title: str
    text: Sequence[str] = ()
    drawings: Sequence[Drawing] = ()
    tables: Sequence[Table] = ()
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def anchor(self) -> str:
        """The heading as part of an address."""
        return "-".join("".join(c if c.isalnum() else " " for c in self.title.lower()).split())


@dataclass(frozen=True, eq=False)
class Page:
    """A report.

    Attributes:
        title: What was done.
        summary: What was found: the sentences that are read first.
        sections: The parts, in reading order.
        subtitle: Model and data, in a line.

    Example:
        >>> page = Page("A study", summary=["Nothing was found."], sections=[Section("Data", ["Two sentences."])])
        >>> "<h2>Data</h2>" in page.html()
        True
    """

    title: str
    summary: Sequence[str]
    sections: Sequence[Section]
    subtitle: str = ""

    def html(self) -> str:
        """The page as text; plotly.js is in it once if there is a figure, and not at all if there is none."""
        folder = files("tlesion.paper")
        environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
        source = (folder / "page.html.jinja").read_text(encoding="utf-8")
        drawn = any(section.drawings for section in self.sections)
        return environment.from_string(source).render(
            page=self,
            style=Markup((folder / "page.css").read_text(encoding="utf-8")),
            script=Markup((folder / "page.js").read_text(encoding="utf-8")),
            plotly_js=Markup(plotly_js()) if drawn else "",
            schemes={scheme: Markup(template_json(scheme)) for scheme in ("light", "dark")},
            figure_json=lambda figure: Markup(figure_json(figure)),
        )

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the page, complete or not at all.

        Args:
            path: The file; an older one is replaced, folders above it are made.

        Returns:
            The path.

        Raises:
            ValueError: The path is a folder, or lies below a file.
        """
        return write_whole(path, self.html())
