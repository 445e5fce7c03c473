"""Text to tokens, with the place of every token in the text: positions are stated, never guessed."""

from tlesion.anatomy.model import is_masked
from tlesion.tokens.batch import collate, pad_id
from tlesion.tokens.encode import (
    MASK,
    Encoded,
    encode,
    prepends_bos,
    require_fits,
    require_known,
    require_tokenizer,
    special_tokens,
    unusual_special_tokens,
)
from tlesion.tokens.target import target_token
from tlesion.tokens.words import equal_words, find_word, require_span
from tlesion.tokens.written import written

__all__ = [
    "MASK",
    "Encoded",
    "collate",
    "encode",
    "equal_words",
    "find_word",
    "is_masked",
    "pad_id",
    "prepends_bos",
    "require_fits",
    "require_known",
    "require_span",
    "require_tokenizer",
    "special_tokens",
    "target_token",
    "unusual_special_tokens",
    "written",
]
