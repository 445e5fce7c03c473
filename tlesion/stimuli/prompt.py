"""`Prompt`: a text with a place where the model answers, to measure effects on."""

from dataclasses import dataclass
from typing import no_type_check

from tlesion.checks import one_of
from tlesion.keep.hashing import stimulus_hash
from tlesion.tokens import MASK


@no_type_check  # Lists of targets are welcome, and a lone word gets an error that says what to write.
@dataclass(frozen=True)
class Prompt:
    """A text with a place where the model answers, and the words whose logits are read there.

    Args:
        text: For a masked model a text with one ``[MASK]``; for a causal one the text up to the answer.
        targets: The words to read, each one token at that place.
        correct: The right target, or None where there is none.
        group: A label (such as its template) for folds and figures.

    Raises:
        ValueError: No target, a target twice or with spaces around it, a word in place of the targets, or
            ``correct`` that is not a target.
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
        object.__setattr__(self, "targets", tuple(self.targets))
        if not self.targets or len(set(self.targets)) != len(self.targets):
            raise ValueError(f"targets {self.targets!r}: give one or more different words")
        spaced = [word for word in self.targets if not word or word != word.strip()]
        if spaced:
            raise ValueError(
                f"target {spaced[0]!r} is empty or begins or ends with a space; give the bare word: in a causal model "
                "it stands for the token that continues the text, space included"
            )
        if self.correct is not None:
            one_of("correct", self.correct, self.targets)

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
