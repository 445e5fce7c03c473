"""From the rows of every layer to a `NeuronSelection`: the step that all ways of selecting share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tlesion.checks import one_of
from tlesion.selection.result import NeuronSelection
from tlesion.selection.stream import Kept, Streamed
from tlesion.stats import Moments, TTest, adjust, moderated, moderated_paired, paired, permutation, student, welch
from tlesion.stats.correction import METHODS, check_alpha, check_family

UNPAIRED_TESTS = {"student": student, "welch": welch, "moderated": moderated}
PAIRED_TESTS = {"paired": paired, "moderated_paired": moderated_paired}
PERMUTATION, MAX_T = "permutation", "max_t"
TESTS = (*UNPAIRED_TESTS, *PAIRED_TESTS, PERMUTATION)


def default_correction(test: str) -> str:
    """What corrects a test where nothing else is asked for: ``"max_t"`` for permutations, else ``"fdr_bh"``."""
    return MAX_T if test == PERMUTATION else "fdr_bh"


@dataclass(frozen=True)
class Criterion:
    """How neurons are tested and selected.

    Attributes:
        test: One of `TESTS`.
        correction: A method of statsmodels' ``multipletests``, ``"none"``, or for permutations ``"max_t"``.
        family: What one correction spans, ``"layer"`` or ``"model"``.
        alpha: Level at which adjusted p-values are judged.
        min_effect: Smallest effect size (d, or d_z for pairs) that counts; the test's null hypothesis is that the
            true effect is no larger.
        top_k: At most so many neurons per layer and direction; None: no limit.
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
        one_of("test", self.test, TESTS)
        one_of("correction", self.correction, (*METHODS, MAX_T))
        check_family(self.family)
        check_alpha(self.alpha)
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k {self.top_k} selects nothing; give 1 or more, or None for no limit")
        if self.n_permutations < 1:
            raise ValueError(f"n_permutations {self.n_permutations} is no test; give 1 or more, 10000 is usual")
        if self.correction == MAX_T and self.test != PERMUTATION:
            raise ValueError(f"correction 'max_t' needs test='permutation', got test={self.test!r}; use 'holm' with it")
        if self.test == PERMUTATION and self.min_effect:
            raise ValueError(
                f"min_effect {self.min_effect} with test='permutation': relabelling tests whether there is any "
                "difference; leave min_effect out, or choose another test"
            )

    @property
    def is_paired(self) -> bool:
        """Whether the test works on differences within pairs."""
        return self.test in PAIRED_TESTS

    def sink(self, *, pairs: bool) -> Streamed | Kept:
        """What a hook point's rows go into; ``pairs`` says whether row i of a belongs to row i of b."""
        return Kept(paired=pairs) if self.test == PERMUTATION else Streamed(paired=self.is_paired)


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
    kept = [sink for sink in sinks.values() if isinstance(sink, Kept)]
    test, p_adjusted = _permuted(kept, criterion) if kept else _streamed(streamed, a, b, criterion)
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
        n_a=a.n,
        n_b=b.n,
        test=criterion.test,
        correction=criterion.correction,
        family=criterion.family,
        alpha=criterion.alpha,
        top_k=criterion.top_k,
        provenance=provenance,
    )


def _streamed(streamed: Mapping[str, Streamed], a: Moments, b: Moments, criterion: Criterion) -> tuple[TTest, Tensor]:
    """The test of streamed moments, and its adjusted p-values."""
    if criterion.is_paired:
        difference = Moments.stack([sink.difference for sink in streamed.values()])
        dead = a.constant & b.constant
        test: TTest = PAIRED_TESTS[criterion.test](difference, dead=dead, min_effect=criterion.min_effect)
    else:
        test = UNPAIRED_TESTS[criterion.test](a, b, min_effect=criterion.min_effect)
    return test, adjust(test.p, method=criterion.correction, family=criterion.family, alpha=criterion.alpha)


def _permuted(kept: Sequence[Kept], criterion: Criterion) -> tuple[TTest, Tensor]:
    """The permutation test of kept rows, and its adjusted p-values."""
    rows_a = torch.stack([torch.cat(sink.rows_a) for sink in kept], dim=1)
    rows_b = torch.stack([torch.cat(sink.rows_b) for sink in kept], dim=1)
    test = permutation(
        rows_a,
        rows_b,
        statistic="paired" if kept[0].paired else "welch",
        n_permutations=criterion.n_permutations,
        seed=criterion.seed,
        family=criterion.family,
    )
    if criterion.correction == MAX_T:
        return test, test.p_max_t
    return test, adjust(test.p, method=criterion.correction, family=criterion.family, alpha=criterion.alpha)


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
