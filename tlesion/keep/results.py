"""What every result shares: where it came from, and how it is kept on disk.

A saved result is a folder: numbers in ``tensors.safetensors``, everything else in ``result.json``. Nothing is
pickled, and a folder is complete or not there at all. :func:`tlesion.load_result` reads it back.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_safetensors
from torch import Tensor

from tlesion.hooks import Model
from tlesion.models import info
from tlesion.stimuli import combined_hash
from tlesion.tokens import prepends_bos

FORMAT_VERSION = 2
RESULT_FILE = "result.json"
TENSOR_FILE = "tensors.safetensors"


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
    """

    model: dict[str, Any]
    versions: dict[str, str]
    settings: dict[str, Any]
    stimuli: tuple[str, ...]
    stimuli_hash: str
    contexts: tuple[str, ...] = ()


def provenance_of(
    model: Model, *, settings: Mapping[str, Any], stimuli: Sequence[str], contexts: Sequence[str] = ()
) -> Provenance:
    """Record a model, the installed versions, the settings and the stimuli of a result.

    ``prepend_bos`` among the settings is recorded as what it meant: None stands for the model's own default.
    """
    settings = dict(settings)
    if "prepend_bos" in settings:
        settings["prepend_bos"] = prepends_bos(model, settings["prepend_bos"])
    packages = {"tlesion": "tlesion", "transformer_lens": "transformer-lens", "torch": "torch"}
    return Provenance(
        model=asdict(info(model)),
        versions={name: version(package) for name, package in packages.items()}
        | {"transformers": version("transformers")},
        settings=settings,
        stimuli=tuple(stimuli),
        stimuli_hash=combined_hash(stimuli),
        contexts=tuple(contexts),
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """Base of all results: a frozen record with provenance that can be saved.

    Attributes:
        provenance: Where it came from.
    """

    provenance: Provenance

    @property
    def content_hash(self) -> str:
        """A hash of every number and setting: equal for equal results, whenever and wherever they were made."""
        return hash_of(type(self).__name__, _tensors(self), _plain(self))

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the result into a folder, complete or not at all.

        Args:
            folder: Made if it is not there; an older result in it is replaced.

        Returns:
            The folder.

        Raises:
            ValueError: The path is a file, or lies below one, or is a folder that holds something else.
        """
        target = Path(folder)
        _require_writable(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Copies: safetensors refuses fields that share their memory.
        tensors = to_safetensors({name: value.contiguous().clone() for name, value in _tensors(self).items()})
        record = {
            "format": FORMAT_VERSION,
            "kind": type(self).__name__,
            "content_hash": self.content_hash,
            "tensors_sha256": hashlib.sha256(tensors).hexdigest(),
            "fields": _plain(self),
        }
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            (staging / TENSOR_FILE).write_bytes(tensors)
            text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
            (staging / RESULT_FILE).write_text(text, encoding="utf-8")
            staging.chmod(0o755)
            _replace(target, staging)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return target


def hash_of(kind: str, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> str:
    """The content hash of a result, from its parts: ``plain`` as JSON has it."""
    parts = {name: tensor_hash(value) for name, value in tensors.items()}
    text = json.dumps({"kind": kind, "tensors": parts, "fields": plain}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _require_writable(target: Path) -> None:
    for path in (target, *target.parents):
        if path.is_file():
            raise ValueError(f"cannot save into {str(target)!r}: {str(path)!r} is a file; give the name of a folder")
    if target.is_dir() and any(target.iterdir()) and not (target / RESULT_FILE).exists():
        raise ValueError(
            f"cannot save into {str(target)!r}: it holds files that are not a tlesion result; "
            "give an empty or a new folder"
        )


def _replace(target: Path, staging: Path) -> None:
    """Put a finished folder in the place of an older one, which stays whole until then."""
    if not target.exists():
        staging.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
    target.rename(old / "result")
    try:
        staging.rename(target)
    except BaseException:
        (old / "result").rename(target)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _tensors(result: Result) -> dict[str, Tensor]:
    values = {field.name: getattr(result, field.name) for field in fields(result)}
    return {name: value.detach().cpu() for name, value in values.items() if isinstance(value, Tensor)}


def _plain(result: Result) -> dict[str, Any]:
    """The fields that are no tensors, as JSON has them."""
    values = {field.name: getattr(result, field.name) for field in fields(result)}
    values = {name: value for name, value in values.items() if not isinstance(value, Tensor)}
    values["provenance"] = asdict(result.provenance)
    return json.loads(json.dumps(values, allow_nan=False))


def tensor_hash(value: Tensor) -> str:
    """SHA-256 of a tensor's dtype, shape and bits."""
    value = value.detach().cpu()
    header = f"{value.dtype} {tuple(value.shape)}".encode()
    data = value.contiguous()
    raw = data.view(torch.uint8) if data.numel() and data.ndim else data.reshape(-1).view(torch.uint8)
    return hashlib.sha256(header + raw.numpy().tobytes()).hexdigest()
