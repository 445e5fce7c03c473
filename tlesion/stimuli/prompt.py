"""`Prompt`: a text with a place where the model answers, to measure effects on."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any, no_type_check

from tlesion.checks import label, one_of, plain, shown
from tlesion.keep.hashing import stimulus_hash
from tlesion.tokens import MASK


@no_type_check  # Lists and numbers are welcome, and a lone word gets an error that says what to write.
@dataclass(frozen=True)
class Prompt:
    """A text with a place where the model answers, and the words whose logits are read there.

    Args:
        text: For a masked model a text with one ``[MASK]``; for a causal one the text up to the answer.
        targets: The words to read, each one token at that place.
        correct: The right target, or its place among them, from 0; None where there is none. The prompt holds the word.
        group: A label (such as its template) for folds and figures: text or a whole number, which is kept as text;
            None or "" where there is none.

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
    targets: tuple[str, ...]
    correct: str | None = None
    group: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.targets, str):
            raise ValueError(
                f"targets {self.targets!r} is one word; give a tuple of words, ({self.targets!r},) for one"
            )
        if not isinstance(self.text, str):
            raise TypeError(f"the text of a prompt is a {shown(self.text)}; give Prompt('She thanked [MASK].', ...)")
        object.__setattr__(self, "text", plain(self.text))
        object.__setattr__(self, "targets", _words(self.targets))
        if not self.targets or len(set(self.targets)) != len(self.targets):
            raise ValueError(f"targets {self.targets!r}: give one or more different words")
        spaced = [word for word in self.targets if not word or word != word.strip()]
        if spaced:
            raise ValueError(
                f"target {spaced[0]!r} is empty or begins or ends with a space; give the bare word: in a causal model "
                "it stands for the token that continues the text, space included"
            )
        object.__setattr__(self, "correct", _right(self.correct, self.targets))
        object.__setattr__(self, "group", label(self.group, "group"))

    def before_mask(self) -> "Prompt":
        """The prompt for a causal model: the text up to ``[MASK]``, without the space before it.

        Raises:
            ValueError: The text holds no ``[MASK]``, or more than one.
        """
        require_one_mask(self.text, self.text.count(MASK))
        text = self.text[: self.text.index(MASK)].rstrip()
        return Prompt(text, targets=self.targets, correct=self.correct, group=self.group)

    @property
    def stimuli(self) -> tuple[str, ...]:
        """Short hashes of the sentences that this prompt asks about: one per target filled in."""
        filled = [
            self.text.replace(MASK, target) if MASK in self.text else f"{self.text} {target}" for target in self.targets
        ]
        return tuple(stimulus_hash(text) for text in filled)

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
        raise TypeError(f"a target is a {shown(wrong[0])}; give words, targets=('him', 'her')")
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
