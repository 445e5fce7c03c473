"""From a selection to the list of its neurons."""

from pathlib import Path

import pandas as pd

from tlesion.checks import one_of
from tlesion.cli.console import print_json, print_table, say, working
from tlesion.cli.folder import load_results
from tlesion.cli.selecting import Selecting
from tlesion.keep.writing import check_file, write_whole
from tlesion.models import load_model
from tlesion.selection import NeuronSelection
from tlesion.studies.selecting.words import identical_pairs


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


def select_anew(
    model_name: str, selecting: Selecting, *, device: str | None, dtype: str, csv: Path | None
) -> NeuronSelection:
    """Load a model and select; a CSV file that could not be written is refused before."""
    if csv is not None:
        check_file(csv)
    contrast = selecting.contrast()
    with working(f"loading {model_name}"):
        model = load_model(model_name, device=device, dtype=dtype)
    return selecting.select(model, contrast)


def list_neurons(
    selection: NeuronSelection, *, layer: int | None, direction: str, limit: int, csv: Path | None, as_json: bool
) -> None:
    """Print the selected neurons, the strongest first, and write all of them where asked.

    Raises:
        ValueError: No such layer, or an unknown direction.
    """
    if limit < 0:
        raise ValueError(f"--limit {limit} is no number of rows; give 0 for all, or more")
    if layer is not None and layer not in selection.layers:
        raise ValueError(f"--layer {layer} is not in this selection; it has the layers {list(selection.layers)}")
    one_of("--direction", direction, (*selection.conditions, "any"))
    frame = selection.to_frame()
    if csv is not None:
        write_whole(csv, frame.to_csv(index=False))
    chosen = frame[frame["direction"] != "none" if direction == "any" else frame["direction"] == direction]
    chosen = chosen if layer is None else chosen[chosen["layer"] == layer]
    chosen = chosen.sort_values("t", key=abs, ascending=False, kind="stable")
    shown = chosen.head(limit) if limit else chosen
    if as_json:
        print_json({"n_selected": len(chosen), "n_neurons": len(frame), "neurons": shown.to_dict("records")})
        return
    _print(shown, n_selected=len(chosen), n_neurons=len(frame), csv=csv)
    if alike := identical_pairs(selection):
        say(alike)


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
