"""Stimuli from files: pairs and prompts as CSV or JSON lines, one per row."""

import json
import os
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pandas as pd

from tlesion.stimuli.contrast import Contrast
from tlesion.stimuli.prompt import Prompt

PAIR_COLUMNS = ("a", "b")
PROMPT_COLUMNS = ("text", "targets")


def shipped(name: str) -> Path:
    """The path of a file in the package's ``data`` folder."""
    with as_file(files("tlesion") / "data" / name) as path:
        return path


def read_pairs(
    path: str | os.PathLike[str],
    *,
    words: Sequence[str] | None = None,
    conditions: Sequence[str] | None = None,
    subword: str = "last",
) -> Contrast:
    """A paired contrast from a file.

    Args:
        path: CSV or JSON lines. Columns: ``a``, ``b`` (the sentences); ``word_a``, ``word_b`` (their words, where
            ``words`` does not give one pair for all); ``template`` (a label for folds, optional).
        words: The word of a's and of b's sentences, where it is the same in every row.
        conditions: Names of the conditions; the words, if there is one pair of them.
        subword: See :class:`tlesion.Contrast`.

    Raises:
        ValueError: The file is not there or cannot be read, a column is missing, or a sentence lacks its word.
    """
    rows = _rows(path, PAIR_COLUMNS)
    if words is None:
        _require_columns(rows, ("word_a", "word_b"), path, hint="; or name the words: words=('him', 'her')")
    per_pair = [words or (row["word_a"], row["word_b"]) for row in rows]
    groups = [str(row["template"]) for row in rows] if all(row.get("template") for row in rows) else []
    return Contrast.from_pairs(
        [(row["a"], row["b"]) for row in rows], per_pair, conditions=conditions, subword=subword, groups=groups
    )


def read_prompts(path: str | os.PathLike[str]) -> list[Prompt]:
    """Prompts from a file.

    Args:
        path: CSV or JSON lines. Columns: ``text``; ``targets`` (a list, or words separated by "|"); ``correct`` and
            ``template`` (both optional).

    Raises:
        ValueError: The file is not there or cannot be read, or a column is missing.
    """
    return [
        Prompt(
            text=row["text"],
            targets=tuple(_listed(row["targets"])),
            correct=row.get("correct") or None,
            group=str(row.get("template") or ""),
        )
        for row in _rows(path, PROMPT_COLUMNS)
    ]


def _rows(path: str | os.PathLike[str], required: Sequence[str]) -> list[dict[str, Any]]:
    file = Path(path)
    if not file.is_file():
        raise ValueError(
            f"{str(file)!r} is not a file; give a CSV or JSON-lines file with the columns {list(required)}"
        )
    try:
        if file.suffix == ".csv":
            table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
            rows = [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
        else:
            rows = [json.loads(line) for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"{str(file)!r} cannot be read as CSV (.csv) or JSON lines: {error}") from None
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{str(file)!r} has no rows; give one row per line, with the columns {list(required)}")
    _require_columns(rows, required, path)
    return rows


def _require_columns(
    rows: Sequence[dict[str, Any]], required: Sequence[str], path: str | os.PathLike[str], *, hint: str = ""
) -> None:
    for number, row in enumerate(rows, start=1):
        missing = [name for name in required if not (row.get(name) and isinstance(row[name], str | list))]
        if missing:
            raise ValueError(f"row {number} of {str(path)!r} has no text in {missing}; it has {sorted(row)}{hint}")


def _listed(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [one.strip() for one in str(value).split("|")]
