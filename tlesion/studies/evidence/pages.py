"""Which page belongs to which results: how a saved run is made into its report again."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from tlesion.keep.results import Result
from tlesion.paper.page import Page
from tlesion.selection import NeuronSelection
from tlesion.studies.context.page import context_page
from tlesion.studies.context.result import ContextModulation
from tlesion.studies.context.space_result import SpaceModulation
from tlesion.studies.cumulative.result import CumulativeLesion
from tlesion.studies.decomposition.result import DropDecomposition
from tlesion.studies.dose.result import DoseResponse
from tlesion.studies.evidence.activation_histogram import ActivationHistogram
from tlesion.studies.evidence.page import laminar_page
from tlesion.studies.laminar.study import LaminarProfile
from tlesion.studies.replacement.page import replacement_page
from tlesion.studies.replacement.result import Replacement
from tlesion.studies.selecting.positions import SelectionComparison
from tlesion.studies.subspace_removal.page import subspace_page
from tlesion.studies.subspace_removal.result import SubspaceRemoval
from tlesion.studies.verdict.result import Verdict

_Kind = TypeVar("_Kind", bound=Result)


def page_of(results: Iterable[Result], *, layer: int | None = None) -> Page:
    """The page of a run's results.

    Args:
        results: One result that has a page (a profile, say), and those that belong to it.
        layer: The layer shown neuron by neuron; None: the page chooses.

    Raises:
        ValueError: None of the results has a page.
    """
    given = list(results)
    for kind, build in _PAGES.items():
        if (main := _first(given, kind)) is not None:
            return build(main, given, layer)
    names = sorted(type(result).__name__ for result in given)
    raise ValueError(
        f"no report is made of {', '.join(names) or 'nothing'} alone; a report needs one of "
        f"{', '.join(kind.__name__ for kind in _PAGES)}"
    )


def _laminar(profile: Any, given: list[Result], layer: int | None) -> Page:
    return laminar_page(
        profile,
        selection=_first(given, NeuronSelection),
        comparison=_first(given, SelectionComparison),
        histogram=_first(given, ActivationHistogram),
        verdict=_first(given, Verdict),
        dose=_first(given, DoseResponse),
        cumulative=_first(given, CumulativeLesion),
        decomposition=_first(given, DropDecomposition),
        layer=layer,
    )


def _context(result: Any, given: list[Result], layer: int | None) -> Page:
    return context_page(result, space=_first(given, SpaceModulation), layer=layer)


def _replacement(result: Any, given: list[Result], layer: int | None) -> Page:
    return replacement_page(result)


def _subspace(result: Any, given: list[Result], layer: int | None) -> Page:
    return subspace_page(result, layer=layer)


def _first(results: list[Result], kind: type[_Kind]) -> _Kind | None:
    return next((result for result in results if isinstance(result, kind)), None)


_PAGES: Mapping[type[Result], Callable[[Any, list[Result], int | None], Page]] = {
    LaminarProfile: _laminar,
    ContextModulation: _context,
    Replacement: _replacement,
    SubspaceRemoval: _subspace,
}
