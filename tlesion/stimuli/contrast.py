"""`Contrast`: two sets of sentences to select neurons with, each sentence with the word that matters in it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, no_type_check

from tlesion.checks import one_of, shown
from tlesion.keep.hashing import stimulus_hash
from tlesion.options import settle_by
from tlesion.stimuli.labels import check_conditions, labels_of
from tlesion.stimuli.likeness import N_FIXED, marks
from tlesion.stimuli.sentence import Sentence

SUBWORDS = ("last", "first", "mean")


@no_type_check  # Whole numbers are welcome as labels.
@dataclass(frozen=True)
class Contrast:
    """Two sets of sentences, condition a against condition b.

    Args:
        a: Sentences of condition a; a neuron that is larger here has t > 0.
        b: Sentences of condition b.
        conditions: What the conditions are called, ``("him", "her")``: the names of the masks. Whole numbers are
            kept as text.
        paired: Whether ``a[i]`` and ``b[i]`` belong together.
        subword: Which token stands for a word of several tokens: its ``"last"``, its ``"first"``, or the ``"mean"`` of
            all.
        groups: One label per sentence index (such as its template), text or whole numbers, which are kept as text:
            tests count each once, and folds keep it together. Empty: none known.

    Raises:
        ValueError: Fewer than two sentences in a condition, unequal numbers in a paired contrast, equal or
            reserved condition names, an unknown ``subword``.
        TypeError: A group or the name of a condition that is no label.
    """

    a: tuple[Sentence, ...]
    b: tuple[Sentence, ...]
    conditions: tuple[str, str]
    paired: bool = True
    subword: str = "last"
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        one_of("subword", self.subword, SUBWORDS)
        object.__setattr__(self, "conditions", check_conditions(self.conditions))
        object.__setattr__(self, "groups", labels_of(self.groups))
        for name, sentences in zip(self.conditions, (self.a, self.b), strict=True):
            if len(sentences) < 2:
                raise ValueError(
                    f"condition {name!r} has {len(sentences)} sentence(s); a test needs at least two in each condition"
                )
        if self.paired and len(self.a) != len(self.b):
            raise ValueError(
                f"{len(self.a)} sentences against {len(self.b)} are not pairs; give equally many, "
                "or build the contrast with Contrast.from_sentences for an unpaired test"
            )
        if self.groups and len(self.groups) != len(self.a):
            raise ValueError(f"{len(self.groups)} groups for {len(self.a)} sentences; give one label per sentence")

    @classmethod
    def from_pairs(
        cls,
        pairs: Sequence[Sequence[str]],
        words: Sequence[str] | Sequence[Sequence[str]],
        *,
        conditions: Sequence[Any] | None = None,
        subword: str = "last",
        groups: Any = (),
    ) -> "Contrast":
        """A paired contrast from pairs of sentences.

        Args:
            pairs: ``(sentence of a, sentence of b)`` for every pair.
            words: The word that matters in a's and in b's sentences: one pair of words for all, or one per pair.
            conditions: Names of the conditions; the words themselves if there is one pair of them.
            subword: See the class.
            groups: See the class.

        Raises:
            ValueError: See the class; a sentence without its word, or with it twice; a pair that is not two sentences.

        Example:
            >>> contrast = Contrast.from_pairs([("We saw him.", "We saw her."), ("Ask him now.", "Ask her now.")],
            ...                                words=("him", "her"))
            >>> contrast.conditions, len(contrast.a)
            (('him', 'her'), 2)
        """
        pairs = _listed("pairs", pairs, "[(sentence of a, sentence of b), ...]")
        for number, pair in enumerate(pairs, start=1):
            if isinstance(pair, str) or not (
                isinstance(pair, Sequence) and len(pair) == 2 and all(isinstance(text, str) for text in pair)
            ):
                raise ValueError(f"pair {number} is {pair!r}; a pair is (sentence of a, sentence of b)")
        per_pair = _words_per_pair(words, len(pairs))
        if conditions is None:
            if not pairs:
                raise ValueError("no pair was given; a test needs at least two sentences in each condition")
            if len(set(per_pair)) != 1:
                raise ValueError("each pair has its own words, so the conditions need names: conditions=(..., ...)")
            conditions = per_pair[0]
        a = tuple(Sentence(text, word) for (text, _), (word, _) in zip(pairs, per_pair, strict=True))
        b = tuple(Sentence(text, word) for (_, text), (_, word) in zip(pairs, per_pair, strict=True))
        return cls(a=a, b=b, conditions=check_conditions(conditions), subword=subword, groups=labels_of(groups))

    @classmethod
    def from_sentences(
        cls,
        a: Sequence[str],
        b: Sequence[str],
        words: Sequence[str] | Sequence[Sequence[str]],
        *,
        conditions: Sequence[Any] | None = None,
        subword: str = "last",
    ) -> "Contrast":
        """An unpaired contrast from two lists of sentences, of equal length or not.

        Args:
            a: Sentences of condition a.
            b: Sentences of condition b.
            words: The word that matters in a's sentences, and in b's.
            conditions: Names of the conditions; by default the words.
            subword: See the class.

        Raises:
            ValueError: See the class; a sentence without its word, or with it twice.

        Example:
            >>> contrast = Contrast.from_sentences(["A dog ran.", "My dog sat."], ["The cat ran.", "A cat sat."],
            ...                                    words=("dog", "cat"))
            >>> contrast.conditions, contrast.paired
            (('dog', 'cat'), False)
        """
        a, b = _listed("a", a, "[sentence of a, ...]"), _listed("b", b, "[sentence of b, ...]")
        (word_a, word_b) = _words_per_pair(words, 1)[0]
        names = check_conditions((word_a, word_b) if conditions is None else conditions)
        return cls(
            a=tuple(Sentence(text, word_a) for text in a),
            b=tuple(Sentence(text, word_b) for text in b),
            conditions=names,
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

    @property
    def contexts(self) -> tuple[str, ...]:
        """Short hashes of every sentence with its word masked, and of what it says before the word, each once.

        These are the texts of the prompts that could be made from it.
        """
        texts = [text for one in (*self.a, *self.b) for text in (one.masked, one.before) if text]
        return tuple(dict.fromkeys(map(stimulus_hash, texts)))

    @property
    def frames(self) -> tuple[tuple[str, ...], ...]:
        """For every sentence, a's first, short hashes of what it says but for punctuation, case and names.

        Of the sentence itself, of it with its word masked, and of what it says before the word.
        """
        return tuple(
            tuple(dict.fromkeys([*marks(one.text, least=N_FIXED + 1), *found]))
            for one, words in zip((*self.a, *self.b), self.asked, strict=True)
            for found in [[mark for text in (one.masked, one.before) for mark in marks(text, words=words)]]
        )

    @property
    def recorded(self) -> dict[str, Any]:
        """What the provenance of a result keeps of it."""
        return {"stimuli": self.stimuli, "contexts": self.contexts, "frames": self.frames}

    @property
    def asked(self) -> tuple[tuple[str, ...], ...]:
        """For every sentence, a's first, the words that a prompt made from it would ask about: its own and the other's.

        The other is its partner's; without pairs, the other condition's, if that has one word only.
        """
        a, b = ([one.word for one in side] for side in (self.a, self.b))
        if self.paired:
            pairs = tuple(zip(a, b, strict=True))
            return (*pairs, *pairs)
        other_a, other_b = (tuple(set(words)) if len(set(words)) == 1 else () for words in (b, a))
        return (*((one, *other_a) for one in a), *((one, *other_b) for one in b))


def require_contrast(name: str, value: Any) -> "Contrast":
    """Refuse what is no contrast, and say how to make one.

    Raises:
        TypeError: It is none.
    """
    if isinstance(value, Contrast):
        return value
    raise TypeError(
        f"{name} is a {shown(value)}; give a tlesion.Contrast: Contrast.from_pairs([(sentence of a, sentence of b), "
        "...], words=('him', 'her')), tlesion.files.read_pairs(file), or tlesion.contrasts.him_her()"
    )


settle_by(require_contrast, "contrast")


def _listed(name: str, given: Any, form: str) -> Sequence[Any]:
    given = given.tolist() if hasattr(given, "tolist") else given
    if isinstance(given, str) or not isinstance(given, Sequence):
        way = "list(...) of them" if isinstance(given, Iterator) else f"a list, {name}={form}"
        raise TypeError(f"{name} is a {shown(given)}; give {way}; a file is read by tlesion.files.read_pairs(file)")
    return given


def _words_per_pair(words: Any, n_pairs: int) -> list[tuple[str, str]]:
    if words is None:
        raise ValueError("no words were given; give the word of a's and of b's sentences, words=('him', 'her')")
    if isinstance(words, str):
        raise ValueError(f"words {words!r} is one word; give two, (word of a's sentences, word of b's)")
    single = all(isinstance(word, str) for word in words)
    per_pair = [words] * n_pairs if single else list(words)
    if len(per_pair) != n_pairs or any(isinstance(pair, str) or len(pair) != 2 for pair in per_pair):
        raise ValueError(
            f"words {tuple(words)!r} for {n_pairs} pair(s) of sentences; give one (word of a, word of b) for all, or "
            "one for each pair"
        )
    return [(str(pair[0]), str(pair[1])) for pair in per_pair]
