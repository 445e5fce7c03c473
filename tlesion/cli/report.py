"""``tlesion report``: the page of a saved run, made again."""

from pathlib import Path
from typing import Annotated

import typer

from tlesion.cli.command import Chosen, command
from tlesion.cli.console import print_json, say
from tlesion.cli.options import Json
from tlesion.keep.writing import check_file
from tlesion.report import Report


@command()
def report(
    chosen: Chosen,
    *,
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
) -> None:
    """Make the HTML page of a saved run again; nothing is computed anew."""
    target = check_file(to or folder / "report.html")
    written = Report.read(folder).page(layer=layer).write(target)
    if as_json:
        print_json({"report": str(written)})
    else:
        say(f"report     {written}")
