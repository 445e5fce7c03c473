"""How good are the shipped models, and what do their MLPs do?  ``python -m benchmarks.toy_models.measure``

Asks both models for him or her in held-out sentences (names and patterns that never met in training) and in the
shipped prompts and pairs, with every MLP in place and with MLPs zeroed. Writes benchmarks/results/toy_models.json and
.md, and the models' cards. Plain Hugging Face models and forward hooks: of tlesion only the toy language is used.
"""

import argparse
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

import tlesion.toy
from benchmarks.toy_models.card import render_card, render_table
from benchmarks.toy_models.grammar import PronounItem, sample_items
from benchmarks.toy_models.people import PRONOUNS

TOY = Path(tlesion.toy.__file__).parent
DATA = TOY.parent / "data"
RESULTS = Path(__file__).parents[1] / "results"
SEED = 20_000


@dataclass(frozen=True)
class Question:
    """A text with a gap, the word that belongs there, and the word that does not."""

    before: str
    after: str
    right: str
    wrong: str


@dataclass(frozen=True)
class Subject:
    """A model with its tokenizer, and the modules that put out its neurons after the GELU, layer by layer."""

    model: torch.nn.Module
    tokenizer: object
    masked: bool

    @property
    def neurons(self) -> list[torch.nn.Module]:
        if self.masked:
            return [layer.intermediate for layer in self.model.bert.encoder.layer]
        return [block.mlp.act for block in self.model.transformer.h]


def load_subject(folder: Path, *, masked: bool) -> Subject:
    """Load a shipped folder with plain Hugging Face."""
    family = AutoModelForMaskedLM if masked else AutoModelForCausalLM
    return Subject(family.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder), masked)


def from_items(items: Sequence[PronounItem]) -> list[Question]:
    """The questions that drawn items ask."""
    return [Question(i.text[: i.start], i.text[i.end :], i.pronoun, i.wrong) for i in items]


def from_prompts(rows: Sequence[dict]) -> list[Question]:
    """The questions that shipped prompts ask."""
    questions = []
    for row in rows:
        before, after = row["text"].split("[MASK]")
        wrong = next(word for word in row["targets"] if word != row["correct"])
        questions.append(Question(before, after, row["correct"], wrong))
    return questions


def from_pairs(rows: Sequence[dict]) -> list[Question]:
    """Both sentences of shipped him/her pairs, asked for their own word."""
    questions = []
    for row in rows:
        for text, right, wrong in ((row["a"], "him", "her"), (row["b"], "her", "him")):
            before, after = re.split(rf"\b{right}\b", text)
            questions.append(Question(before, after, right, wrong))
    return questions


def read_rows(name: str) -> list[dict]:
    """The rows of a shipped JSON Lines file."""
    return [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text().splitlines()]


@torch.no_grad()
def measure_margins(
    subject: Subject, questions: Sequence[Question], *, layers: Sequence[int] = (), everywhere: bool = True
) -> Tensor:
    """Logit of the right word minus logit of the wrong one, the MLPs of these layers zeroed.

    Args:
        subject: the model.
        questions: what to ask.
        layers: whose neurons are set to zero after the GELU.
        everywhere: at every token; False: only where the logits are read.

    Returns:
        One margin per question, float64; positive: the right word is preferred.
    """
    margins = []
    for start in range(0, len(questions), 100):
        batch, where, right, wrong = _encode(subject, questions[start : start + 100])
        rows = torch.arange(len(where))

        def zero(_module: object, _inputs: object, neurons: Tensor, rows=rows, where=where) -> Tensor:
            lesioned = torch.zeros_like(neurons) if everywhere else neurons.clone()
            lesioned[rows, where] = 0.0
            return lesioned

        with hooked([subject.neurons[layer] for layer in layers], zero):
            logits = subject.model(**batch).logits[rows, where].double()
        margins.append(logits[rows, right] - logits[rows, wrong])
    return torch.cat(margins)


@contextmanager
def hooked(modules: Sequence[torch.nn.Module], hook: Callable) -> Iterator[None]:
    """Register a forward hook on these modules, and remove it again."""
    handles = [module.register_forward_hook(hook) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _encode(subject: Subject, questions: Sequence[Question]) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor]:
    tokenizer, space = subject.tokenizer, "" if subject.masked else "Ġ"
    if subject.masked:
        texts = [q.before + tokenizer.mask_token + q.after for q in questions]
    else:
        texts = [q.before.rstrip() for q in questions]
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    if subject.masked:
        where = (batch["input_ids"] == tokenizer.mask_token_id).int().argmax(1)
    else:
        where = batch["attention_mask"].sum(1) - 1
    right = torch.tensor(tokenizer.convert_tokens_to_ids([space + q.right for q in questions]))
    wrong = torch.tensor(tokenizer.convert_tokens_to_ids([space + q.wrong for q in questions]))
    return dict(batch), where, right, wrong


def share_right(margins: Tensor) -> float:
    """Share of the questions whose right word is preferred."""
    return (margins > 0).double().mean().item()


def measure_model(kind: str, *, n: int) -> dict[str, object]:
    """All numbers about one shipped model that its card and the table report."""
    folder = TOY / f"toy-{kind}"
    subject = load_subject(folder, masked=kind == "bert")
    items = sample_items(n, seed=SEED)
    questions = from_items(items)
    clean = measure_margins(subject, questions)
    lone = torch.tensor([item.lone for item in items])
    n_layers = len(subject.neurons)
    lesions = {
        place: [
            _lesion(clean, measure_margins(subject, questions, layers=[layer], everywhere=place == "everywhere"))
            for layer in range(n_layers)
        ]
        for place in ("at the mask", "everywhere")
    }
    all_zeroed = measure_margins(subject, questions, layers=range(n_layers))
    return {
        "model": f"toy-{kind}",
        "parameters": sum(p.numel() for p in subject.model.parameters()),
        "vocabulary": len(subject.tokenizer),
        "megabytes": round(sum(f.stat().st_size for f in folder.iterdir()) / 1e6, 1),
        "training": json.loads((folder / "training.json").read_text()),
        "n": n,
        "accuracy": {
            "him or her": share_right(clean),
            "him or her, no other pronoun in the text": share_right(clean[lone]),
            "him or her, people with full names": share_right(
                measure_margins(subject, from_items(sample_items(n, seed=SEED, full=1.0)))
            ),
            **{
                f"{'he or she' if form == 'he' else ' or '.join(PRONOUNS[form].values())}": share_right(
                    measure_margins(subject, from_items(sample_items(n, seed=SEED, form=form)))
                )
                for form in ("he", "his", "himself")
            },
            "shipped prompts": share_right(measure_margins(subject, from_prompts(read_rows("him_her_prompts")))),
            "shipped pairs in context": share_right(
                measure_margins(subject, from_pairs(read_rows("him_her_in_context")))
            ),
            "shipped him/her pairs (the context does not decide)": share_right(
                measure_margins(subject, from_pairs(read_rows("him_her")))
            ),
        },
        "baselines": _baselines(items),
        "clean margin": clean.mean().item(),
        "lesions": lesions,
        "all MLPs zeroed": _lesion(clean, all_zeroed),
    }


def _baselines(items: Sequence[PronounItem]) -> dict[str, float]:
    first = sum(item.referent_first for item in items) / len(items)
    return {"always the person named first": first, "always the person named second": 1 - first}


def _lesion(clean: Tensor, lesioned: Tensor) -> dict[str, float]:
    return {"margin change": (lesioned - clean).mean().item(), "accuracy": share_right(lesioned)}


def main() -> None:
    """Measure both models; write the table and the cards."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.toy_models.measure", description=__doc__)
    parser.add_argument("--n", type=int, default=1000, help="held-out sentences per pronoun")
    arguments = parser.parse_args()
    measured = [measure_model(kind, n=arguments.n) for kind in ("bert", "gpt")]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "toy_models.json").write_text(json.dumps(measured, indent=2) + "\n")
    (RESULTS / "toy_models.md").write_text(render_table(measured))
    for numbers in measured:
        (TOY / str(numbers["model"]) / "README.md").write_text(render_card(numbers))
    print(render_table(measured))


if __name__ == "__main__":
    main()
