"""Norms and GELU as one kernel each.

TransformerLens writes a layer norm out as eight operations and GPT-2's GELU as nine; each of them reads and writes the
whole activation. PyTorch has both in one pass over it, the same formula, equal within rounding.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformer_lens.components.layer_norm import LayerNorm
from transformer_lens.components.layer_norm_pre import LayerNormPre
from transformer_lens.utilities.activation_functions import gelu_new

_EXACT = (torch.float32, torch.float64)  # In half precision TransformerLens rounds between the operations.


@contextmanager
def in_one_kernel(block: nn.Module) -> Iterator[None]:
    """While the ``with`` block lasts, a block's layer norms and its GELU are one kernel each.

    A norm with a hook inside (``ln1.hook_scale``, ``ln1.hook_normalized``) stays as it is, and so does anything in half
    precision. Hooks have to be there before.
    """
    norms = [module for module in block.children() if _can_be_replaced(module)]
    mlp: Any = getattr(block, "mlp", None)
    gelu = getattr(mlp, "act_fn", None) is gelu_new and mlp.cfg.dtype in _EXACT
    try:
        for norm in norms:
            norm.forward = _layer_norm(norm)
        if gelu:
            mlp.act_fn = partial(F.gelu, approximate="tanh")
        yield
    finally:
        for norm in norms:
            vars(norm).pop("forward", None)
        if gelu:
            mlp.act_fn = gelu_new


def _can_be_replaced(module: Any) -> bool:
    if type(module) not in (LayerNorm, LayerNormPre) or module.cfg.dtype not in _EXACT:
        return False
    return not (module.hook_scale.fwd_hooks or module.hook_normalized.fwd_hooks)


def _layer_norm(norm: Any) -> Callable[[Tensor], Tensor]:
    weight, bias = getattr(norm, "w", None), getattr(norm, "b", None)
    return lambda x: F.layer_norm(x, x.shape[-1:], weight, bias, norm.eps)
