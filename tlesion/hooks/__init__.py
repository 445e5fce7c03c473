"""Hook-point names of a model, and hooks that are removed when a block of code is left."""

from tlesion.anatomy.model import HookPoint as HookPoint
from tlesion.anatomy.model import Model
from tlesion.hooks.points import (
    FwdHook,
    HookFunction,
    hidden_state,
    in_layers,
    layer_indices,
    layer_of,
    names,
    require_name,
    short_form,
    width,
)
from tlesion.hooks.scope import in_eval_mode, scoped, user_hooks

__all__ = [
    "FwdHook",
    "HookFunction",
    "Model",
    "hidden_state",
    "in_eval_mode",
    "in_layers",
    "layer_indices",
    "layer_of",
    "names",
    "require_name",
    "scoped",
    "short_form",
    "user_hooks",
    "width",
]
