"""What lesions do to everything that comes after them: hidden states and logits are reduced as they come.

`DownstreamSink` measures; `HiddenStates`, `TokenSpread` and `Prediction` are what a result keeps of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Float64, Int
from torch import Tensor

from tlesion.activations import in_float64
from tlesion.anatomy.norm import Norm
from tlesion.hooks import Model
from tlesion.measures import cosine, kl_divergence, top_k
from tlesion.sweeps.groups import Group, Reading
from tlesion.sweeps.lesions import Lesion
from tlesion.sweeps.sinks import Field, Sink, few_at_once, global_change, pick
from tlesion.tokens import written

SIZES = ("std", "std_token", "norm", "cosine", "drift", "drift_relative", "drift_normed")


class DownstreamSink(Sink):
    """Keeps sizes and directions of hidden states per block, and how the prediction changed.

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
        global_change: Standard deviation over the vocabulary of (lesioned − clean) logits, ``[lesion, prompt]``.
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
                "kl": kl_divergence(base, read),
                "global_change": global_change(read, base),
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


@dataclass(frozen=True, eq=False, kw_only=True)
class HiddenStates:
    """Sizes of the hidden state after each block, as Hugging Face's ``hidden_states[layer + 1]`` has it.

    Before the block in which a variant begins they are the clean run's. Standard deviations have the divisor n − 1.

    Attributes:
        std: Standard deviation over all tokens and units of a prompt.
        std_token: Mean over tokens of the standard deviation over units.
        norm: Mean over tokens of the Euclidean norm.
        cosine: Mean over tokens of the cosine to the clean hidden state.
        drift: Mean over tokens of the norm of (lesioned − clean).
        drift_relative: The same by the clean norm, token by token.
        drift_normed: The same after the final norm (in a masked model: after bringing each token to mean 0 and
            standard deviation 1), by the norm of the clean one.
        clean_std, clean_std_token, clean_norm: Of the clean run.
    """

    std: Float64[Tensor, "variant layer prompt"]
    std_token: Float64[Tensor, "variant layer prompt"]
    norm: Float64[Tensor, "variant layer prompt"]
    cosine: Float64[Tensor, "variant layer prompt"]
    drift: Float64[Tensor, "variant layer prompt"]
    drift_relative: Float64[Tensor, "variant layer prompt"]
    drift_normed: Float64[Tensor, "variant layer prompt"]
    clean_std: Float64[Tensor, "layer prompt"]
    clean_std_token: Float64[Tensor, "layer prompt"]
    clean_norm: Float64[Tensor, "layer prompt"]

    @classmethod
    def of(cls, sink: DownstreamSink, lesions: Sequence[Lesion]) -> "HiddenStates":
        """What a sweep has measured of some lesions, after one that changes nothing."""
        sizes, reached = sink.sizes, _reached(sink.std_by_token.shape[1], lesions)
        return cls(
            std=_filled(sizes["std"], reached),
            std_token=_filled(sizes["std_token"], reached),
            norm=_filled(sizes["norm"], reached),
            cosine=_filled(sizes["cosine"], reached),
            drift=_filled(sizes["drift"], reached),
            drift_relative=_filled(sizes["drift_relative"], reached),
            drift_normed=_filled(sizes["drift_normed"], reached),
            clean_std=sizes["std"][0],
            clean_std_token=sizes["std_token"][0],
            clean_norm=sizes["norm"][0],
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class TokenSpread:
    """The spread of the hidden state token by token, of as many of the first prompts as are little enough to keep.

    Attributes:
        std: Standard deviation over units.
        clean_std: Likewise, clean.
        prompt: The prompt of each token.
        words: The tokens as they are written.
    """

    std: Float32[Tensor, "variant layer token"]
    clean_std: Float32[Tensor, "layer token"]
    prompt: Int[Tensor, " token"]
    words: tuple[str, ...]

    @classmethod
    def of(
        cls, model: Model, sink: DownstreamSink, readings: Sequence[Reading], lesions: Sequence[Lesion]
    ) -> "TokenSpread":
        """What a sweep has measured of some lesions, after one that changes nothing."""
        n_tokens = sink.std_by_token.shape[2]
        of_prompt = [torch.full((len(reading.ids),), index) for index, reading in enumerate(readings)]
        ids = torch.cat([reading.ids for reading in readings])[:n_tokens]
        return cls(
            std=_filled(sink.std_by_token, _reached(sink.std_by_token.shape[1], lesions)),
            clean_std=sink.std_by_token[0],
            prompt=torch.cat(of_prompt)[:n_tokens],
            words=written(model, ids.tolist()),
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Prediction:
    """What became of the prediction at the readout.

    Attributes:
        kl: Kullback-Leibler divergence of the lesioned prediction from the clean one, in nats.
        global_change: Standard deviation over the vocabulary of (lesioned − clean) logits.
        logit_drop: Clean − lesioned logit of each target. Positive: the lesion cost that token.
        clean_logits: Logits of the targets in the clean run.
        clean_top: The likeliest tokens of the clean run, as indices into ``vocabulary``.
        lesioned_top: Those of the lesioned runs.
        vocabulary: The tokens that are in the two ``top`` fields, as they are written.
    """

    kl: Float64[Tensor, "variant prompt"]
    global_change: Float64[Tensor, "variant prompt"]
    logit_drop: Float64[Tensor, "variant prompt target"]
    clean_logits: Float64[Tensor, "prompt target"]
    clean_top: Int[Tensor, "prompt k"]
    lesioned_top: Int[Tensor, "variant prompt k"]
    vocabulary: tuple[str, ...]

    @classmethod
    def of(cls, model: Model, sink: DownstreamSink) -> "Prediction":
        """What a sweep has measured of its lesions after the first, which changes nothing."""
        ids, place = sink.top.unique(return_inverse=True)
        return cls(
            kl=sink.kl[1:],
            global_change=sink.global_change[1:],
            logit_drop=sink.clean - sink.lesioned[1:],
            clean_logits=sink.clean,
            clean_top=place[0],
            lesioned_top=place[1:],
            vocabulary=written(model, ids.tolist()),
        )

    @property
    def top_kept(self) -> Float64[Tensor, "variant prompt"]:
        """Share of the clean run's likeliest tokens that are still among them."""
        same = self.clean_top[None, :, :, None] == self.lesioned_top[:, :, None, :]
        return same.any(dim=-1).double().mean(dim=-1)


def _reached(n_layers: int, lesions: Sequence[Lesion]) -> Tensor:
    """Which layers each lesion reaches: before its first the hidden state is the clean run's."""
    first = torch.tensor([0 if lesion.is_null else lesion.first_layer for lesion in lesions])
    return (torch.arange(n_layers) >= first[:, None])[..., None]


def _filled(values: Tensor, reached: Tensor) -> Tensor:
    """The lesions' rows, with that of the clean run, which comes first, where a lesion does not reach."""
    return torch.where(reached, values[1:], values[:1])
