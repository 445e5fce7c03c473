"""The way from the output of one block to the logits at the same position, in float64, step by step.

Attention and MLPs of the blocks in between are given as what they add; only the residual stream, the norms that lie
on it, and the head are computed. So a part of them can be what it was in the clean run, and the rest lesioned.
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float64, Int
from torch import Tensor

from tlesion.anatomy.model import Model, is_masked, language_head, unembedding
from tlesion.anatomy.norm import ScaledNorm, block_norms, norm_before_logits

State = Float64[Tensor, "*run prompt d_model"]
Scales = list[Tensor]


class ReadoutPath:
    """The path of one model's readouts, for the targets of some prompts.

    Args:
        model: The model.
        targets: Token ids whose logits are wanted.
    """

    def __init__(self, model: Model, targets: Int[Tensor, "prompt target"]) -> None:
        self._post_norm = is_masked(model)
        weight, bias = unembedding(model)
        self._weight = weight.T[targets.to(weight.device)].cpu().double()
        self._bias = bias[targets.to(bias.device)].cpu().double()
        self._cap = 0.0 if self._post_norm else float(model.cfg.output_logits_soft_cap or 0.0)
        self._blocks: list[tuple[ScaledNorm, ScaledNorm]] = []
        self._final = norm_before_logits(model)
        if is_masked(model):
            self._blocks = block_norms(model)
            head = language_head(model)
            self._head = (head.weight.cpu().double(), head.bias.cpu().double())
            self._activation = head.activation

    def logits(
        self,
        layer: int,
        start: State,
        later: Sequence[State],
        scales: Sequence[Tensor] | None = None,
    ) -> tuple[Float64[Tensor, "*run prompt target"], Scales]:
        """Follow the residual stream of the readout positions to the targets' logits.

        Args:
            layer: The block at whose output the path starts.
            start: ``hook_resid_post`` of that block; in a masked model it is not normed yet.
            later: What is added on the way, in order. Masked: attention and MLP of every later block, two entries for
                each. Causal: anything that sums to what the later blocks add.
            scales: What to divide by in the norms on the way, in order; None: what each of them meets.

        Returns:
            Logits, and what was divided by.
        """
        used: Scales = []
        fixed = None if scales is None else iter(scales)
        x = start
        if self._post_norm:
            x = self._through_blocks(layer, x, later, fixed, used)
            x = self._activation(x @ self._head[0] + self._head[1])
        else:
            for part in later:
                x = x + part
        if self._final is not None:
            x = _normed(self._final, x, fixed, used)
        logits = torch.einsum("...pd,ptd->...pt", x, self._weight) + self._bias
        return (self._cap * torch.tanh(logits / self._cap) if self._cap > 0 else logits), used

    def _through_blocks(
        self, layer: int, x: State, later: Sequence[State], fixed: Iterator[Tensor] | None, used: Scales
    ) -> State:
        """BERT: each block norms after its attention and again after its MLP."""
        x = _normed(self._blocks[layer][1], x, fixed, used)
        parts = iter(later)
        for (after_attention, after_mlp), attention, mlp in zip(self._blocks[layer + 1 :], parts, parts, strict=True):
            x = _normed(after_attention, x + attention, fixed, used)
            x = _normed(after_mlp, x + mlp, fixed, used)
        return x


def _normed(norm: ScaledNorm, x: Tensor, fixed: Iterator[Tensor] | None, used: Scales) -> Tensor:
    used.append(norm.scale(x) if fixed is None else next(fixed))
    return norm(x, used[-1])
