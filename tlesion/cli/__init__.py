"""The command line: ``tlesion <command>``.

A new command adds one module here, ``cli/<command>.py``, with one function, and its name to the list below. It takes
its shared options from :mod:`tlesion.cli.options`, and raises the package's own errors; :mod:`tlesion.cli.errors` makes
of each one line on stderr and exit code 2. Whatever is slow to import (the rest of the package, that is) is imported
inside its function, from a module beside it (``cli/<command>_run.py``): ``tlesion --help`` stays quick. Results are
written by :mod:`tlesion.cli.folder` and printed by :mod:`tlesion.cli.console`; a kind of result that has a page of its
own gets a line in :mod:`tlesion.studies.evidence.pages`, and ``tlesion report`` makes the page again.
"""

import typer

from tlesion.cli.context import context
from tlesion.cli.demo import demo
from tlesion.cli.errors import OneLineErrors
from tlesion.cli.example import example
from tlesion.cli.laminar import laminar
from tlesion.cli.models import models
from tlesion.cli.neurons import neurons
from tlesion.cli.options import Debug
from tlesion.cli.replace import replace
from tlesion.cli.report import report
from tlesion.cli.show import show
from tlesion.cli.subspace import subspace

app = typer.Typer(
    name="tlesion",
    cls=OneLineErrors,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def main(debug: Debug = False) -> None:
    """Lesion studies for transformers: find neurons with statistics, cut them out, and say whether it matters."""


for command in (demo, laminar, replace, context, subspace, neurons, models, example, show, report):
    app.command()(command)

__all__ = ["app"]
