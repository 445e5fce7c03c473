"""What every result shares: where it came from, its name among the kinds of results, and how it is kept on disk.

A saved result is a folder: numbers in ``tensors.safetensors``, everything else in ``result.json``. Nothing is
pickled, and a folder is complete or not there at all. :func:`tlesion.load_result` reads it back.

A kind of result is a subclass of :class:`Result`. To define one is all that it takes: it is known by its name from
then on, to `load_result` too.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from safetensors.torch import save as to_safetensors

from tlesion.keep.fields import parts_of, taken_apart
from tlesion.keep.hashing import hash_of
from tlesion.keep.outline import outline
from tlesion.keep.writing import file_in_the_way, json_text, write_whole_folder
from tlesion.registry import is_ours

FORMAT_VERSION = 3
RESULT_FILE = "result.json"
TENSOR_FILE = "tensors.safetensors"

_WITHOUT_PARTS = 2
"""The format of a result that has no parts, which older versions of tlesion read as well."""

_KINDS: dict[str, type["Result"]] = {}


@dataclass(frozen=True)
class Provenance:
    """Where a result came from.

    Attributes:
        model: Name, source, revision, architecture, processing, dtype and weight fingerprint of the model.
        versions: Of tlesion, TransformerLens, torch and transformers.
        settings: What the function was asked for: hook point, position, ablation, seed, test, ...
        stimuli: A short hash of every sentence that went in.
        stimuli_hash: One hash over all of them.
        contexts: Of a selection: short hashes of its sentences with the word masked, and of what they say before it,
            by which prompts made from them are known.
        frames: Of a selection: for each of ``stimuli`` short hashes of what it says but for punctuation, case and names
            (:func:`tlesion.stimuli.likeness.marks`), by which prompts that are nearly the same are known. Empty in
            results of older versions.
    """

    model: dict[str, Any]
    versions: dict[str, str]
    settings: dict[str, Any]
    stimuli: tuple[str, ...]
    stimuli_hash: str
    contexts: tuple[str, ...] = ()
    frames: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """Base of all results: a frozen record with provenance that can be saved.

    A subclass is a dataclass with the same options. Its fields are tensors, what JSON holds, and parts: frozen
    dataclasses of tensors and what JSON holds (:mod:`tlesion.keep.fields`). Lists come back as tuples.

    Attributes:
        provenance: Where it came from.

    Example:
        >>> import tempfile, tlesion, torch
        >>> @dataclass(frozen=True, eq=False, kw_only=True)
        ... class Lengths(Result):
        ...     length: torch.Tensor
        >>> nothing = Provenance(model={}, versions={}, settings={}, stimuli=(), stimuli_hash="")
        >>> lengths = Lengths(length=torch.tensor([3, 4]), provenance=nothing)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tlesion.load_result(lengths.save(f"{folder}/lengths")).length
        tensor([3, 4])
    """

    provenance: Provenance

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        _register(cls)
        # In the class itself, or @dataclass would write one there that prints every number.
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = cls.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        """At most 15 lines of at most 120 characters: kind, model, settings, sizes of arrays."""
        return outline(self)

    @classmethod
    def from_older(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Fill up what was saved when this kind of result had other fields; a subclass that changed overrides it.

        Args:
            values: Fields by name as they were saved: tensors (of a part: ``"part.field"``), and what JSON holds, with
                tuples for lists.

        Returns:
            Fields as they are now. One that is missing takes its default.
        """
        return values

    @property
    def content_hash(self) -> str:
        """A hash of every number and setting: equal for equal results, whenever and wherever they were made."""
        return hash_of(type(self).__name__, *taken_apart(self))

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the result into a folder, complete or not at all.

        Args:
            folder: Made if it is not there; an older result in it is replaced.

        Returns:
            The folder.

        Raises:
            ValueError: The path is a file, or lies below one, or is a folder that holds something else; a field holds
                NaN outside of a tensor; another kind of result has taken this one's name.
            TypeError: A field holds what cannot be kept.
        """
        target, kind = Path(folder), type(self)
        _require_own_name(kind)
        _require_writable(target)
        tensors, plain = taken_apart(self)
        # Copies: safetensors refuses fields that share their memory.
        raw = to_safetensors({name: value.contiguous().clone() for name, value in tensors.items()})
        record = {
            "format": FORMAT_VERSION if parts_of(self).keys() > {"provenance"} else _WITHOUT_PARTS,
            "kind": kind.__name__,
            "defined_in": kind.__module__,
            "content_hash": hash_of(kind.__name__, tensors, plain),
            "tensors_sha256": hashlib.sha256(raw).hexdigest(),
            "fields": plain,
        }
        return write_whole_folder(target, {TENSOR_FILE: raw, RESULT_FILE: json_text(record)})


def kinds() -> Mapping[str, type[Result]]:
    """Every kind of result that has been defined or imported so far, by name."""
    return MappingProxyType(_KINDS)


def _register(kind: type[Result]) -> None:
    """Know a kind by its name. A cell of a notebook that is run again defines it anew; two kinds share no name."""
    other = _KINDS.get(kind.__name__)
    # One of tlesion's own takes its name whenever it is imported: a name that a user has taken must not stop an import.
    # His kind is refused when it is saved.
    if other is not None and _full_name(other) != _full_name(kind) and not is_ours(kind):
        raise TypeError(_taken(kind, other))
    _KINDS[kind.__name__] = kind


def _require_own_name(kind: type[Result]) -> None:
    if _full_name(_KINDS[kind.__name__]) != _full_name(kind):
        raise ValueError(_taken(kind, _KINDS[kind.__name__]))


def _taken(kind: type[Result], other: type[Result]) -> str:
    return (
        f"the kind of result {_full_name(kind)!r} has the name of {_full_name(other)!r}, and saved results are known "
        f"by the name {kind.__name__!r} alone; rename the class"
    )


def _full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _require_writable(target: Path) -> None:
    if (file := file_in_the_way(target)) is not None:
        raise ValueError(f"cannot save into {str(target)!r}: {str(file)!r} is a file; give the name of a folder")
    if target.is_dir() and any(target.iterdir()) and not (target / RESULT_FILE).exists():
        raise ValueError(
            f"cannot save into {str(target)!r}: it holds files that are not a tlesion result; "
            "give an empty or a new folder"
        )
