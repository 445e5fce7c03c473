"""Figures: each function takes a result and returns a plotly `Figure`, and shows, writes and sets nothing.

Every function takes ``template=``: None for tlesion's own, which reads well on light and dark pages, a plotly name
such as ``"plotly_dark"``, or a Template.

This is the public face only. Each figure lives in the room of its study (``tlesion/studies/<study>/figures.py``), and
is imported when it is first asked for; a line in ``__init__.pyi`` makes it public. A new figure builds on
:mod:`tlesion.drawing.style`: colours by ``colour_map`` (conditions a and b keep theirs everywhere), ``finish`` as the
last step, diverging colours by ``centred``, axis titles that name the unit and the sign, and a hover text that tells
layer, neuron or prompt, and value.
"""

import ast as _ast
from functools import wraps as _wraps
from importlib import import_module as _import_module
from pathlib import Path as _Path
from typing import Any as _Any
from typing import get_type_hints as _get_type_hints

from tlesion.checks import one_of as _one_of
from tlesion.checks import shown as _shown


def _listed() -> dict[str, str]:
    """The module of every public figure, as ``__init__.pyi`` has it for type checkers."""
    # lazy_loader's own reader takes imports from below this package only; figures live beside their studies.
    stub = _ast.parse(_Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = [node for node in stub.body if isinstance(node, _ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


_MODULES = _listed()
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> _Any:
    if name not in _MODULES:
        if name.startswith("_"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            _one_of("figure", name, __all__)
        except ValueError as error:
            raise AttributeError(f"module {__name__!r}: {error}") from None
    figure = globals()[name] = _of_results(getattr(_import_module(_MODULES[name]), name))
    return figure


def _of_results(figure: _Any) -> _Any:
    """A figure that says what it is drawn from, where it is given something else."""
    first, kind = next(iter(_get_type_hints(figure).items()))
    if not isinstance(kind, type):
        return figure

    @_wraps(figure)
    def checked(*args: _Any, **options: _Any) -> _Any:
        given = args[0] if args else options.get(first)
        if given is not None and not isinstance(given, kind):
            raise TypeError(
                f"plots.{figure.__name__} draws a {kind.__name__}, and was given a {_shown(given)}; give the result "
                "itself, or tlesion.load_result(folder)"
            )
        return figure(*args, **options)

    return checked


def __dir__() -> list[str]:
    return list(__all__)
