"""One finished part of a run as bytes: tensors and JSON with a checksum over both, and over which part it is."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

from tlesion.keep.hashing import hash_of


def packed(fields: Mapping[str, Any], place: dict[str, Any]) -> bytes:
    """A part as safetensors: its tensors, and in the metadata the other fields, its place in a run and a checksum.

    Args:
        fields: Tensors, and what JSON holds.
        place: Which part of which run it is.
    """
    tensors = {name: value for name, value in fields.items() if isinstance(value, Tensor)}
    # Copies: safetensors refuses tensors that share their memory.
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    plain = {name: value for name, value in fields.items() if name not in tensors}
    plain = json.loads(json.dumps({**place, "fields": plain}))
    metadata = {"plain": json.dumps(plain), "checksum": hash_of("part", tensors, plain)}
    return to_safetensors(tensors, metadata=metadata)


def read_part(path: Path, place: dict[str, Any]) -> dict[str, Any]:
    """The fields of a part.

    Raises:
        SafetensorError, KeyError, ValueError: It is damaged, or has another place.
    """
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    plain = json.loads(metadata["plain"])
    if hash_of("part", tensors, plain) != metadata["checksum"]:
        raise ValueError("its numbers do not match their checksum")
    if {name: plain[name] for name in place} != json.loads(json.dumps(place)):
        raise ValueError("it is of another run or of another part of it")
    return {**plain["fields"], **tensors}
