"""Which commands there are: listed from their docstrings, imported when they are called."""

import ast
import hashlib
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from tlesion.cli.errors import OneLineErrors
from tlesion.studies.common.registry import Study, studies

COMMANDS = ("demo", "laminar", "replace", "context", "subspace", "neurons", "models", "example", "show", "report")
"""The commands that have a file of their own, in the order of the help."""
ENTRY_POINTS = "tlesion"


class OnDemand(TyperCommand):
    """A command of which the name and the docstring are known; the rest is made when it is called."""

    def __init__(self, name: str, told: str, function: Callable[[], Callable[..., None]]) -> None:
        super().__init__(name, help=told, rich_markup_mode="rich")
        self._function = function

    def made(self) -> Any:
        """The command itself, with its options."""
        info = typer.models.CommandInfo(name=self.name, callback=self._function(), help=self.help)
        return typer.main.get_command_from_info(info, pretty_exceptions_short=True, rich_markup_mode="rich")

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """See click: the first thing that is asked of a command that is called."""
        return self.made().make_context(info_name, args, parent, **extra)


class Commands(OneLineErrors):
    """All commands: those of this package, and those of registered studies."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name in COMMANDS:
            self.add_command(OnDemand(name, _docstring(name), lambda name=name: _function(name)))  # type: ignore[misc]
        for entry in entry_points(group=ENTRY_POINTS):
            try:
                entry.load()
            except Exception as error:  # somebody else's package must not take every command with it
                typer.echo(f"tlesion: {entry.value!r} is installed, and cannot be used: {error}", err=True)
        self.add_studies()

    def add_studies(self) -> None:
        """Give every registered study that has no command one."""
        for study in studies().values():
            if study.name not in COMMANDS:
                self.add_command(OnDemand(study.name, study.help, lambda study=study: _made_of(study)))  # type: ignore[misc]


def use(context: Any, value: list[str] | None) -> list[str] | None:
    """Import what ``--use`` names, before the command is looked for."""
    for source in value or []:
        import_extension(source)
    if value and isinstance(context.command, Commands):
        context.command.add_studies()
    return value


def import_extension(source: str) -> None:
    """Import a Python file, or a module by its name; a file that was imported before is not run again.

    Raises:
        ValueError: There is no such file and no such module, or it fails while it is imported.
    """
    path = Path(source)
    try:
        if path.suffix == ".py" or path.is_file():
            _import_file(path.resolve())
        else:
            import_module(source)
    except FileNotFoundError as error:
        raise ValueError(f"--use {source!r}: there is no such file; give a Python file, or a module's name") from error
    except ModuleNotFoundError as error:
        if not f"{source}.".startswith(f"{error.name}."):
            raise ValueError(f"--use {source!r} needs a module that is not installed: {error.name}") from error
        raise ValueError(
            f"--use {source!r} is neither a file nor a module that can be imported; give the path of a .py file"
        ) from error
    except Exception as error:
        raise ValueError(f"--use {source!r} cannot be imported: {type(error).__name__}: {error}") from error


def _import_file(path: Path) -> None:
    # Two files of one name, or one that is called like a module of somebody else, are not the same.
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError("it is no Python file")
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def _docstring(name: str) -> str:
    """What a command's function says of itself, read from its file, which is slow to import."""
    tree = ast.parse(Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    return ast.get_docstring(functions[0]) or ""


def _function(name: str) -> Any:
    return getattr(import_module(f"tlesion.cli.{name}"), name)


def _made_of(study: Study) -> Any:
    return import_module("tlesion.cli.study").command_for(study)
