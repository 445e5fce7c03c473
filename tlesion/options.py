"""Options that many public functions share, settled before a function does anything.

An option means the same wherever it stands, so that what it may be stands here once, by its name. The decorator
`checked_options` stands on every function that takes some of them: NumPy's and torch's numbers become Python's, which
results can keep, and what an option cannot be is refused in the first second, not after the hour that it takes to
reach it. None is taken where it is the default. Whether a value fits the others (a layer the model, a level the number
of controls) is for the function to say.

What needs a room further up (a model, a contrast) is given its check there, with `settle_by`.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor

from tlesion.checks import flag, integer, label, number, one_of, plain, shown, whole_numbers
from tlesion.positions import settled_position

P = ParamSpec("P")
R = TypeVar("R")

MOST_SEEDS = 2**63
"""Below this, a seed serves torch's generators as well as NumPy's."""
PLANS = ("auto", "loop", "batched", "fanout", "prefix")
"""How a sweep may combine runs."""

Settle = Callable[[str, Any], Any]
_SETTLE: dict[str, Settle] = {}


def settle_by(settle: Settle, *names: str) -> None:
    """Have options of some names settled by a function of name and value, which returns the value to use or raises."""
    _SETTLE.update(dict.fromkeys(names, settle))


def checked_options(function: Callable[P, R]) -> Callable[P, R]:
    """Settle a function's options before it runs.

    Example:
        >>> import numpy as np
        >>> @checked_options
        ... def draw(*, seed: int = 0) -> int:
        ...     return seed
        >>> draw(seed=np.int64(3))
        3
        >>> draw(seed="3")
        Traceback (most recent call last):
        ...
        TypeError: seed is '3' (str); give a whole number
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def with_options_settled(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError:
            return function(*args, **kwargs)  # Python's own words for arguments that are missing or too many.
        for name, value in given.arguments.items():
            default = signature.parameters[name].default
            if name in _SETTLE and not (value is None and default is None):
                given.arguments[name] = _SETTLE[name](name, value)
        return function(*given.args, **given.kwargs)

    # The function itself, whatever else has been put around it: for those who look at it or call it bare.
    with_options_settled.__wrapped__ = inspect.unwrap(function)
    return with_options_settled


def indices(name: str, value: Any) -> str | list[int]:
    """Several whole numbers, or the word that stands for all of them.

    Raises:
        TypeError: A single number, or something that is no whole number.
    """
    value = plain(value)
    if isinstance(value, str):
        return value
    if not isinstance(value, Iterable):
        what = f"{value!r}, one number" if isinstance(value, int) else f"{value!r} ({type(value).__name__})"
        raise TypeError(f"{name} is {what}; give a list, {name}=[{value if isinstance(value, int) else 0}]")
    return whole_numbers(name, value)


def settled_masks(name: str, masks: Any) -> Any:
    """Masks by names that are text, as tensors; what is no dict is for the function to refuse.

    Raises:
        TypeError: A name that is no label, a mask that nothing can be made of.
        ValueError: Two masks of one name, or one without.
    """
    if not isinstance(masks, Mapping):
        return masks
    names = [label(one, "mask name") for one in masks]
    if len(set(names)) < len(names) or "" in names:
        raise ValueError(f"{name} are called {list(masks)}; give each a name of its own (1 and '1' are one name)")
    return {name: _mask(name, mask) for name, mask in zip(names, masks.values(), strict=True)}


def _mask(name: str, mask: Any) -> Tensor:
    if isinstance(mask, Tensor):
        return mask
    try:
        return torch.from_numpy(np.array(mask))
    except (TypeError, ValueError):
        raise TypeError(
            f"mask {name!r} is a {shown(mask)}; give a bool tensor [layer, unit] with a row for every layer, such as "
            "selection.mask('him')"
        ) from None


def _match(name: str, match: Any) -> Any:
    """What controls are matched on: values, the word that stands for some, or nothing."""
    if isinstance(match, np.ndarray):
        return torch.from_numpy(match)
    if not isinstance(match, Tensor | str | None):
        raise TypeError(f"{name} is a {shown(match)}; give a tensor [layer, unit], or {name}='activity'")
    return match


def _numbers(name: str, value: Any) -> Any:
    if isinstance(value, str) or (not isinstance(value, Sequence) and not hasattr(value, "tolist")):
        raise TypeError(f"{name} is {value!r} ({type(value).__name__}); give a list of numbers, {name}=[1, 2]")
    return [number(name.removesuffix("s"), one) for one in value]


def _text(name: str, value: Any) -> str:
    value = plain(value)
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r} ({type(value).__name__}); give text, such as {name}='mlp.hook_post'")
    return value


def _seed(name: str, value: Any) -> int:
    seed = integer(name, value)
    if not 0 <= seed < MOST_SEEDS:
        what = "is negative; seeds are 0 or more" if seed < 0 else "is too large; give one below 2**63"
        raise ValueError(f"{name} {seed} {what}")
    return seed


def _plan(name: str, value: Any) -> str:
    one_of(name, plain(value), PLANS)
    return str(plain(value))


settle_by(_seed, "seed")
settle_by(partial(integer, least=0), "n_windows")
settle_by(partial(integer, least=1), "batch_size", "max_bytes")
settle_by(integer, "n_controls", "n_permutations", "n_resamples", "n_sampled", "n_tokens", "n_bins")
settle_by(integer, "n_sources", "n_random", "top_k", "k", "rank", "keep")
settle_by(number, "alpha", "level", "power", "min_effect", "share", "temperature", "threshold")
settle_by(partial(integer, least=1), "n_masks")
settle_by(integer, "n_layers", "d_mlp", "n_causal", "n_decoys", "n_token", "n_pairs", "n_shared", "n")
settle_by(number, "logit_effect", "background", "shrinkage")
settle_by(number, "mean", "std", "factor")
settle_by(flag, "prepend_bos", "allow_shared", "global_change", "kl", "restore_mean", "causal", "strict", "halves")
settle_by(indices, "layers", "context_lengths", "ranks", "components")
settle_by(_numbers, "factors", "doses")
settle_by(settled_masks, "masks")
settle_by(_match, "match")
settle_by(_text, "hook_point", "lesion_hook_point")
settle_by(_plan, "plan")
settle_by(settled_position, "position", "lesion_position")
settle_by(lambda _, value: plain(value), "test", "correction", "family", "ablation", "alone", "mode", "statistic")
