"""What does a selection cost above its forward passes?  ``python -m benchmarks.selection``

Time: `select_neurons` over all layers of a BERT-large shape, beside bare forward passes of TransformerLens over the
same batches. Memory: what a process that selects from 108 sentences takes above its model, and one with 10,800.
"""

import argparse
import json
import os
import subprocess
import sys
from typing import Any

import torch

from benchmarks.memory import sampled_memory
from benchmarks.shapes import SHAPES, TINY, Shape, hooked, hugging_face
from benchmarks.timing import machine, save_table, side_by_side
from tlesion import Contrast, select_neurons
from tlesion.encoding import encode_sentence
from tlesion.tokens import collate

BATCH_SIZE = 32
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="a tiny model: shows that everything runs, not how fast")
    parser.add_argument("--rounds", type=int, default=3, help="timed calls of each contender (default 3)")
    parser.add_argument("--threads", type=int, default=0, help="torch threads (default: torch's own choice)")
    parser.add_argument("--many", type=int, default=10_800, help="sentences of the large selection (default 10800)")
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    shape = (TINY if options.tiny else SHAPES)["bert-large"]
    if options.peak is not None:
        print(json.dumps(peak_of_a_selection(shape, options.peak)))
        return
    on = machine()
    name = "selection_tiny" if options.tiny else "selection"
    rows = []
    for row in (
        lambda: time_row(shape, options.rounds),
        lambda: memory_row(options),
        lambda: memory_row(options, give_back=True),
    ):
        rows.append(row())
        print(rows[-1], flush=True)
        save_table(name, "What a selection costs above its forward passes", rows, notes=NOTES, on=on)


NOTES = [
    "Bare passes are TransformerLens' own `model(tokens, one_zero_attention_mask=...)`, which also computes the "
    "logits of the vocabulary; “up to the last block” leaves the head out, as the selection does.",
    "Memory is the process's resident set, seen every 20 ms during the selection, above what it was just before, with "
    "the model loaded and one bare batch run. As a process comes, glibc keeps freed blocks of many sizes (batches "
    "differ in length) for later use; with MALLOC_MMAP_THRESHOLD_=65536 it gives them back, so that what is in use "
    "remains.",
]


def time_row(shape: Shape, rounds: int) -> dict[str, Any]:
    """Seconds of a selection from 54 pairs beside bare passes over the same batches."""
    model = hooked(shape, hugging_face(shape))
    contrast = contrast_of(shape, 108)
    batches = batches_of(model, contrast)

    def bare() -> None:
        for tokens, real in batches:
            model(tokens, one_zero_attention_mask=real.long())

    def blocks() -> None:
        for tokens, real in batches:
            model.encoder_output(tokens, one_zero_attention_mask=real.long())

    contenders = {
        "selection": lambda: select_neurons(model, contrast, batch_size=BATCH_SIZE),
        "bare": bare,
        "up to the last block": blocks,
    }
    with torch.no_grad():
        seconds = side_by_side(contenders, rounds=rounds)
    ratio = seconds["selection"] / seconds["bare"]
    return {
        "what": f"time, 108 sentences, {shape.name}, all {shape.n_layers} layers",
        "selection": f"{seconds['selection']:.3g} s",
        "beside": f"bare passes {seconds['bare']:.3g} s, up to the last block {seconds['up to the last block']:.3g} s",
        "reached": f"{ratio:.3g} × bare (target ≤ 1.15{'' if ratio <= 1.15 else ', MISSED'})",
    }


def memory_row(options: argparse.Namespace, *, give_back: bool = False) -> dict[str, Any]:
    """Peaks of two processes of their own, so that neither sees what the other allocated."""
    few, many = (peak_in_a_process(options, n, give_back=give_back) for n in (108, options.many))
    how = ", freed blocks given back" if give_back else ""
    return {
        "what": f"memory above the model's own, 108 and {options.many} sentences{how}",
        "selection": f"{many:.0f} MiB for {options.many}",
        "beside": f"{few:.0f} MiB for 108",
        "reached": f"{many - few:+.0f} MiB (target: flat)",
    }


def peak_in_a_process(options: argparse.Namespace, n_sentences: int, *, give_back: bool) -> float:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.selection", "--peak", str(n_sentences)]
    command += ["--tiny"] if options.tiny else []
    command += ["--threads", str(options.threads)]
    environment = os.environ | (GIVE_BACK if give_back else {})
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(json.loads(done.stdout.splitlines()[-1]))


def peak_of_a_selection(shape: Shape, n_sentences: int) -> float:
    """MiB by which the process grows above the loaded model."""
    model = hooked(shape, hugging_face(shape))
    with torch.no_grad():
        model(torch.arange(10, 24).repeat(BATCH_SIZE, 1))
    contrast = contrast_of(shape, n_sentences)
    with sampled_memory() as seen:
        select_neurons(model, contrast, batch_size=BATCH_SIZE)
    return (max(seen) - seen[0]) / 2**20


def contrast_of(shape: Shape, n_sentences: int) -> Contrast:
    """Pairs of random words around "him" and "her", 6 to 14 words long."""
    rng = torch.Generator().manual_seed(3)
    pairs = []
    for _ in range(n_sentences // 2):
        n_words = int(torch.randint(5, 14, (1,), generator=rng))
        words = [f"w{int(i)}" for i in torch.randint(10, shape.d_vocab, (n_words,), generator=rng)]
        at = int(torch.randint(n_words, (1,), generator=rng))
        pairs.append(tuple(" ".join([*words[:at], word, *words[at:]]) for word in ("him", "her")))
    return Contrast.from_pairs(pairs, words=("him", "her"))


def batches_of(model: Any, contrast: Contrast) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The batches that a selection makes: pairs of like length."""
    a = [encode_sentence(model, sentence).ids for sentence in contrast.a]
    b = [encode_sentence(model, sentence).ids for sentence in contrast.b]
    order = sorted(range(len(a)), key=lambda i: len(a[i]))
    size = BATCH_SIZE // 2
    few = [order[start : start + size] for start in range(0, len(order), size)]
    return [collate([*(a[i] for i in some), *(b[i] for i in some)], pad_id=1) for some in few]


if __name__ == "__main__":
    main()
