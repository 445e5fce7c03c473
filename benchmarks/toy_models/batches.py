"""Training batches: texts of one length together, so that no batch needs padding."""

import itertools
import random
from collections import defaultdict
from collections.abc import Iterator

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from benchmarks.toy_models.grammar import USUAL, Mix, sample_texts
from benchmarks.toy_models.tokenization import CONTEXT

# Texts drawn at a time and sorted by length.
POOL = 8192


def stream_batches(
    tokenizer: PreTrainedTokenizerFast, *, seed: int, tokens_per_batch: int, mix: Mix = USUAL
) -> Iterator[Int[Tensor, "text token"]]:
    """Batches of token ids without end, every text new.

    Args:
        tokenizer: of the model; a causal model's texts get its end token behind them.
        seed: the same seed gives the same batches.
        tokens_per_batch: how many tokens a batch has at most.
        mix: what the texts are made of.

    Yields:
        Texts of equal length, never one with a combination of name and pattern that is held out.
    """
    end = [] if tokenizer.mask_token else [tokenizer.eos_token_id]
    waiting: dict[int, list[list[int]]] = defaultdict(list)
    for round_ in itertools.count():
        texts = sample_texts(POOL, seed=seed * 1_000_003 + round_, mix=mix)
        for ids in tokenizer(texts, truncation=True, max_length=CONTEXT - 2)["input_ids"]:
            waiting[len(ids + end)].append(ids + end)
        batches = [rows for length in sorted(waiting) for rows in _full_batches(waiting, length, tokens_per_batch)]
        random.Random(seed + round_).shuffle(batches)
        yield from map(torch.tensor, batches)


def _full_batches(waiting: dict[int, list[list[int]]], length: int, tokens_per_batch: int) -> Iterator[list[list[int]]]:
    """Take the full batches of this length; the rest waits for more texts."""
    size = max(1, tokens_per_batch // length)
    while len(waiting[length]) >= size:
        yield waiting[length][:size]
        waiting[length] = waiting[length][size:]
