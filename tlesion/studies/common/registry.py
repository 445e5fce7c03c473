"""The studies there are: what the command line, the archive and the report know of each.

A study of this package registers in its room's ``__init__.py``, which is also the room's table of contents: it names
where the function, the result, the sentences and the page stand, as ``"module:name"``, so that listing the commands
imports none of them (torch alone takes seconds). A study of somebody else is one file, imported by ``tlesion --use
FILE`` or through an entry point of the group ``tlesion``; it gives the functions themselves:

    tlesion.register_study(
        tlesion.Study(name="mystudy", help="What ...?", run=my_study, result=MyResult, summary=in_words)
    )

and has a command, ``tlesion mystudy``, with an option for every parameter of ``my_study``, a report, and a result that
:func:`tlesion.load_result` reads. A command that needs more than its function's own options has a file of its own in
``tlesion/cli/``.
"""

import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import tlesion.studies
from tlesion.registry import module_of, qualname_of

if TYPE_CHECKING:
    from tlesion.keep.results import Result
    from tlesion.paper.page import Page

PLAIN = "plain"


@dataclass(frozen=True, eq=False, kw_only=True)
class Study:
    """One question, and where its answer is computed, put into words and drawn.

    Where a function or a class is meant, ``"module:name"`` may stand for it; it is imported when it is first needed.

    Attributes:
        name: Of the command. A word of small letters, digits and hyphens.
        run: A function of the model first, and of prompts, a contrast, a selection, masks or texts where its parameters
            bear these names; it returns the result. Its other parameters become options.
        result: The class of what it returns.
        summary: A function of the result: what was found, as sentences.
        page: A function of the result, and of the results beside it by their names, and of ``layer`` if the page shows
            one layer in detail; returns a :class:`tlesion.paper.Page`. ``"plain"``: the summary, the tables and what
            was run. None: the result alone makes no report.
        tables: Functions that make a frame of the result, by the name of the file. One that bears the name of a result
            beside it is made of that one.
        beside: Kinds of results that belong to it, by the names under which they are saved.
        saved_as: Name under which the result is saved; "": the study's own.
        help: What it asks, in a line.
    """

    name: str
    run: "Callable[..., Result] | str"
    result: "type[Result] | str"
    summary: "Callable[..., Sequence[str]] | str"
    help: str
    page: "Callable[..., Page] | str | None" = PLAIN
    tables: Mapping[str, Any] = field(default_factory=dict)
    beside: Mapping[str, Any] = field(default_factory=dict)
    saved_as: str = ""

    def __post_init__(self) -> None:
        if not self.name or not all(c.islower() or c.isdigit() or c == "-" for c in self.name):
            raise ValueError(
                f"study name {self.name!r} is no name of a command; give small letters, digits and hyphens, such as "
                "'my-study'"
            )

    @property
    def folder(self) -> str:
        """Name under which the result is saved."""
        return self.saved_as or self.name

    def loaded(self) -> "Study":
        """The same study with everything imported that it names.

        Raises:
            ValueError: A name stands for nothing.
        """
        return replace(
            self,
            run=self._found(self.run),
            result=self._found(self.result),
            summary=self._found(self.summary),
            page=self.page if self.page in (None, PLAIN) else self._found(self.page),
            tables={name: self._found(table) for name, table in self.tables.items()},
            beside={name: self._found(kind) for name, kind in self.beside.items()},
        )

    def _found(self, what: Any) -> Any:
        if not isinstance(what, str):
            return what
        module, _, name = what.partition(":")
        try:
            value: Any = import_module(module)
            for part in name.split("."):
                value = getattr(value, part)
        except (ImportError, AttributeError) as error:
            raise ValueError(
                f"study {self.name!r} names {what!r}, and that is not there ({error}); write it as "
                "'package.module:name'"
            ) from error
        return value


_STUDIES: dict[str, Study] = {}


def register_study(study: Study) -> Study:
    """Make a study known under its name.

    Args:
        study: The study.

    Returns:
        The same, so that the call may stand at the end of a module.

    Raises:
        TypeError: It is no `Study`.
        ValueError: Another study has the name. (A module that is imported again may register its own anew.)

    Example:
        >>> import tlesion
        >>> from tlesion.provenance import provenance_of
        >>> class Size(tlesion.Result):
        ...     "How large a model is; its provenance says it."
        >>> def size(model):
        ...     return Size(provenance=provenance_of(model, settings={"n_layers": model.cfg.n_layers}, stimuli=()))
        >>> def in_words(found):
        ...     return [f"It has {found.provenance.settings['n_layers']} layers."]
        >>> study = tlesion.Study(
        ...     name="size", help="How large is a model?", run=size, result=Size, summary=in_words, page=None
        ... )
        >>> tlesion.register_study(study).name
        'size'
    """
    if not isinstance(study, Study):
        raise TypeError(
            f"register_study takes a Study, and this is a {type(study).__name__}; write "
            "register_study(tlesion.Study(name=..., run=..., ...))"
        )
    known = _STUDIES.get(study.name)
    if known is not None and _home(known) != _home(study):
        raise ValueError(
            f"there is a study {study.name!r} already ({_home(known)}); give this one ({_home(study)}) another name"
        )
    _STUDIES[study.name] = study
    return study


def studies() -> dict[str, Study]:
    """All studies by name: those of this package, and those of modules that were imported.

    Example:
        >>> "laminar" in studies()
        True
    """
    for room in pkgutil.iter_modules(tlesion.studies.__path__):
        import_module(f"tlesion.studies.{room.name}")
    return dict(_STUDIES)


def _home(study: Study) -> str:
    """Where a study's function stands."""
    if isinstance(study.run, str):
        return study.run
    return f"{module_of(study.run)}:{qualname_of(study.run)}"
