"""Token ids as text that people read."""

from collections.abc import Sequence

from tlesion.anatomy.model import Model


def written(model: Model, ids: Sequence[int]) -> tuple[str, ...]:
    """Tokens as readable text, with their leading space; ids in brackets for a model without a tokenizer."""
    if model.tokenizer is None:
        return tuple(f"[{token}]" for token in ids)
    return tuple(str(model.tokenizer.decode([token])) for token in ids)
