"""Hooks that last as long as a block of code, and those that are there already."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from tlesion.anatomy.evaluating import in_eval_mode as in_eval_mode
from tlesion.anatomy.foreign import user_hooks as user_hooks
from tlesion.anatomy.model import Model
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


def require_same(first: Tensor, again: Tensor, name: str) -> None:
    """Refuse a hook point that is called several times in one pass with different activations.

    The norm before attention is called for queries, keys and values: usually with the same, and then the first call
    stands for all of them. With inputs that are split by head it need not be.

    Args:
        first: What it was called with first, ``[batch, pos, ...]``.
        again: What it was called with later in the same pass, ``[batch, pos, ...]``.
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
