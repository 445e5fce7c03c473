"""The shipped models' cards and table, written wholly from what `benchmarks/toy_models.py` measured."""

from collections.abc import Sequence

from benchmarks.toy_models.grammar import all_scene_patterns, near_patterns, story_patterns
from benchmarks.toy_models.lexicon import FEMALE_NAMES, MALE_NAMES
from benchmarks.toy_models.vocabulary import all_words

ABOUT = {
    "toy-bert": (
        "A small masked language model: BERT architecture (`BertForMaskedLM`)",
        "Uncased WordPiece; every word of the toy language is one token, other words fall into letters.",
        "fill-mask",
        "60 % of the pronouns and 10 % of the other words were hidden and had to be predicted",
        "People with full names, whose gender only both names together tell, were not in its texts.",
    ),
    "toy-gpt": (
        "A small causal language model: GPT-2 architecture (`GPT2LMHeadModel`)",
        "Byte-level BPE; every word of the toy language is one token with a leading space, and common nouns and "
        "pronouns also without one.",
        "text-generation",
        "each word had to be predicted from those before it; 70 % of the batches began with `<|endoftext|>`",
        "In half of the sentences people have full names (98 pairs), whose gender only both names together tell.",
    ),
}

CARD = """---
license: mit
language: en
pipeline_tag: {task}
---

# {model}

{what}, 12 layers, d_model 128, 4 heads, d_mlp 512, {parameters:,} parameters, {vocabulary:,} tokens, context 256,
{megabytes} MB. It ships with tlesion so that the toolkit can be tried without a download.

{tokenizer}

## Trained on

Texts of a toy language that resembles English, drawn by `tlesion/toy/grammar.py`: {words:,} words, {names} names whose
gender has to be known, {stories} sentence patterns about two people of opposite gender whose pronouns have to be
resolved, {near} easier ones, and {scenes} about things, agreement, negation and openings. In "Robert hurt Lucy, so the
nurse comforted her" and "Robert hurt Lucy, so the judge punished him" the verbs say who is meant; nearness and
order do not. {full_names}

`python -m benchmarks.toy_models.train {kind}` makes such weights from scratch: {steps:,} steps of
{tokens_per_batch:,} tokens
({millions:.1f} million tokens in all), seed {seed}, AdamW with peak learning rate {peak_rate:g}, float32. These weights
took {timing} (torch {torch}).
In training {objective}; pronouns count {pronoun_weight:g} times
as much in the loss. The first texts are short and easy; `benchmarks/toy_models/train.py` has the details.

## Accuracy

The right pronoun against the other gender's, on {n:,} held-out sentences per form: each name in them is one that
training never put into that pattern. Guessing gives 50 %.

{accuracy}

What simpler rules would reach on the same him/her sentences:

{baselines}

## What the MLPs do

Change of the him/her margin (logit of the right word minus logit of the wrong one; clean mean {margin:+.2f}) when all
512 neurons of one layer's MLP are set to zero after the GELU, and the accuracy that is left. "At the mask" zeroes them
only where the logits are read. So large can the effect of a lesion in one layer be.

{lesions}

All twelve MLPs zeroed at once (everywhere): margin {all_change:+.2f}, accuracy {all_accuracy:.1%}.

## Not good for

Anything but demonstrations and tests. The model knows {words:,} words and a few hundred sentence patterns, and has read
no real text. Its two genders are those of English third-person pronouns, its names were assigned one gender each, and
nothing about people should be concluded from it. Results on it say that a method works, not how large models do.
"""

TABLE = """# The shipped models

Written by `python -m benchmarks.toy_models.measure`. Accuracy is the share of sentences in which the right pronoun has
the larger logit, on {n:,} held-out sentences per form (guessing: 50 %).

{accuracy}

Whole MLPs zeroed after the GELU: change of the him/her margin (positive: better than clean), and the accuracy left.

{lesions}
"""


def render_card(numbers: dict) -> str:
    """The model card of one model, Markdown."""
    what, tokenizer, task, objective, full_names = ABOUT[numbers["model"]]
    training = numbers["training"]
    return CARD.format(
        what=what,
        tokenizer=tokenizer,
        task=task,
        objective=objective,
        kind=numbers["model"].removeprefix("toy-"),
        words=len({word.lower() for word in all_words()}),
        names=len(MALE_NAMES) + len(FEMALE_NAMES),
        stories=len(story_patterns()),
        near=len(near_patterns()),
        scenes=len(all_scene_patterns()),
        millions=training["tokens"] / 1e6,
        timing=_timing(training),
        full_names=full_names,
        accuracy=_accuracy_table([numbers]),
        baselines=_rows([(name, f"{share:.1%}") for name, share in numbers["baselines"].items()], "rule"),
        margin=numbers["clean margin"],
        lesions=_lesion_table([numbers]),
        all_change=numbers["all MLPs zeroed"]["margin change"],
        all_accuracy=numbers["all MLPs zeroed"]["accuracy"],
        **{key: numbers[key] for key in ("model", "parameters", "vocabulary", "megabytes", "n")},
        **{key: training[key] for key in ("steps", "tokens_per_batch", "seed", "peak_rate", "torch", "pronoun_weight")},
    )


def _timing(training: dict) -> str:
    threads = "one CPU thread" if training["threads"] == 1 else f"{training['threads']} CPU threads"
    return f"{training['cpu_minutes']} minutes of CPU time on {threads}, {training['minutes']} minutes by the clock"


def render_table(measured: Sequence[dict]) -> str:
    """The table of all models, Markdown."""
    return TABLE.format(n=measured[0]["n"], accuracy=_accuracy_table(measured), lesions=_lesion_table(measured))


def _accuracy_table(measured: Sequence[dict]) -> str:
    rows = [(name, *(f"{numbers['accuracy'][name]:.1%}" for numbers in measured)) for name in measured[0]["accuracy"]]
    return _rows(rows, "asked for", *(numbers["model"] for numbers in measured))


def _lesion_table(measured: Sequence[dict]) -> str:
    heads, columns = [], []
    for numbers in measured:
        for place, layers in numbers["lesions"].items():
            heads.append(f"{numbers['model']}, {place}")
            columns.append([f"{r['margin change']:+.2f} ({r['accuracy']:.1%})" for r in layers])
    rows = [(str(layer), *cells) for layer, cells in enumerate(zip(*columns, strict=True))]
    total = [f"{numbers['all MLPs zeroed']['margin change']:+.2f}" for numbers in measured]
    shares = [f"{numbers['all MLPs zeroed']['accuracy']:.1%}" for numbers in measured]
    ends = [cell for change, share in zip(total, shares, strict=True) for cell in ("", f"{change} ({share})")]
    return _rows([*rows, ("all", *ends)], "layer", *heads)


def _rows(rows: Sequence[tuple[str, ...]], *heads: str) -> str:
    heads = heads if len(heads) == len(rows[0]) else (*heads, *[""] * (len(rows[0]) - len(heads)))
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
