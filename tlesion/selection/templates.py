"""Sentences of one template as one row: a test counts templates, however many sentences each has.

Sentences that are made from one template are alike in more than the words that a test is about. A test that takes each
for a row of its own has too many degrees of freedom. With six templates of nine pairs, of whose variance a tenth lies
between templates, 14 % of the neurons that carry nothing pass at the level of 5 %; with half of it there, 40 %. The
mean over a template's sentences is one row: of these, 5 % pass.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float64, Num
from torch import Tensor

from tlesion.checks import label, one_of
from tlesion.selection.copies import Rows
from tlesion.selection.stream import Kept, RowSink, Streamed
from tlesion.stats.moments import float64_device
from tlesion.stimuli import Contrast
from tlesion.stimuli.templates import templates_of

GROUPS = ("given", "detect", "none")
"""Words that stand for labels of groups: a contrast's own, those that are found, or each sentence by itself."""


def settled_groups(groups: Any) -> Any:
    """One of `GROUPS`, or labels as text; None is "none".

    Not one of :mod:`tlesion.options`: other functions take numbers of groups under that name.

    Raises:
        ValueError: Another word.
        TypeError: Neither a word nor labels.
    """
    if groups is None:
        return "none"
    if isinstance(groups, str):
        one_of("groups", str(groups), GROUPS)
        return str(groups)
    listed = groups.tolist() if hasattr(groups, "tolist") else groups
    if not isinstance(listed, Iterable):
        what = f"groups is {groups!r} ({type(groups).__name__})"
        raise TypeError(f"{what}; give 'detect', 'none', or a label for each pair")
    return [label(one, "group label") for one in listed]


@dataclass(frozen=True)
class Templates:
    """The template of each row's sentence, by number.

    Attributes:
        a, b: Of the sentences of both conditions.
        how: Where they are from, for the record: ``"given"``, ``"detect"`` or ``"none"``.
        n_alike: How many templates there are as the sentences' words show; None where no words are known.
    """

    a: tuple[int, ...]
    b: tuple[int, ...]
    how: str
    n_alike: int | None = None

    @property
    def n(self) -> int:
        """How many different ones there are."""
        return len({*self.a, *self.b})

    @property
    def n_rows(self) -> tuple[int, int]:
        """How many rows a test has of either condition."""
        return len({*self.a}), len({*self.b})

    @property
    def several(self) -> bool:
        """Whether any has more than one sentence of a condition."""
        return self.n_rows != (len(self.a), len(self.b))

    @property
    def settings(self) -> dict[str, Any]:
        """For provenance."""
        rows = {"template_rows": list(self.n_rows), "sentences": [len(self.a), len(self.b)]} if self.several else {}
        alike = {} if self.n_alike is None else {"templates_by_words": self.n_alike}
        return {"templates": self.n, "groups": self.how} | alike | rows

    def means(
        self, sinks: Mapping[str, Streamed | Kept], order: Sequence[tuple[Sequence[int], Sequence[int]]]
    ) -> dict[str, RowSink]:
        """What takes rows for the sinks: the sinks themselves where no template has several.

        Args:
            sinks: By full hook name.
            order: Which sentences come in each batch.
        """
        if not self.several:
            return dict(sinks)
        a, b = ([of[i] for few in order for i in few[side]] for side, of in enumerate((self.a, self.b)))
        return {name: TemplateMeans(sink, a, b) for name, sink in sinks.items()}


def templates_in(contrast: Contrast, rows: Rows, groups: Any) -> Templates:
    """The template of every sentence that makes a row.

    Args:
        contrast: The contrast.
        rows: Those of its sentences that make rows.
        groups: See :func:`tlesion.select_neurons`.

    Raises:
        ValueError: Not one label for each pair, or sentence; a condition whose sentences are all from one template.
    """
    sizes, places = (len(contrast.a), len(contrast.b)), (rows.places_a, rows.places_b)
    alike = templates_of(contrast)
    given = [label or f"\0{i}" for i, label in enumerate(contrast.groups)]
    how = groups if isinstance(groups, str) else "given"
    labels: Sequence[str] | None = None
    if groups == "given" and given:
        labels = given if contrast.paired or len(given) == sum(sizes) else [*given, *_of_b(given, sizes)]
    elif groups == "detect":
        labels = alike
    elif not isinstance(groups, str):
        _require_labels(groups, sizes[0] if contrast.paired else sum(sizes), pairs=contrast.paired)
        how, labels = "given", templates_of(contrast, groups)
    found = labelled(labels, sizes, places, contrast.conditions, pairs=contrast.paired)
    return replace(found, how=how, n_alike=len(set(alike)))


def _of_b(given: Sequence[str], sizes: tuple[int, int]) -> list[str]:
    """Labels of b's sentences, of a contrast without pairs: those of a's where there are as many, else each its own."""
    n_a, n_b = sizes
    return list(given) if n_a == n_b else [f"\0{n_a + i}" for i in range(n_b)]


def labelled(
    groups: Sequence[str] | None,
    n_sentences: Sequence[int],
    places: Sequence[Sequence[int]],
    conditions: Sequence[str],
    *,
    pairs: bool,
) -> Templates:
    """The template of every row where only labels can tell.

    Args:
        groups: One for each pair, or each sentence, a's first. None: every sentence by itself.
        n_sentences: How many there are in each condition.
        places: Those that make rows.
        conditions: Names of the conditions.
        pairs: Whether sentences come in pairs.

    Raises:
        ValueError: Not one label for each; a condition of one label; ``"detect"``, which needs words.
    """
    n_a, n_b = n_sentences
    n = n_a if pairs else n_a + n_b
    if groups == "detect":
        raise ValueError(f"groups {groups!r}: activations hold no words to detect templates by; give labels, or None")
    given = [str(i) for i in range(n)] if groups is None or isinstance(groups, str) else groups
    _require_labels(given, n, pairs=pairs)
    number = {one: i for i, one in enumerate(dict.fromkeys(given))}
    numbers = [number[one] for one in given]
    of_b = numbers if pairs else numbers[n_a:]
    a, b = (tuple(side[i] for i in few) for side, few in zip((numbers, of_b), places, strict=True))
    found = Templates(a, b, "none" if given is not groups else "given")
    _require_two(found, conditions)
    return found


def _require_labels(groups: Sequence[str], n: int, *, pairs: bool) -> None:
    if len(groups) != n:
        each = "pair" if pairs else "sentence, a's first"
        raise ValueError(f"{len(groups)} group labels for {n} {each[:8].rstrip(',')}s; give one for each {each}")


def _require_two(templates: Templates, conditions: Sequence[str]) -> None:
    """Refuse a condition whose sentences are all from one template: a test needs two independent rows."""
    for name, n_rows, places in zip(conditions, templates.n_rows, (templates.a, templates.b), strict=True):
        if n_rows < 2:
            raise ValueError(
                f"all {len(places)} sentences of {name!r} are made from one template, which is one independent unit, "
                "and a test needs two at least; add sentences that say something else, or pass groups='none' to test "
                "every sentence by itself, which then says nothing of other templates"
            )


@dataclass(eq=False)
class TemplateMeans:
    r"""Takes rows, and gives a sink the mean of each template's when the last of them has come.

    .. math:: \bar x_g = x_1 + \frac{1}{n_g} \sum_{i \in g} (x_i - x_1)

    The first row that was seen, x₁, is taken off so that equal rows have exactly that mean. One float64 sum per
    condition and template is kept while more of its rows are to come; sentences come sorted by length, so that at worst
    all templates wait at once: [template, unit] numbers per condition and hook point.

    Attributes:
        sink: What the means go into.
        a, b: The templates of the rows in the order in which they come.
    """

    sink: Streamed | Kept
    a: Sequence[int]
    b: Sequence[int]

    def __post_init__(self) -> None:
        self._waiting = [_Waiting(list(one), Counter(one)) for one in (self.a, self.b)]
        self._first: Tensor | None = None

    def take(self, rows_a: Tensor, rows_b: Tensor) -> None:
        """See :class:`tlesion.selection.stream.RowSink`."""
        device = float64_device(rows_a.device)
        rows = [one.detach().to(device).double() for one in (rows_a, rows_b)]
        if self._first is None:
            self._first = torch.cat(rows)[0].clone()
        means = [one.add(few - self._first) + self._first for one, few in zip(self._waiting, rows, strict=True)]
        self.sink.take(*means)


@dataclass(eq=False)
class _Waiting:
    """The sums of one condition's templates of which more rows are to come."""

    order: list[int]
    n_rows: Counter[int]

    def __post_init__(self) -> None:
        self._n_seen: Counter[int] = Counter()
        self._sums: dict[int, Tensor] = {}

    def add(self, rows: Num[Tensor, "row unit"]) -> Float64[Tensor, "template unit"]:
        """The means of those templates whose last row is among these."""
        start = self._n_seen.total()
        coming = self.order[start : start + len(rows)]
        self._n_seen.update(coming)
        done = []
        for one in dict.fromkeys(coming):
            total = rows[torch.tensor([place == one for place in coming], device=rows.device)].sum(0)
            total = total + self._sums.pop(one) if one in self._sums else total
            if self._n_seen[one] < self.n_rows[one]:
                self._sums[one] = total
            else:
                done.append(total / self.n_rows[one])
        return torch.stack(done) if done else rows[:0]
