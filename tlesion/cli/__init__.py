"""The command line: ``tlesion <command>``.

A command is one file, ``cli/<command>.py``, with one function of its name: it parses, calls, prints and writes, and
knows no science. Its options are made of the library's signatures (:mod:`tlesion.cli.command`), their words stand in
:mod:`tlesion.cli.options`, what is read from files in :mod:`tlesion.cli.inputs`; errors are the package's own, each one
line on stderr and exit code 2 (:mod:`tlesion.cli.errors`). Its name goes into the list in :mod:`tlesion.cli.group`.

A study in the registry (:mod:`tlesion.studies.common.registry`) that has no file here has a command all the same,
made of its function's signature (:mod:`tlesion.cli.study`). That is how a user's module, named with ``--use`` or by an
entry point of the group ``tlesion``, comes to have one.

``tlesion --help`` imports none of these: torch alone takes seconds. The built-in commands' lines are read from the
files' docstrings, those of studies from the registry, and a command is imported when it is called. Only a user's module
is imported to be listed. So this file, ``group`` and ``errors`` import nothing that is slow; the others may.
"""

from typing import Annotated

import typer

from tlesion.cli.group import Commands, use

app = typer.Typer(
    name="tlesion",
    cls=Commands,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def main(
    extensions: Annotated[
        list[str] | None,
        typer.Option(
            "--use",
            metavar="FILE|MODULE",
            help="Import a Python file or module that registers studies, ablations or statistics; may be repeated.",
            show_default="only installed ones",
            callback=use,
            is_eager=True,
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="After an error show its traceback.")] = False,
) -> None:
    """Lesion studies for transformers: find neurons with statistics, cut them out, and say whether it matters."""


__all__ = ["app"]
