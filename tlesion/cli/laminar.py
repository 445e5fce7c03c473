"""``tlesion laminar``: the laminar profile of the user's own model, pairs and prompts."""

import sys
from pathlib import Path
from typing import Any

import pandas as pd

from tlesion import report
from tlesion.cli.command import Chosen, From, command
from tlesion.cli.console import Group, print_found, print_grouped, print_json, say, working
from tlesion.cli.inputs import MODEL, Conditions, Pairs, Prompts, Words, contrast_in, load
from tlesion.cli.neurons import SELECTION
from tlesion.cli.options import Checkpoint, Json, ModelName, Out
from tlesion.drawing.targets import target_words
from tlesion.selection import NeuronSelection, select_neurons
from tlesion.stimuli.files import read_prompts
from tlesion.studies.common.default_texts import default_prompts
from tlesion.studies.evidence.folder import check_run_folder
from tlesion.studies.evidence.gather import check_lesion, require_enough, result_names
from tlesion.studies.laminar.study import LaminarProfile
from tlesion.studies.laminar.summary import summarise_profile
from tlesion.studies.laminar.words import summary
from tlesion.studies.verdict.result import Verdict
from tlesion.studies.verdict.words import chance, found


@command(
    MODEL,
    SELECTION,
    From(
        report.laminar,
        only=(
            "ablation",
            "hook_point",
            "position",
            "seed",
            "plan",
            "about",
            "n_controls",
            "smallest",
            "allow_shared",
            "batch_size",
            "prepend_bos",
        ),
        rename={"hook_point": "lesion_point", "position": "lesion_position", "n_controls": "controls"},
    ),
)
def laminar(
    chosen: Chosen,
    *,
    model: ModelName = "toy-bert",
    pairs: Pairs = None,
    words: Words = None,
    conditions: Conditions = None,
    prompts: Prompts = None,
    out: Out = Path("laminar-report"),
    checkpoint: Checkpoint = None,
    as_json: Json = False,
) -> None:
    """Select neurons by a contrast, lesion them one layer at a time, and report what that costs the targets."""
    folder = checked_folder(out, chosen["controls"])
    contrast = contrast_in(pairs, words, conditions)
    read = None if prompts is None else read_prompts(prompts)
    loaded = load(chosen, model)
    check_lesion(
        loaded,
        contrast,
        default_prompts(loaded) if read is None else read,
        ablation=chosen["ablation"],
        hook_point=chosen["lesion_point"],
        position=chosen["lesion_position"],
        about=chosen["about"],
        allow_shared=chosen["allow_shared"],
        prepend_bos=chosen["prepend_bos"],
        checkpoint=checkpoint,
    )
    selection = chosen(select_neurons, loaded, contrast)
    made = chosen(report.laminar, loaded, contrast, read, selection=selection, checkpoint=checkpoint)
    write_and_print(made, folder, as_json=as_json)


def checked_folder(out: Path, n_controls: int) -> Path:
    """The folder, once it is clear that there is something to write and where."""
    require_enough(n_controls)
    return check_run_folder(out, result_names())


def write_and_print(made: report.Report, folder: Path, *, as_json: bool) -> None:
    """Write a laminar study, and print its numbers per layer, its summary, and where the files are."""
    with working(f"writing {folder}"):
        files = made.write(folder)
    results: dict[str, Any] = made.results
    selection, profile, verdict = results["selection"], results["profile"], results.get("verdict")
    table = summarise_profile(profile)
    first = [] if verdict is None else chance(verdict)
    said = [] if verdict is None else found(verdict)
    sentences = summary(profile, selection, first=first, verdict=said)
    if as_json:
        record = _record(selection, profile, table, verdict)
        print_json({"summary": sentences, **record, "left_out": made.left_out, "files": files})
        return
    say(
        "Per lesioned layer: selected neurons, mean logit drop of each target (positive: the lesion cost it), and mean "
        "change of all logits."
    )
    say("")
    _print_table(selection, profile, table)
    print_found([*sentences, *(f"No {name}: {reason}." for name, reason in made.left_out.items())], files)
    sys.stdout.flush()


def _print_table(selection: NeuronSelection, profile: LaminarProfile, table: pd.DataFrame) -> None:
    density = selection.density()
    share = Group(
        "selected (%)", {name: [f"{100 * value:.0f}" for value in density[name]] for name in selection.conditions}
    )
    groups = [Group("", {"layer": [str(layer) for layer in profile.layers]}), share]
    for mask in (*profile.masks, profile.references[1]):
        title = f"{mask}-neurons cut" if mask in profile.masks else f"{mask} cut"
        groups.append(Group(title, _columns(table[table["mask"] == mask], target_words(profile.targets))))
    print_grouped(groups)


def _columns(rows: pd.DataFrame, names: list[str]) -> dict[str, list[str]]:
    columns = {name: [_short(value) for value in rows.loc[rows["target"] == j, "mean"]] for j, name in enumerate(names)}
    return columns | {"all": [_short(value).lstrip("+") for value in rows.loc[rows["target"] == 0, "global_change"]]}


def _short(value: float) -> str:
    return f"{value:+.2f}" if round(value, 2) else "0.00"


def _record(
    selection: NeuronSelection, profile: LaminarProfile, table: pd.DataFrame, verdict: Verdict | None
) -> dict[str, Any]:
    names = target_words(profile.targets)
    named = table.assign(target=[names[j] for j in table["target"]])
    return {
        "selected": selection.density().to_dict("records"),
        "effects": named.to_dict("records"),
        "verdicts": [] if verdict is None else verdict.to_frame().to_dict("records"),
    }
