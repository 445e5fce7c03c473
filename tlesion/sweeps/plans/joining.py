"""Joining inside a block: a lesion of MLP activations needs of its first block no more than what follows them.

Up to ``mlp.hook_post`` of its first layer a lesion's rows are the clean ones. The attention's output and the MLP's
activations are taken from the clean run there, and only what follows is computed for the lesion's own rows: of the
MLP's output the positions at which the lesion has changed an activation. They go through TransformerLens' own block, so
that every kind of block is served and every hook point after the activations fires as usual.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.components.mlps.gated_mlp import GatedMLP
from transformer_lens.components.mlps.mlp import MLP
from transformer_lens.utilities.addmm import batch_addmm

from tlesion.sweeps.lesions import Lesion


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


def joins_late(lesion: Lesion, blocks: Any) -> bool:
    """Whether nothing before ``mlp.hook_post`` of its first layer is touched, in a block that can be joined there."""
    return lesion.begins_at_activations and type(getattr(blocks[lesion.first_layer], "mlp", None)) in (MLP, GatedMLP)


def in_joining_order(lesions: Sequence[Lesion], blocks: Any) -> list[Lesion]:
    """Lesions as they join a batch: by first layer, those that join inside it after the others."""
    return sorted(lesions, key=lambda lesion: (lesion.first_layer, joins_late(lesion, blocks), lesion.index))


def joined_by_layer(lesions: Sequence[Lesion], blocks: Any) -> list[tuple[int, int]]:
    """For each layer: how many lesions go through the whole of its block, and how many more join inside it."""
    whole, late = [0] * len(blocks), [0] * len(blocks)
    for lesion in lesions:
        (late if joins_late(lesion, blocks) else whole)[lesion.first_layer] += 1
    begun = [sum(whole[:layer]) + sum(late[:layer]) for layer in range(len(blocks))]
    return [(begun[layer] + whole[layer], late[layer]) for layer in range(len(blocks))]


@contextmanager
def noting_clean(block: Any, n_clean: int) -> Iterator[CleanParts]:
    """While the ``with`` block lasts, note the insides of a block's first call, for its first so many rows."""
    parts = CleanParts()
    if not n_clean:
        yield parts
        return

    def note(name: str) -> Any:
        def take(module: nn.Module, arguments: Any, output: Tensor) -> None:
            if getattr(parts, name) is None:
                setattr(parts, name, output[:n_clean].clone())

        return take

    taps = [
        block.attn.register_forward_hook(note("attn_out")),
        block.mlp.hook_post.register_forward_hook(note("post")),
        block.mlp.register_forward_hook(note("mlp_out")),
    ]
    try:
        yield parts
    finally:
        for tap in taps:
            tap.remove()


@contextmanager
def answering_as_clean(block: Any, parts: CleanParts, *, start: int = 0) -> Iterator[None]:
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

    def attention(query_input: Tensor, *_: Any, **__: Any) -> Tensor:
        return attn_out.repeat(len(query_input) // len(attn_out), 1, 1)

    def rest_of_mlp(x: Tensor) -> Tensor:
        n_lesions = len(x) // len(post)
        activation = mlp.hook_post(post.repeat(n_lesions, 1, 1))
        changed = (activation.unflatten(0, (n_lesions, -1)) != post).any(dim=-1).flatten(0, 1)
        out = mlp_out.repeat(n_lesions, 1, 1)
        out[changed] = _through_output_weights(mlp, activation[changed])
        return out

    block.attn.forward, mlp.forward = attention, rest_of_mlp
    try:
        yield
    finally:
        del block.attn.forward, mlp.forward


def _through_output_weights(mlp: Any, activation: Float[Tensor, "row d_mlp"]) -> Float[Tensor, "row d_model"]:
    if isinstance(mlp, GatedMLP):
        return F.linear(activation, mlp.W_out.T.contiguous(), mlp.b_out)
    return batch_addmm(mlp.b_out, mlp.W_out, activation)
