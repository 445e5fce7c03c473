"""``tlesion neurons``: the selected neurons, as a table or a CSV file."""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from tlesion.checks import one_of
from tlesion.cli.command import Chosen, From, command
from tlesion.cli.console import print_json, print_table, say
from tlesion.cli.inputs import MODEL, Conditions, Pairs, Words, contrast_in, load
from tlesion.cli.options import Json, ModelName
from tlesion.keep.writing import check_file, write_whole
from tlesion.selection import NeuronSelection, select_neurons
from tlesion.studies.evidence.folder import load_results
from tlesion.studies.selecting.words import rows_behind

SELECTION = From(
    select_neurons,
    only=(
        "prepend_bos",
        "hook_point",
        "position",
        "test",
        "correction",
        "family",
        "alpha",
        "min_effect",
        "top_k",
        "n_permutations",
        "batch_size",
        "seed",
    ),
)


@command(MODEL, SELECTION)
def neurons(
    chosen: Chosen,
    *,
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="A saved selection, or a folder that holds one (what --out names): nothing is computed then, and "
            "only the options under Which apply.",
            show_default="select anew",
        ),
    ] = None,
    layer: Annotated[
        int | None,
        typer.Option(help="Only this layer.", show_default="all layers", rich_help_panel="Which"),
    ] = None,
    direction: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The condition in which the neurons are larger, or any.",
            rich_help_panel="Which",
        ),
    ] = "any",
    limit: Annotated[
        int, typer.Option(help="Rows to print, the largest |t| first; 0: all.", rich_help_panel="Which")
    ] = 20,
    model: ModelName = "toy-bert",
    pairs: Pairs = None,
    words: Words = None,
    conditions: Conditions = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write every neuron of every layer, selected or not, to this CSV file.",
            show_default="no file",
            rich_help_panel="Output",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the neurons that tell two conditions apart, of a saved selection or of a new one."""
    if csv is not None:
        check_file(csv)
    if folder is not None:
        selection = saved_selection(folder)
    else:
        contrast = contrast_in(pairs, words, conditions)
        selection = chosen(select_neurons, load(chosen, model), contrast)
    _list(selection, layer=layer, direction=direction, limit=limit, csv=csv, as_json=as_json)


def _list(
    selection: NeuronSelection, *, layer: int | None, direction: str, limit: int, csv: Path | None, as_json: bool
) -> None:
    """Print the selected neurons, the strongest first, and write all of them where asked."""
    if limit < 0:
        raise ValueError(f"--limit is {limit}; give a number of rows, 0 for all")
    if layer is not None and layer not in selection.layers:
        raise ValueError(f"--layer {layer} is not in this selection; it has the layers {list(selection.layers)}")
    one_of("--direction", direction, (*selection.conditions, "any"))
    frame = selection.to_frame()
    if csv is not None:
        write_whole(csv, frame.to_csv(index=False))
    found = frame[frame["direction"] != "none" if direction == "any" else frame["direction"] == direction]
    found = found if layer is None else found[found["layer"] == layer]
    found = found.sort_values("t", key=abs, ascending=False, kind="stable")
    shown = found.head(limit) if limit else found
    if as_json:
        print_json({"n_selected": len(found), "n_neurons": len(frame), "neurons": shown.to_dict("records")})
        return
    _print(shown, n_selected=len(found), n_neurons=len(frame), csv=csv)
    for sentence in rows_behind(selection):
        say(sentence)


def saved_selection(folder: Path) -> NeuronSelection:
    """The selection in a folder.

    Raises:
        ValueError: There is none.
    """
    results = load_results(folder)
    for result in results.values():
        if isinstance(result, NeuronSelection):
            return result
    kinds = ", ".join(sorted(type(result).__name__ for result in results.values()))
    raise ValueError(f"the folder {str(folder)!r} holds no selection, only: {kinds}")


def _print(shown: pd.DataFrame, *, n_selected: int, n_neurons: int, csv: Path | None) -> None:
    columns = ("layer", "neuron", "larger for", "t", "effect size", "p", "adjusted p")
    rows = [
        [
            str(row.layer),
            str(row.neuron),
            str(row.direction),
            f"{row.t:.2f}",
            f"{row.effect_size:.2f}",
            f"{row.p:.1e}",
            f"{row.p_adjusted:.1e}",
        ]
        for row in shown.itertuples()
    ]
    print_table(columns, rows, left=("larger for",))
    say(f"{len(shown)} of {n_selected} selected neurons ({n_neurons} tested), the largest |t| first.")
    if csv is not None:
        say(f"all {n_neurons} neurons: {csv}")
