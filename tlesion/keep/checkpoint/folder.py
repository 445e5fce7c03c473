"""The folder of a checkpoint: which run it is of, and the parts that are finished."""

import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from safetensors import SafetensorError

from tlesion.hooks import Model, user_hooks
from tlesion.keep.checkpoint.identity import differences, identity_of
from tlesion.keep.checkpoint.part import as_json, packed, read_part, write_whole
from tlesion.keep.results import Provenance

FORMAT_VERSION = 1
CHECKPOINT_FILE = "checkpoint.json"
PARTS_FOLDER = "parts"

Folder = str | os.PathLike[str] | None

_ABOUT = "Finished parts of a tlesion run; the same call continues it. Delete the folder once the result is saved."
_PARTIAL = re.compile(r"\..+\.(\d+)\.partial")
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
        """A part that is kept already, or else is computed and kept.

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
            warnings.warn(f"{where} is damaged and is computed again ({error})", stacklevel=2)
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
            write_whole(path, as_json(record | {"state": "finished"}))

    def _path(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / PARTS_FOLDER / f"{self.prefix}{name}.safetensors"


NOTHING_KEPT = Checkpoint()


def open_checkpoint(
    folder: Folder,
    *,
    study: str,
    model: Model,
    provenance: Provenance,
    stimuli: Sequence[str],
    options: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """Begin a checkpoint, or continue the one that is there.

    Args:
        folder: Made if it is not there; None: nothing is kept.
        study: The function that runs.
        model: Its model.
        provenance: What the result is going to record: model, versions and settings have to be the same.
        stimuli: An exact hash of each stimulus: of its tokens, not of its text alone.
        options: What else changes the numbers, if by rounding only: plans, budgets, hashes of edits.

    Raises:
        ValueError: The folder holds the checkpoint of another run (the message says what differs), a damaged one, or
            something else; the path is a file; the model carries hooks of its own, which cannot be compared.
    """
    if folder is None:
        return NOTHING_KEPT
    path = Path(folder)
    foreign = user_hooks(model)
    if foreign:
        raise ValueError(
            f"the model carries hooks of its own (at {foreign[0]}), and a checkpoint cannot tell whether they are the "
            "same when the run continues; remove them (model.reset_hooks()), or leave checkpoint out"
        )
    record = identity_of(study, model, provenance, stimuli, options or {})
    _require_folder(path)
    _clear_partial(path)
    if (path / CHECKPOINT_FILE).exists():
        _require_same(path, record)
    else:
        _require_empty(path)
        (path / PARTS_FOLDER).mkdir(parents=True, exist_ok=True)
        head = {"about": _ABOUT, "format": FORMAT_VERSION, "state": "running"}
        write_whole(path / CHECKPOINT_FILE, as_json(head | {"run": record}))
    return Checkpoint(path, hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest())


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


def _require_folder(path: Path) -> None:
    for part in (path, *path.parents):
        if part.exists() and not part.is_dir():
            raise ValueError(f"cannot keep a checkpoint in {str(path)!r}: {str(part)!r} is a file; give a folder")


def _require_empty(path: Path) -> None:
    # Nothing but the empty folder of parts: a run that was cut off before it had written anything.
    held = (
        [found for found in path.iterdir() if found.name != PARTS_FOLDER or any(found.iterdir())]
        if path.is_dir()
        else []
    )
    if held:
        raise ValueError(
            f"cannot keep a checkpoint in {str(path)!r}: it holds files that are not a tlesion checkpoint "
            f"({held[0].name!r}); give an empty or a new folder"
        )


def _clear_partial(path: Path) -> None:
    """Remove what a process that is gone was writing when it was cut off."""
    for found in (*path.glob(".*.partial"), *(path / PARTS_FOLDER).glob(".*.partial")):
        writer = _PARTIAL.fullmatch(found.name)
        if writer and (int(writer[1]) == os.getpid() or not psutil.pid_exists(int(writer[1]))):
            found.unlink(missing_ok=True)
