"""Ablations: what is put in place of a layer's masked units, each a function under a name.

The same names serve every study that cuts neurons or heads, the command line and the messages. One of your own::

    from tlesion.interventions import ablations, scale

    @ablations.register("halve", summary="half of what they are")
    def halve(hook_name, *, units, positions, values, seed):
        return scale(hook_name, 0.5, units=units, positions=positions)

    tlesion.laminar_profile(model, masks, prompts, ablation="halve")
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from torch import Tensor

from tlesion.checks import one_of
from tlesion.interventions.make import Intervention, gaussian, replace, zero
from tlesion.interventions.region import Positions
from tlesion.registry import Entry, Registry

REFERENCES = ("mean", "median", "mean_absolute", "rows")
"""What an ablation may ask for; :func:`tlesion.measure_reference` measures each under the same name."""

HOW = 'decorate a function with @tlesion.interventions.ablations.register("<name>")'


Function = TypeVar("Function")


@dataclass(frozen=True)
class Registered(Entry):
    """An ablation under its name; see :func:`register`.

    Attributes:
        needs_reference: Which reference it puts in, one of `REFERENCES`; None: none.
        summary: What is put in place, in a few words.
    """

    needs_reference: str | None
    summary: str


_ABLATIONS: Registry[Registered] = Registry("ablation", HOW)


def register(
    name: Any, *, needs_reference: bool | str | None = None, summary: str = ""
) -> Callable[[Function], Function]:
    """Give an ablation a name, under which every study finds it.

    Its function is called as ``function(hook_name, units=..., positions=..., values=..., seed=...)`` with

    - ``hook_name``: full name of the layer's hook point,
    - ``units``: a bool mask over its units (inside attention heads lie side by side); it may be empty: nothing is cut,
    - ``positions``: token positions, as interventions take them,
    - ``values``: the layer's reference ``[unit]``, or ``[row, unit]``; None where the ablation needs none,
    - ``seed``: of whatever is drawn,

    and returns an `Intervention` at ``hook_name``, or a pair ``(hook_name, hook function)`` of your own.

    Args:
        name: What ``ablation=`` takes.
        needs_reference: ``"mean"``, ``"median"`` or ``"mean_absolute"`` of every unit, or ``"rows"``: the activations
            of single sentences. True stands for ``"mean"``; None: nothing is needed.
        summary: What is put in place of the units, in a few words, for help and reports.

    Returns:
        A decorator, which returns the function as it is.

    Raises:
        TypeError: No name.
        ValueError: A name that another module has taken; an unknown reference.

    Example:
        >>> from tlesion import interventions as iv
        >>> @iv.ablations.register("tenth", summary="a tenth of what they are")
        ... def tenth(hook_name, *, units, positions, values, seed):
        ...     return iv.scale(hook_name, 0.1, units=units, positions=positions)
        >>> iv.ablations.names()[-1]
        'tenth'
    """
    _ABLATIONS.require(name, register)
    needed = {True: "mean", False: None}[needs_reference] if isinstance(needs_reference, bool) else needs_reference
    if needed is not None:
        one_of("needs_reference", needed, REFERENCES)

    def decorate(function: Function) -> Function:
        _ABLATIONS.require(name, function)
        _ABLATIONS.add(Registered(name, cast("Callable[..., Any]", function), needed, summary))
        return function

    return decorate


def names() -> tuple[str, ...]:
    """The names of all ablations.

    Returns:
        The names, the library's own first.

    Example:
        >>> from tlesion import interventions as iv
        >>> iv.ablations.names()[:2]
        ('zero', 'mean')
    """
    return _ABLATIONS.names()


def named(name: str) -> Registered:
    """The ablation of a name.

    Args:
        name: One of :func:`names`.

    Returns:
        The ablation, with its function and what it needs.

    Raises:
        ValueError: There is none of that name.

    Example:
        >>> from tlesion import interventions as iv
        >>> iv.ablations.named("zero").summary
        'zero'
    """
    return _ABLATIONS[name]


@register("zero", summary="zero")
def _zero(hook_name: str, *, units: Tensor, positions: Positions, values: Tensor | None, seed: int) -> Intervention:
    return zero(hook_name, units=units, positions=positions)


def _put_in(hook_name: str, *, units: Tensor, positions: Positions, values: Tensor | None, seed: int) -> Intervention:
    assert values is not None, "ablation_of has refused a run without a reference"
    return replace(hook_name, values, units=units, positions=positions)


register("mean", needs_reference="mean", summary="their mean over a reference set")(_put_in)
register("median", needs_reference="median", summary="their median over a reference set")(_put_in)
register("resample", needs_reference="rows", summary="their activations in other texts, one at each position")(_put_in)


@register("gaussian", summary="standard normal noise")
def _gaussian(hook_name: str, *, units: Tensor, positions: Positions, values: Tensor | None, seed: int) -> Intervention:
    return gaussian(hook_name, seed=seed, units=units, positions=positions)
