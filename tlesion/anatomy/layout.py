"""Weights stored the way TransformerLens' forward pass reads them.

TransformerLens keeps attention weights as ``[head, d_model, d_head]`` and hands them to ``F.linear`` as
``[head * d_head, d_model]``: a copy of all of them at every call, which costs more than the multiplication when a
batch is small. The same numbers in the same shape, but with strides that make that rearrangement a view, give
bit-identical results without the copy.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformer_lens.components.mlps.gated_mlp import GatedMLP

from tlesion.anatomy.model import Model, blocks

_ATTENTION: dict[str, tuple[int, ...]] = {
    "W_Q": (0, 2, 1),
    "W_K": (0, 2, 1),
    "W_V": (0, 2, 1),
    "_W_K": (0, 2, 1),
    "_W_V": (0, 2, 1),
    "W_O": (2, 0, 1),
}
_GATED: dict[str, tuple[int, ...]] = {"W_in": (1, 0), "W_gate": (1, 0), "W_out": (1, 0)}
_UNEMBED: dict[str, tuple[int, ...]] = {"W_U": (1, 0)}


def lay_out_(model: Model) -> None:
    """Store a model's weights in the order in which they are read; values and shapes stay as they are.

    Faster for every later run, TransformerLens' own included. ``model.to`` keeps the layout.
    """
    for block in blocks(model):
        for parameter, axes in _movable(block):
            parameter.data = stored_as(parameter.data, axes)
    for parameter, axes in _parameters(model.unembed, _UNEMBED):
        parameter.data = stored_as(parameter.data, axes)


@contextmanager
def laid_out(block: nn.Module) -> Iterator[None]:
    """The same for one block, while a ``with`` block lasts; afterwards it has its own tensors again."""
    before = [(parameter, parameter.data, axes) for parameter, axes in _movable(block)]
    try:
        for parameter, data, axes in before:
            parameter.data = stored_as(data, axes)
        yield
    finally:
        for parameter, data, _ in before:
            parameter.data = data


def stored_as(weight: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The same values and shape, contiguous once permuted by ``axes``; the very same tensor if it is so already."""
    permuted = weight.permute(axes)
    if permuted.is_contiguous():
        return weight
    back = tuple(int(axis) for axis in torch.argsort(torch.tensor(axes)))
    return permuted.contiguous().permute(back)


def _movable(block: nn.Module) -> list[tuple[nn.Parameter, tuple[int, ...]]]:
    found = _parameters(getattr(block, "attn", None), _ATTENTION)
    mlp = getattr(block, "mlp", None)
    return found + (_parameters(mlp, _GATED) if isinstance(mlp, GatedMLP) else [])


def _parameters(
    module: nn.Module | None, orders: dict[str, tuple[int, ...]]
) -> list[tuple[nn.Parameter, tuple[int, ...]]]:
    own = dict(module.named_parameters(recurse=False)) if module is not None else {}
    return [(own[name], axes) for name, axes in orders.items() if name in own and own[name].ndim == len(axes)]
