"""A run folder: the results of one run, each in a folder of its own, beside the page and the tables made of them."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from tlesion.keep.archive import load_result
from tlesion.keep.results import RESULT_FILE, Result
from tlesion.keep.writing import check_folder, make_folder


def check_run_folder(folder: str | os.PathLike[str], names: Iterable[str]) -> Path:
    """Refuse, before any work is done, a folder into which a run's results could not be written.

    Raises:
        ValueError: It is a file, or holds something else under the name of a result.
    """
    path = check_folder(folder)
    for name in names:
        taken = path / name
        is_result = (taken / RESULT_FILE).is_file()
        if taken.is_file() or (taken.is_dir() and not is_result and any(taken.iterdir())):
            raise ValueError(
                f"cannot write into {str(path)!r}: {str(taken)!r} is there and is not a tlesion result; "
                "give an empty or a new folder"
            )
    return path


def save_results(folder: str | os.PathLike[str], results: Mapping[str, Result]) -> dict[str, Path]:
    """Write every result into a folder of its name, each complete or not at all; returns where each is.

    Raises:
        ValueError: See `check_run_folder`.
    """
    path = make_folder(check_run_folder(folder, results))
    return {name: result.save(path / name) for name, result in results.items()}


def load_results(folder: str | os.PathLike[str]) -> dict[str, Result]:
    """The saved results of a run folder by name; of a folder that is a result itself that one.

    Raises:
        ValueError: There is no such folder, no result in it, or a damaged one.
    """
    path = Path(folder)
    if not path.is_dir():
        what = "a file" if path.is_file() else "not there"
        raise ValueError(f"the folder {str(path)!r} is {what}; give a folder that tlesion wrote")
    if (path / RESULT_FILE).is_file():
        return {path.name or "result": load_result(path)}
    found = [part for part in sorted(path.iterdir()) if (part / RESULT_FILE).is_file()]
    if not found:
        raise ValueError(
            f"the folder {str(path)!r} holds no tlesion result; give one that `tlesion demo` or `tlesion laminar` "
            "wrote with --out, or that a result's .save() wrote"
        )
    return {part.name: load_result(part) for part in found}
