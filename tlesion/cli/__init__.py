"""The command line: ``tlesion <command>``.

A new command adds one module here, ``cli/<command>.py``, with one function, and one line below that registers it. It
takes its shared options from :mod:`tlesion.cli.options`, raises the package's own errors (:mod:`tlesion.cli.errors`
turns each into one line on stderr and exit code 2), writes results through :mod:`tlesion.cli.folder`, and imports
whatever is slow (pandas, plotly, a report) inside its function, so that ``tlesion --help`` is quick. ``tlesion.<name>``
is imported when it is used, and needs no such care.
"""

import typer

from tlesion.cli.errors import OneLineErrors
from tlesion.cli.options import Debug
from tlesion.cli.show import show

app = typer.Typer(
    cls=OneLineErrors,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def main(context: typer.Context, debug: Debug = False) -> None:
    """Lesion studies for transformers: find neurons with statistics, cut them out, and say whether it matters."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command()(show)

__all__ = ["app"]
