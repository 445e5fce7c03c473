"""Files that are there whole or not at all."""

import os
import tempfile
from pathlib import Path


def make_folder(folder: str | os.PathLike[str]) -> Path:
    """Make a folder, and those above it, if it is not there.

    Raises:
        ValueError: It, or something above it, is a file.
    """
    path = check_folder(folder)
    path.mkdir(parents=True, exist_ok=True)
    return path


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """Refuse a path that cannot become a folder, before any work is done for it.

    Raises:
        ValueError: It, or something above it, is a file.

    Example:
        >>> check_folder(__file__)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        ValueError: cannot write into '...files.py': it is a file; give the name of a folder
    """
    path = Path(folder)
    for part in (path, *path.parents):
        if part.exists() and not part.is_dir():
            what = "it" if part == path else repr(str(part))
            raise ValueError(f"cannot write into {str(path)!r}: {what} is a file; give the name of a folder")
    return path


def check_file(path: str | os.PathLike[str]) -> Path:
    """Refuse a path that cannot become a file, before any work is done for it.

    Raises:
        ValueError: The path is a folder, or lies below a file.
    """
    target = Path(path)
    if target.is_dir():
        raise ValueError(f"cannot write the file {str(target)!r}: it is a folder; give the name of a file")
    check_folder(target.parent)
    return target


def write_whole(path: str | os.PathLike[str], text: str) -> Path:
    """Write a text file under another name first: a crash leaves the old file, or none, and never half of one.

    Raises:
        ValueError: The path is a folder, or lies below a file.
    """
    target = check_file(path)
    make_folder(target.parent)
    handle, staging = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(staging).chmod(0o644)
        Path(staging).replace(target)
    finally:
        Path(staging).unlink(missing_ok=True)
    return target
