"""Hooks that last as long as a block of code, and those that are there already."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tlesion.anatomy.evaluating import in_eval_mode as in_eval_mode
from tlesion.anatomy.foreign import hooked_points
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
    return hooked_points(model)
