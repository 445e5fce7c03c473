"""What a laminar study prints: a row per layer, the summary in words, and where the files are."""

import sys
from pathlib import Path
from typing import Any

import pandas as pd

from tlesion.cli.console import Group, print_grouped, print_json, say
from tlesion.drawing.targets import target_words
from tlesion.selection import NeuronSelection
from tlesion.studies.evidence.words import judged as judgement
from tlesion.studies.laminar.study import REFERENCES, LaminarProfile
from tlesion.studies.laminar.summary import summarise_profile
from tlesion.studies.laminar.words import summary
from tlesion.studies.verdict.result import Verdict


def print_laminar(
    selection: NeuronSelection,
    profile: LaminarProfile,
    files: dict[str, Path],
    *,
    verdict: Verdict | None = None,
    as_json: bool = False,
) -> None:
    """Print a study's numbers per layer, its summary, and its files.

    Args:
        selection: The selection.
        profile: The profile of its masks.
        files: Where everything was written.
        verdict: The verdict on the profile, if it has controls.
        as_json: As JSON.
    """
    table = summarise_profile(profile)
    judged = [] if verdict is None else [judgement(verdict, mask) for mask in verdict.masks]
    sentences = summary(profile, selection, verdict=judged)
    if as_json:
        print_json(_record(selection, profile, table, sentences, files, verdict))
        return
    said = "Per lesioned layer: selected neurons, mean logit drop of each target (positive: the lesion cost it), and "
    say(f"{said}mean change of all logits.")
    say("")
    _print_table(selection, profile, table)
    say("")
    for sentence in sentences:
        say(f"- {sentence}")
    say("")
    for name, path in files.items():
        say(f"{name:<13} {path}")
    sys.stdout.flush()


def _print_table(selection: NeuronSelection, profile: LaminarProfile, table: pd.DataFrame) -> None:
    density = selection.density()
    share = Group(
        "selected (%)", {name: [f"{100 * value:.0f}" for value in density[name]] for name in selection.conditions}
    )
    groups = [Group("", {"layer": [str(layer) for layer in profile.layers]}), share]
    for mask in (*profile.masks, REFERENCES[1]):
        title = f"{mask}-neurons cut" if mask in profile.masks else f"{mask} cut"
        groups.append(Group(title, _columns(table[table["mask"] == mask], target_words(profile.targets))))
    print_grouped(groups)


def _columns(rows: pd.DataFrame, names: list[str]) -> dict[str, list[str]]:
    columns = {name: [_short(value) for value in rows.loc[rows["target"] == j, "mean"]] for j, name in enumerate(names)}
    return columns | {"all": [_short(value).lstrip("+") for value in rows.loc[rows["target"] == 0, "global_change"]]}


def _short(value: float) -> str:
    return f"{value:+.2f}" if round(value, 2) else "0.00"


def _record(
    selection: NeuronSelection,
    profile: LaminarProfile,
    table: pd.DataFrame,
    sentences: list[str],
    files: dict[str, Path],
    verdict: Verdict | None,
) -> dict[str, Any]:
    names = target_words(profile.targets)
    named = table.assign(target=[names[j] for j in table["target"]])
    return {
        "summary": sentences,
        "selected": selection.density().to_dict("records"),
        "effects": named.to_dict("records"),
        "verdicts": [] if verdict is None else verdict.to_frame().to_dict("records"),
        "files": {name: str(path) for name, path in files.items()},
    }
