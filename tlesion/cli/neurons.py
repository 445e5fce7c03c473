"""``tlesion neurons``: the selected neurons, as a table or a CSV file."""

from pathlib import Path
from typing import Annotated

import typer

from tlesion.cli import options as given


def neurons(
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
    model: given.ModelName = "toy-bert",
    device: given.Device = None,
    dtype: given.Dtype = "float32",
    prepend_bos: given.PrependBos = None,
    pairs: given.Pairs = None,
    words: given.Words = None,
    conditions: given.Conditions = None,
    hook_point: given.HookPoint = "mlp.hook_pre",
    position: given.Position = "word",
    test: given.Test = "welch",
    correction: given.Correction = None,
    family: given.Family = "layer",
    alpha: given.Alpha = 0.05,
    min_effect: given.MinEffect = 0.0,
    top_k: given.TopK = None,
    n_permutations: given.Permutations = 10_000,
    batch_size: given.BatchSize = 32,
    seed: given.Seed = 0,
    csv: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write every neuron of every layer, selected or not, to this CSV file.",
            show_default="no file",
            rich_help_panel="Output",
        ),
    ] = None,
    as_json: given.Json = False,
    debug: given.Debug = False,
) -> None:
    """List the neurons that tell two conditions apart, of a saved selection or of a new one."""
    from tlesion.cli.neurons_run import list_neurons, saved_selection, select_anew
    from tlesion.cli.selecting import Selecting

    if folder is not None:
        selection = saved_selection(folder)
    else:
        selecting = Selecting(
            pairs=pairs,
            words=given.two_words(words, "--words"),
            conditions=given.two_words(conditions, "--conditions"),
            hook_point=hook_point,
            position=given.number_or_name(position),
            test=test,
            correction=correction,
            family=family,
            alpha=alpha,
            min_effect=min_effect,
            top_k=top_k,
            n_permutations=n_permutations,
            seed=seed,
            batch_size=batch_size,
            prepend_bos=prepend_bos,
        )
        selection = select_anew(model, selecting, device=device, dtype=dtype, csv=csv)
    list_neurons(selection, layer=layer, direction=direction, limit=limit, csv=csv, as_json=as_json)
