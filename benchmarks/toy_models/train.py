"""Train a shipped model from scratch: ``python -m benchmarks.toy_models.train bert|gpt [--out FOLDER]``.

Seeded, on the CPU, by default with two threads. The texts are drawn while training, each batch new, and the shipped
weights are what this program writes.
"""

import argparse
import itertools
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerFast

import tlesion.toy
from benchmarks.toy_models import architectures
from benchmarks.toy_models.batches import stream_batches
from benchmarks.toy_models.grammar import USUAL, WITH_FULL_NAMES, Mix
from benchmarks.toy_models.tokenization import build_bert_tokenizer, build_gpt_tokenizer

SNAPSHOT_EVERY = 250


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    The texts get harder: first mostly sentences whose pronoun means the person named last (the names' genders
    are learned from them), then short texts whose pronouns have to be resolved, then the usual texts.

    Attributes:
        steps: optimizer steps.
        tokens_per_batch: tokens per step, at most.
        peak_rate: the learning rate after the warm-up.
        initial_scale: standard deviation of the first weights.
        shifted: share of the batches whose positions are counted from a random start, so that a sentence means the
            same wherever in a text it stands.
        lessons: up to which share of the steps which texts are read.
    """

    steps: int
    tokens_per_batch: int
    peak_rate: float
    warmup: int = 300
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
    initial_scale: float = architectures.INITIAL_SCALE
    shifted: float = 0.0
    lessons: tuple[tuple[float, Mix], ...] = ((1.00, USUAL),)


RECIPES = {
    # A masked model sees few gaps in a step and is near guessing for long, so that its easy lessons last longer.
    "bert": Recipe(
        steps=6000,
        tokens_per_batch=1024,
        peak_rate=1e-3,
        lessons=((0.12, Mix(near=0.7, bare=1.0)), (0.40, Mix(near=0.1, bare=1.0)), (1.00, USUAL)),
    ),
    # People with full names, whose gender only the pair of names tells, are in this model's texts only: in half an hour
    # a masked model of this size learns to resolve pronouns, but not such pairs.
    "gpt": Recipe(
        steps=4500,
        tokens_per_batch=1024,
        peak_rate=1.5e-3,
        initial_scale=0.05,
        shifted=0.5,
        lessons=(
            (0.10, Mix(near=0.7, bare=0.8, full=0.2)),
            (0.35, Mix(near=0.1, bare=0.7, full=0.5)),
            (1.00, WITH_FULL_NAMES),
        ),
    ),
}


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up to the peak, then a cosine down to a hundredth of it."""
    if step < recipe.warmup:
        return recipe.peak_rate * (step + 1) / recipe.warmup
    done = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.peak_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def stream_lessons(tokenizer: PreTrainedTokenizerFast, recipe: Recipe) -> Iterator[Int[Tensor, "text token"]]:
    """The batches of all lessons, one for each step."""
    done = 0
    for number, (share, mix) in enumerate(recipe.lessons):
        until = round(share * recipe.steps)
        batches = stream_batches(
            tokenizer, seed=recipe.seed + number, tokens_per_batch=recipe.tokens_per_batch, mix=mix
        )
        yield from itertools.islice(batches, until - done)
        done = until


def build_model(kind: str, recipe: Recipe) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """A model of this kind at its first random weights, and its tokenizer."""
    tokenizer = build_bert_tokenizer() if kind == "bert" else build_gpt_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        build = architectures.build_bert if kind == "bert" else architectures.build_gpt
        model = build(tokenizer, initial_scale=recipe.initial_scale)
    return model, tokenizer


def build_optimizer(model: PreTrainedModel, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW that lets biases and norms free of weight decay."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    free = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": free, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.peak_rate, betas=(0.9, 0.98), fused=True)


def train_model(
    kind: str,
    recipe: Recipe,
    *,
    snapshot: Callable[[int, PreTrainedModel, PreTrainedTokenizerFast], None] | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast, int]:
    """Train a model of this kind.

    Args:
        kind: "bert" or "gpt".
        recipe: steps, batch size, learning rate, seed, lessons.
        snapshot: called every 250 steps with the step, the model and the tokenizer.

    Returns:
        The model, in evaluation mode, its tokenizer, and the number of tokens read.
    """
    model, tokenizer = build_model(kind, recipe)
    loss_of = architectures.masked_loss if kind == "bert" else architectures.causal_loss
    optimizer = build_optimizer(model, recipe)
    generator = torch.Generator().manual_seed(recipe.seed)
    n_tokens = 0
    model.train()
    progress = tqdm(stream_lessons(tokenizer, recipe), desc=f"toy-{kind}", unit="step", total=recipe.steps)
    for step, tokens in enumerate(progress):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step)
        loss = loss_of(model, tokenizer, tokens, generator, recipe.shifted)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        optimizer.zero_grad()
        n_tokens += tokens.numel()
        progress.set_postfix(loss=f"{loss.item():.2f}", refresh=False)
        if snapshot is not None and (step + 1) % SNAPSHOT_EVERY == 0:
            snapshot(step + 1, model, tokenizer)
    return model.eval(), tokenizer, n_tokens


def save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write an ordinary Hugging Face folder."""
    activation = getattr(model.config, "activation_function", None)
    if activation == architectures.GPT_TRAINING_ACTIVATION:
        model.config.activation_function = architectures.GPT_ACTIVATION
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if activation is not None:
        model.config.activation_function = activation


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.toy_models.train", description=__doc__)
    parser.add_argument("kind", choices=sorted(RECIPES))
    parser.add_argument("--out", type=Path, help="folder to write; by default the shipped one")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads; by default 2, as for the shipped weights")
    parser.add_argument("--snapshots", type=Path, help="folder for a copy of the model every 250 steps")
    arguments = parser.parse_args()
    kind, recipe = arguments.kind, RECIPES[arguments.kind]

    def snapshot(step: int, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
        if arguments.snapshots:
            save_model(model, tokenizer, arguments.snapshots / f"{kind}-{step}")

    torch.set_num_threads(arguments.threads)
    start, worked = time.perf_counter(), time.process_time()
    model, tokenizer, n_tokens = train_model(kind, recipe, snapshot=snapshot)
    training = asdict(recipe) | {
        "tokens": n_tokens,
        "pronoun_weight": architectures.PRONOUN_WEIGHT,
        "threads": arguments.threads,
        "minutes": round((time.perf_counter() - start) / 60, 1),
        "cpu_minutes": round((time.process_time() - worked) / 60, 1),
        "torch": torch.__version__,
    }
    folder = arguments.out or Path(tlesion.toy.__file__).parent / f"toy-{kind}"
    save_model(model, tokenizer, folder)
    (folder / "training.json").write_text(json.dumps(training, indent=2) + "\n")


if __name__ == "__main__":
    main()
