"""Errors for the terminal: one line on stderr, exit code 2, a traceback only if asked for."""

import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

EXIT_CODE = 2


class OneLineErrors(TyperGroup):
    """The group of all commands; whatever goes wrong in one of them ends here."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command, and end the process with its exit code."""
        given = (sys.argv[1:] if args is None else list(args)) or ["--help"]
        try:
            result = super().main(given, prog_name, complete_var, False, windows_expand_args, **extra)
        except typer.Abort:
            code = 1
        except Exception as error:
            if not standalone_mode:
                raise
            if "--debug" in given:
                traceback.print_exc()
            typer.echo(f"tlesion: {one_line(error)}", err=True)
            code = EXIT_CODE
        else:
            if not standalone_mode:
                return result
            code = result if isinstance(result, int) else 0
        sys.exit(code)


def one_line(error: Exception) -> str:
    """What an error says, in one line.

    Example:
        >>> one_line(ValueError("no mask was given;\\n give one"))
        'no mask was given; give one'
    """
    expected = (ValueError, TypeError, KeyError, OSError)
    if hasattr(error, "format_message"):  # a usage error of the command line itself
        text = f"{error.format_message().rstrip('.')}. {_where_to_look(error)}"
    elif isinstance(error, KeyError) and error.args:
        text = str(error.args[0])
    elif isinstance(error, expected):
        text = str(error) or type(error).__name__
    else:
        text = f"unexpected {type(error).__name__}: {error} (--debug shows where)"
    return " ".join(text.split())


def _where_to_look(error: Any) -> str:
    context = getattr(error, "ctx", None)
    return f"See {context.command_path} --help." if context is not None else ""
