"""Options that several commands share, explained once."""

from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from tlesion.positions import read_position

Debug: TypeAlias = Annotated[bool, typer.Option("--debug", help="After an error show its traceback.")]
Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print JSON for machines instead of a table.", rich_help_panel="Output")
]
Out: TypeAlias = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        metavar="FOLDER",
        help="Folder to write into; made if it is not there, results in it are replaced.",
        rich_help_panel="Output",
    ),
]
Checkpoint: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Keep finished parts here as they come: the same command continues a run that was cut off.",
        show_default="nothing is kept",
        rich_help_panel="Output",
    ),
]

ModelName: TypeAlias = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="A shipped model (toy-bert, toy-gpt), a Hugging Face folder, or a name that TransformerLens knows.",
        rich_help_panel="Model",
    ),
]
Device: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="DEVICE",
        help="Where the model runs, as torch names it.",
        show_default="cuda if there is one, else cpu",
        rich_help_panel="Model",
    ),
]
Dtype: TypeAlias = Annotated[
    str,
    typer.Option(metavar="DTYPE", help="float32, bfloat16, float16 or float64.", rich_help_panel="Model"),
]
PrependBos: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--prepend-bos/--no-prepend-bos",
        help="Begin every text with the beginning-of-sequence token; masked models ignore it.",
        show_default="as TransformerLens does for the model",
        rich_help_panel="Model",
    ),
]

Pairs: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Pairs of sentences, CSV or JSON lines with the columns a, b, word_a, word_b (tlesion example pairs).",
        show_default="the shipped him/her pairs",
        rich_help_panel="Data",
    ),
]
Words: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="A,B",
        help="The two words that matter, where the file has no columns word_a and word_b.",
        show_default="the file's columns",
        rich_help_panel="Data",
    ),
]
Conditions: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="A,B",
        help="What the two conditions are called.",
        show_default="their words",
        rich_help_panel="Data",
    ),
]
Prompts: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Prompts, CSV or JSON lines with the columns text, targets, correct (tlesion example prompts).",
        show_default="the shipped him/her prompts",
        rich_help_panel="Data",
    ),
]

HookPoint: TypeAlias = Annotated[
    str,
    typer.Option(metavar="POINT", help="Where neurons are tested.", rich_help_panel="Selection"),
]
Position: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="POSITION",
        help="Where in a sentence: word (its own token), mask (a mask token in its place; masked models), before "
        "(the token that predicts it; causal models), word+1, word-1 and so on, or the index of a token.",
        rich_help_panel="Selection",
    ),
]
Test: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="TEST",
        help="student, welch, paired, moderated, moderated_paired, or permutation (of the words' labels).",
        rich_help_panel="Selection",
    ),
]
Correction: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="METHOD",
        help="For multiple comparisons, as statsmodels names it (fdr_bh, fdr_by, holm, bonferroni, ...), none, or "
        "max_t for permutations.",
        show_default="fdr_bh; max_t for permutations",
        rich_help_panel="Selection",
    ),
]
Family: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="FAMILY", help="What one correction spans: a layer, or the model.", rich_help_panel="Selection"
    ),
]
Alpha: TypeAlias = Annotated[float, typer.Option(help="Level of the corrected p-values.", rich_help_panel="Selection")]
MinEffect: TypeAlias = Annotated[
    float,
    typer.Option(
        help="Smallest effect size that counts, in standard deviations (d, or d_z of pairs).",
        rich_help_panel="Selection",
    ),
]
TopK: TypeAlias = Annotated[
    int | None,
    typer.Option(
        metavar="K",
        help="At most so many neurons per layer and direction, the strongest first.",
        show_default="no limit",
        rich_help_panel="Selection",
    ),
]
Permutations: TypeAlias = Annotated[
    int,
    typer.Option(help="Relabellings that the permutation test draws.", rich_help_panel="Selection"),
]
BatchSize: TypeAlias = Annotated[int, typer.Option(help="Sentences in a forward pass.", rich_help_panel="Selection")]


Ablation: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="KIND",
        help="What is put in place: zero, mean or median (over the pairs' sentences), resample (their activations, one "
        "sentence's at each position), or gaussian (standard normal).",
        rich_help_panel="Lesion",
    ),
]
LesionPoint: TypeAlias = Annotated[
    str, typer.Option(metavar="POINT", help="Where the selected neurons are ablated.", rich_help_panel="Lesion")
]
LesionPosition: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="POSITION",
        help="At which token of a prompt: readout (where logits are read), all, or an index.",
        rich_help_panel="Lesion",
    ),
]
Seed: TypeAlias = Annotated[int, typer.Option(help="Of permutations, gaussian noise and controls.")]
Controls: TypeAlias = Annotated[
    int,
    typer.Option(
        metavar="N",
        help="Random lesions of as many neurons, per mask and layer, for the verdict; 0: none, and no verdict.",
        rich_help_panel="Verdict",
    ),
]
AllowShared: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--allow-shared",
        help="Take prompts that are made from the sentences that neurons are selected on (they overstate effects).",
        rich_help_panel="Verdict",
    ),
]
Plan: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="PLAN",
        help="How the runs are shared: auto, loop, batched, fanout or prefix; all give the same numbers.",
        rich_help_panel="Lesion",
    ),
]


def two_words(text: str | None, option: str) -> tuple[str, str] | None:
    """The two words of ``--words him,her``.

    Raises:
        ValueError: There are not two.

    Example:
        >>> two_words("him, her", "--words")
        ('him', 'her')
    """
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    if len(words) != 2 or not all(words):
        raise ValueError(f"{option} {text!r} is not understood; give two words with a comma, such as {option} him,her")
    return words[0], words[1]


def number_or_name(text: str) -> Any:
    """A position as the library takes it; see :func:`tlesion.positions.read_position`."""
    return read_position(text)
