"""A hook point in the layers of a study, how many units it has there, and named masks over them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from tlesion.hooks import Layers, Model, in_layers, layer_of, short_form, width
from tlesion.options import settled_masks

_WHOLE = {
    **dict.fromkeys(("mlp.hook_pre", "mlp.hook_post", "hook_mlp_out"), "whole MLP"),
    **dict.fromkeys(("attn.hook_z", "attn.hook_result"), "all heads"),
    "hook_attn_out": "whole attention",
}


def whole_of(hook_point: str) -> str:
    """What all units of a hook point together are called.

    Args:
        hook_point: A short form, or a full name.

    Example:
        >>> whole_of("mlp.hook_post"), whole_of("blocks.3.attn.hook_z"), whole_of("hook_resid_post")
        ('whole MLP', 'all heads', 'all of hook_resid_post')
    """
    short = short_form(hook_point)
    return _WHOLE.get(short, f"all of {short}")


def neurons_of(mask: str) -> str:
    """What a mask cuts, as pages and figures call it; the mask of all units has its name from `whole_of`.

    Example:
        >>> neurons_of("him"), neurons_of("all heads")
        ('him-neurons', 'all heads')
    """
    return mask if mask in _WHOLE.values() or mask.startswith("all of ") else f"{mask}-neurons"


@dataclass(frozen=True)
class Point:
    """A hook point in some layers of a model; make one with :func:`point_of`.

    Attributes:
        names: Full hook name in each layer.
        layers: The model's layer of each name.
        n_units: Units of a layer, all heads side by side: unit ``head * d_head + i``.
    """

    names: tuple[str, ...]
    layers: tuple[int, ...]
    n_units: int

    @property
    def short(self) -> str:
        """The name without its layer."""
        return short_form(self.names[0])

    @property
    def shape(self) -> tuple[int, int]:
        """``(layers, units)``: what masks and reference values have to fit."""
        return len(self.names), self.n_units

    @property
    def whole(self) -> str:
        """What all units of a layer together are called: the name of the mask that is used where none is given."""
        return whole_of(self.short)

    def masks(self, given: Any, *, whole: bool = False) -> dict[str, Bool[Tensor, "layer unit"]]:
        """Named masks, checked; for None one mask of all units.

        Args:
            given: Bool masks ``[layer, unit]`` by name (a whole number is kept as text): tensors, arrays, or lists of
                lists of bools.
            whole: Whether None is taken.

        Raises:
            TypeError: Neither a dict nor, where it is taken, None; a name that is no label, a mask that is no tensor.
            ValueError: The dict is empty, two names are the same, a mask is not bool or has another shape, or no mask
                has a unit in any layer.

        Example:
            >>> point = Point(("blocks.0.mlp.hook_post", "blocks.1.mlp.hook_post"), (0, 1), n_units=3)
            >>> {name: tuple(mask.shape) for name, mask in point.masks(None, whole=True).items()}
            {'whole MLP': (2, 3)}
        """
        otherwise = ", or None for all units" if whole else ""
        if given is None and whole:
            return {self.whole: torch.ones(self.shape, dtype=torch.bool)}
        if not isinstance(given, Mapping):
            raise TypeError(
                f"masks are a {type(given).__name__}; give a dict of named masks, {{'him': mask}} for one{otherwise}"
            )
        if not given:
            raise ValueError(
                f"no mask was given; give a dict of named masks, such as {{'him': selection.mask('him')}}{otherwise}"
            )
        masks = settled_masks("masks", given)
        for name, mask in masks.items():
            if tuple(mask.shape) != self.shape or mask.dtype != torch.bool:
                way = "" if mask.dtype == torch.bool else "; mask.bool() makes one of zeros and ones"
                raise ValueError(
                    f"mask {name!r} has shape {tuple(mask.shape)} and dtype {mask.dtype}; this model needs a bool mask "
                    f"of shape {self.shape}, [layer, unit]{way}"
                )
        if not any(bool(mask.any()) for mask in masks.values()):
            several = "none of the masks has" if len(masks) > 1 else f"mask {next(iter(masks))!r} does not have"
            raise ValueError(
                f"{several} a single unit in any layer, so that nothing would be cut; if they come from a selection, "
                "it has selected nothing: more sentences, another position or another alpha may select something"
            )
        return {name: mask.cpu() for name, mask in masks.items()}


def point_of(model: Model, hook_point: str, layers: Layers = "all") -> Point:
    """A hook point in some layers, with the units of all its heads.

    Args:
        model: The model.
        hook_point: A short form for every layer, or one full name.
        layers: ``"all"`` or layer indices.

    Raises:
        ValueError: The model has no such point or layer, or the point has no units that an edit could address.

    Example:
        >>> import tlesion
        >>> point_of(tlesion.load_model("toy-bert"), "attn.hook_z", [0, -1]).shape
        (2, 128)
    """
    names = in_layers(model, hook_point, layers)
    heads, units = width(model, names[0])
    return Point(tuple(names), tuple(layer_of(name) or 0 for name in names), (heads or 1) * units)
