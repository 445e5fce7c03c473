"""Hashes by which a record names what went into it: texts, tensors, and a whole result."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def stimulus_hash(text: str) -> str:
    """The first 16 hex digits of the SHA-256 of a text; runs of spaces count as one, and case does not count.

    Nor does it count whether an accent is a mark of its own (NFD) or part of its letter (NFC).
    """
    level = re.sub(r"\s+", " ", unicodedata.normalize("NFC", text)).strip().lower()
    return hashlib.sha256(level.encode()).hexdigest()[:16]


def combined_hash(stimuli: Sequence[str]) -> str:
    """One hash for a whole set of stimuli, in their order."""
    return hashlib.sha256("\n".join(stimuli).encode()).hexdigest()[:16]


def tensor_hash(value: Tensor) -> str:
    """SHA-256 of a tensor's dtype, shape and bits."""
    value = value.detach().cpu()
    header = f"{value.dtype} {tuple(value.shape)}".encode()
    data = value.contiguous()
    raw = data.view(torch.uint8) if data.numel() and data.ndim else data.reshape(-1).view(torch.uint8)
    return hashlib.sha256(header + raw.numpy().tobytes()).hexdigest()


def hash_of(kind: str, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> str:
    """The content hash of a record.

    Args:
        kind: What it is a record of.
        tensors: Its tensors by name.
        plain: Everything else, as JSON has it.
    """
    parts = {name: tensor_hash(value) for name, value in tensors.items()}
    text = json.dumps({"kind": kind, "tensors": parts, "fields": plain}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
