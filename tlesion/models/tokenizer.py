"""Give a model its own tokenizer: the one that came with it, able to pad, and without invented tokens."""

from pathlib import Path
from typing import Any

from transformer_lens import HookedTransformer
from transformers import AutoTokenizer, PreTrainedTokenizerBase


def private_copy(tokenizer: PreTrainedTokenizerBase, folder: Path) -> PreTrainedTokenizerBase:
    """Copy a tokenizer by way of `folder`, from which TransformerLens reads it again to make it add a BOS token.

    A tokenizer made in memory has no path to be read from, and a caller's own must not be changed.
    """
    tokenizer.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def mark_token_types(tokenizer: PreTrainedTokenizerBase) -> None:
    """Have a tokenizer return the token types and mask that HookedEncoder reads; a generic class leaves them out."""
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]


def settle(model: HookedTransformer) -> None:
    """Remove special tokens that the vocabulary does not have, and find one to pad with.

    TransformerLens calls a missing BOS or EOS `<|endoftext|>` and pads with it. In a vocabulary without that token,
    the name would be cut into pieces and prepended as if it were text, and nothing could be padded. Without a BOS,
    none is prepended by default. Any token will do for padding: it is masked, or comes after everything that is read.
    """
    tokenizer: Any = model.tokenizer
    vocabulary = tokenizer.get_vocab()
    for kind in ("bos_token", "eos_token", "pad_token"):
        if getattr(tokenizer, kind) not in vocabulary:
            setattr(tokenizer, kind, None)
    if tokenizer.bos_token is None:
        model.cfg.default_prepend_bos = False
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or min(vocabulary, key=vocabulary.__getitem__)


def name_after(tokenizer: Any, source: str) -> None:
    """Record where a copied tokenizer came from instead of the folder it was copied through."""
    tokenizer.name_or_path = source
    tokenizer.init_kwargs = tokenizer.init_kwargs | {"name_or_path": source}
