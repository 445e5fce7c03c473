"""One row per sentence and hook point, taken inside the forward pass and streamed into sums."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from tlesion.anatomy.assumptions import looks_ahead
from tlesion.encoding import EncodedSentence, what_is_read
from tlesion.hooks import HookPoint, Model, in_eval_mode, require_same
from tlesion.stats import Moments
from tlesion.sweeps.passes import Passes

Reads: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
"""Positions, and the tokens that the model has read by then: :func:`tlesion.encoding.what_is_read`."""


@runtime_checkable
class RowSink(Protocol):
    """Takes the rows of one hook point, batch by batch: first those of condition a, then those of b."""

    def take(self, rows_a: Tensor, rows_b: Tensor) -> None:
        """Rows of a batch, ``[sentence, unit]`` each; either may be empty."""
        ...


@dataclass(eq=False)
class Streamed:
    """Moments of both conditions, and of their differences where sentences come in pairs.

    Attributes:
        a, b: Moments of the conditions.
        difference: Moments of a − b, pair by pair.
    """

    paired: bool
    a: Moments = field(default_factory=lambda: Moments.zeros((0,)))
    b: Moments = field(default_factory=lambda: Moments.zeros((0,)))
    difference: Moments = field(default_factory=lambda: Moments.zeros((0,)))

    def take(self, rows_a: Tensor, rows_b: Tensor) -> None:
        """See :class:`RowSink`."""
        if self.a.n == 0 and self.b.n == 0:
            self.a, self.b, self.difference = (Moments.zeros(rows_a.shape[1:], rows_a.device) for _ in range(3))
        self.a.update(rows_a)
        self.b.update(rows_b)
        if self.paired:
            device = self.difference.origin.device  # the CPU, where the rows' own device has no float64
            self.difference.update(rows_a.to(device).double() - rows_b.to(device).double())


@dataclass(eq=False)
class Kept:
    """All rows of both conditions, for what cannot be streamed (permutations, medians).

    Attributes:
        rows_a, rows_b: The rows, batch by batch.
        paired: Whether row i of a belongs to row i of b.
    """

    rows_a: list[Tensor] = field(default_factory=list)
    rows_b: list[Tensor] = field(default_factory=list)
    paired: bool = False

    def take(self, rows_a: Tensor, rows_b: Tensor) -> None:
        """See :class:`RowSink`."""
        self.rows_a.append(rows_a.cpu())
        self.rows_b.append(rows_b.cpu())

    def streamed(self) -> Streamed:
        """The moments of the rows."""
        moments = Streamed(paired=self.paired)
        for rows_a, rows_b in zip(self.rows_a, self.rows_b, strict=True):
            moments.take(rows_a, rows_b)
        return moments


def stream_rows(
    model: Model,
    a: Sequence[EncodedSentence],
    b: Sequence[EncodedSentence],
    sinks: dict[str, RowSink],
    *,
    paired: bool,
    batch_size: int,
) -> None:
    """Run sentences through the model once and give every hook point's rows to its sink.

    Where the model has read the same in several sentences by the position that counts, they have one row, that of the
    first: any difference between them would be rounding in different batches.

    Where the model's own forward pass need not be run whole (:mod:`tlesion.sweeps.passes`), the blocks after the last
    hook point, and the unembedding, are left out.

    Args:
        model: The model.
        a: Sentences of condition a.
        b: Sentences of condition b; ``b[i]`` belongs to ``a[i]`` where ``paired``.
        sinks: One for every full hook name.
        paired: Keep the two sentences of a pair in one batch.
        batch_size: Sentences in a batch; of pairs at least one.

    Raises:
        ValueError: A ``batch_size`` below 1.
    """
    order = order_of(a, b, paired=paired, batch_size=batch_size)
    batches = [([a[i] for i in few_a], [b[i] for i in few_b]) for few_a, few_b in order]
    ids = [sentence.ids for sentence in (*a, *b)]
    passes = Passes(model, ids, list(sinks))
    ahead = looks_ahead(model, ids, passes.holds)
    reads = [[what_is_read(sentence, ahead=ahead) for sentence in (*few_a, *few_b)] for few_a, few_b in batches]
    taker = _Taker(sinks, shared=_in_several(reads))
    with in_eval_mode(model), torch.no_grad():
        # disable=None: a bar on a terminal, nothing in a log file.
        bar = tqdm(batches, desc="sentences", unit="batch", disable=None, leave=False)
        for (few_a, few_b), read in zip(bar, reads, strict=True):
            taker.start([sentence.positions for sentence in (*few_a, *few_b)], n_a=len(few_a), reads=read)
            passes.run([sentence.ids for sentence in (*few_a, *few_b)], taker)


class _Taker:
    """The hook function: each sentence's row out of a batch's activation."""

    def __init__(self, sinks: dict[str, RowSink], *, shared: set[Reads]) -> None:
        self._sinks, self._shared = sinks, shared
        self._known: dict[tuple[str, Reads], Tensor] = {}

    def start(self, positions: Sequence[tuple[int, ...]], *, n_a: int, reads: Sequence[Reads]) -> None:
        """Say which positions make the rows of the next batch, and what the model has read by then in each sentence."""
        self._n_a, self._reads = n_a, reads
        self._first = torch.tensor([reads.index(read) for read in reads])
        self._taken: dict[str, Tensor] = {}
        self._positions = positions
        self._single = torch.tensor([where[0] for where in positions])
        self._all_single = all(len(where) == 1 for where in positions)

    def __call__(self, activation: Tensor, hook: HookPoint) -> None:
        if self._all_single:
            rows = rows_at(activation, self._single)
        else:
            # At least float32: half-precision models would round the mean of a word's tokens.
            precise = activation.to(torch.promote_types(activation.dtype, torch.float32))
            words = zip(precise, self._positions, strict=True)
            rows = torch.stack([one[list(where)].mean(0) for one, where in words]).flatten(1)
        name = str(hook.name)
        if name in self._taken:
            # A second call in one pass would count every sentence twice.
            require_same(self._taken[name], rows, name)
            return
        self._taken[name] = rows
        rows = rows[self._first.to(rows.device)]
        for index, read in enumerate(self._reads):
            if read in self._shared:
                rows[index] = self._known.setdefault((name, read), rows[index].clone())
        self._sinks[name].take(rows[: self._n_a], rows[self._n_a :])


def rows_at(
    activation: Float[Tensor, "sentence pos *unit"], positions: Int[Tensor, " sentence"]
) -> Float[Tensor, "sentence flat_unit"]:
    """Each sentence's activation at its position; heads and their units are laid side by side."""
    rows = torch.arange(len(activation), device=activation.device)
    return activation[rows, positions.to(activation.device)].flatten(1)


def _in_several(reads: Sequence[Sequence[Reads]]) -> set[Reads]:
    """What is read in more than one batch."""
    counts = Counter(read for batch in reads for read in set(batch))
    return {read for read, n_batches in counts.items() if n_batches > 1}


def order_of(
    a: Sequence[EncodedSentence], b: Sequence[EncodedSentence], *, paired: bool, batch_size: int
) -> list[tuple[list[int], list[int]]]:
    """Which sentences of a and of b go into each batch: of similar length, to keep padding small; pairs stay together.

    Raises:
        ValueError: A ``batch_size`` below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; give 1 or more sentences")
    if paired:
        order = sorted(range(len(a)), key=lambda i: max(len(a[i].ids), len(b[i].ids)))
        size = max(1, batch_size // 2)
        return [(few, few) for start in range(0, len(order), size) for few in [order[start : start + size]]]
    every = [*a, *b]
    marked = sorted(range(len(every)), key=lambda i: len(every[i].ids))
    return [
        ([i for i in few if i < len(a)], [i - len(a) for i in few if i >= len(a)])
        for start in range(0, len(marked), batch_size)
        for few in [marked[start : start + batch_size]]
    ]
