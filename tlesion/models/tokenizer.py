"""Give a model its own tokenizer: the one that came with it, able to pad, and without invented tokens."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from transformer_lens import HookedTransformer
from transformers import AutoTokenizer, PreTrainedTokenizerBase


class Cut(NamedTuple):
    """A text as its tokenizer cuts it: its own tokens, and the special tokens that are put around them.

    Attributes:
        lead, tail: Ids of the special tokens before and after the text.
        ids: Ids of the text's own tokens.
        offsets: For each of these its characters ``(start, end)``, as the tokenizer counts them.
    """

    lead: tuple[int, ...]
    ids: list[int]
    tail: tuple[int, ...]
    offsets: list[tuple[int, int]]


def cut(tokenizer: Any, text: str) -> Cut:
    """Cut a text into tokens, exactly as Hugging Face does. The tokenizer has to be a fast one."""
    encoding = tokenizer(text, return_offsets_mapping=True, verbose=False)
    ids = encoding.input_ids
    own = [i for i, sequence in enumerate(encoding.sequence_ids(0)) if sequence is not None]
    start, end = (own[0], own[-1] + 1) if own else (len(ids), len(ids))
    offsets = [(int(first), int(last)) for first, last in encoding.offset_mapping[start:end]]
    return Cut(tuple(ids[:start]), ids[start:end], tuple(ids[end:]), offsets)


def around(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ids of the special tokens that a tokenizer of its own accord puts before and after every text."""
    if not getattr(tokenizer, "is_fast", False):
        return (), ()
    found = cut(tokenizer, "a")
    if not found.ids:  # Not every vocabulary has an "a": any text that is cut into at least one token will do.
        every = (cut(tokenizer, text) for text in tokenizer.get_vocab())
        found = next((one for one in every if one.ids), Cut((), [], (), []))
    return found.lead, found.tail


def beginning(tokenizer: Any, lead: Sequence[int]) -> tuple[int, ...]:
    """Ids of what is prepended to a text of a causal model: what the tokenizer itself puts there, else its BOS token.

    Args:
        tokenizer: The tokenizer.
        lead: What it puts there of its own accord.

    Returns:
        Empty where there is neither. A BOS token that the vocabulary does not have, as TransformerLens invents one, is
        none.
    """
    if lead:
        return tuple(lead)
    bos = tokenizer.bos_token_id
    # An id of its own: the name of a token that there is not may be looked up as the unknown token.
    return (int(bos),) if bos is not None and tokenizer.convert_ids_to_tokens(bos) == str(tokenizer.bos_token) else ()


def private_copy(tokenizer: PreTrainedTokenizerBase, folder: Path) -> PreTrainedTokenizerBase:
    """Copy a tokenizer by way of `folder`, from which TransformerLens reads it again to make it add a BOS token.

    A tokenizer made in memory has no path to be read from, and a caller's own must not be changed.
    """
    tokenizer.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def mark_token_types(tokenizer: PreTrainedTokenizerBase) -> None:
    """Have a tokenizer return the token types and mask that HookedEncoder reads; a generic class leaves them out."""
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]


def give(model: HookedTransformer, tokenizer: PreTrainedTokenizerBase) -> None:
    """Give a causal model a copy of a tokenizer, which cuts every text as the original does.

    TransformerLens would read it again from its files with a BOS token added, which rebuilds the rules by which some
    tokenizers cut a text. It adds that token itself where the tokenizer does not.
    """
    model.tokenizer = copy.deepcopy(tokenizer)
    if model.tokenizer.padding_side is None:
        model.tokenizer.padding_side = "right"
    settle(model)


def settle(model: HookedTransformer) -> None:
    """Remove special tokens that the vocabulary does not have, and find one to pad with.

    TransformerLens calls a missing BOS or EOS `<|endoftext|>` and pads with it. In a vocabulary without that token,
    the name would be cut into pieces and prepended as if it were text, and nothing could be padded. It also takes any
    special token that a tokenizer adds, an EOS at the end too, for a BOS. Where nothing can stand before a text,
    nothing does by default. Any token will do for padding: it is masked, or comes after everything that is read.
    """
    tokenizer: Any = model.tokenizer
    vocabulary = tokenizer.get_vocab()
    for kind in ("bos_token", "eos_token", "pad_token"):
        if getattr(tokenizer, kind) not in vocabulary:
            setattr(tokenizer, kind, None)
    lead, _ = around(tokenizer)
    model.cfg.tokenizer_prepends_bos = bool(lead)
    if not beginning(tokenizer, lead):
        model.cfg.default_prepend_bos = False
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or min(vocabulary, key=vocabulary.__getitem__)
