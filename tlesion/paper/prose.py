"""Pieces of sentences that every report's words are made of."""

import re
from collections.abc import Sequence


def listed(parts: Sequence[str]) -> str:
    """Words as a sentence lists them.

    Example:
        >>> listed(["him", "her", "it"])
        'him, her and it'
    """
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def true_minus(text: str) -> str:
    """A sentence with true minus signs before its numbers; hyphens within words stay.

    Example:
        >>> true_minus("a drop of -0.2 in a pre-norm model")
        'a drop of −0.2 in a pre-norm model'
    """
    return re.sub(r"(?<!\w)-(?=\d)", "−", text)
