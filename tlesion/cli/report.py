"""``tlesion report``: the page of a saved run, made again."""

from pathlib import Path
from typing import Annotated

import typer

from tlesion.cli.options import Debug, Json


def report(
    folder: Annotated[Path, typer.Argument(help="A folder of saved results (what --out names), or one result.")],
    layer: Annotated[
        int | None,
        typer.Option(
            help="The layer that is shown neuron by neuron.", show_default="the one whose lesion moves the targets most"
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The page's file.", show_default="report.html in the folder"),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Make the HTML page of a saved run again; nothing is computed anew."""
    from tlesion.cli.console import print_json, say
    from tlesion.cli.folder import load_results
    from tlesion.keep.writing import check_file
    from tlesion.studies.evidence.pages import page_of

    target = check_file(to or folder / "report.html")
    written = page_of(load_results(folder).values(), layer=layer).write(target)
    if as_json:
        print_json({"report": str(written)})
    else:
        say(f"report     {written}")
