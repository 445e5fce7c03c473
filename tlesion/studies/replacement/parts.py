"""The parts of a replacement study's result: hidden states by prompt and by token, and the prediction."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Float64, Int
from torch import Tensor

from tlesion.hooks import Model
from tlesion.studies.common.reading import written
from tlesion.studies.replacement.downstream import DownstreamSink
from tlesion.sweeps.groups import Reading
from tlesion.sweeps.lesions import Lesion


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
        global_change: Root mean square over the vocabulary of (lesioned − clean) logits.
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
