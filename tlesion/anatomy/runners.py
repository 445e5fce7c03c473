"""The parts of a forward pass, the same three for every kind of model: embed, block, readout.

A study that runs blocks by itself (a sweep, a selection that stops early) uses these instead of the model's own
``forward``. They call TransformerLens' own modules, so that every hook point inside fires as usual.
"""

from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformer_lens import HookedEncoder, HookedTransformer

from tlesion.anatomy.cache import KeysAndValues
from tlesion.anatomy.model import Model, unembedding


class CausalRunner:
    """Embed, block and readout of a `HookedTransformer`. Batches are padded on the right, where nothing attends."""

    def __init__(self, model: HookedTransformer) -> None:
        self.model = model
        self._shortformer: Tensor | None = None

    def embed(
        self, tokens: Int[Tensor, "batch pos"], real: Bool[Tensor, "batch pos"] | None = None
    ) -> Float[Tensor, "batch pos d_model"]:
        """Token ids to the residual stream before the first block; ``real`` is not needed to the left of padding."""
        model = self.model
        tokens = tokens.to(model.embed.W_E.device)
        residual: Tensor
        residual, shortformer = model.get_residual(model.hook_embed(model.embed(tokens)), 0, tokens=tokens)
        self._shortformer = None if shortformer is None else shortformer[:1]
        return residual

    def block(
        self, layer: int, residual: Float[Tensor, "batch pos d_model"], *, cache: KeysAndValues | None = None
    ) -> Float[Tensor, "batch pos d_model"]:
        """One block; ``cache`` holds the keys and values of positions before these, as TransformerLens has them."""
        shortformer = self._shortformer
        if shortformer is not None:
            shortformer = shortformer[:, -residual.shape[1] :].expand_as(residual)
        block = self.model.blocks[layer]
        after: Tensor = block(residual, shortformer_pos_embed=shortformer, past_kv_cache_entry=cache)
        return after

    def head(self, hidden: Float[Tensor, "row d_model"]) -> Float[Tensor, "row d_model"]:
        """Hidden states of the last block to what the unembedding reads: the final norm."""
        if self.model.cfg.normalization_type is None:
            return hidden
        normed: Tensor = self.model.ln_final(hidden[:, None])
        return normed[:, 0]

    def cap(self, logits: Tensor) -> Tensor:
        """The soft cap on logits that a few models have."""
        cap = self.model.cfg.output_logits_soft_cap
        return cap * torch.tanh(logits / cap) if cap and cap > 0 else logits


class MaskedRunner:
    """Embed, block and readout of a `HookedEncoder` (BERT)."""

    def __init__(self, model: HookedEncoder) -> None:
        self.model = model
        self._mask: Tensor | None = None

    def embed(
        self, tokens: Int[Tensor, "batch pos"], real: Bool[Tensor, "batch pos"] | None = None
    ) -> Float[Tensor, "batch pos d_model"]:
        """Token ids to the residual stream before the first block; ``real`` is False at padding."""
        model = self.model
        device = model.embed.embed.W_E.device
        self._mask = None
        if real is not None and not bool(real.all()):
            padding = ~real[:, None, None, :].to(device)
            # In the model's own dtype: in another one it would change that of all that follows.
            mask = torch.zeros(padding.shape, dtype=model.cfg.dtype, device=device)
            self._mask = mask.masked_fill(padding, -torch.inf)
        residual: Tensor = model.hook_full_embed(model.embed(tokens.to(device)))
        return residual

    def block(
        self, layer: int, residual: Float[Tensor, "batch pos d_model"], *, cache: KeysAndValues | None = None
    ) -> Float[Tensor, "batch pos d_model"]:
        """One block. A masked model attends in both directions, so there is no prefix to keep."""
        if cache is not None:
            raise ValueError("a masked model attends in both directions and has no cache of earlier positions")
        after: Tensor = self.model.blocks[layer](residual, self._mask)
        return after

    def head(self, hidden: Float[Tensor, "row d_model"]) -> Float[Tensor, "row d_model"]:
        """Hidden states of the last block to what the unembedding reads: the language-model head."""
        ready: Tensor = self.model.mlm_head(hidden[:, None])
        return ready[:, 0]

    def cap(self, logits: Tensor) -> Tensor:
        """BERT has no cap."""
        return logits


Runner: TypeAlias = CausalRunner | MaskedRunner


def runner_for(model: Model) -> Runner:
    """The runner of a model's kind.

    Raises:
        TypeError: The model is neither a `HookedTransformer` nor a `HookedEncoder`.
    """
    if isinstance(model, HookedTransformer):
        return CausalRunner(model)
    if isinstance(model, HookedEncoder):
        return MaskedRunner(model)
    raise TypeError(
        f"model is a {type(model).__name__}; tlesion runs transformer_lens' HookedTransformer and HookedEncoder: "
        "load one with tlesion.load_model"
    )


def unembed(
    runner: Runner,
    hidden: Float[Tensor, "row d_model"],
    columns: Int[Tensor, "row target"] | None = None,
) -> Float[Tensor, "row column"]:
    """Logits of hidden states of the last block: of the whole vocabulary, or of a few tokens for each row.

    Args:
        runner: The model's runner.
        hidden: The last block's output at the positions that are read.
        columns: Token ids for each row; None for the whole vocabulary.
    """
    weight, bias = unembedding(runner.model)
    normed = runner.head(hidden)
    if columns is None:
        return runner.cap(torch.addmm(bias, normed, weight))
    columns = columns.to(normed.device)
    picked = weight.T[columns]
    return runner.cap(torch.einsum("rd,rtd->rt", normed, picked) + bias[columns])
