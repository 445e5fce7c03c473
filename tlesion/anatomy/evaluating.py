"""Evaluation mode for as long as a block of code lasts."""

from collections.abc import Iterator
from contextlib import contextmanager

from tlesion.anatomy.model import Model, require_one_dtype


@contextmanager
def in_eval_mode(model: Model) -> Iterator[None]:
    """Eval mode for as long as the ``with`` block lasts; afterwards every module has the mode it had before.

    Args:
        model: The model.

    Yields:
        None.

    Raises:
        ValueError: Weights of another dtype than the norms give, so that nothing can run.

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
    require_one_dtype(model)
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
