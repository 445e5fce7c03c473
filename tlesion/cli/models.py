"""``tlesion models``: which models can be loaded by name?"""

import json
from pathlib import Path
from typing import Annotated

import typer

from tlesion.cli.command import Chosen, command
from tlesion.cli.console import print_json, print_table, say
from tlesion.cli.options import Json
from tlesion.models.names import SHIPPED, official_names


@command()
def models(
    chosen: Chosen,
    *,
    search: Annotated[
        str | None,
        typer.Option(
            "--search",
            "-s",
            metavar="TEXT",
            help="Also list the names that TransformerLens knows and that hold this text; these are downloaded when "
            "first used.",
            show_default="shipped models only",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the models that ship with the package, and find others by name."""
    shipped = {name: _sizes(folder) for name, folder in SHIPPED.items()}
    found = [] if search is None else official_names(search)
    if as_json:
        print_json({"shipped": shipped, "known": found})
        return
    columns = list(next(iter(shipped.values())))
    rows = [[name, *(str(value) for value in facts.values())] for name, facts in shipped.items()]
    print_table(["shipped", *columns], rows, left=("shipped", "kind"))
    if search is None:
        say("Others: a Hugging Face folder, or a name that TransformerLens knows (tlesion models --search bert).")
        return
    say("")
    say(f"{len(found)} names that TransformerLens knows hold {search!r}" + (":" if found else "."))
    for name in found:
        say(name)


def _sizes(folder: Path) -> dict[str, str | int]:
    """What a shipped model's configuration says about its size."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    masked = config["model_type"] == "bert"
    layers, width, hidden = (
        ("num_hidden_layers", "hidden_size", "intermediate_size") if masked else ("n_layer", "n_embd", "n_inner")
    )
    return {
        "kind": "masked" if masked else "causal",
        "layers": config[layers],
        "d_model": config[width],
        "neurons per layer": config[hidden] or 4 * config[width],
        "words": config["vocab_size"],
    }
