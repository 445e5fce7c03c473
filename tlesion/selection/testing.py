"""From the rows of every layer to a `NeuronSelection`: the step that all ways of selecting share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tlesion.checks import one_of
from tlesion.selection.result import NeuronSelection
from tlesion.selection.stream import Streamed
from tlesion.stats import Moments, TTest, adjust, moderated, moderated_paired, paired, student, welch
from tlesion.stats.correction import METHODS, check_alpha, check_family

UNPAIRED_TESTS = {"student": student, "welch": welch, "moderated": moderated}
PAIRED_TESTS = {"paired": paired, "moderated_paired": moderated_paired}
TESTS = (*UNPAIRED_TESTS, *PAIRED_TESTS)


@dataclass(frozen=True)
class Criterion:
    """How neurons are tested and selected.

    Attributes:
        test: One of `TESTS`.
        correction: A method of statsmodels' ``multipletests``, or ``"none"``.
        family: What one correction spans, ``"layer"`` or ``"model"``.
        alpha: Level at which adjusted p-values are judged.
        min_effect: Smallest effect size (d, or d_z for pairs) that counts; the test's null hypothesis is that the
            true effect is no larger.
        top_k: At most so many neurons per layer and direction; None: no limit.

    Raises:
        ValueError: An unknown name, an ``alpha`` outside (0, 1), a ``top_k`` below 1.
    """

    test: str = "welch"
    correction: str = "fdr_bh"
    family: str = "layer"
    alpha: float = 0.05
    min_effect: float = 0.0
    top_k: int | None = None

    def __post_init__(self) -> None:
        one_of("test", self.test, TESTS)
        one_of("correction", self.correction, METHODS)
        check_family(self.family)
        check_alpha(self.alpha)
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k {self.top_k} selects nothing; give 1 or more, or None for no limit")

    @property
    def is_paired(self) -> bool:
        """Whether the test works on differences within pairs."""
        return self.test in PAIRED_TESTS


def selection_from(
    streamed: Mapping[str, Streamed],
    criterion: Criterion,
    *,
    conditions: tuple[str, str],
    layers: Sequence[int],
    hook_point: str,
    provenance: Any,
) -> NeuronSelection:
    """Test every unit of every hook point at once, correct, and pack the result.

    Args:
        streamed: Rows of both conditions by full hook name, one for each of ``layers``.
        criterion: How to test and select.
        conditions: Names of a and b.
        layers: The layer of every hook name.
        hook_point: Short form of the hook point.
        provenance: Goes into the result.

    Raises:
        ValueError: An activation was NaN or infinite.
    """
    _require_finite(streamed)
    sinks = list(streamed.values())
    a, b = Moments.stack([sink.a for sink in sinks]), Moments.stack([sink.b for sink in sinks])
    test = _test(sinks, a, b, criterion)
    return NeuronSelection(
        t=test.t,
        dof=test.dof,
        p=test.p,
        log_p=test.log_p,
        p_adjusted=adjust(test.p, method=criterion.correction, family=criterion.family, alpha=criterion.alpha),
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


def _test(sinks: Sequence[Streamed], a: Moments, b: Moments, criterion: Criterion) -> TTest:
    if not criterion.is_paired:
        return UNPAIRED_TESTS[criterion.test](a, b, min_effect=criterion.min_effect)
    difference = Moments.stack([sink.difference for sink in sinks])
    dead = a.constant & b.constant
    return PAIRED_TESTS[criterion.test](difference, dead=dead, min_effect=criterion.min_effect)


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
