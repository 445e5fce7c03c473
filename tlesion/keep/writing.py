"""The one way in which tlesion writes: a file or a folder is there whole, or not at all.

What is written gets a name of its own beside its place, and is renamed once it is complete. Where that is cut off, an
older file or folder of that name is still there as it was.
"""

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

_PARTIAL = re.compile(r"\..+\.(\d+)\.partial")
_ABANDONED = 600.0
"""Seconds since its last change after which an unfinished file may be somebody's who is gone."""


def make_folder(folder: str | os.PathLike[str]) -> Path:
    """Make a folder, and those above it, if it is not there.

    Raises:
        ValueError: It, or something above it, is a file.
    """
    path = check_folder(folder)
    path.mkdir(parents=True, exist_ok=True)
    return path


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """Refuse a path that cannot become a folder to write into, before any work is done for it.

    Raises:
        ValueError: It, or something above it, is a file, or nothing may be written there.

    Example:
        >>> check_folder(__file__)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        ValueError: cannot write into '...writing.py': it is a file; give the name of a folder
    """
    path = Path(folder)
    try:
        if (file := file_in_the_way(path)) is not None:
            what = "it" if file == path else repr(str(file))
            raise ValueError(f"cannot write into {str(path)!r}: {what} is a file; give the name of a folder")
        # Whoever may write everything (root) may not write a disk that is mounted read-only: so it is tried.
        whole = path.absolute()
        with tempfile.TemporaryFile(dir=next(part for part in (whole, *whole.parents) if part.is_dir())):
            return path
    except OSError as error:
        raise ValueError(f"cannot write into {str(path)!r}: {error.strerror}; give another folder") from None


def file_in_the_way(path: Path) -> Path | None:
    """What keeps a path from becoming a folder: itself or something above it, if that is there and is no folder."""
    return next((part for part in (path, *path.parents) if part.exists() and not part.is_dir()), None)


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


def write_whole(path: str | os.PathLike[str], data: str | bytes) -> Path:
    """Write a file, whole or not at all.

    Args:
        path: An older file of that name is replaced; folders above it are made.
        data: Text is written as UTF-8.

    Returns:
        The path.

    Raises:
        ValueError: The path is a folder, or lies below a file.
    """
    target = check_file(path)
    make_folder(target.parent)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=_suffix(), dir=target.parent)
    staging = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_as_bytes(data))
        staging.chmod(0o644)
        staging.replace(target)
    finally:
        staging.unlink(missing_ok=True)
    return target


def write_whole_folder(folder: str | os.PathLike[str], files: Mapping[str, str | bytes]) -> Path:
    """Write a folder of files, whole or not at all.

    Args:
        folder: An older folder of that name is replaced with all that is in it; folders above it are made.
        files: What each file holds, by its name; text is written as UTF-8.

    Returns:
        The folder.

    Raises:
        ValueError: The path is a file, or lies below one.
    """
    target = check_folder(folder)
    make_folder(target.parent)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=_suffix(), dir=target.parent))
    try:
        for name, data in files.items():
            (staging / name).write_bytes(_as_bytes(data))
        staging.chmod(0o755)
        _replace(target, staging)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def clear_abandoned(folder: Path) -> None:
    """Remove what a process that is gone was writing into a folder when it was cut off.

    A file that has just been changed is left alone: a process of another machine, which cannot be seen from here, may
    be writing it.
    """
    for found in folder.glob(".*.partial"):
        writer = _PARTIAL.fullmatch(found.name)
        if writer is None or not found.is_file() or time.time() - found.stat().st_mtime < _ABANDONED:
            continue
        # In a container every run may have the same number.
        if int(writer[1]) == os.getpid() or not psutil.pid_exists(int(writer[1])):
            found.unlink(missing_ok=True)


def is_partial(path: Path) -> bool:
    """Whether a file is one that is being written, or was when its process was cut off."""
    return _PARTIAL.fullmatch(path.name) is not None


def _replace(target: Path, staging: Path) -> None:
    """Replace an older folder by a finished one; the old one stays complete until then."""
    if not target.exists():
        staging.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old-", suffix=_suffix(), dir=target.parent))
    try:
        target.rename(old / "old")
        staging.rename(target)
    except BaseException:
        if (old / "old").exists():
            (old / "old").rename(target)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def json_text(record: Mapping[str, Any]) -> str:
    """A record as a JSON file of tlesion holds it."""
    return json.dumps(record, indent=1, ensure_ascii=False) + "\n"


def _suffix() -> str:
    return f".{os.getpid()}.partial"


def _as_bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data
