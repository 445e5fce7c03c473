"""A run's results, and what is made of them: the page, the tables, the folder.

Which page, tables and names belong to which results stands in the registry (:mod:`tlesion.studies.common.registry`):
each study names its main result and those that may lie beside it.
"""

import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import pandas as pd

from tlesion.checks import shown
from tlesion.keep.results import Result
from tlesion.keep.writing import write_whole
from tlesion.paper import Page, Section, Table
from tlesion.paper.provenance import provenance_section
from tlesion.studies.common.registry import PLAIN, Study, studies
from tlesion.studies.evidence.folder import load_results, save_results


class Report:
    """Results that are reported together.

    Args:
        results: The results by the names under which they are saved. A list is given the names that their studies have
            for them.
        left_out: What does not apply to this run, and why, by the name that its result would have had.

    Raises:
        ValueError: A list with two results of one kind.
        TypeError: A path, or something that is no result.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-gpt")
        >>> removal = tlesion.subspace_removal(model, "The teacher gave the boy an apple.", n_random=1)
        >>> report = tlesion.Report([removal])
        >>> report.page().title, sorted(report.tables())
        ('Subspace removal in toy-gpt', ['cuts', 'layers', 'tokens'])
    """

    def __init__(
        self, results: Mapping[str, Result] | Iterable[Result], *, left_out: Mapping[str, str] | None = None
    ) -> None:
        if isinstance(results, str | os.PathLike):
            raise TypeError(f"results is the path {str(results)!r}; read them with tlesion.Report.read(folder)")
        given = list(results.values() if isinstance(results, Mapping) else results)
        wrong = [one for one in given if not isinstance(one, Result)]
        if wrong:
            raise TypeError(f"a report is of results, and there is a {shown(wrong[0])}; give what studies returned")
        self.results: dict[str, Result] = dict(results) if isinstance(results, Mapping) else _named(given)
        self.left_out: dict[str, str] = dict(left_out or {})

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> "Report":
        """The saved results of a folder.

        Raises:
            ValueError: There is no such folder, no result in it, or a damaged one.
        """
        return cls(load_results(folder))

    def page(self, *, layer: int | None = None) -> Page:
        """The page of the results, with a ``layer`` shown in detail; see :func:`page_of`."""
        return page_of(self.results.values(), layer=layer)

    def summary(self) -> list[str]:
        """What was found, as the page says it."""
        return list(self.page().summary)

    def tables(self) -> dict[str, pd.DataFrame]:
        """The frames that are written beside the page, by the names of their files."""
        given = list(self.results.values())
        frames = {}
        for study, main in _mains(given):
            for name, made in study.tables.items():
                source = _first(given, study.beside[name]) if name in study.beside else main
                if source is not None:
                    frames[name] = made(source)
        return frames

    def write(self, folder: str | os.PathLike[str], *, layer: int | None = None) -> dict[str, Path]:
        """Write the results, the tables and ``report.html``; each file is there whole or not at all.

        Args:
            folder: Made if it is not there. Older results of the same names are replaced.
            layer: See :func:`page_of`.

        Returns:
            Where each is.

        Raises:
            ValueError: It is a file, or holds something else under a result's name; no report is made of the results.
        """
        path, page, tables = Path(folder), self.page(layer=layer), self.tables()
        saved = save_results(path, self.results)
        # "profile" is the folder of the result, "profile table" its CSV file.
        written = {
            f"{name} table" if name in saved else name: write_whole(path / f"{name}.csv", frame.to_csv(index=False))
            for name, frame in tables.items()
        }
        return {"report": page.write(path / "report.html"), **written, **saved}


def page_of(results: Iterable[Result], *, layer: int | None = None) -> Page:
    """The page of a run's results.

    Args:
        results: One result that has a page (a profile, say), and those that belong to it. Several such results have
            one page, in the order of their studies.
        layer: The layer shown in detail; None: the page chooses.

    Returns:
        The page; ``page.write(path)`` makes a file of it.

    Raises:
        ValueError: None of the results has a page; a layer for a page that shows no single one, or not this one.

    Example:
        >>> import tlesion
        >>> result = tlesion.context_modulation(tlesion.load_model("toy-gpt"), "The teacher gave the boy an apple.")
        >>> tlesion.report.page_of([result]).title
        'Context modulation in toy-gpt'
    """
    given = list(results)
    pages = [_page(study, main, given, layer) for study, main in _mains(given)]
    if not pages:
        kinds = [getattr(study.loaded().result, "__name__", "") for study in studies().values() if study.page]
        names = sorted(type(result).__name__ for result in given)
        raise ValueError(
            f"no report is made of {', '.join(names) or 'nothing'} alone; a report needs one of {', '.join(kinds)}"
        )
    return pages[0] if len(pages) == 1 else _joined(pages)


def plain_page(study: Study, result: Result) -> Page:
    """The page of a study that has none of its own: the summary, the tables, and what was run."""
    loaded = study.loaded()
    said: Any = loaded.summary
    sections = [
        Section(name.replace("_", " ").capitalize(), tables=[Table(made(result))])
        for name, made in loaded.tables.items()
        if name not in loaded.beside
    ]
    model = PurePath(result.provenance.model["name"]).name
    return Page(
        title=f"{study.name.replace('-', ' ').capitalize()}: {model}",
        subtitle=study.help,
        summary=list(said(result)),
        sections=[*sections, provenance_section({study.folder: result})],
    )


def _page(study: Study, main: Result, given: Sequence[Result], layer: int | None) -> Page:
    if study.page == PLAIN:
        return plain_page(study, main)
    make: Callable[..., Page] = study.page  # type: ignore[assignment]  # a name was loaded by now
    beside = {name: found for name, kind in study.beside.items() if (found := _first(given, kind)) is not None}
    if layer is None:
        return make(main, **beside)
    if "layer" not in inspect.signature(make).parameters:
        raise ValueError(f"the page of {study.name!r} shows no layer in particular; leave the layer {layer} out")
    return make(main, **beside, layer=layer)


def _mains(given: Sequence[Result]) -> list[tuple[Study, Result]]:
    """The studies whose main result is there and has a page, with that result."""
    loaded = [study.loaded() for study in studies().values() if study.page]
    found = [(study, main) for study in loaded if (main := _first(given, study.result)) is not None]
    beside = [kind for study, _ in found for kind in study.beside.values()]
    return [(study, main) for study, main in found if type(main) not in beside]


def _named(results: Sequence[Result]) -> dict[str, Result]:
    """Results by the names that their studies have for them."""
    names: dict[Any, str] = {}
    for study in studies().values():
        loaded = study.loaded()
        names |= {kind: name for name, kind in loaded.beside.items()} | {loaded.result: loaded.folder}
    named = {names.get(type(result), type(result).__name__): result for result in results}
    if len(named) < len(results):
        raise ValueError(
            f"{sorted(type(one).__name__ for one in results)} hold two results of one kind, and the report would not "
            "know which one is meant; make a report of each"
        )
    return named


def _first(results: Sequence[Result], kind: Any) -> Any:
    return next((result for result in results if isinstance(result, kind)), None)


def _joined(pages: Sequence[Page]) -> Page:
    """Several pages as one: each heading says whose it is."""
    return Page(
        title="; ".join(page.title for page in pages),
        subtitle="; ".join(page.subtitle for page in pages),
        summary=[sentence for page in pages for sentence in page.summary],
        sections=[
            replace(section, title=f"{page.title}: {section.title}") for page in pages for section in page.sections
        ],
    )
