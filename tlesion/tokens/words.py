"""Where a word stands in a text, as a whole word of any script, however its accents are coded."""

import operator
import unicodedata

import regex

# Unicode's own word borders (UAX 29): no mark, apostrophe, joiner or digit inside a word makes one. They fall between
# any two letters of a script that is written without spaces, which tells nothing; there, a neighbour decides. Invisible
# formatting characters, which belong to the word before them, may stand between a word and its border.
_INVISIBLE = r"[\p{Cf}--\u200b]*"
_BORDER_BEFORE = rf"(?<=\b{_INVISIBLE})(?<![\p{{L}}\p{{N}}\p{{Pc}}]{_INVISIBLE})"
_BORDER_AFTER = rf"(?={_INVISIBLE}\b)(?!{_INVISIBLE}[\p{{L}}\p{{M}}\p{{N}}\p{{Pc}}])"


def find_word(text: str, word: str) -> tuple[int, int]:
    """The characters ``(start, end)`` of a word that occurs exactly once, as a whole word.

    A word is the same word whether its accents are letters of their own or marks after a letter (Unicode's NFC and
    NFD). Case counts.

    Args:
        text: The text.
        word: The word.

    Raises:
        ValueError: The word is empty, does not occur, occurs as a part of a longer word only, or more than once.

    Example:
        >>> find_word("She saw him at the hymn.", "him")
        (8, 11)
    """
    if not word.strip():
        raise ValueError(f"the word {word!r} of the sentence {text!r} is empty; give the word whose position matters")
    composed, at = _composed(text)
    word_composed = unicodedata.normalize("NFC", word)
    pattern = _BORDER_BEFORE + regex.escape(word_composed) + _BORDER_AFTER
    found = _spans(pattern, composed, at)
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(
            f"the sentence {text!r} contains the word {word!r} {len(found)} times; it has to occur once, so that the "
            f"position that matters is clear; or say which one is meant: {_way_out(word, found[0])}"
        )
    raise ValueError(
        f"the sentence {text!r} does not contain the word {word!r} as a whole word; it has to, once"
        + _hint(word, composed, word_composed, at)
    )


def require_span(text: str, word: str, span: tuple[int, int]) -> tuple[int, int]:
    """The place that a caller gives for a word, checked against the text.

    Args:
        text: The text.
        word: The word.
        span: Its characters ``(start, end)``; it need not be a whole word.

    Raises:
        TypeError: Not two whole numbers.
        ValueError: Something else stands there, or the place cuts a letter off its accents.
    """
    try:
        start, end = map(operator.index, span)
    except (TypeError, ValueError):
        raise TypeError(
            f"span {span!r} is no place in a text; give its characters as two whole numbers, (start, end)"
        ) from None
    whole = {0, len(text), *_composed(text)[1].values()}
    there = text[start:end] if 0 <= start < end <= len(text) else None
    if there is None or not equal_words(there, word):
        raise ValueError(
            f"span ({start}, {end}) of {text!r} holds {there!r}, and the word is {word!r}; give the place where it "
            "stands, text[start:end]"
        )
    if start not in whole or end not in whole:
        raise ValueError(
            f"span ({start}, {end}) of {text!r} cuts through a letter: its accent or vowel sign lies outside; move the "
            "end of the span, and give the word with it"
        )
    return start, end


def equal_words(one: str, other: str) -> bool:
    """Whether two words are the same, however their accents are coded (NFC or NFD).

    Example:
        >>> equal_words("caf\\u00e9", "cafe\\u0301"), equal_words("cafe", "cafe\\u0301")
        (True, False)
    """
    return unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)


def _composed(text: str) -> tuple[str, dict[int, int]]:
    """The text with composed letters (NFC), and where each of its letters begins in the text as it is.

    Composition never reaches across two letters as readers see them, so that each is composed by itself.
    """
    parts, at, length = [], {}, 0
    for letter in regex.finditer(r"\X", text):
        at[length] = letter.start()
        parts.append(unicodedata.normalize("NFC", letter[0]))
        length += len(parts[-1])
    at[length] = len(text)
    return "".join(parts), at


def _spans(pattern: str, composed: str, at: dict[int, int]) -> list[tuple[int, int]]:
    """Matches that begin and end between two letters, as places in the text as it is."""
    found = (match.span() for match in regex.finditer(pattern, composed, regex.V1 | regex.WORD, overlapped=True))
    return [(at[start], at[end]) for start, end in found if start in at and end in at]


def _hint(word: str, composed: str, word_composed: str, at: dict[int, int]) -> str:
    """What is there instead, and what to do about it."""
    inside = _spans(regex.escape(word_composed), composed, at)
    if inside:
        return (
            "; it is a part of something longer there, or the script has no spaces between words: give the whole word, "
            f"or say where it stands: {_way_out(word, inside[0])}"
        )
    if composed.casefold().find(word_composed.casefold()) >= 0:
        return "; upper and lower case count: write it as the sentence has it"
    return ""


def _way_out(word: str, span: tuple[int, int]) -> str:
    return f"tlesion.Sentence(text, {word!r}, span={span})"
