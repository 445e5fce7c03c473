"""What users change in a model past its hook points: PyTorch hooks, patched methods, modules of their own.

Only the model's own forward pass is sure to follow such changes: a hook may look at the whole batch, a patch may work
on some inputs only. They are found by looking at the modules, and nothing is run.
"""

from collections.abc import Iterator
from types import FunctionType
from typing import Any, get_args

from torch import nn
from torch.nn.modules import module as torch_module
from torch.nn.utils import parametrize

from tlesion.anatomy.model import Block, HookPoint, Model

_KNOWN = {"transformer_lens", "torch", "transformers", "bitsandbytes"}
_NOBODYS = {"builtins", "abc", "typing"}
_ON_ALL_MODULES = ("_global_forward_hooks", "_global_forward_pre_hooks")
_BLOCKS = get_args(Block)
_CALLING = {"forward", "__call__", "_call_impl", "_wrapped_call_impl", "__getattr__"}
_PASSIVE = {"__init__", "__doc__", "__module__", "__repr__", "__qualname__", "__annotations__", "__parameters__"}
"""What a class may have anew without computing anything else."""


def user_hooks(model: Model) -> list[str]:
    """The names of the points that carry hooks right now: those of others, outside :func:`tlesion.hooks.scoped`.

    Args:
        model: The model.

    Returns:
        Full hook names; empty for a model without hooks.

    Example:
        >>> import tlesion
        >>> user_hooks(tlesion.load_model("toy-bert"))
        []
    """
    return [name for name, point in model.hook_dict.items() if isinstance(point, HookPoint) and point.fwd_hooks]


def hooks_on(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """The forward hooks of every kind that each module carries, by its name, as PyTorch numbers them."""
    return {
        name: (*module._forward_hooks, *module._forward_pre_hooks)
        for name, module in model.named_modules()
        if module._forward_hooks or module._forward_pre_hooks
    }


def foreign_change(model: nn.Module) -> str:
    """The first change that is no TransformerLens hook, as a phrase; empty where there is none.

    Args:
        model: The model.

    Returns:
        Such as ``"a PyTorch hook on blocks.3.attn"``.

    Example:
        >>> import tlesion
        >>> foreign_change(tlesion.load_model("toy-bert"))
        ''
    """
    if any(getattr(torch_module, name, None) for name in _ON_ALL_MODULES):
        return "a PyTorch hook on all modules"
    classes: dict[type, str] = {}
    seen: dict[nn.Module, str] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        place = name or "the model itself"
        if module in seen:
            return f"one module that stands in two places, {seen[module]} and {place}"
        seen[module] = place
        if type(module) not in classes:
            classes[type(module)] = _own_class(type(module))
        found = _in_module(module) or classes[type(module)]
        if found:
            return f"{found} on {place}"
    return ""


def _in_module(module: nn.Module) -> str:
    if parametrize.is_parametrized(module):
        return "a parametrized weight"
    if _foreign_hooks(module):
        return "a PyTorch hook"
    if getattr(module, "_compiled_call_impl", None) is not None:
        return "a compiled call"
    if isinstance(module, HookPoint) and module.hook_conversion is not None:
        return "a conversion of activations"
    cls = type(module)
    patched = [name for name, value in vars(module).items() if callable(value) and callable(getattr(cls, name, None))]
    return f"a patched {patched[0]!r}" if patched else ""


def _foreign_hooks(module: nn.Module) -> bool:
    """Whether a module carries PyTorch hooks other than those by which TransformerLens calls its own."""
    if module._forward_pre_hooks:
        return True
    own = {handle.hook.id for handle in module.fwd_hooks} if isinstance(module, HookPoint) else set()
    return bool(set(module._forward_hooks) - own)


def replaced_method(model: nn.Module) -> str:
    """The first method that somebody has replaced in a class of TransformerLens or PyTorch; empty where there is none.

    It works on every model of that class. A block's own ``forward`` is left out: no shortcut steps over it.

    Returns:
        Such as ``"a replaced Attention.apply_causal_mask"``.
    """
    classes = dict.fromkeys(base for module in model.modules() for base in type(module).__mro__)
    for cls in classes:
        replaced = next(_replaced(cls), None) if _root(cls.__module__) in _KNOWN else None
        if replaced:
            return f"a replaced {cls.__name__}.{replaced}"
    return ""


def _own_class(cls: type) -> str:
    """A module's class that computes something of its own."""
    known = [base for base in cls.__mro__ if _root(base.__module__) in _KNOWN]
    theirs = [base for base in cls.__mro__ if _root(base.__module__) not in _KNOWN | _NOBODYS]
    overrides = any(_overrides(base, name, known) for base in theirs for name in vars(base))
    return f"{cls.__name__}, a class of its own," if overrides else ""


def _replaced(cls: type) -> Iterator[str]:
    """Methods of a known class that somebody else has put there; what they say of their origin may be copied."""
    for name, value in vars(cls).items():
        if (_root(cls.__module__) == "torch" and name not in _CALLING) or (
            issubclass(cls, _BLOCKS) and name == "forward"
        ):
            continue  # Other packages add methods of theirs to every module.
        function: Any = getattr(value, "__func__", getattr(value, "fget", value))
        if isinstance(function, FunctionType):
            if _root(str(function.__globals__.get("__name__"))) not in _KNOWN | {"contextlib", "dataclasses"}:
                yield name
        elif name in _CALLING and callable(function):
            yield name


def _overrides(base: type, name: str, known: list[type]) -> bool:
    if name in _PASSIVE:
        return False
    value = vars(base)[name]
    works = callable(value) or hasattr(value, "__get__")
    return works and any(name in vars(one) for one in known)


def _root(module: str) -> str:
    return module.partition(".")[0]
