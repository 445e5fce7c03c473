"""Sequences of any lengths as one padded batch."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from tlesion.anatomy.model import Model


def collate(sequences: Sequence[Tensor], *, pad_id: int) -> tuple[Int[Tensor, "batch pos"], Bool[Tensor, "batch pos"]]:
    """Right-padded token ids of sequences of any lengths, and the mask that is True at real tokens."""
    longest = max(len(ids) for ids in sequences)
    tokens = torch.full((len(sequences), longest), pad_id, dtype=torch.long)
    real = torch.zeros(len(sequences), longest, dtype=torch.bool)
    for row, ids in enumerate(sequences):
        tokens[row, : len(ids)] = ids
        real[row, : len(ids)] = True
    return tokens, real


def pad_id(model: Model) -> int:
    """The token to pad with. Any that the model has will do; a tokenizer's own may lie beyond its vocabulary."""
    own = getattr(model.tokenizer, "pad_token_id", None)
    return own if own is not None and 0 <= own < model.cfg.d_vocab else 0
