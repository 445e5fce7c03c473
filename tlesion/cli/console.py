"""What commands print: rich tables for people, JSON for machines, both on stdout."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table


def say(*lines: str) -> None:
    """Print lines; words are not broken and nothing is highlighted, so that paths can be copied."""
    console = Console(highlight=False, soft_wrap=True)
    for line in lines:
        console.print(line, markup=False)


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "", left: Sequence[str] = ()
) -> None:
    """Print a table that fits the terminal.

    Args:
        columns: Headings; a line break in one saves width.
        rows: The cells.
        title: Above the table.
        left: Which columns are words, flush left; the others are numbers.
    """
    table = Table(title=title or None, title_justify="left", title_style="bold", header_style="bold", box=None)
    for name in columns:
        table.add_column(name, justify="left" if name in left else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(highlight=False).print(table)


def print_json(record: Mapping[str, Any]) -> None:
    """Print a record as JSON; NaN and infinite numbers, which JSON has not, become null."""
    print(json.dumps(_finite(record), indent=2, ensure_ascii=False))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
