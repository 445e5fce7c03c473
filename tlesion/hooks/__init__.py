"""Hook-point names of a model, and hooks that are removed when a block of code is left."""

from tlesion.anatomy.model import HookPoint as HookPoint
from tlesion.anatomy.model import Model
from tlesion.hooks.layouts import Layout, layout_of, layout_without_model, width, without_units
from tlesion.hooks.points import (
    FwdHook,
    HookFunction,
    Layers,
    hidden_state,
    in_layers,
    layer_indices,
    layer_of,
    names,
    require_name,
    short_form,
)
from tlesion.hooks.scope import in_eval_mode, require_same, scoped, user_hooks

__all__ = [
    "FwdHook",
    "HookFunction",
    "Layers",
    "Layout",
    "Model",
    "hidden_state",
    "in_eval_mode",
    "in_layers",
    "layer_indices",
    "layer_of",
    "layout_of",
    "layout_without_model",
    "names",
    "require_name",
    "require_same",
    "scoped",
    "short_form",
    "user_hooks",
    "width",
    "without_units",
]
