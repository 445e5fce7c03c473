"""Hooks and modes that last as long as a block of code."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from tlesion.anatomy.model import HookPoint, Model
from tlesion.hooks.points import FwdHook, require_name


@contextmanager
def scoped(model: Model, fwd_hooks: Iterable[FwdHook]) -> Iterator[None]:
    """Add hooks for as long as the ``with`` block lasts; afterwards the model has the hooks it had before.

    Args:
        model: The model to hook.
        fwd_hooks: ``(full hook name, function)`` pairs, as in ``run_with_hooks(fwd_hooks=...)``.

    Yields:
        None.

    Raises:
        ValueError: The model lacks a name; nothing is registered then.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-bert")
        >>> from tlesion import interventions as iv
        >>> with scoped(model, [iv.zero("blocks.3.mlp.hook_post", positions=-1)]):
        ...     user_hooks(model)
        ['blocks.3.mlp.hook_post']
        >>> user_hooks(model)
        []
    """
    pairs = list(fwd_hooks)
    for name, _ in pairs:
        require_name(model, name)
    with model.hooks(fwd_hooks=[*pairs]):
        yield


@contextmanager
def in_eval_mode(model: Model) -> Iterator[None]:
    """Eval mode for as long as the ``with`` block lasts; afterwards every module has the mode it had before.

    Args:
        model: The model.

    Yields:
        None.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-bert")
        >>> model = model.train()
        >>> with in_eval_mode(model):
        ...     model.training
        False
        >>> model.training
        True
    """
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def user_hooks(model: Model) -> list[str]:
    """The names of the points that carry hooks right now: those of others, outside :func:`scoped`.

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


def require_same(first: Tensor, again: Tensor, name: str) -> None:
    """Refuse a hook point that is called several times in one pass with different activations.

    The norm before attention is called for queries, keys and values: usually with the same, and then the first call
    stands for all of them. With inputs that are split by head it need not be.

    Args:
        first: What it was called with first.
        again: What it was called with later in the same pass.
        name: Its name.

    Raises:
        ValueError: They differ.

    Example:
        >>> import torch
        >>> require_same(torch.ones(2), torch.ones(2), "blocks.0.ln1.hook_normalized")  # nothing happens
    """
    if first.shape != again.shape or not torch.equal(first, again):
        raise ValueError(
            f"hook point {name!r} was called several times in one pass through its block, with different activations; "
            "a study takes one for each token: give another hook point, such as 'attn.hook_q' or 'attn.hook_k'"
        )
