"""Commands made of library functions: their options, with names, defaults and kinds, come from the signatures.

    @command(From(load_model, only=("device",)), From(select_neurons, only=("test", "alpha")))
    def neurons(chosen: Chosen, *, model: ModelName = "toy-bert") -> None:
        "List the neurons."
        selection = chosen(select_neurons, chosen(load_model, model), contrast)

``tlesion neurons`` then has ``--model`` of its own, and ``--device``, ``--test`` and ``--alpha`` with the library's
defaults. ``chosen(function, ...)`` calls one of the functions with what the command line gave for it.
"""

import inspect
import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer

from tlesion.cli.options import (
    PANELS,
    TABLE,
    Option,
    all_or_numbers,
    decimals,
    numbers,
    position,
    word_list,
    words_by_name,
)
from tlesion.positions import Offset

Debug = Annotated[bool, typer.Option("--debug", help="After an error show its traceback.")]


@dataclass(frozen=True, eq=False)
class From:
    """A function whose parameters become options.

    Attributes:
        function: The function.
        only: Which parameters.
        rename: What they are called on the command line, where that is another name.
        defaults: Other defaults than the function's.
    """

    function: Callable[..., Any]
    only: Sequence[str]
    rename: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def named(self) -> dict[str, str]:
        """The option's name of each parameter."""
        return {name: self.rename.get(name, name) for name in self.only}


class Chosen:
    """What the command line gave, by option; calls a command's functions with their part of it."""

    def __init__(self, values: Mapping[str, Any], sources: Sequence[From]) -> None:
        self._values = dict(values)
        self._named = {source.function: source.named() for source in sources}

    def __getitem__(self, option: str) -> Any:
        return self._values[option]

    def __call__(self, function: Callable[..., Any], *args: Any, **more: Any) -> Any:
        """Call a function with its options, and with what the command adds."""
        own = {name: self._values[option] for name, option in self._named[function].items()}
        return function(*args, **own | more)


def command(
    *sources: From, words: Mapping[str, Option] | None = None
) -> Callable[[Callable[..., None]], Callable[[], Callable[..., None]]]:
    """Make a command of a function that takes `Chosen` first and options of its own after it.

    Args:
        sources: Where the other options come from. Two functions may share one: the first gives the default.
        words: Words of options by name, where the command says it otherwise than `TABLE`.

    Returns:
        A decorator, which puts in the function's place one that makes the function for typer: options are made when a
        command is called, so that their help lists what has been registered by then.
    """

    def decorate(body: Callable[..., None]) -> Callable[[], Callable[..., None]]:
        own = list(inspect.signature(body).parameters.values())[1:]
        return partial(command_of, body, own, sources, words or {})

    return decorate


def command_of(
    body: Callable[..., None],
    own: Sequence[inspect.Parameter],
    sources: Sequence[From],
    words: Mapping[str, Option],
) -> Callable[..., None]:
    """The function that typer makes a command of; see :func:`command`.

    Args:
        body: Takes `Chosen`, and ``own`` by name.
        own: Parameters that are annotated for typer.
        sources: Where the other options come from.
        words: See :func:`command`.
    """
    readers: dict[str, Callable[[str, str], Any]] = {}
    made: dict[str, inspect.Parameter] = {}
    for source in sources:
        parameters = inspect.signature(source.function).parameters
        for name, option in source.named().items():
            if option in made:
                continue
            told = words.get(option) or TABLE.get(option) or Option(documented(source.function, name))
            default = source.defaults.get(name, parameters[name].default)
            kind, reader = _kind_of(parameters[name].annotation, told)
            if reader is not None:
                readers[option] = reader
            made[option] = _parameter(option, kind, _written(default) if reader else default, told)
    mine = {parameter.name for parameter in own}

    def run(**values: Any) -> None:
        values.pop("debug")
        given = {name: values[name] for name in made}
        for name, read in readers.items():
            if given[name] is not None:
                given[name] = read(given[name], f"--{name.replace('_', '-')}")
        body(Chosen(values | given, sources), **{name: values[name] for name in mine})

    debug = inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Debug)
    keyword = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*own, *made.values(), debug)]
    signature = inspect.Signature(sorted(keyword, key=_place))
    run.__name__, run.__doc__ = body.__name__, body.__doc__
    run.__signature__ = signature  # type: ignore[attr-defined]
    run.__annotations__ = {name: one.annotation for name, one in signature.parameters.items()}
    return run


def can_be_asked(parameter: inspect.Parameter) -> bool:
    """Whether it can be written on a command line: text, numbers, yes or no, a list of these, words by name."""
    return parameter.name in TABLE or _kind_of(parameter.annotation, Option(""))[0] is not None


def undocumented(name: str) -> str:
    """What is said of a parameter of which its docstring says nothing.

    Example:
        >>> undocumented("hook_point")
        "The study's hook point."
    """
    return f"The study's {name.replace('_', ' ')}."


def documented(function: Callable[..., Any], name: str) -> str:
    """What a docstring's Args say of a parameter, without its markup; its name in words where they say nothing."""
    lines = (inspect.getdoc(function) or "").partition("Args:\n")[2].splitlines()
    said: list[str] = []
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if said and (indent <= 4 or not line.strip()):
            break
        if said:
            said.append(line.strip())
        elif indent == 4 and name in (part.strip() for part in line.partition(":")[0].split(",")):
            said.append(line.partition(":")[2].strip())
    text = re.sub(r":(?:func|class|meth|mod):", "", " ".join(said))
    return text.replace("``", "").replace("`", "") or undocumented(name)


def _parameter(option: str, kind: Any, default: Any, told: Option) -> inspect.Parameter:
    info: Any = typer.Option(
        *told.flags,
        help=_said(told.help),
        metavar=told.metavar,
        rich_help_panel=told.panel,
        show_default=_said(told.without) if default is None else True,
    )
    kind = kind | None if default is None else kind
    return inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info])


def _said(words: str | Callable[[], str]) -> str:
    return words() if callable(words) else words


def _kind_of(annotation: Any, told: Option) -> tuple[Any, Callable[[str, str], Any] | None]:
    """What typer is to read, and what makes the library's value of it; None for what cannot be written."""
    if told.read is not None:
        return str, told.read
    kinds = _members(annotation)
    for plain in (bool, int, float):
        if plain in kinds and str not in kinds and kinds <= {int, float, plain}:
            return (float if float in kinds else plain), None
    if int in kinds and kinds <= {str, int, Offset}:
        return str, position
    if any(get_origin(kind) in _MAPPINGS and get_args(kind) == (str, str) for kind in kinds):
        return str, words_by_name
    lists = {kind for kind in kinds if get_origin(kind) in _SEQUENCES}
    if lists:
        of = {inner for kind in lists for part in get_args(kind) if part is not ... for inner in _members(part)}
        if of <= {int}:
            return str, (all_or_numbers if str in kinds else numbers)
        if of <= {int, float}:
            return str, decimals
        return (str, word_list) if of == {str} else (None, None)
    if str in kinds:
        return str, None
    return (Path, None) if Path in kinds else (None, None)


_SEQUENCES = (Sequence, list, tuple)
_MAPPINGS = (Mapping, dict)


def _members(annotation: Any) -> set[Any]:
    """The kinds that a union joins; a literal counts as the kind of its values, None as nothing."""
    if get_origin(annotation) in (Union, types.UnionType):
        return {kind for part in get_args(annotation) for kind in _members(part)}
    if get_origin(annotation) is Literal:
        return {type(value) for value in get_args(annotation)}
    return set() if annotation in (None, type(None)) else {annotation}


def _written(default: Any) -> str | None:
    """A default as a user would write it."""
    if default is None or isinstance(default, str):
        return default
    if isinstance(default, Mapping):
        return ",".join(f"{name}={word}" for name, word in default.items())
    if isinstance(default, Sequence):
        return ",".join(f"{part:g}" if isinstance(part, float) else str(part) for part in default)
    return str(default)


def _place(parameter: inspect.Parameter) -> int:
    """Where in the help: arguments, the headings in their order, output last."""
    (info,) = (part for part in parameter.annotation.__metadata__ if hasattr(part, "rich_help_panel"))
    if isinstance(info, typer.models.ArgumentInfo):
        return -1
    if info.rich_help_panel == "Output":
        return len(PANELS) + 1
    return PANELS.index(info.rich_help_panel) if info.rich_help_panel in PANELS else len(PANELS)
