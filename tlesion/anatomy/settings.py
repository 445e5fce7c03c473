"""What decides a model's numbers beside its weights: its configuration, and plain values that its modules hold."""

import hashlib
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tlesion.anatomy.model import HookPoint, Model
from tlesion.function_id import function_id

_LABELS = {
    "model_name",
    "tokenizer_name",
    "tokenizer_prepends_bos",
    "default_prepend_bos",
    "default_padding_side",
    "device",
    "n_devices",
    "seed",
    "init_mode",
    "init_weights",
    "initializer_range",
    "n_params",
    "checkpoint_index",
    "checkpoint_label_type",
    "checkpoint_value",
    "from_checkpoint",
}
"""What a configuration says about where a model comes from and where it lies: the same numbers under any of them."""

_ROWS = 16
_KNOWN = ("transformer_lens", "torch", "transformers")


def settings_hash(model: Model) -> str:
    """A hash of a model's settings: another one whenever its configuration is changed, or a constant of a module.

    Args:
        model: The model.

    Returns:
        A short hash, the same in every process.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-gpt")
        >>> before = settings_hash(model)
        >>> model.set_use_split_qkv_input(True)
        >>> settings_hash(model) == before
        False
    """
    return _hash([configuration(model), constants_hash(model)])


def configuration(model: Model) -> dict[str, str]:
    """What a model's configuration says of how it computes, by name, as text."""
    return {name: repr(value) for name, value in vars(model.cfg).items() if name not in _LABELS}


def constants_hash(model: Model) -> str:
    """A hash of the numbers, words and functions that a model's modules hold, and of the modules' classes."""
    found: dict[str, Any] = {"": type(model).__qualname__}
    known: dict[int, Any] = {}
    for name, module in model.named_modules():
        if module is not model and not isinstance(module, HookPoint):
            found[name] = [type(module).__qualname__, _constants(module, known)]
    return _hash(found)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _constants(module: nn.Module, known: dict[int, Any]) -> dict[str, Any]:
    """The numbers, words and functions that a module holds, and its buffers: masked scores, rotary tables."""
    values = {name: value for name, value in vars(module).items() if not name.startswith("_") and name != "training"}
    values["_attention_dir_override"] = getattr(module, "_attention_dir_override", None)
    found = {name: _described(value, known) for name, value in values.items() if _is_constant(value)}
    buffers = {name: value for name, value in module.named_buffers(recurse=False) if value.numel()}
    return found | {name: _buffer(module, value) for name, value in buffers.items()}


def _buffer(module: nn.Module, values: Tensor) -> str:
    """One number as it is; of a table of positions how large its first rows are, since TransformerLens lengthens it."""
    if values.numel() == 1:
        return repr(values.item())
    if not values.is_floating_point() or getattr(getattr(module, "cfg", None), "use_dynamic_ntk_rope", False):
        return ""  # The latter's tables are made anew with the length of every text.
    rows = values[:_ROWS].detach().cpu().double()
    return f"{rows.mean():.5g} {rows.square().mean():.5g}"  # No more digits: sine and cosine differ by processor.


def _is_constant(value: Any) -> bool:
    # None may be a table that is filled on the first call.
    return isinstance(value, bool | int | float | str | torch.dtype) or callable(value)


def _described(value: Any, known: dict[int, Any]) -> Any:
    if not callable(value):
        return repr(value)
    if id(value) not in known:
        known[id(value)] = _function(value)
    return known[id(value)]


def _function(function: Callable[..., Any]) -> Any:
    if isinstance(function, partial):
        return ["partial", _function(function.func), repr(function.args), repr(function.keywords)]
    module, name = (getattr(function, part, None) for part in ("__module__", "__qualname__"))
    if name and (module is None or module.partition(".")[0] in _KNOWN):
        return f"{module}.{name}"
    return function_id(function)
