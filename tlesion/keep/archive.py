"""Read saved results back: a format version and checksums are verified, and nothing in them is executed."""

import hashlib
import importlib
import json
import os
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors.torch import load as from_safetensors

from tlesion.checks import shown
from tlesion.keep.fields import missing_fields, put_together, tuples
from tlesion.keep.hashing import hash_of
from tlesion.keep.results import FORMAT_VERSION, RESULT_FILE, TENSOR_FILE, Result, kinds

READABLE = (1, 2, FORMAT_VERSION)

_ROOMS = ("tlesion.selection", "tlesion.sweeps.sweep", "tlesion.studies")
"""Where tlesion defines its kinds of results. This is the one place that reaches up: a kind registers itself when its
module is imported, and one that a saved result needs may not have been."""


def load_result(folder: str | os.PathLike[str]) -> Any:
    """Read a result that ``.save(folder)`` wrote.

    Args:
        folder: The folder.

    Returns:
        The result, equal to the one that was saved (same ``content_hash``). One that an older version saved, when its
        kind had fewer fields, is filled up with what it had not: a laminar profile with no controls, for one; its hash
        is then another.

    Raises:
        ValueError: No saved result is there, its format is another version's, its kind is not known (import the module
            that defines one of your own first), or its files are damaged.

    Example:
        >>> import tempfile, tlesion
        >>> model, contrast = tlesion.load_model("toy-bert"), tlesion.contrasts.him_her()
        >>> selection = tlesion.select_neurons(model, contrast, layers=[3])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     again = tlesion.load_result(selection.save(f"{folder}/selection"))
        >>> again.content_hash == selection.content_hash
        True
    """
    if not isinstance(folder, str | os.PathLike):
        raise TypeError(f"the folder is a {shown(folder)}; give the path of a result that .save(folder) wrote")
    path = Path(folder)
    if not (path / RESULT_FILE).is_file() or not (path / TENSOR_FILE).is_file():
        raise ValueError(
            f"{str(path)!r} holds no saved result ({RESULT_FILE} and {TENSOR_FILE}); give the folder that .save() wrote"
        )
    record = _record(path)
    raw = (path / TENSOR_FILE).read_bytes()
    if hashlib.sha256(raw).hexdigest() != record["tensors_sha256"]:
        raise ValueError(f"the result in {str(path)!r} is damaged: {TENSOR_FILE} does not match its checksum")
    tensors = from_safetensors(raw)
    if hash_of(record["kind"], tensors, record["fields"]) != record["content_hash"]:
        raise ValueError(f"the result in {str(path)!r} is damaged: its content does not match its hash")
    kind = _kind(record, path)
    values = {**{name: tuples(value) for name, value in record["fields"].items()}, **tensors}
    if missing_fields(kind, values):
        values = kind.from_older(values)
    try:
        return put_together(kind, values)
    except ValueError as error:
        raise ValueError(
            f"the result in {str(path)!r} was saved by another version of tlesion: {error}; make it again, or use the "
            "version that wrote it"
        ) from error


def _kind(record: dict[str, Any], path: Path) -> type[Result]:
    """The class of a saved result. Only tlesion's own modules are imported for it, whatever the file says."""
    name, known = record["kind"], kinds()
    modules = _modules()
    while name not in known and (module := next(modules, None)):
        importlib.import_module(module)
    if name in known:
        return known[name]
    place = record.get("defined_in")
    raise ValueError(
        f"{str(path)!r} holds a {name!r}"
        + (f", which {place!r} defines and" if place else ", which")
        + f" is not known here; import or run what defines it first. Known are {', '.join(sorted(known))}"
    )


def _modules() -> Iterator[str]:
    """Names of the modules that may define kinds; those called "result", which define most, come first."""
    yield from _ROOMS
    below = []
    for room in _ROOMS:
        package = importlib.import_module(room)
        if hasattr(package, "__path__"):
            below += [found.name for found in pkgutil.walk_packages(package.__path__, f"{room}.")]
    yield from sorted(below, key=lambda name: not name.endswith("result"))


def _record(path: Path) -> dict[str, Any]:
    try:
        record = dict(json.loads((path / RESULT_FILE).read_text(encoding="utf-8")))
        found = record["format"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"the result in {str(path)!r} is damaged: {RESULT_FILE} cannot be read") from None
    if found not in READABLE:
        raise ValueError(
            f"the result in {str(path)!r} has format {found}, and this version of tlesion reads "
            f"{', '.join(map(str, READABLE[:-1]))} and {READABLE[-1]}; make the result again, or use the version of "
            "tlesion that wrote it"
        )
    missing = sorted({"kind", "fields", "content_hash", "tensors_sha256"} - set(record))
    if missing:
        raise ValueError(f"the result in {str(path)!r} is damaged: {RESULT_FILE} lacks {missing}")
    return record
