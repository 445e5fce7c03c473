"""Context modulation: how much of a neuron's activation comes from the token, and how much from its context?

A text is run as a whole, and every token of it by itself. Where the two activations agree, context does nothing.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from tlesion.correlation.interval import check_level
from tlesion.hooks import Layers, Model
from tlesion.keep.checkpoint import Folder
from tlesion.public import public
from tlesion.studies.common.point import point_of
from tlesion.studies.common.reading import read_texts, text_frame, ways_of_being_alone
from tlesion.studies.common.token_axis import TokenAxis
from tlesion.studies.common.walk import inference
from tlesion.studies.context.layers import LayerMeasures, LayerReader, Windows
from tlesion.studies.context.result import ByLength, ContextModulation, NeuronContext
from tlesion.studies.context.sums import IdentityShare, n_groups

MAX_KEPT_BYTES = 2**28
"""Activations up to this size are kept whole (256 MiB); of more, a seeded sample of tokens."""


@public
def context_modulation(
    model: Model,
    text_or_tokens: Any,
    *,
    hook_point: str = "mlp.hook_post",
    layers: Layers = "all",
    alone: str = "as_text",
    context_lengths: Sequence[int] | None = None,
    n_windows: int = 128,
    keep: int | None = None,
    level: float | int = 0.95,
    seed: int = 0,
    max_bytes: int | None = None,
    prepend_bos: bool | None = None,
    checkpoint: Folder = None,
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
        checkpoint: A folder in which finished layers are kept as they come: the same call continues a run that was cut
            off, to the same numbers (:mod:`tlesion.keep.checkpoint`).

    Returns:
        Activations, and correlations per layer, token, neuron and length of context.

    Raises:
        TypeError: Neither texts nor token ids.
        ValueError: An empty text; one that is longer than the context; an unknown hook point, layer or way of being
            alone; a context length that no token has; a checkpoint of another run.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-gpt")
        >>> result = tlesion.context_modulation(model, "The teacher gave the boy an apple and a cup.")
        >>> result.in_context.shape == (12, len(result.tokens), 512), result.correlation.shape
        (True, torch.Size([12]))
    """
    check_level(level)
    texts = read_texts(model, text_or_tokens, prepend_bos=prepend_bos)
    ways = ways_of_being_alone(model, texts, alone)
    point = point_of(model, hook_point, layers)
    kept = _kept(len(texts.ids), keep, bytes_per_token=2 * 4 * point.n_units * len(point.names), seed=seed)
    settings = {
        "hook_point": hook_point,
        "layers": layers if isinstance(layers, str) else list(point.layers),
        "alone": alone,
        "keep": keep,
        "seed": seed,
        **texts.bos_setting,
        "begins_with_special_token": bool(texts.lead),
    }
    frame = text_frame(model, texts, study="context_modulation", settings=settings, max_bytes=max_bytes)
    lengths = None if context_lengths is None else [int(length) for length in context_lengths]
    run = frame.opened(checkpoint, options={"context_lengths": lengths, "n_windows": n_windows, "level": level})
    with inference(model):
        windows = Windows(model, texts, lengths, n_windows=n_windows, seed=seed, max_bytes=run.budget)
        reader = LayerReader(model, point, texts, ways, windows, kept, level=level, max_bytes=run.budget)
        measured = reader.read(run.checkpoint)
    run.checkpoint.finish()
    return ContextModulation(
        in_context=torch.stack([one.in_context for one in measured]),
        isolated=torch.stack([one.isolated for one in measured]),
        kept=kept,
        correlation=torch.stack([one.correlation for one in measured]),
        correlation_low=torch.stack([one.low for one in measured]),
        correlation_high=torch.stack([one.high for one in measured]),
        correlation_by_alone=torch.stack([one.by_alone for one in measured], dim=1),
        correlation_by_token=torch.stack([one.by_token for one in measured]),
        by_neuron=_by_neuron(measured, n_repeated=IdentityShare(texts.ids, 0).n_tokens),
        by_length=_by_length(measured, windows),
        texts=TokenAxis(texts.text, texts.position, texts.ids, texts.words),
        alone=tuple(way.label for way in ways),
        layers=point.layers,
        hook_point=point.short,
        interval_over="texts" if n_groups(texts.text) != len(texts.text) else "tokens",
        level=level,
        provenance=run.provenance,
    )


def _by_neuron(measured: Sequence[LayerMeasures], *, n_repeated: int) -> NeuronContext:
    return NeuronContext(
        correlation=torch.stack([one.by_neuron for one in measured]),
        deviation=torch.stack([one.deviation for one in measured]),
        rms_change=torch.stack([one.rms_change for one in measured]),
        identity_share=torch.stack([one.identity_share for one in measured]),
        changed_tokens=torch.stack([one.changed_tokens for one in measured]),
        token_change=torch.stack([one.token_change for one in measured]),
        peak_tokens=torch.stack([one.peak_tokens for one in measured]),
        peak=torch.stack([one.peak for one in measured]),
        n_repeated=n_repeated,
    )


def _by_length(measured: Sequence[LayerMeasures], windows: Windows) -> ByLength:
    return ByLength(
        correlation=torch.stack([one.by_length for one in measured], dim=1),
        whole=torch.stack([one.whole for one in measured]),
        lengths=windows.lengths if len(windows.tokens) else (),
        n_tokens=len(windows.tokens),
    )


def _kept(n_tokens: int, keep: int | None, *, bytes_per_token: int, seed: int) -> Int[Tensor, " kept"]:
    if keep is not None and keep < 0:
        raise ValueError(f"keep is {keep}; give 0 or more tokens, or None for as many as 256 MiB hold")
    n_kept = min(n_tokens, MAX_KEPT_BYTES // bytes_per_token if keep is None else keep)
    return torch.randperm(n_tokens, generator=torch.Generator().manual_seed(seed))[:n_kept].sort().values
