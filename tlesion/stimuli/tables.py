"""Tables from files, read strictly: what a row says is what stands in the file, or the file is refused with its line.

CSV may be separated by commas, semicolons or tabs: by whichever the header names the columns. JSON may be lines, one
object each, or one list of objects. Nothing is guessed: a row with more or fewer fields than the header is no row.
"""

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from tlesion.checks import shown
from tlesion.stimuli.text_files import Lines, read_text

_SEPARATED = (".csv", ".tsv", ".tab")
_BLANK = " \t\r\n"
_CLOSE = 0.8


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        file: The file, as messages call it.
        number: Its place among the rows, from 1.
        line: The line of the file that it begins on, from 1.
        cells: Its values by the columns' names; in a CSV file all of them are text.
    """

    file: str
    number: int
    line: int
    cells: Mapping[str, Any]

    def refused(self, why: object) -> ValueError:
        """The error for a row that cannot be taken; it names file, row and line."""
        return ValueError(f"row {self.number} of {self.file!r} {why} (line {self.line})")


def read_rows(path: str | os.PathLike[str], *, required: Sequence[str], optional: Sequence[str] = ()) -> list[Row]:
    """The rows of a CSV or JSON file.

    Args:
        path: The file. One that ends in .csv, .tsv or .tab is separated; any other is JSON, a list or lines.
        required: Columns that every row fills with text or a list.
        optional: Columns that it may have. Case and spaces around a column's name do not matter; other columns are left
            alone, unless their name is all but that of a column that is missing.

    Raises:
        ValueError: The file is not there, cannot be read, or has no rows; a row that does not fit the header, or lacks
            a column. The message names the line.
    """
    text = read_text(path, otherwise=f"give a CSV or JSON-lines file with the columns {list(required)}")
    file, known = str(path), (*required, *optional)
    separated = Path(file.lower().removesuffix(".gz")).suffix in _SEPARATED
    try:
        found = list(_separated(text, known) if separated else _objects(text))
    except (ValueError, RecursionError) as error:
        if isinstance(error, _NoRow):
            raise ValueError(f"{file!r} has no rows: {error}") from None
        raise ValueError(f"{file!r} cannot be read as CSV (.csv) or JSON lines: {error}") from None
    if not found:
        raise ValueError(f"{file!r} has no rows; give one row per line, with the columns {list(required)}")
    rows = []
    for number, (line, cells) in enumerate(found, start=1):
        rows.append(_checked(Row(file, number, line, cells), known))
        require_columns(rows[-1], required)
    return rows


def require_columns(row: Row, required: Sequence[str], *, otherwise: str = "") -> None:
    """Refuse a row that holds neither text nor a list in a column.

    Raises:
        ValueError: It lacks one; ``otherwise`` says what else can be done.
    """
    missing = [name for name in required if not (row.cells.get(name) and isinstance(row.cells[name], str | list))]
    if missing:
        raise row.refused(f"has no text in {missing}; it has {sorted(row.cells)}{otherwise}")


class _NoRow(ValueError):
    """JSON that is no object."""


def _separated(text: str, known: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of separated values: the line each begins on, and its cells."""
    if not text.strip():
        raise ValueError("it is empty")
    header: list[str] = []
    for line, fields in _records(text, _separator(text, known)):
        if not any(field.strip() for field in fields):
            continue
        spaced = [field for field in fields if field.lstrip().startswith('"') and not field.startswith('"')]
        if spaced:
            raise ValueError(f"line {line}: a quote after a space ({spaced[0]!r}); quotes begin right at the separator")
        if not header:
            header = [name.strip() for name in fields]
            continue
        if len(fields) != len(header):
            raise ValueError(
                f"line {line} has {len(fields)} fields, and the header has {len(header)}; a field with a separator or "
                "a line break in it stands in double quotes, and a missing one is left empty"
            )
        pairs = list(zip(header, fields, strict=True))
        if not header[0] and fields[0].strip().isdecimal():
            pairs = pairs[1:]  # pandas numbers the rows it writes, in a first column without a name.
        nameless = [field for name, field in pairs if not name and field.strip()]
        if nameless:
            raise ValueError(f"line {line}: {nameless[0]!r} stands in a column without a name; name it in the header")
        yield line, _once([pair for pair in pairs if pair[0]])


def _separator(text: str, known: Sequence[str]) -> str:
    """By which of comma, semicolon and tab the header names the most columns."""
    first = next(line for line in io.StringIO(text) if line.strip())

    def n_named(separator: str) -> int:
        return sum(name.strip(' "\r\n').casefold() in known for name in first.split(separator))

    return max((",", ";", "\t"), key=n_named)


def _records(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    # newline="": a line break inside quotes stays as it is, and only \r and \n end a line.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(f"line {line}: {error}; a double quote inside a quoted field is written twice") from None
        yield line, fields


def _objects(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON list, or of JSON lines: the line each begins on, and what it holds."""
    decoder, lines = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_number), Lines(text)
    place, listed = _after_blank(text, 0), False
    if text[place : place + 1] == "[":
        place, listed = _after_blank(text, place + 1), True
    while place < len(text) and not (listed and text[place] == "]"):
        line = lines.of(place)
        try:
            value, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            raise ValueError(f"line {error.lineno}: {error.msg} (column {error.colno})") from None
        except ValueError as error:
            raise ValueError(f"line {line}: {error}") from None
        if not isinstance(value, dict):
            raise _NoRow(f"line {line} holds a {shown(value)}; a row is an object, {{'column': 'value'}}")
        yield line, value
        place = _after_blank(text, place)
        if listed and text[place : place + 1] == ",":
            place = _after_blank(text, place + 1)
        elif listed and text[place : place + 1] != "]":
            raise ValueError(f"line {lines.of(place)}: a list goes on with a comma or ends with ']'")
    if listed and place >= len(text):
        raise ValueError(f"line {lines.of(place)}: the list has no end, ']'")
    if listed and (rest := _after_blank(text, place + 1)) < len(text):
        raise ValueError(f"line {lines.of(rest)}: something follows the end of the list")


def _checked(row: Row, known: Sequence[str]) -> Row:
    """The row by the columns' own names; what is almost the name of a column that it lacks is refused."""
    cells: dict[str, Any] = {}
    for name, value in row.cells.items():
        plain = name.strip().casefold()
        column = plain if plain in known else name
        if column in cells:
            raise row.refused(f"has the column {column!r} twice; name each column once")
        cells[column] = value
        if column not in known and (close := _meant(plain, [one for one in known if one not in row.cells])):
            raise row.refused(f"has a column {name!r}, which is not read; did you mean {close!r}?")
        try:
            str(value).encode()
        except UnicodeEncodeError:
            raise row.refused(f"holds half a character in {name!r}; save the text as UTF-8") from None
    return Row(row.file, row.number, row.line, cells)


def _meant(name: str, missing: Sequence[str]) -> str | None:
    if name in ("group", "groups", "templates") and "template" in missing:
        return "template"
    return next(iter(get_close_matches(name, missing, n=1, cutoff=_CLOSE)), None)


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"the column {twice!r} stands there twice; name each column once")
    return dict(pairs)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON value; write null, or leave the column out")


def _after_blank(text: str, place: int) -> int:
    while place < len(text) and text[place] in _BLANK:
        place += 1
    return place
