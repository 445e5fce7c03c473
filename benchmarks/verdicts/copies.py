"""Prompts that differ from the selection's sentences by a full stop, a comma, a name or a word: are they refused?"""

from collections.abc import Sequence

import numpy as np

import tlesion
from benchmarks.verdicts.rows import Claim
from benchmarks.verdicts.world import NAMES, NOUNS, PLACES

REFUSED = "refused: prompts that are near-copies of the selection's sentences"


def copy_claims() -> list[Claim]:
    """A row for each way in which a copy differs."""
    ways = {
        "another full stop": lambda text, rng: text.removesuffix(".") + rng.choice(["", "!", " ."]),
        "a comma": lambda text, rng: text.replace(" and", ", and"),
        "other names": lambda text, rng: _renamed(text, rng),
        "one word more": lambda text, rng: text.replace(" the ", f" the {rng.choice(['old', 'new', 'red'])} ", 1),
    }
    return [
        Claim(
            counted=((REFUSED, "at least 95%"),), setting=name, judge=lambda seed, change=change: _judge(seed, change)
        )
        for name, change in ways.items()
    ]


def _judge(seed: int, change: object) -> Sequence[Sequence[bool]]:
    rng = np.random.default_rng([seed, 4])
    texts = [_sentence(rng) for _ in range(6)]
    pairs = [(text, text.replace(" him ", " her ")) for text in texts]
    contrast = tlesion.Contrast.from_pairs(pairs, words=("him", "her"))
    copy = change(texts[int(rng.integers(6))], rng)  # type: ignore[operator]
    prompt = tlesion.Prompt(copy.replace(" him ", " [MASK] "), ("him", "her"), correct="him")
    try:
        tlesion.inference.require_independent(contrast, [prompt])
    except ValueError:
        return [[True]]
    return [[False]]


def _sentence(rng: np.random.Generator) -> str:
    name, other = rng.choice(NAMES, 2, replace=False)
    verb = rng.choice(["helped", "thanked", "called", "praised"])
    noun, place = rng.choice(NOUNS), rng.choice(PLACES)
    return f"{name} met {other} with the {noun} near the {place} and {verb} him for the long day."


def _renamed(text: str, rng: np.random.Generator) -> str:
    words = [str(rng.choice(NAMES)) if word in NAMES else word for word in text.split()]
    return " ".join(words)
