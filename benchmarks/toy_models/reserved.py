"""The sentences that ship with the package, which the toy language never produces in training."""

import functools
import json
import re
from pathlib import Path

DATA = Path(__file__).parents[2] / "tlesion" / "data"


@functools.cache
def reserved_sentences() -> frozenset[str]:
    """Every sentence of the shipped pairs, prompts and corpus, prompts with either target in the mask's place."""
    sentences: set[str] = set()
    for file in sorted(DATA.glob("*.jsonl")):
        for line in file.read_text().splitlines():
            row = json.loads(line)
            sentences.update(row[key] for key in ("a", "b") if key in row)
            sentences.update(row["text"].replace("[MASK]", target) for target in row.get("targets", ()))
    corpus = DATA / "corpus.txt"
    if corpus.exists():
        sentences.update(re.split(r"(?<=[.!?])\s+", corpus.read_text().strip()))
    return frozenset(sentences)
