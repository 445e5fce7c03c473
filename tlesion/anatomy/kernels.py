"""Norms and GELU as one kernel each, and a block in the form in which it runs fastest.

TransformerLens writes a layer norm out as eight operations and GPT-2's GELU as nine; each of them reads and writes the
whole activation. PyTorch has both in one pass over it, the same formula, equal within rounding.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformer_lens.components.layer_norm import LayerNorm
from transformer_lens.components.layer_norm_pre import LayerNormPre
from transformer_lens.utilities.activation_functions import gelu_new

from tlesion.anatomy.layout import laid_out
from tlesion.anatomy.model import Block
from tlesion.anatomy.swapping import swapped_attributes

_EXACT = (torch.float32, torch.float64)  # In half precision TransformerLens rounds between the operations.


@contextmanager
def streamlined(block: Block) -> Iterator[None]:
    """While the ``with`` block lasts, a block computes the same, faster: weights laid out, norms and GELU one kernel.

    For a block that many rows are about to go through. Hooks have to be there before.
    """
    with laid_out(block), in_one_kernel(block):
        yield


@contextmanager
def in_one_kernel(block: Block) -> Iterator[None]:
    """While the ``with`` block lasts, a block's layer norms and its GELU are one kernel each.

    A norm with a hook inside (``ln1.hook_scale``, ``ln1.hook_normalized``) stays as it is, and so does anything in half
    precision. Hooks have to be there before.
    """
    mlp: nn.Module | None = getattr(block, "mlp", None)
    norms = [module for module in block.children() if _can_be_replaced(module)]
    swaps: list[tuple[nn.Module, str, Callable[[Tensor], Tensor]]]
    swaps = [(norm, "forward", _layer_norm(norm)) for norm in norms]
    if mlp is not None and getattr(mlp, "act_fn", None) is gelu_new and block.cfg.dtype in _EXACT:
        swaps.append((mlp, "act_fn", partial(F.gelu, approximate="tanh")))
    with swapped_attributes(*swaps):
        yield


def _can_be_replaced(module: nn.Module) -> TypeGuard[LayerNorm | LayerNormPre]:
    # Exactly these types: a class made from one of them may compute something else.
    if not isinstance(module, LayerNorm | LayerNormPre) or type(module) not in (LayerNorm, LayerNormPre):
        return False
    watched = module.hook_scale.fwd_hooks or module.hook_normalized.fwd_hooks
    return module.cfg.dtype in _EXACT and not watched


def _layer_norm(norm: LayerNorm | LayerNormPre) -> Callable[[Tensor], Tensor]:
    weight, bias = getattr(norm, "w", None), getattr(norm, "b", None)
    return lambda x: F.layer_norm(x, x.shape[-1:], weight, bias, norm.eps)
