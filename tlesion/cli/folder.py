"""A run folder: the results of one run, each in a folder of its own, beside the page and the tables made of them."""

import json
import os
from pathlib import Path

from tlesion.results import RESULT_FILE, Result


def save_results(folder: Path, results: dict[str, Result]) -> None:
    """Write every result into a folder of its name, each complete or not at all."""
    for name, result in results.items():
        result.save(folder / name)


def result_folders(folder: str | os.PathLike[str]) -> dict[str, Path]:
    """The saved results of a run folder by name; a folder that is a result itself is found under its own name.

    Raises:
        ValueError: There is no such folder, or no result in it.
    """
    path = Path(folder)
    if not path.is_dir():
        what = "a file" if path.is_file() else "not there"
        raise ValueError(f"the folder {str(path)!r} is {what}; give a folder that tlesion wrote")
    if (path / RESULT_FILE).is_file():
        return {path.name: path}
    found = {part.name: part for part in sorted(path.iterdir()) if (part / RESULT_FILE).is_file()}
    if not found:
        raise ValueError(
            f"the folder {str(path)!r} holds no tlesion result; give one that `tlesion demo` or `tlesion laminar` "
            "wrote with --out, or that a result's .save() wrote"
        )
    return found


def kind_of(folder: Path) -> str:
    """Which kind of result a folder holds, without reading the numbers.

    Raises:
        ValueError: The record cannot be read.
    """
    try:
        return str(json.loads((folder / RESULT_FILE).read_text(encoding="utf-8"))["kind"])
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        raise ValueError(f"the result in {str(folder)!r} is damaged: {RESULT_FILE} cannot be read") from None
