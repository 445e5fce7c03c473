"""Stimuli: a `Contrast` to select neurons with, a `Prompt` to measure effects on."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tlesion.checks import one_of
from tlesion.tokens import MASK, find_word

Subword = Literal["last", "first", "mean"]

SUBWORDS = ("last", "first", "mean")


@dataclass(frozen=True)
class Sentence:
    """A sentence and the word in it whose position matters.

    Raises:
        ValueError: The word does not occur exactly once as a whole word.
    """

    text: str
    word: str

    def __post_init__(self) -> None:
        find_word(self.text, self.word)

    @property
    def span(self) -> tuple[int, int]:
        """The characters ``(start, end)`` of the word."""
        return find_word(self.text, self.word)

    @property
    def masked(self) -> str:
        """The sentence with ``[MASK]`` in place of the word."""
        start, end = self.span
        return f"{self.text[:start]}{MASK}{self.text[end:]}"


@dataclass(frozen=True)
class Contrast:
    """Two sets of sentences, condition a against condition b.

    Args:
        a: Sentences of condition a; a neuron that is larger here has t > 0.
        b: Sentences of condition b.
        conditions: What the conditions are called, ``("him", "her")``: the names of the masks.
        paired: Whether ``a[i]`` and ``b[i]`` belong together.
        subword: Which token stands for a word of several: its ``"last"``, its ``"first"``, or the ``"mean"`` of all.
        groups: One label per sentence index (a template, say) for folds that keep like with like; empty: none known.

    Raises:
        ValueError: Fewer than two sentences in a condition, unequal numbers in a paired contrast, equal
            condition names.
    """

    a: tuple[Sentence, ...]
    b: tuple[Sentence, ...]
    conditions: tuple[str, str]
    paired: bool = True
    subword: Subword = "last"
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        one_of("subword", self.subword, SUBWORDS)
        for name, sentences in zip(self.conditions, (self.a, self.b), strict=True):
            if len(sentences) < 2:
                raise ValueError(
                    f"condition {name!r} has {len(sentences)} sentence(s); a test needs at least two in each condition"
                )
        if self.conditions[0] == self.conditions[1]:
            raise ValueError(f"both conditions are called {self.conditions[0]!r}; give them different names")
        if self.paired and len(self.a) != len(self.b):
            raise ValueError(
                f"{len(self.a)} sentences against {len(self.b)} are no pairs; give equally many, "
                "or build the contrast with Contrast.from_sentences for an unpaired test"
            )
        if self.groups and len(self.groups) != len(self.a):
            raise ValueError(f"{len(self.groups)} groups for {len(self.a)} sentences; give one label per sentence")

    @classmethod
    def from_pairs(
        cls,
        pairs: Sequence[tuple[str, str]],
        words: tuple[str, str] | Sequence[tuple[str, str]],
        *,
        conditions: tuple[str, str] | None = None,
        subword: Subword = "last",
        groups: Sequence[str] = (),
    ) -> "Contrast":
        """A paired contrast from pairs of sentences.

        Args:
            pairs: ``(sentence of a, sentence of b)`` for every pair.
            words: The word that matters in a's and in b's sentences: one pair of words for all, or one per pair.
            conditions: Names of the conditions; the words themselves if there is one pair of them.
            subword: See the class.
            groups: See the class.

        Raises:
            ValueError: See the class; a sentence without its word, or with it twice.

        Example:
            >>> contrast = Contrast.from_pairs([("We saw him.", "We saw her."), ("Ask him now.", "Ask her now.")],
            ...                                words=("him", "her"))
            >>> contrast.conditions, len(contrast.a)
            (('him', 'her'), 2)
        """
        per_pair = _words_per_pair(words, len(pairs))
        if conditions is None:
            if len(set(per_pair)) != 1:
                raise ValueError("the pairs have words of their own, so that the conditions need names: conditions=...")
            conditions = per_pair[0]
        a = tuple(Sentence(text, word) for (text, _), (word, _) in zip(pairs, per_pair, strict=True))
        b = tuple(Sentence(text, word) for (_, text), (_, word) in zip(pairs, per_pair, strict=True))
        return cls(a=a, b=b, conditions=conditions, paired=True, subword=subword, groups=tuple(groups))

    @classmethod
    def from_sentences(
        cls, a: Sequence[str], b: Sequence[str], words: tuple[str, str], *, subword: Subword = "last"
    ) -> "Contrast":
        """An unpaired contrast from two lists of sentences, of equal length or not.

        Raises:
            ValueError: See the class; a sentence without its word, or with it twice.
        """
        return cls(
            a=tuple(Sentence(text, words[0]) for text in a),
            b=tuple(Sentence(text, words[1]) for text in b),
            conditions=(words[0], words[1]),
            paired=False,
            subword=subword,
        )

    def subset(self, indices: Sequence[int]) -> "Contrast":
        """The pairs at some indices of a paired contrast, as a contrast of their own.

        Raises:
            ValueError: The contrast is unpaired, or fewer than two pairs are left.
        """
        if not self.paired:
            raise ValueError("an unpaired contrast has no pairs to pick; build a new one with Contrast.from_sentences")
        groups = tuple(self.groups[i] for i in indices) if self.groups else ()
        return Contrast(
            a=tuple(self.a[i] for i in indices),
            b=tuple(self.b[i] for i in indices),
            conditions=self.conditions,
            subword=self.subword,
            groups=groups,
        )

    @property
    def stimuli(self) -> tuple[str, ...]:
        """A short hash of every sentence, by which shared stimuli are found."""
        return tuple(stimulus_hash(sentence.text) for sentence in (*self.a, *self.b))


@dataclass(frozen=True)
class Prompt:
    """A text with a place where the model answers, and the words whose logits are read there.

    Args:
        text: For a masked model a text with one ``[MASK]``; for a causal one the text up to the answer.
        targets: The words to read, each one token at that place.
        correct: The target that is right, or None where none is.
        group: A label (a template, say) for folds and figures.

    Raises:
        ValueError: No target, a target twice, or ``correct`` that is not a target.
    """

    text: str
    targets: tuple[str, ...]
    correct: str | None = None
    group: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(self.targets))
        if not self.targets or len(set(self.targets)) != len(self.targets):
            raise ValueError(f"targets {self.targets!r}: give one or more different words")
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
        """Short hashes of the sentences that this prompt asks for: one per target put in its place."""
        filled = [
            self.text.replace(MASK, target) if MASK in self.text else f"{self.text} {target}" for target in self.targets
        ]
        return tuple(stimulus_hash(text) for text in filled)


def stimulus_hash(text: str) -> str:
    """The first 16 hex digits of the SHA-256 of a text, spaces and case levelled."""
    level = re.sub(r"\s+", " ", text).strip().lower()
    return hashlib.sha256(level.encode()).hexdigest()[:16]


def combined_hash(stimuli: Sequence[str]) -> str:
    """One hash for a whole set of stimuli, in their order."""
    return hashlib.sha256("\n".join(stimuli).encode()).hexdigest()[:16]


def _words_per_pair(words: tuple[str, str] | Sequence[tuple[str, str]], n_pairs: int) -> list[tuple[str, str]]:
    if len(words) == 2 and all(isinstance(word, str) for word in words):
        return [(str(words[0]), str(words[1]))] * n_pairs
    if len(words) != n_pairs:
        raise ValueError(
            f"{len(words)} pairs of words for {n_pairs} pairs of sentences; give one pair, or one for each"
        )
    return [(str(pair[0]), str(pair[1])) for pair in words]


def require_one_mask(text: str, n_masks: int) -> None:
    """Refuse a prompt that does not hold exactly one mask token."""
    if n_masks != 1:
        raise ValueError(
            f"the prompt {text!r} holds {n_masks} mask tokens; a masked model's prompt holds exactly one {MASK}"
        )
