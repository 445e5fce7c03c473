"""`Sentence`: a text with the word that matters in it, and where it stands."""

from dataclasses import dataclass
from typing import Any

from tlesion.tokens import MASK, find_word, require_span

_TO_BE_FOUND: Any = None


@dataclass(frozen=True)
class Sentence:
    """A sentence and the word in it whose position matters.

    Args:
        text: The sentence.
        word: The word, which occurs once. Accents may be coded otherwise than in the text (NFC or NFD).
        span: The characters ``(start, end)`` of the word. They are found where they are not given. Give them where the
            word occurs several times, or has no borders that could be seen, as in scripts without spaces.

    Raises:
        TypeError: A span that is not two whole numbers.
        ValueError: The word does not occur exactly once as a whole word, or does not stand where the span says.

    Example:
        >>> Sentence("We saw him.", "him").span, Sentence("他说她来了", "她", span=(2, 3)).masked
        ((7, 10), '他说[MASK]来了')
    """

    text: str
    word: str
    span: tuple[int, int] = _TO_BE_FOUND

    def __post_init__(self) -> None:
        given = self.span is not None
        found = require_span(self.text, self.word, self.span) if given else find_word(self.text, self.word)
        object.__setattr__(self, "span", found)

    @property
    def masked(self) -> str:
        """The sentence with ``[MASK]`` in place of the word."""
        start, end = self.span
        return f"{self.text[:start]}{MASK}{self.text[end:]}"

    @property
    def before(self) -> str:
        """What the sentence says before the word, without the space that ends it."""
        return self.text[: self.span[0]].rstrip()
