"""Short hashes of texts: a result names its stimuli by them, and shared stimuli are found by them."""

import hashlib
import re
from collections.abc import Sequence


def stimulus_hash(text: str) -> str:
    """The first 16 hex digits of the SHA-256 of a text, ignoring case and differences in spacing."""
    level = re.sub(r"\s+", " ", text).strip().lower()
    return hashlib.sha256(level.encode()).hexdigest()[:16]


def combined_hash(stimuli: Sequence[str]) -> str:
    """One hash for a whole set of stimuli, in their order."""
    return hashlib.sha256("\n".join(stimuli).encode()).hexdigest()[:16]
