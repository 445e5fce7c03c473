"""`Prompt`: a text with a place where the model answers, to measure effects on."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, no_type_check

from tlesion.checks import integer, label, one_of, plain, shown, whole_numbers
from tlesion.keep.hashing import stimulus_hash
from tlesion.stimuli.likeness import N_FIXED, marks
from tlesion.tokens import MASK, equal_words


@no_type_check  # Lists and numbers are welcome, and a lone word gets an error that says what to write.
@dataclass(frozen=True)
class Prompt:
    """A text with a place where the model answers, and the words whose logits are read there.

    Args:
        text: For a masked model a text with one ``[MASK]``; for a causal one the text up to the answer.
        targets: The words to read, each one token at that place; of a prompt of token ids, ids.
        correct: The right target, or its place among them, from 0; None where there is none. The prompt holds the word.
        group: A label (such as its template) for folds and figures: text or a whole number, which is kept as text;
            None or "" where there is none.
        whole: Set by `before_mask`: the text with ``[MASK]`` of which ``text`` is the beginning. The targets' tokens
            are those that stand there in the whole text.
        ids: Set by `from_tokens`: token ids in place of a text.
        readout: Set by `from_tokens`: the position where the logits are read.

    Raises:
        ValueError: No target, a target twice or with spaces around it, a word in place of the targets, or
            ``correct`` that is not a target.
        TypeError: A text or target that is no text; a ``group`` that is no label.

    Example:
        >>> prompt = Prompt("She thanked [MASK].", ["him", "her"], correct=0, group=7)
        >>> prompt.targets, prompt.correct, prompt.group
        (('him', 'her'), 'him', '7')
    """

    text: str
    targets: tuple[Any, ...]
    correct: Any = None
    group: str = ""
    whole: str = field(default="", compare=False)  # Where it was cut from makes it no other prompt.
    ids: tuple[int, ...] = ()
    readout: int = -1

    def __post_init__(self) -> None:
        if isinstance(self.targets, str):
            raise ValueError(
                f"targets {self.targets!r} is one word; give a tuple of words, ({self.targets!r},) for one"
            )
        if not isinstance(self.text, str):
            raise TypeError(f"the text of a prompt is a {shown(self.text)}; give Prompt('She thanked [MASK].', ...)")
        object.__setattr__(self, "text", plain(self.text))
        object.__setattr__(self, "group", label(self.group, "group"))
        if not self.ids:
            object.__setattr__(self, "targets", _words(self.targets))
            self._check_words()
            object.__setattr__(self, "correct", _right(self.correct, self.targets))

    def _check_words(self) -> None:
        words = self.targets
        twice = any(equal_words(one, other) for i, one in enumerate(words) for other in words[:i])
        if not words or twice:
            raise ValueError(f"targets {self.targets!r}: give one or more different words")
        spaced = [word for word in words if not word or word != word.strip()]
        if spaced:
            raise ValueError(
                f"target {spaced[0]!r} is empty or begins or ends with a space; give the bare word: in a causal model "
                "it stands for the token that continues the text, space included"
            )
        if self.whole:
            require_one_mask(self.whole, self.whole.count(MASK))
            if self.whole[: self.whole.index(MASK)] not in (self.text, f"{self.text} "):
                raise ValueError(
                    f"text {self.text!r} is not what stands before {MASK} in {self.whole!r}; make the prompt from the "
                    "whole text, with before_mask()"
                )

    @classmethod
    def from_tokens(
        cls,
        ids: Iterable[int],
        targets: Iterable[int],
        *,
        readout: int = -1,
        correct: int | None = None,
        group: str = "",
    ) -> "Prompt":
        """A prompt of token ids, which are run as they are: nothing is put before or after them.

        Args:
            ids: Token ids ``[pos]``, special tokens included.
            targets: Ids of the tokens whose logits are read.
            readout: The position where they are read, from the end where negative.
            correct: The right target's id, or None where there is none.
            group: See the class.

        Raises:
            TypeError: Ids or a position that are no whole numbers.
            ValueError: No id, no target, a target twice, a position outside the ids, or ``correct`` that is no target.
                Whether a model has such tokens is checked when it reads the prompt.

        Example:
            >>> prompt = Prompt.from_tokens([5, 8, 9], targets=(11, 12), correct=11)
            >>> prompt.text, prompt.targets, prompt.readout
            ('[5] [8] [9]', (11, 12), -1)
        """
        tokens, asked = tuple(whole_numbers("ids", ids)), tuple(whole_numbers("targets", targets))
        place = integer("readout", readout)
        if not tokens or not asked or len(set(asked)) != len(asked):
            raise ValueError(
                f"{len(tokens)} token ids and the targets {asked}: give at least one id, and one or more different "
                "targets"
            )
        if not -len(tokens) <= place < len(tokens):
            raise ValueError(f"readout {place} lies outside the {len(tokens)} tokens; give -1 for the last one")
        right = None if correct is None else integer("correct", correct)
        if right is not None and right not in asked:
            raise ValueError(f"correct {right} is no target; the targets are {asked}")
        text = " ".join(f"[{token}]" for token in tokens)
        return cls(text, targets=asked, correct=right, group=group, ids=tokens, readout=place)

    def before_mask(self) -> "Prompt":
        """The prompt for a causal model: the text up to ``[MASK]``, without a space that stands right before it.

        Whether there is such a space, and what follows, is kept in ``whole``: the targets' tokens depend on it.

        Raises:
            ValueError: The text holds no ``[MASK]``, or more than one.

        Example:
            >>> Prompt("She thanked [MASK].", ("him", "her")).before_mask().text
            'She thanked'
        """
        require_one_mask(self.text, self.text.count(MASK))
        text = self.text[: self.text.index(MASK)].removesuffix(" ")
        return Prompt(text, targets=self.targets, correct=self.correct, group=self.group, whole=self.text)

    @property
    def stimuli(self) -> tuple[str, ...]:
        """Short hashes of the sentences that this prompt asks about: one per target filled in."""
        return tuple(map(stimulus_hash, self._filled))

    @property
    def frames(self) -> tuple[str, ...]:
        """Short hashes of what the prompt says but for punctuation, case and names, to look up among a contrast's.

        Of the text, and of it with each target filled in. A prompt of token ids has none.
        """
        if self.ids:
            return ()
        filled = [mark for text in self._filled for mark in marks(text, least=N_FIXED + 1)]
        return tuple(dict.fromkeys([*marks(self.text, words=self.targets), *filled]))

    @property
    def _filled(self) -> list[str]:
        text = self.text if MASK in self.text else self.text + self._joint + MASK
        return [text.replace(MASK, str(target)) for target in self.targets]

    @property
    def _joint(self) -> str:
        """What stands between the text and a target that continues it."""
        return self.whole[len(self.text) : self.whole.index(MASK)] if self.whole else " "

    @property
    def context(self) -> str:
        """A short hash of the text as it is, to look up among a contrast's ``contexts``."""
        return stimulus_hash(self.text)


def require_one_mask(text: str, n_masks: int) -> None:
    """Refuse a prompt that does not hold exactly one mask token."""
    if n_masks != 1:
        raise ValueError(
            f"the prompt {text!r} holds {n_masks} mask tokens; a masked model's prompt holds exactly one {MASK}"
        )


def _words(targets: Any) -> tuple[str, ...]:
    # A set has no order, and the order of targets is that of every result.
    if isinstance(targets, Set | Mapping) or not isinstance(targets, Iterable):
        raise TypeError(f"targets is a {shown(targets)}; give a tuple of words, targets=('him', 'her')")
    words = tuple(map(plain, targets))
    wrong = [word for word in words if not isinstance(word, str)]
    if wrong:
        raise TypeError(
            f"target {wrong[0]!r} is a {type(wrong[0]).__name__}, and targets are words, targets=('him', 'her'); for "
            "token ids give the text as ids, too: tlesion.Prompt.from_tokens(ids, targets=(11, 12))"
        )
    return words


def _right(correct: Any, targets: tuple[str, ...]) -> str | None:
    """The right target's word, from itself or from its index; a number that could be either is refused."""
    correct = plain(correct)
    if correct is None:
        return None
    if not isinstance(correct, int) or isinstance(correct, bool):
        one_of("correct", correct, targets)
        return str(correct)
    meant = {targets[correct]} if 0 <= correct < len(targets) else set()
    meant |= {str(correct)} & set(targets)
    if len(meant) != 1:
        why = "a target, and the index of another" if meant else f"neither a target nor the index of one of {targets!r}"
        raise ValueError(f"correct {correct} is {why}; give the word, correct={targets[0]!r}")
    return meant.pop()
