"""What commands print: tables for people, JSON for machines on stdout; what is being done on stderr, for terminals."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True)
class Group:
    """Columns of a table under one heading."""

    title: str
    columns: Mapping[str, Sequence[str]]


def say(text: str) -> None:
    """Print a paragraph, or a point of a list ("- ..."): wrapped on a terminal, in a file one line."""
    console = Console(highlight=False)
    if console.is_terminal:
        indent = "  " if text.startswith("- ") else ""
        # Neither paths nor words are broken, so that they can be copied.
        text = fill(text, console.width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    console.print(Text(text), soft_wrap=True)


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show on stderr what is being done while it lasts; nothing where stderr is not a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(what):
        yield


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "", left: Sequence[str] = ()
) -> None:
    """Print a table that fits the terminal.

    Args:
        columns: Headings; none: a list of facts, all words, under its title.
        rows: The cells.
        title: Above the table.
        left: Which columns are words, flush left; the others are numbers.
    """
    table = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=None,
        show_header=bool(columns),
    )
    for name in columns or [""] * len(rows[0]):
        table.add_column(name, justify="left" if name in left or not columns else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(table)


def print_grouped(groups: Sequence[Group]) -> None:
    """Print columns of numbers in groups, side by side; in several tables where they do not fit the terminal.

    The first group (the rows' names) stands at the left of each table.
    """
    console = Console(highlight=False)
    first, rest = groups[0], list(groups[1:])
    while rest:
        n_fitting = len(rest)
        while n_fitting > 1 and sum(map(_width, (first, *rest[:n_fitting]))) > console.width:
            n_fitting -= 1
        for line in _lines([first, *rest[:n_fitting]]):
            console.print(line, soft_wrap=True)
        rest = rest[n_fitting:]
        if rest:
            console.print()


def print_found(sentences: Sequence[str], files: Mapping[str, Path]) -> None:
    """Print what was found, as a list of sentences, and where everything was written."""
    say("")
    for sentence in sentences:
        say(f"- {sentence}")
    say("")
    width = max(10, *map(len, files))
    for name, path in files.items():
        say(f"{name:<{width}} {path}")


def print_json(record: Mapping[str, Any]) -> None:
    """Print a record as JSON: NaN and infinite numbers, which JSON has not, become null, and paths text."""
    print(json.dumps(_finite(record), indent=2, ensure_ascii=False))


def _widths(group: Group) -> list[int]:
    """Of each column, its leading space included; together at least as wide as the group's title."""
    widths = [1 + max(len(name), *map(len, cells)) for name, cells in group.columns.items()]
    widths[0] += max(0, len(group.title) + 1 - sum(widths))
    return widths


def _width(group: Group) -> int:
    return sum(_widths(group)) + 1


def _lines(groups: Sequence[Group]) -> list[Text]:
    titles = " ".join(f"{group.title:>{sum(_widths(group))}}" for group in groups)
    names = " ".join(_joined(group, list(group.columns)) for group in groups)
    n_rows = max(len(cells) for group in groups for cells in group.columns.values())
    rows = [
        " ".join(_joined(group, [cells[i] for cells in group.columns.values()]) for group in groups)
        for i in range(n_rows)
    ]
    return [Text(titles, style="bold"), Text(names, style="bold"), *map(Text, rows)]


def _joined(group: Group, cells: Sequence[str]) -> str:
    return "".join(f"{cell:>{width}}" for cell, width in zip(cells, _widths(group), strict=True))


def _finite(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
