"""The command of a study that has none of its own: options from its function's signature, its result, its page."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from tlesion.cli.command import Chosen, From, can_be_asked, command_of, documented, undocumented
from tlesion.cli.console import print_found, print_json, working
from tlesion.cli.inputs import (
    MODEL,
    TEXTS,
    Conditions,
    Pairs,
    Prompts,
    Text,
    TextFile,
    Words,
    contrast_in,
    load,
    prompts_in,
    texts_in,
)
from tlesion.cli.neurons import SELECTION, saved_selection
from tlesion.cli.options import TABLE, Checkpoint, Json, ModelName, Option, Out
from tlesion.keep.checkpoint import check_checkpoint
from tlesion.report import Report
from tlesion.selection import select_neurons
from tlesion.studies.common.registry import Study
from tlesion.studies.evidence.folder import check_run_folder

Saved = Annotated[
    Path | None,
    typer.Option(
        "--selection",
        metavar="FOLDER",
        help="A saved selection, or a folder that holds one; without it neurons are selected anew.",
        show_default="select anew",
        rich_help_panel="Selection",
    ),
]
TEXT_NAMES = ("text", "texts", "text_or_tokens", "tokens")
INPUTS: dict[str, tuple[str, ...]] = {
    "prompts": ("prompts",),
    "contrast": ("pairs", "words", "conditions"),
    "selection": ("pairs", "words", "conditions", "saved"),
    "masks": ("pairs", "words", "conditions", "saved"),
    "selected_on": ("pairs", "words", "conditions", "saved"),
    **dict.fromkeys(TEXT_NAMES, ("text", "file")),
}
"""Parameters of a study that are no options but data, and the options by which the data are named."""
SELECTED = {"selection", "masks", "selected_on"}
"""Those of them that come from a selection."""
OWN: dict[str, tuple[Any, Any]] = {
    "model": (ModelName, "toy-bert"),
    "pairs": (Pairs, None),
    "words": (Words, None),
    "conditions": (Conditions, None),
    "prompts": (Prompts, None),
    "saved": (Saved, None),
    "text": (Text, None),
    "file": (TextFile, None),
    "checkpoint": (Checkpoint, None),
    "as_json": (Json, False),
}
EVERYWHERE = ("ablation", "test", "plan", "prepend_bos")
"""Options that mean the same wherever they stand."""
APART = {"hook_point": "lesion_point", "position": "lesion_position"}
"""What a study's own options are called beside those of a selection."""


def command_for(study: Study) -> Callable[..., None]:
    """The function that typer makes a command of.

    Args:
        study: The study. Its function's parameters ``model``, ``prompts``, ``contrast``, ``selection`` (or
            ``selected_on``), ``masks`` and ``text`` (or ``texts``, ``tokens``) are read from what the command line
            names; a ``checkpoint`` is a folder; all others become options.

    Raises:
        ValueError: A parameter without a default that is neither data nor can be written on a command line.
    """
    run: Any = study.loaded().run
    parameters = dict(inspect.signature(run).parameters)
    data = [name for name in parameters if name in INPUTS]
    selects = bool(SELECTED & set(data))
    asked = [
        name for name in parameters if name not in ("model", "checkpoint", *data) and _asked(study, parameters[name])
    ]
    sources = [MODEL]
    sources += [SELECTION] if selects else []
    sources += [TEXTS] if set(TEXT_NAMES) & set(data) else []
    sources.append(From(run, only=asked, rename=APART if selects else {}))
    wanted = {"model", "as_json", *(name for one in data for name in INPUTS[one])}
    wanted |= {"checkpoint"} & set(parameters)
    own = [_option(name, *OWN[name]) for name in OWN if name in wanted]
    own.append(_option("out", Out, Path(f"{study.name}-report")))

    def body(chosen: Chosen, **given: Any) -> None:
        _run(study, chosen, data, given)

    body.__name__, body.__doc__ = study.name, study.help
    return command_of(
        body, own, sources, {APART.get(name, name) if selects else name: _words(run, name) for name in asked}
    )


def _asked(study: Study, parameter: inspect.Parameter) -> bool:
    """Whether a parameter becomes an option; one that cannot be written keeps its default."""
    if can_be_asked(parameter):
        return True
    if parameter.default is parameter.empty:
        raise ValueError(
            f"study {study.name!r} needs {parameter.name!r} ({parameter.annotation}), which cannot be written on a "
            f"command line; give it a default, or call it one of {', '.join(INPUTS)}"
        )
    return False


def _words(run: Callable[..., Any], name: str) -> Option:
    """What the study's docstring says of a parameter; the table's words where they mean the same in every study."""
    known, said = TABLE.get(name, Option("")), documented(run, name)
    if said == undocumented(name) and name in EVERYWHERE:
        return known
    return replace(known, help=said, panel="Study")


def _option(name: str, kind: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _run(study: Study, chosen: Chosen, data: list[str], given: dict[str, Any]) -> None:
    run: Any = study.loaded().run
    folder = check_run_folder(given["out"], [study.folder])
    check_checkpoint(given.get("checkpoint"))
    model = load(chosen, given["model"])
    inputs: dict[str, Any] = {}
    if "prompts" in data:
        inputs["prompts"] = prompts_in(given["prompts"], model)
    if {"contrast", *SELECTED} & set(data):
        inputs["contrast"] = contrast_in(given["pairs"], given["words"], given["conditions"])
    for name in set(TEXT_NAMES) & set(data):
        inputs[name] = texts_in(chosen, model, given["text"], given["file"])
    if SELECTED & set(data):
        saved = given["saved"]
        selection = chosen(select_neurons, model, inputs["contrast"]) if saved is None else saved_selection(saved)
        inputs |= dict.fromkeys(("selection", "selected_on"), selection)
        inputs["masks"] = {name: selection.mask(name) for name in selection.conditions}
    kept = {"checkpoint": given["checkpoint"]} if "checkpoint" in given else {}
    result = chosen(run, model=model, **{name: inputs[name] for name in data}, **kept)
    report = Report({study.folder: result})
    with working(f"writing {folder}"):
        files = report.write(folder)
    if given["as_json"]:
        print_json({"summary": report.summary(), "files": files})
    else:
        print_found(report.summary(), files)
