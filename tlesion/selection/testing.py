"""From the rows of every layer to a `NeuronSelection`: the step that all ways of selecting share."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from tlesion.checks import one_of
from tlesion.function_id import function_id
from tlesion.registry import is_ours
from tlesion.selection.result import NeuronSelection
from tlesion.selection.statistics import Statistic, Tested, checked, statistic_named, statistic_names
from tlesion.selection.stream import Kept, Streamed
from tlesion.stats import Moments, adjust
from tlesion.stats.correction import METHODS, check_alpha, check_family
from tlesion.stats.ttest import check_min_effect


def default_correction(test: str) -> str:
    """The correction used where none is given: its own correction if it has one, else ``"fdr_bh"``."""
    return statistic_named(test).correction


@dataclass(frozen=True)
class Criterion:
    """How neurons are tested and selected.

    Attributes:
        test: A registered statistic (:func:`tlesion.selection.statistic_names`).
        correction: A method of statsmodels' ``multipletests``, ``"none"``, or one of the statistic's own.
        family: What one correction spans, ``"layer"`` or ``"model"``.
        alpha: Level at which adjusted p-values are judged.
        min_effect: Smallest effect size (d, or d_z for pairs) that counts; the null hypothesis is that the true effect
            is at most this.
        top_k: The most neurons to select per layer and direction; None: no limit.
        n_permutations: Relabellings that the permutation test draws.
        seed: Of those.

    Raises:
        ValueError: An unknown name, an ``alpha`` outside (0, 1), a ``top_k`` or ``n_permutations`` below 1, options
            that exclude each other.
    """

    test: str = "welch"
    correction: str = "fdr_bh"
    family: str = "layer"
    alpha: float = 0.05
    min_effect: float = 0.0
    top_k: int | None = None
    n_permutations: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        statistic = self.statistic
        own = {one.own_correction: one.name for one in map(statistic_named, statistic_names()) if one.own_correction}
        one_of("correction", self.correction, (*METHODS, *own))
        check_family(self.family)
        check_alpha(self.alpha)
        check_min_effect(self.min_effect)
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k {self.top_k} selects nothing; give 1 or more, or None for no limit")
        if self.n_permutations < 1:
            raise ValueError(f"n_permutations is {self.n_permutations}; give 1 or more, 10000 is usual")
        if self.correction in own and self.correction != statistic.own_correction:
            raise ValueError(
                f"correction {self.correction!r} needs test={own[self.correction]!r}, got test={self.test!r}; use "
                "'holm' with it"
            )
        if self.min_effect and "min_effect" not in statistic.options:
            raise ValueError(
                f"min_effect {self.min_effect} with test={self.test!r}, which tests whether there is any difference; "
                "leave min_effect out, or choose another test"
            )

    @property
    def statistic(self) -> Statistic:
        """The test itself."""
        return statistic_named(self.test)

    def settings(self, *, pairs: bool) -> dict[str, Any]:
        """For provenance: every option, whether differences within pairs are tested, and a user's function."""
        function = self.statistic.function
        own = {} if is_ours(function) else {"test_function": function_id(function)}
        return asdict(self) | {"within_pairs": self.statistic.within_pairs(pairs=pairs)} | own

    def sink(self, *, pairs: bool) -> Streamed | Kept:
        """What a hook point's rows go into; ``pairs`` says whether row i of a belongs to row i of b."""
        if self.statistic.takes == "rows":
            return Kept(paired=pairs or self.statistic.paired)
        return Streamed(paired=self.statistic.paired)


def selection_from(
    sinks: Mapping[str, Streamed | Kept],
    criterion: Criterion,
    *,
    conditions: tuple[str, str],
    layers: Sequence[int],
    hook_point: str,
    provenance: Any,
) -> NeuronSelection:
    """Test every unit of every hook point at once, correct, and pack the result.

    Args:
        sinks: Rows of both conditions by full hook name, one for each of ``layers``, made by ``criterion.sink``.
        criterion: How to test and select.
        conditions: Names of a and b.
        layers: The layer of every hook name.
        hook_point: Short form of the hook point.
        provenance: Goes into the result.

    Raises:
        ValueError: An activation was NaN or infinite.
    """
    streamed = {name: sink.streamed() if isinstance(sink, Kept) else sink for name, sink in sinks.items()}
    _require_finite(streamed)
    a, b = (Moments.stack([getattr(sink, side) for sink in streamed.values()]) for side in "ab")
    test = _tested(list(sinks.values()), list(streamed.values()), a, b, criterion)
    p_adjusted = test.p_adjusted
    if p_adjusted is None or criterion.correction != criterion.statistic.own_correction:
        p_adjusted = adjust(test.p, method=criterion.correction, family=criterion.family, alpha=criterion.alpha)
    sentences = provenance.settings.get("sentences", (a.n, b.n))
    return NeuronSelection(
        t=test.t,
        dof=test.dof,
        p=test.p,
        log_p=test.log_p,
        p_adjusted=p_adjusted,
        effect_size=test.effect_size,
        mean_a=a.mean.cpu(),
        mean_b=b.mean.cpu(),
        dead=test.dead,
        conditions=conditions,
        layers=tuple(layers),
        hook_point=hook_point,
        n_a=sentences[0],
        n_b=sentences[1],
        test=criterion.test,
        correction=criterion.correction,
        family=criterion.family,
        alpha=criterion.alpha,
        top_k=criterion.top_k,
        provenance=provenance,
    )


def _tested(
    sinks: Sequence[Streamed | Kept], streamed: Sequence[Streamed], a: Moments, b: Moments, criterion: Criterion
) -> Tested:
    """The statistic of all hook points at once, given what its function has parameters for."""
    statistic = criterion.statistic
    pairs = statistic.within_pairs(pairs=streamed[0].paired)
    dead = (a.constant & b.constant).cpu()
    difference = Moments.stack([sink.difference for sink in streamed]) if pairs else None
    constant = dead if difference is None else dead | difference.constant.cpu()
    known = asdict(criterion) | {"dead": dead, "paired": pairs}
    options = {name: known[name] for name in statistic.options}
    if statistic.takes == "rows":
        rows = (torch.stack([torch.cat(getattr(sink, side)) for sink in sinks], dim=1) for side in ("rows_a", "rows_b"))
        returned = statistic.function(*rows, **options)
    elif statistic.paired:
        returned = statistic.function(difference, **options)
    else:
        returned = statistic.function(a, b, **options)
    return checked(returned, criterion.test, dead=dead, constant=constant)


def _require_finite(streamed: Mapping[str, Streamed]) -> None:
    for name, sink in streamed.items():
        finite: Tensor = sink.a.finite & sink.b.finite
        if not bool(finite.all()):
            first = int((~finite).nonzero()[0])
            raise ValueError(
                f"activations at {name!r} are NaN or infinite in {int((~finite).sum())} of {finite.numel()} neurons "
                f"(first: neuron {first}); a test needs finite ones: look at the model's weights and dtype "
                f"({torch.float16} overflows at 65504, float32 does not)"
            )
