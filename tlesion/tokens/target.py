"""The one token that stands for a word in its place: that of the whole text, with the word in it."""

from typing import Any

import regex

from tlesion.anatomy.model import Model, is_masked
from tlesion.models.tokenizer import Cut, cut
from tlesion.tokens.encode import MASK, require_known, require_tokenizer, with_mask

_CLOSING = ".,;:!?…)]}%"
"""After these, as after a letter, a space comes before the next word."""

_WITHOUT_SPACES = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}\p{Yi}"
_NO_SPACE_AFTER = regex.compile(rf"[{_WITHOUT_SPACES}\p{{Block=CJK_Symbols_And_Punctuation}}！，．：；？]\p{{M}}*\Z")
_NO_SPACE_BEFORE = regex.compile(rf"[{_WITHOUT_SPACES}]")


def target_token(model: Model, word: str, *, text: str, whole: str = "") -> int:
    """The one token that stands for a target word at the readout position.

    It is the token that stands there when the whole text is cut into tokens, with the word in its place: at ``[MASK]``
    in a masked model, after the text in a causal one (``" him"`` after a word, ``"him"`` after a new line).

    Args:
        model: The model.
        word: The target.
        text: For a masked model the text with one ``[MASK]``; for a causal one the text up to the target.
        whole: For a causal model, where it is known: a text with one ``[MASK]``, of which ``text`` is the beginning.
            It says whether a space stands before the word, and what follows it.

    Raises:
        ValueError: The word is not exactly one token there, or unknown, or has no column among the model's logits; it
            is cut together with what stands beside it; it can follow the text with a space or without one.
    """
    tokenizer = require_tokenizer(model)
    if is_masked(model):
        token = _at_mask(tokenizer, word, with_mask(model, text))
    elif whole:
        before, after = whole.split(MASK)
        token = _after(tokenizer, word, text, joint=before[len(text) :], following=after)
    else:
        token = _continuing(tokenizer, word, text)
    require_known(model, [token], f"target {word!r}", d_vocab=model.cfg.d_vocab_out)
    return token


def _at_mask(tokenizer: Any, word: str, text: str) -> int:
    mask = str(tokenizer.mask_token)
    start = text.find(mask)
    if start < 0:
        raise ValueError(f"the text {text!r} holds no {MASK}; a masked model's target stands in its place")
    masked = cut(tokenizer, text)
    # Some mask tokens take the space before them along, as their word's own token would.
    own_start = next(first for first, last in masked.offsets if first <= start < last)
    in_place = text[:start] + word + text[start + len(mask) :]
    filled = cut(tokenizer, in_place)
    place = _within(filled, own_start, start + len(word))
    return _only(tokenizer, word, in_place, filled, place, start)


def _after(tokenizer: Any, word: str, text: str, *, joint: str, following: str = "") -> int:
    """The token of a word after a text, with ``joint`` between them and ``following`` after it."""
    before = cut(tokenizer, text).ids
    start = len(text) + len(joint)
    in_place = text + joint + word + following
    filled = cut(tokenizer, in_place)
    place = _within(filled, start, start + len(word))
    if filled.ids[: len(before)] != before or (place and place[0] < len(before)):
        raise ValueError(
            f"target {word!r} does not continue {text[-40:]!r}: adding it changes the tokens before it; "
            "end the text at a word's end, without trailing spaces, where the tokenizer begins a new token"
        )
    if place:  # A space that is a token of its own has to be predicted, too.
        place = list(range(len(before), place[-1] + 1))
    return _only(tokenizer, word, in_place, filled, place, start)


def _continuing(tokenizer: Any, word: str, text: str) -> int:
    """The token of a word that continues a text of which no more is known, after a space where one belongs there."""
    joints = _joints(text, word)
    if len(joints) == 1:
        return _after(tokenizer, word, text, joint=joints[0])
    found: list[int | str] = []
    for joint in joints:
        try:
            found.append(_after(tokenizer, word, text, joint=joint))
        except ValueError as error:
            found.append(str(error))
    if found[0] != found[1]:
        end = text[-20:]
        raise ValueError(
            f"target {word!r} may follow {end!r} with a space or without one, which are different tokens; say which: "
            f'tlesion.Prompt("...{end} {MASK}", ...).before_mask(), or "...{end}{MASK}"'
        )
    if isinstance(found[0], str):
        raise ValueError(found[0])
    return found[0]


def _joints(text: str, word: str) -> tuple[str, ...]:
    """What stands between a text and the word that continues it: one string, or two where either can be meant."""
    last, first = text[-1:], word[:1]
    if last.isspace():
        return ("",)
    if _NO_SPACE_BEFORE.match(first):
        return ("",) if _NO_SPACE_AFTER.search(text) else (" ", "")
    if not first.isalnum() or (first.isdigit() and last.isdigit()):
        return (" ", "")
    ends_word = regex.search(r"[\p{L}\p{N}]\p{M}*\Z", text) is not None and not _NO_SPACE_AFTER.search(text)
    return (" ",) if ends_word or last in _CLOSING else (" ", "")


def _within(found: Cut, start: int, end: int) -> list[int]:
    """The tokens that hold any of the characters from ``start`` to ``end``."""
    return [i for i, (first, last) in enumerate(found.offsets) if first < min(end, last) and last > max(start, first)]


def _only(tokenizer: Any, word: str, text: str, filled: Cut, place: list[int], start: int) -> int:
    """The one token at the place of a word that begins at ``start`` in a text; it has to hold nothing else."""
    pieces = [filled.ids[i] for i in place]
    named = tokenizer.convert_ids_to_tokens(pieces)
    if not pieces or (tokenizer.unk_token_id in pieces and word != tokenizer.unk_token):
        raise ValueError(f"target {word!r} is not in this model's vocabulary; choose a word that is one token")
    if len(pieces) != 1:
        raise ValueError(
            f"target {word!r} is {len(pieces)} tokens {named} in this model; a target has to be one token: "
            "choose another word"
        )
    first, last = filled.offsets[place[0]]
    if (text[first:start] + text[start + len(word) : last]).strip():
        raise ValueError(
            f"target {word!r} is cut together with what stands beside it, as the token {named[0]!r}; ask for a whole "
            "word, between spaces or punctuation marks, and give whole words as targets"
        )
    return pieces[0]
