"""Stimuli from files: pairs and prompts as CSV or JSON, one per row; what does not fit is refused with its line."""

import os
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from tlesion.checks import is_label, label, shown
from tlesion.stimuli.contrast import Contrast
from tlesion.stimuli.labels import check_words
from tlesion.stimuli.prompt import Prompt
from tlesion.stimuli.sentence import Sentence
from tlesion.stimuli.tables import Row, read_rows, require_columns

PAIR_COLUMNS = ("a", "b")
WORD_COLUMNS = ("word_a", "word_b")
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
        path: CSV, separated by commas, semicolons or tabs; JSON lines, or one JSON list. Columns: ``a``, ``b`` (the
            sentences); ``word_a``, ``word_b`` (their words, where ``words`` does not give one pair for all);
            ``template`` (a label for folds, text or a whole number: of every row, or of none).
        words: The word of a's and of b's sentences, where it is the same in every row.
        conditions: Names of the conditions; the words, if there is one pair of them.
        subword: See :class:`tlesion.Contrast`.

    Returns:
        The contrast, a pair per row.

    Raises:
        ValueError: The file is not there or cannot be read, a row does not fit the header, a column is missing, or a
            sentence lacks its word; the message names the line.

    Example:
        >>> import tempfile, pathlib, tlesion
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder, "pairs.csv")
        ...     written = file.write_text("a,b\\nWe saw him.,We saw her.\\nAsk him.,Ask her.\\n")
        ...     contrast = tlesion.files.read_pairs(file, words=("him", "her"))
        >>> contrast.conditions, len(contrast.a)
        (('him', 'her'), 2)
    """
    rows = read_rows(path, required=PAIR_COLUMNS, optional=(*WORD_COLUMNS, "template"))
    given = (None, None) if words is None else check_words(words)
    pairs, per_pair = [], []
    for row in rows:
        if words is None:
            require_columns(row, WORD_COLUMNS, otherwise="; or name the words: words=('him', 'her')")
        both = [_word(row, column, one) for column, one in zip(WORD_COLUMNS, given, strict=True)]
        pairs.append([_sentence(row, *one).text for one in zip(PAIR_COLUMNS, both, strict=True)])
        per_pair.append(both)
    return Contrast.from_pairs(pairs, per_pair, conditions=conditions, subword=subword, groups=_groups(rows))


def read_prompts(path: str | os.PathLike[str]) -> list[Prompt]:
    """Prompts from a file.

    Args:
        path: CSV, separated by commas, semicolons or tabs; JSON lines, or one JSON list. Columns: ``text``; ``targets``
            (a list, or words separated by "|"); ``correct`` (one of the targets, or its index, from 0) and ``template``
            (a label, text or a whole number), which may be missing or empty.

    Returns:
        A prompt per row.

    Raises:
        ValueError: The file is not there or cannot be read, a row does not fit the header or is no prompt, or a column
            is missing; the message names the line.

    Example:
        >>> import tempfile, pathlib, tlesion
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder, "prompts.csv")
        ...     written = file.write_text("text,targets,correct\\nShe thanked [MASK].,him|her,him\\n")
        ...     (prompt,) = tlesion.files.read_prompts(file)
        >>> prompt.text, prompt.targets, prompt.correct
        ('She thanked [MASK].', ('him', 'her'), 'him')
    """
    rows = read_rows(path, required=PROMPT_COLUMNS, optional=("correct", "template"))
    return [_prompt(row) for row in rows]


def _prompt(row: Row) -> Prompt:
    targets = _listed(row)
    correct: Any = row.cells.get("correct")
    group: Any = row.cells.get("template")
    if isinstance(correct, str):
        correct = correct.strip() or None  # A cell of CSV that is left empty.
        if correct not in targets and str(correct).isdecimal():
            correct = int(str(correct))
    try:
        return Prompt(text=_text(row, "text"), targets=targets, correct=correct, group=group)
    except (ValueError, TypeError) as error:
        raise row.refused(f"is no prompt: {error}") from None


def _sentence(row: Row, column: str, word: str) -> Sentence:
    try:
        return Sentence(_text(row, column), word)
    except (ValueError, TypeError) as error:
        raise row.refused(f"has no sentence in {column!r}: {error}") from None


def _word(row: Row, column: str, given: str | None) -> str:
    """The word of a sentence: the one that was given for all, which a column of the file may repeat."""
    own = row.cells.get(column)
    if given is None:
        return _text(row, column)
    if own is not None and str(own).strip() not in ("", given):
        raise row.refused(f"has {own!r} in {column!r}, and the call says words=...{given!r}; give it in one place")
    return given


def _groups(rows: Sequence[Row]) -> tuple[str, ...]:
    """The templates of all rows; none where no row has one."""
    try:
        groups = tuple(label(row.cells.get("template"), "template") for row in rows)
    except TypeError as error:
        bad = next(row for row in rows if not is_label(row.cells.get("template")))
        raise bad.refused(f"has no label in 'template': {error}") from None
    without = next((row for row, group in zip(rows, groups, strict=True) if not group), None)
    if without is None or not any(groups):
        return groups if any(groups) else ()
    raise without.refused("has no template, and others have; give every row one, or none")


def _text(row: Row, column: str) -> str:
    value = row.cells[column]
    if not isinstance(value, str):
        raise row.refused(f"has a {shown(value)} in {column!r}; a text is wanted there")
    return value


def _listed(row: Row) -> tuple[str, ...]:
    """The targets: a list, or words with "|" between them; whole numbers stand for themselves."""
    value = row.cells["targets"]
    if isinstance(value, str):
        return tuple(one.strip() for one in value.split("|"))
    wrong = [one for one in value if not isinstance(one, str | int) or isinstance(one, bool)]
    if wrong:
        raise row.refused(f"has a {shown(wrong[0])} among its targets; a target is a word")
    return tuple(map(str, value))
