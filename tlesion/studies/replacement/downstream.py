"""What lesions do to everything that comes after them: a sink that reduces hidden states and logits as they come."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float64
from torch import Tensor

from tlesion.activations import in_float64
from tlesion.anatomy.norm import Norm
from tlesion.measures import cosine, kl_divergence, top_k
from tlesion.sweeps.groups import Group, Reading
from tlesion.sweeps.lesions import Lesion
from tlesion.sweeps.sinks import Field, Sink, few_at_once, pick

SIZES = ("std", "std_token", "norm", "cosine", "drift", "drift_relative", "drift_normed")


class DownstreamSink(Sink):
    """Keeps sizes and directions of hidden states per block, and what became of the prediction.

    It needs the hidden states of whole prompts, so that it does not serve the plan "prefix", and one lesion that
    changes nothing among the others, whose row is the clean run's.

    Args:
        readings: The prompts.
        norm: The final norm.
        k: How many of the likeliest tokens to compare.
        n_detailed: For how many of the first prompts the standard deviation is kept token by token.

    Attributes:
        sizes: By the names of `SIZES`, ``[lesion, layer, prompt]``; NaN before the block in which a lesion begins.
        std_by_token: Standard deviation over units of every token of the first prompts, ``[lesion, layer, token]``;
            NaN likewise.
        clean, lesioned: Logits of the targets, ``[prompt, target]`` and ``[lesion, prompt, target]``.
        kl: Divergence of the prediction from the clean one, in nats, ``[lesion, prompt]``.
        global_change: Root mean square over the vocabulary of (lesioned − clean) logits, ``[lesion, prompt]``.
        top: Ids of the likeliest tokens, ``[lesion, prompt, k]``.
    """

    wants_hidden = True
    wants_vocabulary = True

    def __init__(self, readings: Sequence[Reading], *, norm: Norm, k: int, n_detailed: int) -> None:
        self._n_targets = readings[0].targets.shape[1]
        self._norm, self._k, self._n_detailed = norm, k, n_detailed

    def fields(self, lesions: Sequence[Lesion]) -> dict[str, Field]:
        """See :class:`tlesion.sweeps.sinks.Sink`."""
        return {
            **dict.fromkeys(SIZES, Field(("lesion", "layer", "prompt"))),
            "std_by_token": Field(("lesion", "layer", "token"), torch.float32, n_prompts=self._n_detailed),
            "clean": Field(("prompt", self._n_targets)),
            "lesioned": Field(("lesion", "prompt", self._n_targets)),
            "kl": Field(("lesion", "prompt")),
            "global_change": Field(("lesion", "prompt")),
            "top": Field(("lesion", "prompt", self._k), torch.long),
        }

    @property
    def sizes(self) -> dict[str, Tensor]:
        """The sizes by name."""
        return {name: self.values[name] for name in SIZES}

    def hidden(
        self, layer: int, lesions: Sequence[Lesion], group: Group, lesioned: Tensor, clean: Tensor
    ) -> Mapping[str, Tensor]:
        """See :class:`tlesion.sweeps.sinks.Sink`."""
        clean = in_float64(clean)
        normed = self._norm(clean)
        return few_at_once(lesioned, lambda few: self._measured(in_float64(few), clean, normed))

    def logits(self, lesions: Sequence[Lesion], group: Group, lesioned: Tensor, clean: Tensor) -> Mapping[str, Tensor]:
        """See :class:`tlesion.sweeps.sinks.Sink`."""
        base = in_float64(clean[:, 0])

        def measure(few: Tensor) -> dict[str, Tensor]:
            read = in_float64(few[:, :, 0])
            return {
                "lesioned": pick(few, group.targets)[:, :, 0],
                "kl": kl_divergence(base.expand_as(read), read),
                "global_change": (read - base).square().mean(dim=-1).sqrt(),
                "top": top_k(read, self._k),
            }

        return {"clean": pick(clean, group.targets)[:, 0], **few_at_once(lesioned, measure)}

    def _measured(
        self,
        part: Float64[Tensor, "lesion prompt pos d_model"],
        clean: Float64[Tensor, "prompt pos d_model"],
        normed: Float64[Tensor, "prompt pos d_model"],
    ) -> dict[str, Tensor]:
        std = part.std(dim=-1)
        drift = (part - clean).norm(dim=-1)
        drift_normed = (self._norm(part) - normed).norm(dim=-1) / normed.norm(dim=-1)
        return {
            "std": part.flatten(2).std(dim=-1),
            "std_token": std.mean(dim=-1),
            "std_by_token": std.float(),
            "norm": part.norm(dim=-1).mean(dim=-1),
            "cosine": cosine(part, clean.expand_as(part)).mean(dim=-1),
            "drift": drift.mean(dim=-1),
            "drift_relative": (drift / clean.norm(dim=-1)).mean(dim=-1),
            "drift_normed": drift_normed.mean(dim=-1),
        }
