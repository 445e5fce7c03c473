"""Train a shipped model from scratch: ``python -m tlesion.toy.train bert|gpt [--out FOLDER]``.

Seeded, on the CPU with two threads. The texts are drawn while training, so that none comes twice by design, and the
shipped weights are what this program writes.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tlesion.toy import architectures
from tlesion.toy.batches import stream_batches
from tlesion.toy.tokenization import build_bert_tokenizer, build_gpt_tokenizer

THREADS = 2


@dataclass(frozen=True)
class Recipe:
    """How a model is trained."""

    steps: int
    tokens_per_batch: int
    peak_rate: float
    warmup: int = 300
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0


RECIPES = {
    "bert": Recipe(steps=4500, tokens_per_batch=1536, peak_rate=1e-3),
    "gpt": Recipe(steps=4500, tokens_per_batch=1536, peak_rate=2e-3),
}


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up to the peak, then a cosine down to a hundredth of it."""
    if step < recipe.warmup:
        return recipe.peak_rate * (step + 1) / recipe.warmup
    done = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.peak_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def train_model(
    kind: str, recipe: Recipe, *, report: Callable[[int, PreTrainedModel], None] | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Train a model of this kind.

    Args:
        kind: "bert" or "gpt".
        recipe: steps, batch size, learning rate, seed.
        report: called after every step with the step and the model.

    Returns:
        The model, in evaluation mode, and its tokenizer.
    """
    tokenizer = build_bert_tokenizer() if kind == "bert" else build_gpt_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        model = (architectures.build_bert if kind == "bert" else architectures.build_gpt)(tokenizer)
    loss_of = architectures.masked_loss if kind == "bert" else architectures.causal_loss
    decayed = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
    generator = torch.Generator().manual_seed(recipe.seed)
    batches = stream_batches(tokenizer, seed=recipe.seed + 1, tokens_per_batch=recipe.tokens_per_batch)
    model.train()
    progress = tqdm(range(recipe.steps), desc=f"toy-{kind}", unit="step")
    for step, tokens in zip(progress, batches, strict=False):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step)
        loss = loss_of(model, tokenizer, tokens, generator)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        optimizer.zero_grad()
        progress.set_postfix(loss=f"{loss.item():.2f}", refresh=False)
        if report is not None:
            report(step, model)
    return model.eval(), tokenizer


def save_model(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path, *, training: dict[str, object]
) -> None:
    """Write an ordinary Hugging Face folder, and beside it how the model was trained."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "training.json").write_text(json.dumps(training, indent=2) + "\n")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tlesion.toy.train", description=__doc__)
    parser.add_argument("kind", choices=sorted(RECIPES))
    parser.add_argument("--out", type=Path, help="folder to write; by default the shipped one")
    arguments = parser.parse_args()
    kind, recipe = arguments.kind, RECIPES[arguments.kind]
    torch.set_num_threads(THREADS)
    start = time.perf_counter()
    model, tokenizer = train_model(kind, recipe)
    training = asdict(recipe) | {
        "threads": THREADS,
        "minutes": round((time.perf_counter() - start) / 60, 1),
        "torch": torch.__version__,
    }
    save_model(model, tokenizer, arguments.out or Path(__file__).parent / f"toy-{kind}", training=training)


if __name__ == "__main__":
    main()
