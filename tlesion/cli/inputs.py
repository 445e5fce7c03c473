"""What commands read from files: pairs, prompts, texts, models; the shipped ones where no file is named."""

from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from tlesion.cli.command import Chosen, From
from tlesion.cli.console import working
from tlesion.cli.options import two_words
from tlesion.hooks import Model
from tlesion.models import load_model
from tlesion.stimuli import Contrast, Prompt, contrasts
from tlesion.stimuli.files import read_pairs, read_prompts
from tlesion.stimuli.text_files import read_lines
from tlesion.studies.common.default_texts import default_prompts, default_texts

Pairs: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Pairs of sentences, CSV or JSON with the columns a, b, word_a, word_b (tlesion example pairs).",
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
        help="Prompts, CSV or JSON with the columns text, targets, correct (tlesion example prompts).",
        show_default="the shipped him/her prompts",
        rich_help_panel="Data",
    ),
]
Text: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="A text.", show_default="one that the model generates", rich_help_panel="Text"),
]
TextFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Texts, one a line; tests are then over texts.",
        show_default="none",
        rich_help_panel="Text",
    ),
]

MODEL = From(load_model, only=("device", "dtype"), defaults={"dtype": "float32"})
TEXTS = From(default_texts, only=("opening", "n_tokens", "temperature", "seed", "prepend_bos"))


def load(chosen: Chosen, name: str) -> Model:
    """The model, with a word on a terminal that it is being loaded."""
    with working(f"loading {name}"):
        model: Model = chosen(load_model, name)
    return model


def contrast_in(pairs: Path | None, words: str | None, conditions: str | None) -> Contrast:
    """The pairs of the file, or the shipped ones.

    Raises:
        ValueError: The file cannot be read; names for words or conditions without a file that needs them.
    """
    both, names = two_words(words, "--words"), two_words(conditions, "--conditions")
    if pairs is None:
        if both or names:
            option = "--words" if both else "--conditions"
            raise ValueError(f"{option} is only for pairs from a file, and none was given: add --pairs FILE")
        return contrasts.him_her()
    return read_pairs(pairs, words=both, conditions=names)


def prompts_in(file: Path | None, model: Model) -> list[Prompt]:
    """The prompts of the file, or the shipped ones for this kind of model."""
    return read_prompts(file) if file else default_prompts(model)


def texts_in(chosen: Chosen, model: Model, text: str | None, file: Path | None) -> Any:
    """The text, the texts of the file, or what :func:`default_texts` gives.

    Raises:
        ValueError: Two of them at once, or a file that is not there.
    """
    given = {"text": text, "file": file, "opening": chosen["opening"]}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise ValueError(f"--{named[0]} and --{named[1]} exclude each other; give one of them")
    if text is not None:
        return text
    return chosen(default_texts, model) if file is None else lines_of(file)


def lines_of(path: Path) -> list[str]:
    """The lines of a text file that hold something.

    Raises:
        ValueError: The file is not there, holds no text, or nothing.
    """
    return read_lines(path, otherwise="give a text file with one text or word per line")
