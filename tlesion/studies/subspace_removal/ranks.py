"""Which ranks a sweep over ranks usually has."""

from typing import Any

from tlesion.hooks import Model
from tlesion.studies.common.reading import read_texts

RANKS = (1, 2, 4, 8, 16)


def usual_ranks(model: Model, text_or_tokens: Any, *, prepend_bos: bool | None = None) -> list[int]:
    """Ranks 1, 2, 4, 8 and 16, as far as the texts have tokens for them.

    Args:
        model: The model.
        text_or_tokens: As in :func:`tlesion.subspace_removal`, whose ``ranks`` this gives.
        prepend_bos: None follows the model's TransformerLens default; False leaves the token out.

    Example:
        >>> import tlesion
        >>> from tlesion.studies.subspace_removal.ranks import usual_ranks
        >>> usual_ranks(tlesion.load_model("toy-gpt"), "We saw him.", prepend_bos=False)
        [1, 2]
    """
    n_tokens = sum(len(ids) for ids in read_texts(model, text_or_tokens, prepend_bos=prepend_bos).sequences)
    # Centred activations of n tokens have n − 1 directions at most.
    return [rank for rank in RANKS if rank < n_tokens]
