"""Statistics: tests of condition a against b for every neuron at once, each a function under a name.

The same names serve ``test=`` of :func:`tlesion.select_neurons` and of whatever selects, the command line and the
messages. One of your own::

    from tlesion.selection import register_statistic

    @register_statistic("z", summary="a z-test")
    def z(a, b):
        error = (a.variance / a.n + b.variance / b.n).sqrt()
        z = (a.mean - b.mean) / error
        p = torch.special.erfc(z.abs() / 2**0.5)
        return {"t": z, "p": p, "dof": torch.inf, "effect_size": (a.mean - b.mean) / b.variance.sqrt()}

    tlesion.select_neurons(model, contrast, test="z")
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from tlesion.checks import one_of
from tlesion.registry import Entry, Registry
from tlesion.stats import moderated, moderated_paired, paired, permutation, student, welch

OPTIONS = ("min_effect", "n_permutations", "seed", "family", "dead", "paired")
HOW = 'decorate a function with @tlesion.register_statistic("<name>")'

_SMALLEST = 5e-324
Function = TypeVar("Function")


@dataclass(frozen=True)
class Statistic(Entry):
    """A test under its name; see :func:`register_statistic`.

    Attributes:
        takes: ``"moments"`` or ``"rows"``.
        paired: Whether it needs pairs.
        own_correction: The name of a correction that it makes itself; None: none.
        summary: What it tests, in a few words.
    """

    takes: str
    paired: bool
    own_correction: str | None
    summary: str

    @property
    def options(self) -> tuple[str, ...]:
        """Those of `OPTIONS` that the function has a parameter for."""
        parameters = inspect.signature(self.function).parameters
        return tuple(name for name in OPTIONS if name in parameters)

    @property
    def correction(self) -> str:
        """What corrects it where nothing else is asked for."""
        return self.own_correction or "fdr_bh"

    def within_pairs(self, *, pairs: bool) -> bool:
        """Whether it works on differences within pairs, of a contrast that has ``pairs`` or does not."""
        return self.paired or (pairs and self.takes == "rows" and "paired" in self.options)


_STATISTICS: Registry[Statistic] = Registry("test", HOW)


def register_statistic(
    name: Any,
    *,
    takes: str = "moments",
    paired: bool = False,
    own_correction: str | None = None,
    summary: str = "",
) -> Callable[[Function], Function]:
    """Give a test a name, under which every selection finds it.

    Its function tests all neurons at once, and is called with

    - ``takes="moments"``: the `Moments` of both conditions, ``[layer, neuron]`` (``.n``, ``.mean``, ``.variance``);
      for a paired test with those of the differences a − b alone. Rows are streamed and not kept.
    - ``takes="rows"``: the rows of both conditions, ``[row, layer, neuron]``; for a paired test row i of b belongs to
      row i of a.

    It is also given whichever of these it has a parameter for: ``min_effect`` (without it, a selection that asks for
    one is refused), ``n_permutations``, ``seed``, ``family``, ``dead`` (neurons that vary in neither condition), and
    with rows ``paired`` (whether row i of b belongs to row i of a, for a test that works either way).

    It returns a mapping, or an object with these attributes, of tensors or arrays ``[layer, neuron]``:

    - ``t``: positive where a is larger; NaN only for neurons that do not vary,
    - ``p``: two-sided, from 0 to 1,
    - ``dof``: degrees of freedom, infinite for a normal distribution; one number serves for all,
    - ``effect_size``: in standard deviations, of the same sign as ``t``,
    - ``log_p``: natural logarithm of p, if it can be had where p itself is too small for float64,
    - ``p_adjusted``: where ``own_correction`` is asked for.

    Args:
        name: What ``test=`` takes.
        takes: ``"moments"`` or ``"rows"``.
        paired: Whether it needs pairs: a contrast without them is refused.
        own_correction: The name of a correction for multiple comparisons that it makes itself, and that is taken where
            nothing else is asked for.
        summary: What it tests, in a few words, for help and reports.

    Returns:
        A decorator, which returns the function as it is.

    Raises:
        TypeError: No name.
        ValueError: A name that another module has taken; ``takes`` is neither.

    Example:
        >>> import torch
        >>> from tlesion.selection import register_statistic, statistic_names
        >>> @register_statistic("sign", paired=True, takes="rows", summary="a sign test")
        ... def sign(rows_a, rows_b):
        ...     larger, n = (rows_a > rows_b).sum(0).double(), len(rows_a)
        ...     z = (2 * larger - n) / n**0.5
        ...     p = torch.special.erfc(z.abs() / 2**0.5)
        ...     return {"t": z, "p": p, "dof": torch.inf, "effect_size": 2 * larger / n - 1}
        >>> statistic_names()[-1]
        'sign'
    """
    _STATISTICS.require(name, register_statistic)
    one_of("takes", takes, ("moments", "rows"))

    def decorate(function: Function) -> Function:
        _STATISTICS.require(name, function)
        made = cast("Callable[..., Any]", function)
        _STATISTICS.add(Statistic(name, made, takes, paired, own_correction, summary))
        return function

    return decorate


def statistic_names() -> tuple[str, ...]:
    """The names of all tests, the library's own first."""
    return _STATISTICS.names()


def statistic_named(name: str) -> Statistic:
    """The test of a name.

    Raises:
        ValueError: There is none of that name.
    """
    return _STATISTICS[name]


@dataclass(frozen=True, eq=False)
class Tested:
    """What a statistic returned, checked; dead neurons are NaN in every number."""

    t: Float64[Tensor, "layer neuron"]
    dof: Float64[Tensor, "layer neuron"]
    p: Float64[Tensor, "layer neuron"]
    log_p: Float64[Tensor, "layer neuron"]
    effect_size: Float64[Tensor, "layer neuron"]
    dead: Bool[Tensor, "layer neuron"]
    p_adjusted: Float64[Tensor, "layer neuron"] | None


def checked(
    returned: Any,
    name: str,
    *,
    dead: Bool[Tensor, "layer neuron"],
    constant: Bool[Tensor, "layer neuron"],
) -> Tested:
    """A statistic's return value as tensors, once it is clear that it is one.

    Args:
        returned: What its function returned.
        name: Of the statistic.
        dead: Neurons that vary in neither condition: NaN is put in for these.
        constant: Neurons that may be NaN: these, and for a test within pairs those whose differences do not vary.

    Raises:
        TypeError: Something is missing, or no array.
        ValueError: A shape that does not fit, a p outside 0 to 1, NaN for a neuron that varies.
    """
    found = {part: _array(returned, part, name, dead.shape) for part in ("t", "p", "dof", "effect_size")}
    for part in ("log_p", "p_adjusted"):
        if _part(returned, part) is not None:
            found[part] = _array(returned, part, name, dead.shape)
    found.setdefault("log_p", found["p"].clamp(min=_SMALLEST).log())
    live = ~(constant & found["t"].isnan()) & ~dead
    for part in ("p", "p_adjusted"):
        if part in found:
            _require(((found[part] >= 0) & (found[part] <= 1)) | ~live, found[part], name, part, "from 0 to 1")
    _require(found["t"].isfinite() | ~live, found["t"], name, "t", "finite for neurons that vary")
    _require(found["effect_size"].isfinite() | constant, found["effect_size"], name, "effect_size", "finite as well")
    _require((found["dof"] > 0) | ~live, found["dof"], name, "dof", "above 0 (infinite: a normal distribution)")
    masked = {part: values.masked_fill(~live, torch.nan) for part, values in found.items()}
    masked_p_adjusted = masked.pop("p_adjusted", None)
    return Tested(**masked, dead=~live, p_adjusted=masked_p_adjusted)


def _part(returned: Any, part: str) -> Any:
    return returned.get(part) if isinstance(returned, Mapping) else getattr(returned, part, None)


def _array(returned: Any, part: str, name: str, shape: torch.Size) -> Float64[Tensor, "layer neuron"]:
    value = _part(returned, part)
    try:
        tensor = torch.as_tensor(value).detach().cpu().double()
    except (TypeError, ValueError, RuntimeError):
        tensor = None
    if value is None or tensor is None:
        raise TypeError(
            f"test {name!r} returned a {type(returned).__name__} whose {part} is {value!r}; return a mapping with "
            "t, p, dof and effect_size, tensors [layer, neuron]"
        )
    if part == "dof" and tensor.ndim == 0:
        tensor = tensor.expand(shape)
    if tensor.shape != shape:
        raise ValueError(
            f"test {name!r} returned {part} of shape {list(tensor.shape)} for {shape[0]} layers of {shape[1]} neurons; "
            f"its shape has to be {list(shape)}"
        )
    return tensor


def _require(good: Tensor, values: Tensor, name: str, part: str, allowed: str) -> None:
    if not bool(good.all()):
        layer, neuron = (~good).nonzero()[0].tolist()
        raise ValueError(
            f"test {name!r} returned {part} = {float(values[layer, neuron]):g} for neuron {neuron} of row {layer}, and "
            f"for {int((~good).sum())} in all; {part} has to be {allowed}"
        )


def _permutation(
    rows_a: Tensor, rows_b: Tensor, *, paired: bool, n_permutations: int, seed: int, family: str
) -> Mapping[str, Any]:
    options: dict[str, Any] = {"n_permutations": n_permutations, "seed": seed, "family": family}
    test = permutation(rows_a, rows_b, statistic="paired" if paired else "welch", **options)
    return vars(test) | {"p_adjusted": test.p_max_t}


register_statistic("student", summary="Student's t-test")(student)
register_statistic("welch", summary="Welch's t-test")(welch)
register_statistic("moderated", summary="a moderated t-test")(moderated)
register_statistic("paired", paired=True, summary="a paired t-test")(paired)
register_statistic("moderated_paired", paired=True, summary="a moderated paired t-test")(moderated_paired)
register_statistic(
    "permutation", takes="rows", own_correction="max_t", summary="a permutation test of the words' labels"
)(_permutation)
