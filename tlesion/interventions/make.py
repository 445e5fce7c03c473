"""The makers of interventions: each returns a ``(hook name, edit)`` pair that TransformerLens can run as it is.

All of them take ``units``, ``heads`` and ``positions``: a bool mask, indices, a slice, or None for all. Positions
are also ``"readout"``: each prompt's readout position, which the sweep knows.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tlesion.checks import one_of, shown
from tlesion.hooks import layer_of, layout_without_model, without_units
from tlesion.interventions.edits import Gaussian, Replace, Scale, Zero
from tlesion.interventions.region import Positions, Region, Units
from tlesion.public import public

_SHORT_FORM = re.compile(r"(mlp|attn|ln\d)\..+|hook_(resid|mlp|attn|normalized|[qkv]_input).*")


class Intervention(NamedTuple):
    """A hook name and an edit: one entry of ``fwd_hooks``."""

    hook_name: str
    edit: Callable[..., Any]  # an edit returns a tensor; a hook function of the user's own may return None


def zero(hook_name: str, *, units: Units = None, heads: Units = None, positions: Positions = None) -> Intervention:
    """Set part of an activation to zero.

    Args:
        hook_name: A full hook name, ``blocks.3.mlp.hook_post``.
        units: Which units (neurons, at ``mlp.hook_pre`` and ``hook_post``).
        heads: Which heads, at ``attn.hook_q``, ``hook_k``, ``hook_v``, ``hook_z``, ``hook_result``.
        positions: Which token positions.

    Returns:
        The ``(hook name, edit)`` pair, for ``fwd_hooks=[...]``.

    Raises:
        ValueError: The hook name is a short form, or its activation has no ``[batch, pos, ...]`` axes.

    Example:
        >>> name, edit = zero("blocks.0.mlp.hook_post", units=[1], positions=-1)
        >>> edit(torch.ones(1, 2, 3))
        tensor([[[1., 1., 1.],
                 [1., 0., 1.]]])
    """
    return Intervention(hook_name, Zero(region_at(hook_name, units, heads, positions), hook_name))


def replace(
    hook_name: str,
    values: Tensor | np.ndarray | Sequence[Any] | float | int,
    *,
    units: Units = None,
    heads: Units = None,
    positions: Positions = None,
) -> Intervention:
    """Set part of an activation to given values: a mean, a median, another prompt's activation.

    Args:
        hook_name: A full hook name.
        values: A number, one value per unit ``[unit]``, per position and unit ``[pos, unit]``, or a whole
            activation ``[batch, pos, unit]``; inside attention ``[head, unit]`` stands for ``[unit]``. They span
            *all* units and positions; ``units``, ``heads`` and ``positions`` pick those that are written. Copied.
        units: Which units.
        heads: Which heads.
        positions: Which token positions.

    Returns:
        The ``(hook name, edit)`` pair, for ``fwd_hooks=[...]``.

    Raises:
        ValueError: As for :func:`zero`, or the values are not finite.

    Example:
        >>> name, edit = replace("blocks.0.mlp.hook_post", torch.tensor([5.0, 6.0]), units=[1])
        >>> edit(torch.zeros(1, 1, 2))
        tensor([[[0., 6.]]])
    """
    try:
        tensor = values.detach().clone() if isinstance(values, Tensor) else torch.as_tensor(np.array(values))
    except (TypeError, ValueError):
        raise TypeError(f"values for {hook_name!r} are a {shown(values)}; give a number, or a tensor [unit]") from None
    if not bool(torch.isfinite(tensor).all()):
        bad = int((~torch.isfinite(tensor)).sum())
        raise ValueError(f"values for {hook_name!r} hold {bad} NaN or infinite entries; replacement values are finite")
    return Intervention(hook_name, Replace(region_at(hook_name, units, heads, positions), hook_name, tensor))


@public
def scale(
    hook_name: str, factor: float | int, *, units: Units = None, heads: Units = None, positions: Positions = None
) -> Intervention:
    """Multiply part of an activation by a factor; a factor of 1 changes nothing at all.

    Args:
        hook_name: A full hook name.
        factor: What to multiply by; 0 gives the same as :func:`zero`.
        units: Which units.
        heads: Which heads.
        positions: Which token positions.

    Returns:
        The ``(hook name, edit)`` pair, for ``fwd_hooks=[...]``.

    Raises:
        ValueError: As for :func:`zero`, or the factor is not finite.

    Example:
        >>> name, edit = scale("blocks.0.hook_resid_post", 0.5)
        >>> edit(torch.ones(1, 1, 2))
        tensor([[[0.5000, 0.5000]]])
    """
    _require_finite("factor", factor)
    return Intervention(hook_name, Scale(region_at(hook_name, units, heads, positions), hook_name, float(factor)))


@public
def gaussian(
    hook_name: str,
    *,
    mean: float | int = 0.0,
    std: float | int = 1.0,
    seed: int = 0,
    mode: str = "substitute",
    units: Units = None,
    heads: Units = None,
    positions: Positions = None,
) -> Intervention:
    """Put Gaussian noise in place of part of an activation, or on top of it.

    Args:
        hook_name: A full hook name.
        mean: Mean of the noise, in the activation's own units.
        std: Standard deviation of the noise.
        seed: Seed; the noise at a position and unit depends on it and on the hook name only.
        mode: ``"substitute"`` or ``"add"``.
        units: Which units.
        heads: Which heads.
        positions: Which token positions.

    Returns:
        The ``(hook name, edit)`` pair, for ``fwd_hooks=[...]``.

    Raises:
        ValueError: As for :func:`zero`; a negative or infinite ``std``, an unknown mode, a negative seed.

    Example:
        >>> name, edit = gaussian("blocks.4.mlp.hook_post", mean=10.0, std=0.0, units=slice(0, None, 2))
        >>> edit(torch.zeros(1, 1, 3))
        tensor([[[10.,  0., 10.]]])
    """
    one_of("mode", mode, ["substitute", "add"])
    _require_finite("mean", mean)
    _require_finite("std", std)
    if std < 0:
        raise ValueError(f"std {std} is negative; a standard deviation is 0 or more")
    if seed < 0:
        raise ValueError(f"seed {seed} is negative; seeds are 0 or more")
    region = region_at(hook_name, units, heads, positions)
    return Intervention(hook_name, Gaussian(region, hook_name, float(mean), float(std), int(seed), mode))


def region_at(hook_name: str, units: Units, heads: Units, positions: Positions) -> Region:
    """The region of an intervention; hook names that no edit can address are refused.

    Raises:
        ValueError: The hook name is a short form, or its activation has no ``[batch, pos, ...]`` axes.
    """
    if not isinstance(hook_name, str):
        raise TypeError(f"the hook name is a {shown(hook_name)}; give a full name, such as 'blocks.3.mlp.hook_post'")
    if layer_of(hook_name) is None and _SHORT_FORM.fullmatch(hook_name):
        raise ValueError(
            f"hook point {hook_name!r} is the short form for every layer; an intervention names one: "
            f"'blocks.<layer>.{hook_name}'"
        )
    layout = layout_without_model(hook_name)
    if layout is not None and layout.by_prompt:
        raise ValueError(without_units(hook_name))
    return Region(units=units, heads=heads, positions=positions)


def _require_finite(what: str, value: float | int) -> None:
    if not math.isfinite(value):
        raise ValueError(f"{what} {value} is not finite")
