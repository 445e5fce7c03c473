"""How parameters of the library are asked for on the command line: one table of words, and the options made of it.

Names, defaults and kinds of value stand in the library's own signatures (:mod:`tlesion.cli.command` reads them); here
stands only what a signature cannot say: the help, the heading under which it is listed, what happens without it, and
how text becomes a value. A parameter that is not in the table has the help of its docstring.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from tlesion.interventions import ablations
from tlesion.positions import read_position
from tlesion.selection.statistics import statistic_named, statistic_names
from tlesion.studies.common.generation import openings

PANELS = (None, "Model", "Data", "Text", "Which", "Comparison", "Selection", "What is replaced", "Lesion", "Verdict")
"""Headings in the order of the help; those that are not here come next, and "Output" last."""


def position(text: str, option: str) -> Any:
    """A position as the library takes it; see :func:`tlesion.positions.read_position`."""
    return read_position(text)


def numbers(text: str, option: str) -> list[int]:
    """``0,5,-1`` as numbers.

    Raises:
        ValueError: It is not a list of whole numbers.

    Example:
        >>> numbers("0, 5,-1", "--layers")
        [0, 5, -1]
    """
    return _split(text, option, int)


def decimals(text: str, option: str) -> list[float]:
    """``0.1,10`` as numbers."""
    return _split(text, option, float)


def decimal(text: str, option: str) -> float:
    """``0.5`` as a number.

    Raises:
        ValueError: It is none.
    """
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{option} {text!r} is not understood; give a number, such as 0.5") from None


def all_or_numbers(text: str, option: str) -> str | list[int]:
    """``all``, ``each``, or numbers with commas."""
    return text if text in ("all", "each") else numbers(text, option)


def word_list(text: str, option: str) -> list[str]:
    """Words with commas."""
    return [word.strip() for word in text.split(",")]


def words_by_name(text: str, option: str) -> dict[str, str]:
    """``masculine=him,feminine=her`` as words by name; nothing after the sign is the empty word.

    Raises:
        ValueError: A part has no ``=``, or no name before it, or two parts have one name.

    Example:
        >>> words_by_name("masculine=him, other=", "--about")
        {'masculine': 'him', 'other': ''}
    """
    parts = [part.partition("=") for part in word_list(text, option)]
    found = {name.strip(): word.strip() for name, _, word in parts}
    if not all(sign and name.strip() for name, sign, _ in parts) or len(found) < len(parts):
        raise ValueError(
            f"{option} {text!r} is not understood; give a word for each name, such as {option} "
            "masculine=him,feminine=her"
        )
    return found


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
    found = word_list(text, option)
    if len(found) != 2 or not all(found):
        raise ValueError(f"{option} {text!r} is not understood; give two words with a comma, such as {option} him,her")
    return found[0], found[1]


def _split(text: str, option: str, kind: Any) -> list[Any]:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{option} {text!r} is not understood; give numbers with commas, such as 0,5") from None


@dataclass(frozen=True)
class Option:
    """The words of an option.

    Attributes:
        help: What it is for; a function where it lists names that a user's module may add to.
        panel: The heading under which it is listed; None: among the first.
        metavar: What stands for its value in the help; None: its kind.
        without: What happens where it is not given, for one without a default value; a function where it is read.
        flags: How it is written, where that is not ``--its-name``.
        read: Makes the value of the text and of the option's name; None: typer does.
    """

    help: str | Callable[[], str]
    panel: str | None = None
    metavar: str | None = None
    without: str | Callable[[], str] = "none"
    flags: tuple[str, ...] = ()
    read: Callable[[str, str], Any] | None = None


def ablation_names() -> str:
    """All ablations, a user's own among them, with what they put in place."""
    return _listed({name: ablations.named(name).summary for name in ablations.names()})


def _listed(summaries: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({said})" if said not in ("", name) else name for name, said in summaries.items())


_TOKENS = "readout (where logits are read), all, or an index"

TABLE: Mapping[str, Option] = {
    "device": Option(
        "Where the model runs, as torch names it.", "Model", "DEVICE", without="cuda if there is one, else cpu"
    ),
    "dtype": Option("float32, bfloat16, float16 or float64.", "Model", "DTYPE"),
    "prepend_bos": Option(
        "Begin every text with the beginning-of-sequence token; masked models ignore it.",
        "Model",
        without="as TransformerLens does for the model",
        flags=("--prepend-bos/--no-prepend-bos",),
    ),
    "opening": Option(
        "What the generated text begins with (causal models).",
        "Text",
        "TEXT",
        without=lambda: openings()[0],
    ),
    "n_tokens": Option("How many tokens to generate.", "Text"),
    "temperature": Option("Of sampling; 0 takes the likeliest token every time.", "Text"),
    "hook_point": Option("Where neurons are tested.", "Selection", "POINT"),
    "position": Option(
        "Where in a sentence: word (its own token), mask (a mask token in its place; masked models), before (the token "
        "that predicts it; causal models), word+1, word-1 and so on, or the index of a token.",
        "Selection",
        "POSITION",
        read=position,
    ),
    "test": Option(
        lambda: f"One of {_listed({name: statistic_named(name).summary for name in statistic_names()})}.",
        "Selection",
        "TEST",
    ),
    "correction": Option(
        "For multiple comparisons, as statsmodels names it (fdr_bh, fdr_by, holm, bonferroni, ...), none, or max_t for "
        "permutations.",
        "Selection",
        "METHOD",
        without="fdr_bh; max_t for permutations",
    ),
    "family": Option("What one correction spans: a layer, or the model.", "Selection", "FAMILY"),
    "alpha": Option("Level of the corrected p-values.", "Selection"),
    "min_effect": Option("Smallest effect size that counts, in standard deviations (d, or d_z of pairs).", "Selection"),
    "top_k": Option(
        "The most neurons to select per layer and direction, the strongest first.", "Selection", "K", without="no limit"
    ),
    "n_permutations": Option("Relabellings that the permutation test draws.", "Selection"),
    "batch_size": Option("Sentences in a forward pass.", "Selection"),
    "ablation": Option(
        lambda: f"What is put in place of the neurons' activations: {ablation_names()}. A reference set: the pairs.",
        "Lesion",
        "KIND",
    ),
    "lesion_point": Option("Where the selected neurons are ablated.", "Lesion", "POINT"),
    "lesion_position": Option(f"At which token of a prompt: {_TOKENS}.", "Lesion", "POSITION", read=position),
    "plan": Option(
        "How runs are combined: auto, loop, batched, fanout or prefix; all give the same numbers.", "Lesion", "PLAN"
    ),
    "about": Option(
        "The word that each condition's neurons should cost, where the condition is called otherwise; nothing after "
        "the = for each prompt's right answer.",
        "Verdict",
        "NAME=WORD,...",
        without="the target of the condition's name, else each prompt's right answer",
    ),
    "smallest": Option(
        "Smallest effect of interest, in logits: what lies surely below it is called negligible.",
        "Verdict",
        "LOGITS",
        read=decimal,
        without="a tenth of the clean margin on the sentences selected on",
    ),
    "controls": Option(
        "Random lesions of as many neurons, per set of neurons and layer, for the verdict; 0: none, and no verdict.",
        "Verdict",
        "N",
    ),
    "allow_shared": Option(
        "Take prompts that are made from the sentences that neurons are selected on (they overstate effects).",
        "Verdict",
        flags=("--allow-shared",),
    ),
    "layers": Option("Which layers: all, or numbers with commas.", "Lesion", "LAYERS", read=all_or_numbers),
    "seed": Option("Of permutations, gaussian noise and controls."),
}
"""By the option's name, with underscores."""

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
