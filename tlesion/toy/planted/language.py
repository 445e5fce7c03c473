"""The planted models' tiny language: a name that sets the context, words that mean nothing, and "him" or "her"."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, product

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tlesion.checks import one_of
from tlesion.public import public
from tlesion.stimuli import Contrast, Prompt
from tlesion.tokens import MASK

TARGETS = ("him", "her")
CUES = {"him": ("Robert", "Peter", "James", "Oliver"), "her": ("Lucy", "Anna", "Clara", "Emma")}
NEUTRAL = ("Someone", "Somebody")
CONTRASTS = ("context", "word")
END = "<|endoftext|>"
SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": MASK,
}


@dataclass(frozen=True)
class PlantedLanguage:
    """Stimuli, drawn anew, for a planted model: ``<name> <filler> ... <filler> <him or her> .``

    Attributes:
        kind: ``"masked"`` or ``"causal"``: decides how a prompt ends.
        fillers: The words that carry the noise; each sentence draws some, with replacement.
        n_fillers: How many a sentence has.
    """

    kind: str
    fillers: tuple[str, ...]
    n_fillers: int

    def contrast(self, n_pairs: int, *, seed: int, about: str = "context", n_shared: int = 0) -> Contrast:
        """Pairs of sentences with fillers drawn anew.

        Args:
            n_pairs: Pairs, two or more.
            seed: Of the draws.
            about: ``"context"``: a's sentences begin with a man's name and hold "him", b's with a woman's and "her".
                ``"word"``: names nobody's gender, so that "him" and "her" are the only difference.
            n_shared: How many of a sentence's fillers its partner shares. They cancel in a paired test, whose noise
                variance is that of two sentences times ``1 - n_shared / n_fillers``.

        Raises:
            ValueError: An unknown ``about``, or an ``n_shared`` that leaves a pair no noise of its own.
        """
        one_of("about", about, CONTRASTS)
        if not 0 <= n_shared < self.n_fillers:
            raise ValueError(
                f"n_shared {n_shared} is out of range; 0 to {self.n_fillers - 1} of the {self.n_fillers} fillers can "
                "be shared (pairs that share all differ by a constant, and have no t)"
            )
        rng = np.random.default_rng([seed, 0])
        shared = self._draw(rng, n_pairs, n_shared)
        sides = []
        for word in TARGETS:
            names = rng.choice(CUES[word] if about == "context" else NEUTRAL, n_pairs)
            own = self._draw(rng, n_pairs, self.n_fillers - n_shared)
            rows = zip(names, shared, own, strict=True)
            sides.append([" ".join([name, *both, *one, word, "."]) for name, both, one in rows])
        return Contrast.from_pairs(list(zip(*sides, strict=True)), TARGETS)

    @public
    def prompts(self, n: int, *, seed: int) -> list[Prompt]:
        """Prompts that ask for "him" and "her" in turn, up to the answer or with ``[MASK]`` in its place.

        Args:
            n: How many.
            seed: Of the draws; the prompts are never those of a contrast with the same seed.
        """
        rng = np.random.default_rng([seed, 1])
        fillers = self._draw(rng, n, self.n_fillers)
        ending = [MASK, "."] if self.kind == "masked" else []
        correct = [TARGETS[i % 2] for i in range(n)]
        texts = [" ".join([rng.choice(CUES[word]), *fillers[i], *ending]) for i, word in enumerate(correct)]
        return [Prompt(text, TARGETS, correct=word) for text, word in zip(texts, correct, strict=True)]

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """A tokenizer in which every word is one token."""
        special = SPECIAL if self.kind == "masked" else dict.fromkeys(("bos_token", "eos_token", "unk_token"), END)
        special = special if self.kind == "masked" else {**special, "pad_token": END}
        names = [name for cues in CUES.values() for name in cues]
        words = dict.fromkeys([*special.values(), ".", *TARGETS, *names, *NEUTRAL, *self.fillers])
        ids = {word: i for i, word in enumerate(words)}
        tokenizer = Tokenizer(models.WordLevel(ids, unk_token=special["unk_token"]))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        if self.kind == "masked":
            tokenizer.post_processor = processors.BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)

    def _draw(self, rng: np.random.Generator, n_sentences: int, n_words: int) -> Sequence[Sequence[str]]:
        drawn = rng.integers(len(self.fillers), size=(n_sentences, n_words))
        return [[self.fillers[index] for index in sentence] for sentence in drawn]


def made_up_words(n: int) -> tuple[str, ...]:
    """n different words of two syllables that mean nothing: "baba", "babe", ..."""
    syllables = ["".join(pair) for pair in product("bdfgklmnprstvz", "aeiou")]
    return tuple("".join(pair) for pair in islice(product(syllables, repeat=2), n))
