"""Rounding is no difference: neurons whose rows differ by no more than the same rows do in other batches.

A matrix product rounds differently in batches of other shapes. A neuron that cannot differ between sentences (it reads
the same in all of them) then varies by that rounding alone, and a test of it compares batches, not conditions. Such
neurons are treated as constant: they are dead, and the result says how many there are.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from tlesion.encoding import EncodedSentence
from tlesion.hooks import Model
from tlesion.selection.stream import Kept, Streamed, stream_rows
from tlesion.stats import Moments

SUSPECT = 1000
"""Variation below this many units in the last place is looked at again: rounding through many blocks is far less."""

WITHIN = 16
"""Where rows cannot be run again, variation below this many units in the last place of a layer's values is rounding."""

MARGIN = 2
"""By how much the largest difference between batches that was seen may fall short of the largest there is."""

N_AGAIN = 32
"""Sentences that are run again."""

BATCH_SIZES = (1, 5, 32)
"""The batches in which they are: alone and without padding, and in two other sizes."""


def flatten_rounding(
    model: Model,
    sentences: Sequence[EncodedSentence],
    sinks: Mapping[str, Streamed | Kept],
    *,
    pairs: bool,
) -> int:
    """Make neurons constant that vary by the rounding of batches only, as running sentences again shows it.

    Args:
        model: The model.
        sentences: The sentences whose rows the sinks have.
        sinks: By full hook name; changed in place.
        pairs: Whether differences within pairs are tested.

    Returns:
        How many neurons were made constant.

    Source:
        The rows again, in other batches: a difference counts where it is larger than theirs.
    """
    eps = torch.finfo(model.cfg.dtype).eps
    spreads = {name: _spread(sink, pairs=pairs) for name, sink in sinks.items()}
    suspects = {
        name: (spread > 0) & (spread <= SUSPECT * eps * (_scale(sinks[name]) + _size(sinks[name])))
        for name, spread in spreads.items()
    }
    suspects = {name: units for name, units in suspects.items() if bool(units.any())}
    if not suspects:
        return 0
    chosen = [sentences[round(i)] for i in torch.linspace(0, len(sentences) - 1, min(N_AGAIN, len(sentences))).tolist()]
    seen: dict[str, list[Tensor]] = {name: [] for name in suspects}
    for batch_size in BATCH_SIZES:
        again = {name: Kept() for name in suspects}
        stream_rows(model, chosen, [], dict(again), paired=False, batch_size=batch_size)
        for name, units in suspects.items():
            seen[name].append(torch.cat(again[name].rows_a)[:, units].double())
    n_flat = 0
    for name, units in suspects.items():
        batches = torch.stack(seen[name])
        largest = (batches.amax(dim=0) - batches.amin(dim=0)).amax(dim=0)
        floor = MARGIN * torch.maximum(largest, eps * batches.abs().amax(dim=(0, 1)))
        flat = units.clone()
        flat[units] = spreads[name][units] <= floor
        _flatten(sinks[name], flat, pairs=pairs)
        n_flat += int(flat.sum())
    return n_flat


def flatten_below(sinks: Mapping[str, Streamed | Kept], dtypes: Mapping[str, torch.dtype], *, pairs: bool) -> int:
    """The same where only activations are there: what is within a few units in the last place of a layer's values."""
    n_flat = 0
    for name, sink in sinks.items():
        if not dtypes[name].is_floating_point:
            continue
        spread = _spread(sink, pairs=pairs)
        flat = (spread > 0) & (spread <= WITHIN * torch.finfo(dtypes[name]).eps * _scale(sink))
        _flatten(sink, flat, pairs=pairs)
        n_flat += int(flat.sum())
    return n_flat


def rounding_of(rows: Float[Tensor, "row unit"]) -> float:
    """What activations of one hook point may differ by, by rounding alone, where they cannot be computed again."""
    if not rows.is_floating_point():
        return 0.0
    return WITHIN * torch.finfo(rows.dtype).eps * float(rows.double().square().mean().sqrt())


def _moments(sink: Streamed | Kept) -> Streamed:
    return sink.streamed() if isinstance(sink, Kept) else sink


def _spread(sink: Streamed | Kept, *, pairs: bool) -> Float64[Tensor, " unit"]:
    """Root mean square of the differences within pairs, or of the distances of all rows from the first."""
    if isinstance(sink, Kept) and pairs and not sink.paired:
        sink = Kept(sink.rows_a, sink.rows_b, paired=True)
    moments = _moments(sink)
    if pairs:
        difference = moments.difference
        squares = difference.total_sq + difference.origin * (2 * difference.total + difference.n * difference.origin)
        return (squares / difference.n).clamp(min=0).sqrt().cpu()
    every = moments.a.merge(moments.b)
    return (every.total_sq / every.n).clamp(min=0).sqrt().cpu()


def _size(sink: Streamed | Kept) -> Float64[Tensor, " unit"]:
    """How large each unit's values are: the root of their mean square."""
    moments = _moments(sink)
    every = moments.a.merge(moments.b)
    return (every.mean.square() + every.m2.clamp(min=0) / every.n).sqrt().cpu()


def _scale(sink: Streamed | Kept) -> Float64[Tensor, ""]:
    """How large the values of a hook point are, over all units."""
    return _size(sink).square().mean().sqrt()


def _flatten(sink: Streamed | Kept, flat: Bool[Tensor, " unit"], *, pairs: bool) -> None:
    """Give some units one value in all rows, or in both rows of every pair."""
    if not bool(flat.any()):
        return
    if isinstance(sink, Kept):
        first = sink.rows_a[0][0] if len(sink.rows_a[0]) else torch.cat(sink.rows_a)[0]
        for rows_a, rows_b in zip(sink.rows_a, sink.rows_b, strict=True):
            if pairs:
                rows_b[:, flat] = rows_a[:, flat]
            else:
                rows_a[:, flat], rows_b[:, flat] = first[flat], first[flat]
        return
    if pairs:
        _hold(sink.difference, flat, torch.zeros_like(sink.difference.origin))
    else:
        value = sink.a.origin.clone()
        _hold(sink.a, flat, value)
        _hold(sink.b, flat, value)


def _hold(moments: Moments, flat: Bool[Tensor, " unit"], value: Float64[Tensor, " unit"]) -> None:
    flat = flat.to(value.device)
    moments.origin = torch.where(flat, value, moments.origin)
    moments.total, moments.total_sq = (part.masked_fill(flat, 0.0) for part in (moments.total, moments.total_sq))
