"""Give a model its own tokenizer: the one that came with it, untouched, and able to pad."""

import copy
from pathlib import Path
from typing import Any

from transformer_lens import HookedTransformer
from transformers import AutoTokenizer, PreTrainedTokenizerBase


def private_copy(tokenizer: PreTrainedTokenizerBase, folder: Path) -> PreTrainedTokenizerBase:
    """Copy a tokenizer by way of `folder`, whence TransformerLens reads it once more to have it add a BOS token.

    A tokenizer made in memory has no path to be read from, and a caller's own must not be changed.
    """
    tokenizer.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def make_paddable(tokenizer: PreTrainedTokenizerBase) -> None:
    """Choose a padding token where there is none: EOS, else the first of the vocabulary.

    Any would do: padding is masked, or follows everything that is read.
    """
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token if tokenizer.eos_token_id is not None else _first(tokenizer)


def mark_token_types(tokenizer: PreTrainedTokenizerBase) -> None:
    """Let a tokenizer return token types, which HookedEncoder reads; a generic class leaves them out."""
    if "token_type_ids" not in tokenizer.model_input_names:
        tokenizer.model_input_names = [*tokenizer.model_input_names, "token_type_ids"]


def forget_invented_tokens(model: HookedTransformer) -> None:
    """Take back special tokens that the vocabulary does not have, and BOS by default with them.

    TransformerLens calls a missing BOS or EOS `<|endoftext|>`. In a vocabulary without that token the name would
    be cut into pieces and prepended as if it were text.
    """
    tokenizer: Any = model.tokenizer
    for kind in ("bos_token", "eos_token"):
        token = getattr(tokenizer, kind)
        if token is not None and token not in tokenizer.get_vocab():
            setattr(tokenizer, kind, None)
    if tokenizer.bos_token is None:
        model.cfg.default_prepend_bos = False


def name_after(tokenizer: Any, source: str) -> None:
    """Write where a copied tokenizer came from in place of the folder it was copied through."""
    tokenizer.name_or_path = source
    tokenizer.init_kwargs = {**copy.copy(tokenizer.init_kwargs), "name_or_path": source}


def _first(tokenizer: PreTrainedTokenizerBase) -> str:
    return min(tokenizer.get_vocab().items(), key=lambda item: item[1])[0]
