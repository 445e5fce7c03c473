"""Options made of signatures: names, defaults, kinds and words are those of the library."""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

import pytest
import typer
from torch import Tensor
from typer.testing import CliRunner

import tlesion
from tlesion.cli.command import Chosen, From, can_be_asked, command, documented
from tlesion.cli.neurons import SELECTION
from tlesion.positions import PromptPosition, SentencePosition


def measure(
    model,
    *,
    size: float | int = 2.5,
    count: int = 3,
    name: str = "a",
    kind: Literal["x", "y"] = "x",
    layers: Literal["all"] | Sequence[int] = "all",
    factors: Sequence[float | int] = (0.5, 10),
    labels: Sequence[str] = ("a", "b"),
    position: SentencePosition = "word",
    at: PromptPosition = -1,
    limit: int | None = None,
    folder: Path | None = None,
    loud: bool = False,
    strict: bool | None = None,
    about: Mapping[str, str] | None = None,
    called: Mapping[str, str] = MappingProxyType({"a": "b"}),
    values: Tensor | None = None,
) -> None:
    """Measure.

    Args:
        model: The model.
        size, count: How large, and
            how ``many``.
        name: A name.

    Returns:
        Nothing.
    """


ASKED = [name for name, parameter in inspect.signature(measure).parameters.items() if can_be_asked(parameter)]


def called(*args: object, source: From | None = None) -> dict[str, object]:
    """What `measure` is called with when a command line says `args`."""
    seen: list[dict[str, object]] = []
    source = source or From(measure, only=[name for name in ASKED if name != "model"])

    @command(source)
    def trial(chosen: Chosen, *, own: Annotated[int, typer.Option(help="Own.")] = 1) -> None:
        """Try."""
        seen.append({"own": own} | {name: chosen[option] for name, option in source.named().items()})

    app = typer.Typer()
    app.command()(trial())
    done = CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return seen[0]


def test_what_is_left_out_has_the_librarys_default_as_the_library_reads_it():
    found = called()
    assert found.pop("own") == 1
    assert found.pop("factors") == [0.5, 10.0]
    assert found.pop("labels") == ["a", "b"]
    parameters = inspect.signature(measure).parameters
    assert found == {name: parameters[name].default for name in found}


def test_text_becomes_what_the_annotation_says():
    given = {
        "--size": ("2", 2.0),
        "--count": ("4", 4),
        "--kind": ("y", "y"),
        "--layers": ("0,-1", [0, -1]),
        "--factors": ("1,2.5", [1.0, 2.5]),
        "--labels": ("him, her", ["him", "her"]),
        "--position": ("word-2", tlesion.Offset(-2)),
        "--at": ("readout", "readout"),
        "--limit": ("7", 7),
        "--folder": ("x", Path("x")),
        "--about": ("ladies=her, others=", {"ladies": "her", "others": ""}),
    }
    found = called(*(part for option, (text, _) in given.items() for part in (option, text)), "--loud", "--no-strict")
    for option, (_, value) in given.items():
        assert found[option.removeprefix("--")] == value
        assert type(found[option.removeprefix("--")]) is type(value)
    assert (found["loud"], found["strict"]) == (True, False)


def test_a_parameter_that_cannot_be_written_is_not_asked_for():
    assert "values" not in ASKED
    assert "model" not in ASKED
    assert set(ASKED) == set(inspect.signature(measure).parameters) - {"values", "model"}


def test_other_names_and_other_defaults_are_those_of_the_command():
    source = From(measure, only=("size", "count"), rename={"size": "how_large"}, defaults={"count": 9})
    assert called(source=source) == {"own": 1, "size": 2.5, "count": 9}
    assert called("--how-large", 1, source=source)["size"] == 1.0


def test_a_function_is_called_with_its_part_and_what_the_command_adds():
    def add(a: int, *, b: int = 2, c: int = 3) -> tuple[int, int, int]:
        return a, b, c

    chosen = Chosen({"b": 20, "other": 1}, [From(add, only=("b",))])
    assert chosen(add, 1) == (1, 20, 3)
    assert chosen(add, 1, b=0, c=4) == (1, 0, 4)
    assert chosen["other"] == 1


def test_the_docstring_says_what_an_option_is_for():
    assert documented(measure, "count") == documented(measure, "size") == "How large, and how many."
    assert documented(measure, "name") == "A name."
    assert documented(measure, "loud") == "The study's loud."
    assert documented(tlesion.select_neurons, "batch_size") == "Sentences in a forward pass."


def test_a_list_that_is_none_is_refused_by_its_options_name():
    with pytest.raises(ValueError, match="--layers 'first' is not understood; give numbers with commas"):
        called("--layers", "first")


@pytest.mark.parametrize("text", ["her", "=her", "a=her,a=him", "a=her,", ""])
def test_words_by_name_need_a_name_each(text):
    with pytest.raises(ValueError, match=r"--about '.*' is not understood; give a word for each name, such as --about"):
        called("--about", text)


def test_the_selections_options_are_those_of_the_function():
    parameters = inspect.signature(tlesion.select_neurons).parameters
    asked = {name for name, one in parameters.items() if can_be_asked(one) and one.default is not one.empty}
    assert set(SELECTION.only) == asked - {"layers"}, "a new option of select_neurons goes to the command, too"
    assert not SELECTION.defaults, "a default stands once"
