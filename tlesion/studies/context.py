"""Context modulation: how much of a neuron's activation is the token's own, and how much its context's?

A text is run as a whole, and every token of it by itself. Where the two activations agree, context does nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor
from tqdm import tqdm

from tlesion.correlation import CoMoments
from tlesion.hooks import Model, in_layers, layer_of, short_form, width
from tlesion.results import provenance_of
from tlesion.stimuli import stimulus_hash
from tlesion.studies.context_result import ContextModulation
from tlesion.studies.context_sums import LayerSums, n_groups
from tlesion.studies.reading import Alone, Texts, read_texts, ways_of_being_alone
from tlesion.studies.walk import Walk, inference
from tlesion.studies.windows import Windows

MAX_KEPT_BYTES = 2**28
"""Activations up to this size are kept whole (256 MiB); of more, a seeded sample of tokens."""


def context_modulation(
    model: Model,
    text_or_tokens: Any,
    *,
    hook_point: str = "mlp.hook_post",
    layers: Literal["all"] | Sequence[int] = "all",
    alone: str = "as_text",
    context_lengths: Sequence[int] | None = None,
    n_windows: int = 128,
    keep: int | None = None,
    level: float = 0.95,
    seed: int = 0,
    max_bytes: int | None = None,
    prepend_bos: bool | None = None,
) -> ContextModulation:
    """Compare every token's activations in its text with those of the same token alone.

    Texts, single tokens and windows go through the model block by block, side by side, and each layer is reduced to
    its sums at once: what is in memory is one layer's activations, not all layers'.

    Args:
        model: A `HookedTransformer` or `HookedEncoder`.
        text_or_tokens: A text, a list of texts, or token ids (``generate_tokens`` gives some). Special tokens around
            a text (beginning of sequence, ``[CLS]``, ``[SEP]``) are read with it and not compared.
        hook_point: Short form of the point whose activations are compared, or one full name.
        layers: ``"all"`` or layer indices.
        alone: What stands around a token that is run alone. ``"as_text"``: the special tokens that the texts have.
            ``"special"``: the beginning-of-sequence token (masked models: ``[CLS]`` and ``[SEP]``). ``"bare"``:
            nothing at all. The token alone stands at the first position after them. The result has r for the other
            way as well.
        context_lengths: How many tokens before a token to leave it, for ``correlation_by_length``; None: 1, 2, 4, …
            up to half of the longest text. In a masked model nothing stands after it then.
        n_windows: For how many tokens (a seeded sample, the same for every length).
        keep: For how many tokens the result holds activations, a seeded sample; None: for all of them if they take
            at most 256 MiB, and for as many as that otherwise.
        level: Confidence level of intervals.
        seed: Of both samples.
        max_bytes: Budget for one step's activations; default: a share of the free memory.
        prepend_bos: For texts: None follows the model's TransformerLens default; False leaves the token out.

    Returns:
        Activations, and correlations per layer, token, neuron and length of context.

    Raises:
        TypeError: Neither texts nor token ids.
        ValueError: An empty text; one that is longer than the context; an unknown hook point, layer or way of being
            alone; a context length that no token has.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-gpt")
        >>> result = tlesion.context_modulation(model, "The teacher gave the boy an apple and a cup.")
        >>> result.in_context.shape == (12, len(result.tokens), 512), result.correlation.shape
        (True, torch.Size([12]))
    """
    texts = read_texts(model, text_or_tokens, prepend_bos=prepend_bos)
    ways = ways_of_being_alone(model, texts, alone)
    names = in_layers(model, hook_point, layers)
    heads, units = width(model, names[0])
    n_units = (heads or 1) * units
    kept = _kept(len(texts.ids), keep, bytes_per_token=2 * 4 * n_units * len(names), seed=seed)
    with inference(model):
        windows = Windows(model, texts, context_lengths, n_windows=n_windows, seed=seed, max_bytes=max_bytes)
        layered = _walk_layers(model, names, texts, ways, windows, kept, n_units, level=level, max_bytes=max_bytes)
    over = "texts" if n_groups(texts.text) != len(texts.text) else "tokens"
    settings = {
        "hook_point": hook_point,
        "layers": layers if isinstance(layers, str) else list(layers),
        "alone": alone,
        "keep": keep,
        "seed": seed,
        "prepend_bos": prepend_bos,
        "begins_with_special_token": bool(texts.lead),
    }
    return ContextModulation(
        **_stacked(layered),
        kept=kept,
        text=texts.text,
        position=texts.position,
        token_ids=texts.ids,
        tokens=texts.words,
        alone=tuple(way.label for way in ways),
        context_lengths=windows.lengths if len(windows.tokens) else (),
        n_windows=len(windows.tokens),
        n_repeated=layered[0].sums.identity.n_tokens,
        layers=tuple(layer_of(name) or 0 for name in names),
        hook_point=short_form(names[0]),
        interval_over=over,
        level=level,
        provenance=provenance_of(
            model,
            settings=settings,
            stimuli=[stimulus_hash(" ".join(map(str, ids.tolist()))) for ids in texts.sequences],
        ),
    )


@dataclass(eq=False)
class _Layer:
    """One layer's part of the result."""

    sums: LayerSums
    in_context: Float[Tensor, "kept neuron"]
    isolated: Float[Tensor, "kept neuron"]
    correlation: tuple[Tensor, Tensor, Tensor]
    by_way: list[Tensor]
    by_length: Float64[Tensor, " length"]
    whole: Float64[Tensor, ""]


def _walk_layers(
    model: Model,
    names: Sequence[str],
    texts: Texts,
    ways: Sequence[Alone],
    windows: Windows,
    kept: Int[Tensor, " kept"],
    n_units: int,
    *,
    level: float,
    max_bytes: int | None,
) -> list[_Layer]:
    kinds, kind_of = texts.ids.unique(return_inverse=True)
    whole = Walk(model, texts.sequences, max_bytes=max_bytes)
    singles = [Walk(model, [way.sequence(int(kind)) for kind in kinds], max_bytes=max_bytes) for way in ways]
    asked = {layer_of(name) or 0: name for name in names}
    found: dict[int, _Layer] = {}
    # disable=None: a bar on a terminal, nothing in a log file.
    for layer in tqdm(range(max(asked) + 1), desc="layers", unit="layer", disable=None, leave=False):
        name = asked.get(layer)
        if name is None:
            for walk in (whole, *singles):
                walk.advance(layer)
            windows.advance(layer, None, None)
            continue
        alone = [walk.rows(layer, name, len(way.lead)).cpu() for walk, way in zip(singles, ways, strict=True)]
        found[layer] = _measure(layer, name, texts, kind_of, whole, alone, kept, n_units, level=level)
        by_length = windows.advance(layer, name, alone[0][kind_of[windows.tokens]])
        if len(windows.tokens):
            found[layer].by_length = by_length
            found[layer].whole = found[layer].sums.by_token[windows.tokens].pooled().r
    return [found[layer_of(name) or 0] for name in names]


def _measure(
    layer: int,
    name: str,
    texts: Texts,
    kind_of: Int[Tensor, " token"],
    whole: Walk,
    alone: Sequence[Float[Tensor, "kind unit"]],
    kept: Int[Tensor, " kept"],
    n_units: int,
    *,
    level: float,
) -> _Layer:
    """Send the texts through a block and stream what its hook point shows."""
    sums = LayerSums(texts.ids, texts.text, n_units)
    others: list[list[CoMoments]] = [[] for _ in alone[1:]]
    slot = torch.full((len(texts.ids),), -1)
    slot[kept] = torch.arange(len(kept))
    inside, by_itself = (torch.zeros(len(kept), n_units, dtype=alone[0].dtype) for _ in range(2))

    def take(members: tuple[int, ...], activation: Tensor) -> None:
        for member, positions in zip(members, activation, strict=True):
            tokens = (texts.text == member).nonzero().flatten()
            rows, kinds = positions[texts.position[tokens].to(positions.device)].cpu(), kind_of[tokens]
            sums.take(tokens, rows, alone[0][kinds])
            for moments, other in zip(others, alone[1:], strict=True):
                moments.append(CoMoments.of(rows.flatten(), other[kinds].flatten()))
            wanted = slot[tokens] >= 0
            inside[slot[tokens[wanted]]] = rows[wanted]
            by_itself[slot[tokens[wanted]]] = alone[0][kinds[wanted]]

    whole.advance(layer, name, take)
    correlation = sums.correlation(level)
    by_way = [correlation[0], *(CoMoments.stack(moments).pooled().r for moments in others)]
    nothing = torch.tensor(torch.nan, dtype=torch.float64)
    return _Layer(sums, inside, by_itself, correlation, by_way, torch.empty(0, dtype=torch.float64), nothing)


def _kept(n_tokens: int, keep: int | None, *, bytes_per_token: int, seed: int) -> Int[Tensor, " kept"]:
    if keep is not None and keep < 0:
        raise ValueError(f"keep {keep} is no number of tokens; give 0 or more, or None for as many as 256 MiB hold")
    n_kept = min(n_tokens, MAX_KEPT_BYTES // bytes_per_token if keep is None else keep)
    return torch.randperm(n_tokens, generator=torch.Generator().manual_seed(seed))[:n_kept].sort().values


def _stacked(layered: Sequence[_Layer]) -> dict[str, Any]:
    """The fields that have a row per layer."""
    sums = [layer.sums for layer in layered]
    units = [one.by_unit for one in sums if one.by_unit is not None]
    r, low, high = (torch.stack([layer.correlation[part] for layer in layered]) for part in range(3))
    return {
        "in_context": torch.stack([layer.in_context for layer in layered]),
        "isolated": torch.stack([layer.isolated for layer in layered]),
        "correlation": r,
        "correlation_low": low,
        "correlation_high": high,
        "correlation_by_token": torch.stack([one.by_token.r for one in sums]),
        "correlation_by_neuron": torch.stack([unit.r for unit in units]),
        "deviation": torch.stack([(unit.xx / (unit.n - 1)).sqrt() for unit in units]),
        "rms_change": torch.stack([(one.squared_change / len(one.by_token.n)).sqrt() for one in sums]),
        "identity_share": torch.stack([one.identity.share for one in sums]),
        "changed_tokens": torch.stack([one.changed.rows for one in sums]),
        "token_change": torch.stack([one.changed.values for one in sums]),
        "peak_tokens": torch.stack([one.peaks.rows for one in sums]),
        "peak": torch.stack([one.peaks.values for one in sums]),
        "correlation_by_alone": torch.stack([torch.stack(layer.by_way) for layer in layered], dim=1),
        "correlation_by_length": torch.stack([layer.by_length for layer in layered], dim=1),
        "correlation_whole": torch.stack([layer.whole for layer in layered]),
    }
