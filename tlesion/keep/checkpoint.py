"""Finished parts of a long run, kept in a folder as they come: an interrupted run continues where it stopped.

The folder that ``checkpoint=`` names holds

- ``checkpoint.json``: which run it is of (study, weights, versions, settings, a hash of every stimulus) and its state,
  ``"running"`` or ``"finished"``;
- ``parts/<name>.safetensors``: a file for every finished part, with a checksum over its numbers and over which run and
  part they are of.

Every file is there whole or not at all, and none of them is ever executed. A finished run leaves its parts: the same
call makes the same result from them again. Once the result is saved, the folder can be deleted.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from tlesion.checks import warn
from tlesion.keep.checkpoint_part import packed, read_part
from tlesion.keep.writing import (
    check_folder,
    clear_abandoned,
    file_in_the_way,
    is_partial,
    json_text,
    make_folder,
    write_whole,
)
from tlesion.options import settle_by

FORMAT_VERSION = 1
CHECKPOINT_FILE = "checkpoint.json"
PARTS_FOLDER = "parts"

Folder = str | os.PathLike[str] | None

_ABOUT = "Finished parts of a tlesion run; the same call continues it. Delete the folder once the result is saved."
_HASH = re.compile(r"[0-9a-f]{16,64}")
_N_SHOWN = 4


@dataclass(frozen=True)
class Checkpoint:
    """The kept parts of one run; made by :func:`open_checkpoint`.

    Attributes:
        folder: Where they are; None: nothing is kept, and every part is computed.
        run: Hash of everything that says which run this is.
        prefix: Of the parts' names, which tells the stages of a run apart.
    """

    folder: Path | None = None
    run: str = ""
    prefix: str = ""

    @property
    def keeps(self) -> bool:
        """Whether anything is kept."""
        return self.folder is not None

    def stage(self, name: str) -> "Checkpoint":
        """The same checkpoint for one stage of its run."""
        return Checkpoint(self.folder, self.run, f"{self.prefix}{name}-")

    def part(self, name: str, compute: Callable[[], Mapping[str, Any]], *, covers: Any = None) -> dict[str, Any]:
        """A part: taken if it is kept already, otherwise computed and kept.

        Args:
            name: Of the part, the same whenever this run comes to it.
            compute: Returns its fields: tensors, and what JSON holds.
            covers: What the part is of, as JSON has it; a kept part that covers something else is not taken.

        Returns:
            The fields; tensors lie on the CPU, whether they were kept or have just been computed.
        """
        if self.folder is None:
            return dict(compute())
        found = self.read(name, covers=covers)
        if found is None:
            self.write(name, compute(), covers=covers)
            found = self.read(name, covers=covers)
            assert found is not None, f"part {name!r} could not be read back"
        return found

    def read(self, name: str, *, covers: Any = None) -> dict[str, Any] | None:
        """The fields of a kept part; None where it is not there, or is damaged (which a warning says)."""
        path = self._path(name)
        if path is None or not path.is_file():
            return None
        try:
            return read_part(path, {"run": self.run, "part": path.stem, "covers": covers})
        except (SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
            where = f"part {path.stem!r} of the checkpoint in {str(self.folder)!r}"
            warn(f"{where} is damaged and is computed again ({error})")
            return None

    def write(self, name: str, fields: Mapping[str, Any], *, covers: Any = None) -> None:
        """Keep a part, in the place of an older one of that name; without a folder nothing is done."""
        path = self._path(name)
        if path is not None:
            write_whole(path, packed(fields, {"run": self.run, "part": path.stem, "covers": covers}))

    def drop(self, name: str) -> None:
        """Forget a part that is no longer needed."""
        path = self._path(name)
        if path is not None:
            path.unlink(missing_ok=True)

    def finish(self) -> None:
        """Note that the run is finished; its parts stay."""
        if self.folder is not None:
            path = self.folder / CHECKPOINT_FILE
            record = json.loads(path.read_text(encoding="utf-8"))
            write_whole(path, json_text(record | {"state": "finished"}))

    def _path(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / PARTS_FOLDER / f"{self.prefix}{name}.safetensors"


NOTHING_KEPT = Checkpoint()


def open_checkpoint(folder: Folder, run: Mapping[str, Any]) -> Checkpoint:
    """Begin a checkpoint, or continue the one that is there.

    Studies open theirs with :func:`tlesion.provenance.checkpoint_of`, which says which run it is.

    Args:
        folder: Made if it is not there; None: nothing is kept.
        run: Everything that two runs have to share to make the same numbers, as JSON has it.

    Raises:
        ValueError: The folder holds the checkpoint of another run (the message says what differs), a damaged one, or
            something else; the path is a file.
    """
    if folder is None:
        return NOTHING_KEPT
    path, record = Path(folder), dict(json.loads(json.dumps(dict(run))))
    _require_folder(path)
    for place in (path, path / PARTS_FOLDER):
        clear_abandoned(place)
    if (path / CHECKPOINT_FILE).exists():
        _require_same(path, record)
    else:
        _require_empty(path)
        make_folder(path / PARTS_FOLDER)
        head = {"about": _ABOUT, "format": FORMAT_VERSION, "state": "running"}
        write_whole(path / CHECKPOINT_FILE, json_text(head | {"run": record}))
    return Checkpoint(path, hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest())


def differences(there: Any, here: Any, path: str = "") -> Iterator[str]:
    """What differs between two JSON values, in words.

    Example:
        >>> list(differences({"seed": 1, "layers": [0, 1]}, {"seed": 2, "layers": [0, 1]}))
        ['seed is 1 there and 2 here']
    """
    if isinstance(there, dict) and isinstance(here, dict):
        for name in dict.fromkeys([*there, *here]):
            where = f"{path}.{name}" if path else name
            if name in there and name in here:
                yield from differences(there[name], here[name], where)
            else:
                yield f"{where} is there and not here" if name in there else f"{where} is here and not there"
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        for index, (one, other) in enumerate(zip(there, here, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    elif isinstance(there, list) and isinstance(here, list):
        yield f"{path}: {len(there)} there and {len(here)} here"
    elif json.dumps(there) != json.dumps(here):
        telling = all(len(repr(one)) <= 60 and not _HASH.fullmatch(str(one)) for one in (there, here))
        yield f"{path} is {there!r} there and {here!r} here" if telling else f"{path} differs"


def _require_same(path: Path, record: dict[str, Any]) -> None:
    try:
        kept = json.loads((path / CHECKPOINT_FILE).read_text(encoding="utf-8"))
        found, run = kept["format"], dict(kept["run"])
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f"the checkpoint in {str(path)!r} is damaged: {CHECKPOINT_FILE} cannot be read; delete the folder, or give "
            "another"
        ) from None
    if found != FORMAT_VERSION:
        raise ValueError(
            f"the checkpoint in {str(path)!r} has format {found}, and this version of tlesion reads {FORMAT_VERSION}; "
            "finish it with the version that began it, or give another folder"
        )
    differing = list(differences(run, record))
    if differing:
        more = len(differing) - _N_SHOWN
        shown = "; ".join(differing[:_N_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        raise ValueError(
            f"the checkpoint in {str(path)!r} is of another run ({shown}); give what that run was begun with to "
            "continue it, or another folder for this one"
        )


def check_checkpoint(folder: Any, name: str = "checkpoint") -> None:
    """Refuse, before any work is done, a path in which no checkpoint could be kept.

    Args:
        folder: The path; None: nothing is to be kept.
        name: What the option is called.

    Raises:
        ValueError: It, or something above it, is a file, or nothing may be written there.
        TypeError: It is no path.
    """
    if folder is None:
        return
    if not isinstance(folder, str | os.PathLike) or not os.fspath(folder):
        raise TypeError(f"{name} is {folder!r} ({type(folder).__name__}); give the path of a folder, or None")
    _require_folder(Path(folder))


def _settled(name: str, folder: Any) -> Any:
    check_checkpoint(folder, name)
    return folder


settle_by(_settled, "checkpoint")


def _require_folder(path: Path) -> None:
    if (file := file_in_the_way(path)) is not None:
        raise ValueError(f"cannot keep a checkpoint in {str(path)!r}: {str(file)!r} is a file; give a folder")
    check_folder(path)


def _require_empty(path: Path) -> None:
    # Nothing but the empty folder of parts, and what a killed process was writing: it had not kept anything yet.
    held = [
        found
        for found in (path.iterdir() if path.is_dir() else ())
        if not is_partial(found) and (found.name != PARTS_FOLDER or any(found.iterdir()))
    ]
    if held:
        raise ValueError(
            f"cannot keep a checkpoint in {str(path)!r}: it holds files that are not a tlesion checkpoint "
            f"({held[0].name!r}); give an empty or a new folder"
        )
