"""A block that takes what comes before its MLP's activations from a clean run, and computes only what follows.

The attention's output and the MLP's activations are noted in the clean run. In the lesioned one they are given out
again, through TransformerLens' own block: every kind of block is served, and every hook point after the activations
fires as usual.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformer_lens.components.mlps.gated_mlp import GatedMLP
from transformer_lens.components.mlps.mlp import MLP
from transformer_lens.utilities.addmm import batch_addmm

from tlesion.anatomy.model import Block
from tlesion.anatomy.swapping import swapped_forwards


@dataclass(eq=False)
class CleanParts:
    """What a clean run's block held inside.

    Attributes:
        attn_out: The attention's output; None until a block has been called.
        post: The MLP's activations, which its output weights are applied to; likewise.
        mlp_out: The MLP's output; likewise.
    """

    attn_out: Float[Tensor, "prompt pos d_model"] | None = None
    post: Float[Tensor, "prompt pos d_mlp"] | None = None
    mlp_out: Float[Tensor, "prompt pos d_model"] | None = None


def can_answer(block: Block) -> bool:
    """Whether a block's MLP is of a kind whose activations can be given to it."""
    return type(getattr(block, "mlp", None)) in (MLP, GatedMLP)


@contextmanager
def noting_clean(block: Block, n_clean: int) -> Iterator[CleanParts]:
    """While the ``with`` block lasts, note the insides of a block's first call, for its first ``n`` rows."""
    parts = CleanParts()
    if not n_clean:
        yield parts
        return

    def note(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def take(module: nn.Module, arguments: Any, output: Tensor) -> None:
            if getattr(parts, name) is None:
                setattr(parts, name, output[:n_clean].clone())

        return take

    taps: list[RemovableHandle] = []
    post = getattr(block.mlp, "hook_post")  # noqa: B009  Every MLP has it, though their base class does not say so.
    try:
        for module, name in ((block.attn, "attn_out"), (post, "post"), (block.mlp, "mlp_out")):
            taps.append(module.register_forward_hook(note(name)))
        yield parts
    finally:
        for tap in taps:
            tap.remove()


@contextmanager
def answering_as_clean(block: Block, parts: CleanParts, *, start: int = 0) -> Iterator[None]:
    """While the ``with`` block lasts, a block takes what comes before an edit of its activations from a clean run.

    Args:
        block: The block. Its batch is ``[lesion * prompt, pos, d_model]``, lesions outermost, and holds the hidden
            states that the clean run's block was given.
        parts: Of the clean run.
        start: The first position that the batch holds.
    """
    assert parts.attn_out is not None
    assert parts.post is not None
    assert parts.mlp_out is not None
    attn_out, post, mlp_out = (part[:, start:] for part in (parts.attn_out, parts.post, parts.mlp_out))
    mlp = block.mlp
    assert isinstance(mlp, MLP | GatedMLP)

    def attention(query_input: Tensor, *_: Any, **__: Any) -> Tensor:
        return attn_out.repeat(len(query_input) // len(attn_out), 1, 1)

    def rest_of_mlp(x: Tensor) -> Tensor:
        n_lesions = len(x) // len(post)
        activation = mlp.hook_post(post.repeat(n_lesions, 1, 1))
        changed = (activation.unflatten(0, (n_lesions, -1)) != post).any(dim=-1).flatten(0, 1)
        out = mlp_out.repeat(n_lesions, 1, 1)
        out[changed] = _through_output_weights(mlp, activation[changed])
        return out

    with swapped_forwards((block.attn, attention), (mlp, rest_of_mlp)):
        yield


def _through_output_weights(
    mlp: MLP | GatedMLP, activation: Float[Tensor, "row d_mlp"]
) -> Float[Tensor, "row d_model"]:
    if isinstance(mlp, GatedMLP):
        return F.linear(activation, mlp.W_out.T.contiguous(), mlp.b_out)
    return batch_addmm(mlp.b_out, mlp.W_out, activation)
