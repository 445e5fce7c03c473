"""Read saved results back: a format version and checksums are verified, and nothing in them is executed."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from safetensors.torch import load as from_safetensors

from tlesion.keep.results import FORMAT_VERSION, RESULT_FILE, TENSOR_FILE, Provenance, Result, hash_of
from tlesion.selection import NeuronSelection
from tlesion.studies.context.result import ContextModulation
from tlesion.studies.context.space_result import SpaceModulation
from tlesion.studies.cross_fit.result import CrossFit
from tlesion.studies.cumulative.result import CumulativeLesion
from tlesion.studies.decomposition.result import DropDecomposition
from tlesion.studies.dose.result import DoseResponse
from tlesion.studies.evidence.activation_histogram import ActivationHistogram
from tlesion.studies.laminar.result import LaminarProfile, filled_up
from tlesion.studies.replacement.result import Replacement
from tlesion.studies.selecting.positions import SelectionComparison
from tlesion.studies.selecting.stability import SelectionStability
from tlesion.studies.subspace_removal.result import SubspaceRemoval
from tlesion.studies.verdict.result import Verdict
from tlesion.sweeps.sweep import SweepResult

_KINDS: dict[str, type[Result]] = {
    kind.__name__: kind
    for kind in (
        NeuronSelection,
        LaminarProfile,
        Verdict,
        DropDecomposition,
        DoseResponse,
        CumulativeLesion,
        ActivationHistogram,
        SweepResult,
        ContextModulation,
        SpaceModulation,
        SelectionStability,
        Replacement,
        SelectionComparison,
        SubspaceRemoval,
        CrossFit,
    )
}

READABLE = (1, FORMAT_VERSION)
_FILLED_UP: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"LaminarProfile": filled_up}
"""What has to be added to a result of an older format."""


def load_result(folder: str | os.PathLike[str]) -> Any:
    """Read a result that ``.save(folder)`` wrote.

    Args:
        folder: The folder.

    Returns:
        The result, equal to the one that was saved (same ``content_hash``). One of an older format is filled up with
        what it had not: a laminar profile with no controls, for one; its hash is then another.

    Raises:
        ValueError: No saved result is there, its format is another version's, or its files are damaged.

    Example:
        >>> import tempfile, tlesion
        >>> model, contrast = tlesion.load_model("toy-bert"), tlesion.contrasts.him_her()
        >>> selection = tlesion.select_neurons(model, contrast, layers=[3])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     again = tlesion.load_result(selection.save(f"{folder}/selection"))
        >>> again.content_hash == selection.content_hash
        True
    """
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
    kind = _KINDS.get(record["kind"])
    if kind is None:
        raise ValueError(
            f"{str(path)!r} holds a {record['kind']!r}, which this version of tlesion does not know; "
            f"it reads {', '.join(_KINDS)}"
        )
    plain = {name: _tuples(value) for name, value in record["fields"].items()}
    values = {**plain, **tensors, "provenance": _provenance(record["fields"]["provenance"])}
    if record["format"] < FORMAT_VERSION and record["kind"] in _FILLED_UP:
        values = _FILLED_UP[record["kind"]](values)
    return kind(**{field.name: values[field.name] for field in fields(kind)})


def _record(path: Path) -> dict[str, Any]:
    try:
        record = dict(json.loads((path / RESULT_FILE).read_text(encoding="utf-8")))
        found = record["format"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"the result in {str(path)!r} is damaged: {RESULT_FILE} cannot be read") from None
    if found not in READABLE:
        raise ValueError(
            f"the result in {str(path)!r} has format {found}, and this version of tlesion reads "
            f"{' and '.join(map(str, READABLE))}; make the result again, or use the version of tlesion that wrote it"
        )
    missing = sorted({"kind", "fields", "content_hash", "tensors_sha256"} - set(record))
    if missing:
        raise ValueError(f"the result in {str(path)!r} is damaged: {RESULT_FILE} lacks {missing}")
    return record


def _provenance(record: dict[str, Any]) -> Provenance:
    return Provenance(
        **{name: _tuples(value) if name in ("stimuli", "contexts") else value for name, value in record.items()}
    )


def _tuples(value: Any) -> Any:
    """JSON has lists where results have tuples."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
