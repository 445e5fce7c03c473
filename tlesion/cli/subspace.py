"""``tlesion subspace``: cut the leading directions of each layer's activations, and see what breaks."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tlesion.cli.command import Chosen, From, command
from tlesion.cli.console import print_found, print_json, print_table, working
from tlesion.cli.inputs import MODEL, TEXTS, Text, TextFile, load, texts_in
from tlesion.cli.options import Checkpoint, Json, ModelName, Option, Out, numbers
from tlesion.hooks import layer_indices
from tlesion.report import Report
from tlesion.studies.evidence.folder import check_run_folder
from tlesion.studies.subspace_removal.ranks import usual_ranks
from tlesion.studies.subspace_removal.result import SubspaceRemoval
from tlesion.studies.subspace_removal.study import subspace_removal
from tlesion.studies.subspace_removal.words import summary

WORDS = {
    "hook_point": Option(
        "Whose activations are cut: mlp.hook_pre, mlp.hook_post, hook_resid_post, attn.hook_z.", "Lesion", "POINT"
    ),
    "components": Option(
        "Which components instead of the first ones, counted from 0: 2,5.",
        "Lesion",
        "LIST",
        without="the first",
        read=numbers,
    ),
    "method": Option("svd, ica, random or random_in_span.", "Lesion", "METHOD"),
    "n_random": Option("How many random subspaces of equal rank to cut as controls.", "Lesion"),
    "control": Option(
        "Where controls are drawn: random (the whole space), or random_in_span (of the activations).", "Lesion", "KIND"
    ),
    "restore_mean": Option("Add the mean back.", "Lesion", flags=("--restore-mean/--drop-mean",)),
    "rank": Option("How many directions are cut.", "Lesion"),
    "seed": Option("Of all that is drawn.", "Lesion"),
}


@command(
    MODEL,
    From(TEXTS.function, only=TEXTS.only, defaults={"n_tokens": 100}),
    From(
        subspace_removal,
        only=(
            "rank",
            "hook_point",
            "layers",
            "method",
            "components",
            "n_random",
            "control",
            "restore_mean",
            "seed",
            "plan",
            "prepend_bos",
        ),
        defaults={"rank": 1, "n_random": 8},
    ),
    words=WORDS,
)
def subspace(
    chosen: Chosen,
    *,
    model: ModelName = "toy-gpt",
    text: Text = None,
    file: TextFile = None,
    ranks: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Ranks to sweep, with commas; '' for none.",
            show_default="1,2,4,8,16, as far as the texts have tokens; none with --components",
            rich_help_panel="Lesion",
        ),
    ] = None,
    layer: Annotated[
        int | None,
        typer.Option(
            help="The layer whose covariance the report shows.",
            show_default="the one that changes the logits most",
            rich_help_panel="Output",
        ),
    ] = None,
    out: Out = Path("subspace-report"),
    checkpoint: Checkpoint = None,
    as_json: Json = False,
) -> None:
    """Cut a direction instead of a neuron, layer by layer: what breaks, where, and how does the damage grow?"""
    folder = check_run_folder(out, ["subspace"])
    swept = numbers(ranks, "--ranks") if ranks and ranks.strip() else []
    loaded = load(chosen, model)
    shown = None if layer is None else layer_indices(loaded, [layer])[0]
    texts = texts_in(chosen, loaded, text, file)
    more: dict[str, Any] = {"ranks": swept, "checkpoint": checkpoint}
    if chosen["components"] is not None:
        more["rank"] = None
    elif ranks is None:
        more["ranks"] = usual_ranks(loaded, texts, prepend_bos=chosen["prepend_bos"])
    result = chosen(subspace_removal, loaded, texts, **more)
    with working(f"writing {folder}"):
        files = Report({"subspace": result}).write(folder, layer=shown)
    _print(result, files, as_json=as_json)


def _print(result: SubspaceRemoval, files: dict[str, Path], *, as_json: bool) -> None:
    frame = result.to_frame()
    if as_json:
        layers = frame.to_dict("records")
        print_json({"summary": summary(result), "caveat": result.caveat, "layers": layers, "files": files})
        return
    rows = [
        [
            str(row["layer"]),
            f"{row['variance_ratio']:.1%}",
            f"{row['mean_drop']:.3f}",
            f"{row['drop_low']:.3f}",
            f"{row['drop_high']:.3f}",
            f"{row['t']:.2f}",
            f"{row['p']:.2g}",
            f"{row['drift_at_lesion']:.1%}",
            f"{row['drift_at_end']:.1%}",
        ]
        for row in frame.to_dict("records")
    ]
    columns = ["layer", "variance", "drop", "low", "high", "t", "p", "drift at\nthe cut", "drift at\nthe end"]
    print_table(columns, rows, title=f"{result.cut.label} of {result.hook_point}, one layer at a time")
    print_found(summary(result), files)
