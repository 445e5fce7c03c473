r"""The weights of a planted model, set by hand.

Every coordinate of the residual stream means one thing (`Stream`). Two anchors at ±`ANCHOR` are much larger than all
else, so that a layer norm divides by nearly the same number everywhere, and its gain puts the scale back. A few
coordinates balance the sum of the others, so that subtracting the mean changes nothing.

- Embedding: a filler word carries a vector of noise; a name carries the context (+1 or −1); "him" and "her" carry
  themselves (+1 or −1).
- Attention: in each layer a head averages the fillers' noise for this layer's neurons; in the first, another one
  fetches the context. Queries are constant, and keys say what a token is, so that no other token matters.
- MLP: a neuron reads its own coordinate of noise, and its share of the context or of the word's token. Its output goes
  to coordinates that only the unembedding reads. A bias takes away what the neurons write on average, so that the
  logits say the context and nothing else.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from tlesion.toy.planted.language import CUES, TARGETS
from tlesion.toy.planted.truth import PlantedTruth

Array = NDArray[np.float64]

ANCHOR = 512.0
# Score of a token that a head looks for; all others have 0, and together a weight below 1e-4. No higher, because the
# layer norms vary it from token to token by a ten-thousandth of itself.
ATTEND = 12.0
N_OTHER = 6  # output coordinates that the fillers' logits are mixed from
HEAD_OFFSET = 2 * ANCHOR  # BERT's head has a GELU, which leaves numbers above 6 as they are


@dataclass(frozen=True)
class Stream:
    """What each coordinate of the residual stream means."""

    n_layers: int
    d_mlp: int
    anchors: ClassVar[slice] = slice(0, 2)
    balance: ClassVar[slice] = slice(2, 18)
    token: ClassVar[int] = 18
    cue: ClassVar[int] = 19
    is_cue: ClassVar[int] = 20
    is_filler: ClassVar[int] = 21
    context: ClassVar[int] = 22
    out: ClassVar[slice] = slice(23, 23 + len(TARGETS) + N_OTHER)

    @property
    def d_model(self) -> int:
        """How many coordinates there are."""
        return int(self.out.stop) + 2 * self.n_layers * self.d_mlp

    def own_noise(self, layer: int) -> slice:
        """A filler's noise for the neurons of a layer."""
        start = self.out.stop + layer * self.d_mlp
        return slice(start, start + self.d_mlp)

    def gathered_noise(self, layer: int) -> slice:
        """The sentence's noise for the neurons of a layer."""
        start = self.own_noise(self.n_layers + layer).start
        return slice(start, start + self.d_mlp)


def filler_noise(rng: np.random.Generator, n_fillers: int, n_noise: int, *, heavy: bool) -> Array:
    """Noise vectors of the filler words: mean 0, variance 1 and no correlation, exactly, over the words.

    Drawn from a normal distribution, or from Student's t with 2 degrees of freedom.
    """
    drawn = rng.standard_t(2, (n_fillers, n_noise)) if heavy else rng.standard_normal((n_fillers, n_noise))
    drawn = drawn - drawn.mean(0)
    values, vectors = np.linalg.eigh(drawn.T @ drawn / n_fillers)
    whitened: Array = drawn @ (vectors / np.sqrt(values)) @ vectors.T
    return whitened


def embedding(stream: Stream, ids: dict[str, int], noise: dict[str, Array]) -> Array:
    """``W_E``: what every token of the vocabulary carries."""
    weights = np.zeros((len(ids), stream.d_model))
    for sign, target in zip((1, -1), TARGETS, strict=True):
        weights[ids[target], stream.token] = sign
        for name in CUES[target]:
            weights[ids[name], stream.cue] = sign
            weights[ids[name], stream.is_cue] = 1
    first, last = stream.own_noise(0).start, stream.own_noise(stream.n_layers - 1).stop
    for word, vector in noise.items():
        weights[ids[word], first:last] = vector
        weights[ids[word], stream.is_filler] = 1
    weights = balanced(weights, stream)
    weights[:, stream.anchors] = ANCHOR, -ANCHOR
    return weights


def unembedding(rng: np.random.Generator, stream: Stream, ids: dict[str, int], fillers: tuple[str, ...]) -> Array:
    """``W_U``: two output coordinates are the targets' logits, the others are mixed into those of the fillers."""
    weights = np.zeros((stream.d_model, len(ids)))
    other = range(stream.out.start + len(TARGETS), stream.out.stop)
    for coordinate, target in zip(range(stream.out.start, other.start), TARGETS, strict=True):
        weights[coordinate, ids[target]] = 1
    mixed = rng.standard_normal((N_OTHER, len(fillers))) / np.sqrt(N_OTHER)
    weights[np.ix_(list(other), [ids[word] for word in fillers])] = mixed
    return weights


def block(rng: np.random.Generator, stream: Stream, layer: int, truth: PlantedTruth) -> dict[str, Array]:
    """All parameters of a block that are not zero, by their TransformerLens names."""
    attention = _attention(stream, layer, truth.n_fillers)
    reads = np.zeros((stream.d_model, stream.d_mlp))
    std, swing = (x[layer].numpy() for x in (truth.std, truth.effect * truth.std / 2))
    carries_token = truth.token[layer].numpy()
    reads[stream.token] = swing * carries_token
    reads[stream.context] = swing * ~carries_token
    reads[stream.gathered_noise(layer)] = np.diag(std)
    writes = np.zeros((stream.d_mlp, stream.d_model))
    written = truth.write[layer].numpy()
    writes[:, stream.out.start : stream.out.start + len(TARGETS)] = written
    # What a noise neuron does to the fillers' logits is as large as what it does to the targets'.
    typical = np.sqrt((written**2).mean(1, keepdims=True))
    spread = typical * rng.standard_normal((stream.d_mlp, N_OTHER))
    noise_neuron = ~(truth.causal | truth.decoy)[layer].numpy()
    writes[:, stream.out.start + len(TARGETS) : stream.out.stop] = spread * noise_neuron[:, None]
    writes, baseline = balanced(writes, stream), truth.baseline[layer].numpy()
    mlp = {"mlp.W_in": reads, "mlp.b_in": baseline, "mlp.W_out": writes, "mlp.b_out": -baseline @ writes}
    return attention | mlp


def _attention(stream: Stream, layer: int, n_fillers: int) -> dict[str, Array]:
    """Head 0 fetches the context, in the first layer; head 1 averages this layer's noise over the fillers."""
    d_head = stream.d_mlp
    query = np.zeros((2, d_head))
    query[:, 0] = ATTEND
    key, value = np.zeros((2, 2, stream.d_model, d_head))
    output = np.zeros((2, d_head, stream.d_model))
    key[0, stream.is_cue, 0] = 1
    key[1, stream.is_filler, 0] = 1
    if layer == 0:
        value[0, stream.cue, 0] = 1
        output[0, 0, stream.context] = 1
    value[1, stream.own_noise(layer)] = np.eye(d_head)
    # A mean of n has a variance of 1 / n; this makes it 1.
    output[1, :, stream.gathered_noise(layer)] = np.eye(d_head) * np.sqrt(n_fillers)
    return {"attn.b_Q": query, "attn.W_K": key, "attn.W_V": value, "attn.W_O": balanced(output, stream)}


def balanced(vectors: Array, stream: Stream) -> Array:
    """Vectors in the stream (last axis) that sum to zero, by way of the coordinates that are there for it."""
    vectors = vectors.copy()
    vectors[..., stream.balance] = 0
    share = vectors.sum(-1, keepdims=True) / (stream.balance.stop - stream.balance.start)
    vectors[..., stream.balance] = -share  # over several, whose squares are smaller than that of one
    return vectors


def norm_gain(stream: Stream) -> float:
    """Gain of every layer norm: the standard deviation that the anchors alone give the stream."""
    return ANCHOR * float(np.sqrt(2 / stream.d_model))


def fill(model: torch.nn.Module, values: dict[str, Array]) -> None:
    """Set the named parameters, and every other one to zero."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            value = values.get(name)
            if value is None:
                parameter.zero_()
            else:
                parameter.copy_(torch.from_numpy(np.ascontiguousarray(value)).expand_as(parameter))
