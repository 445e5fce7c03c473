"""How much memory does context modulation take above the model's own?  ``python -m benchmarks.context_memory``

200 tokens in one text, all layers: activations stream into sums, so that one layer's are in memory at a time.
"""

import argparse
from typing import Any

import torch

import tlesion
from benchmarks.memory import sampled_memory
from benchmarks.shapes import hooked, hugging_face
from benchmarks.subspace_removal import SIZES
from benchmarks.timing import machine, save_table

WINDOWS = {"context_lengths": (1, 2, 4), "n_windows": 32}


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.context_memory", description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="gpt2-xl", help="shape of the model (default gpt2-xl)")
    parser.add_argument("--tokens", type=int, default=200, help="length of the text (default 200)")
    options = parser.parse_args()
    on, shape = machine(), SIZES[options.size]
    model = hooked(shape, hugging_face(shape))
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(10, shape.d_vocab, (options.tokens,), generator=generator)
    with torch.no_grad():
        model(ids[None])  # what a forward pass itself allocates is there before
        with sampled_memory() as seen:
            result = tlesion.context_modulation(model, ids, prepend_bos=False, **WINDOWS)
    activations = 2 * 4 * shape.n_layers * options.tokens * shape.d_mlp
    row: dict[str, Any] = {
        "shape": f"{shape.name}: {shape.n_layers} layers, {shape.d_model} wide, {shape.d_mlp} neurons",
        "tokens": options.tokens,
        "resident before [GiB]": seen[0] / 2**30,
        "peak above it [GiB]": (max(seen) - seen[0]) / 2**30,
        "all activations, in the text and alone [GiB]": activations / 2**30,
        "kept in the result [GiB]": 8 * result.in_context.numel() / 2**30,
    }
    print(row, flush=True)
    notes = [f"Random weights; windows of context: {WINDOWS}. Memory is the process's resident set, seen every 20 ms."]
    save_table("context_memory", "Memory of context modulation", [row], notes=notes, on=on)


if __name__ == "__main__":
    main()
