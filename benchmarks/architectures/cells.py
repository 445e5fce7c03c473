"""One cell of the matrix: how far tlesion's numbers lie from plain runs, or why it refuses."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

import tlesion
from benchmarks.architectures import words
from benchmarks.architectures.lesions import EXPERTS, KINDS, Lesion, zero
from benchmarks.architectures.subject import PERMANENT, Subject
from tlesion.hooks import in_layers

PLANS = ("loop", "auto", "batched", "fanout", "prefix")
TOLERANCE = {"float32": 1e-5, "bfloat16": 6e-2}
"""Of the largest logit: float32 sums in another order over a few layers; a logit in bfloat16 is rounded to 2^-8 of
itself, and roundings in the middle of a model add up to several of those."""


@dataclass(frozen=True)
class Cell:
    """What came of one plan or study on one kind of lesion.

    Attributes:
        what: The plan or the study.
        kind: The kind of lesion; "" for a study.
        difference: The largest difference from plain runs, relative to the largest number; None where nothing ran.
        refused: Why some or all of it was refused; "" where nothing was.
        fault: What is wrong with that; "" where it is as it should be.
    """

    what: str
    kind: str
    difference: float | None
    refused: str
    fault: str


Part = tuple[str, bool]
"""A kind of lesion, and which of its lesions: those that leave the first position alone, or the others."""


def together(subject: Subject, plan: str) -> dict[Part, Tensor]:
    """Logits of all lesions that have to run under a plan, from one sweep, the clean run's first; by kind.

    Empty where that sweep fails: `cell` then runs each kind by itself, and says which of them it was.
    """
    parts = {
        (kind, late): [lesion for _, lesion in numbered]
        for kind in KINDS
        for late, numbered in _parts(subject.lesions(kind))
        if kind not in (PERMANENT, EXPERTS, "nothing") and _has_to_run(plan, kind, late)
    }
    try:
        result = _sweep(subject, plan, [lesion for part in parts.values() for lesion in part])
    except Exception:
        return {}
    found, at = {}, 0
    for part, lesions in parts.items():
        found[part] = torch.cat([result.clean_logits[None], result.lesioned_logits[at : at + len(lesions)]])
        at += len(lesions)
    return found


def cell(
    subject: Subject,
    what: str,
    kind: str,
    dtype: str,
    *,
    refusal: str | None,
    known: Mapping[Part, Tensor] | None = None,
) -> Cell:
    """Run one cell.

    Args:
        subject: The model.
        what: A plan, or one of `STUDIES`.
        kind: A kind of lesion; "" for a study.
        dtype: The model's, which says how much rounding is allowed.
        refusal: A word of the refusal, where this plan or study may refuse this model; None where it has to run.
        known: What `together` gave for this plan; None or without this kind: it runs now.
    """
    if kind == "":
        return _judged(what, kind, [(True, lambda: STUDIES[what](subject))], dtype, refusal=refusal)
    plain = subject.plain(kind)
    runs: list[tuple[bool, Callable[[], float]]] = []
    for late, numbered in _parts(subject.lesions(kind)):
        expected = plain[[0, *(i + 1 for i, _ in numbered)]]
        if (kind, late) in (known or {}):
            runs.append((True, partial(relative, (known or {})[kind, late], expected)))
        else:
            lesions = [lesion for _, lesion in numbered]
            runs.append((_has_to_run(what, kind, late), _swept(subject, what, kind, lesions, expected)))
    return _judged(what, kind, runs, dtype, refusal=refusal)


def _parts(lesions: Sequence[Lesion]) -> Iterator[tuple[bool, list[tuple[int, Lesion]]]]:
    """The lesions that leave the first position alone, then the others, each with its number."""
    for late in (True, False):
        chosen = [(i, lesion) for i, lesion in enumerate(lesions) if all(edit.is_late for edit in lesion) == late]
        if chosen:
            yield late, chosen


def _has_to_run(plan: str, kind: str, late: bool) -> bool:
    """Whether a plan serves these lesions in an ordinary model: what is stated of it in `tlesion.sweep`."""
    if plan in ("loop", "auto") or kind == "nothing":
        return True
    if kind in (PERMANENT, EXPERTS, "outside the blocks"):
        return False
    return late or plan != "prefix"


def _swept(subject: Subject, plan: str, kind: str, lesions: Sequence[Lesion], plain: Tensor) -> Callable[[], float]:
    def run() -> float:
        with subject.permanent(kind):
            result = _sweep(subject, plan, lesions)
        if kind == "nothing":  # exact, not within rounding
            return float(not torch.equal(result.lesioned_logits, result.clean_logits.expand_as(result.lesioned_logits)))
        return relative(torch.cat([result.clean_logits[None], result.lesioned_logits]), plain)

    return run


def _sweep(subject: Subject, plan: str, lesions: Sequence[Lesion]) -> Any:
    return tlesion.sweep(
        subject.model,
        words.prompts(masked=subject.masked),
        [[edit.pair for edit in lesion] for lesion in lesions],
        plan=plan,
        global_change=False,
    )


def _judged(
    what: str, kind: str, runs: Sequence[tuple[bool, Callable[[], float]]], dtype: str, *, refusal: str | None
) -> Cell:
    differences: list[float] = []
    refused = fault = ""
    for has_to_run, run in runs:
        try:
            differences.append(run())
        except (ValueError, TypeError) as error:
            refused = str(error)
            if has_to_run and (refusal is None or not re.search(refusal, refused)):
                fault = f"refused: {error}"
        except Exception as error:
            fault = f"{type(error).__name__}: {error}"
    largest = max(differences, default=None)
    if largest is not None and not largest <= TOLERANCE[dtype]:
        fault = f"differs by {largest:.2g}"
    return Cell(what, kind, largest, refused, fault)


def relative(found: Tensor | np.ndarray, expected: Tensor | np.ndarray) -> float:
    """The largest difference, relative to the largest number expected; infinite where only one of the two is NaN."""
    a, b = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if a.shape != b.shape or not np.array_equal(np.isnan(a), np.isnan(b)):
        return float("inf")
    return float(np.nanmax(np.abs(a - b)) / np.nanmax(np.abs(b)))


def _select_neurons(subject: Subject) -> float:
    selection = tlesion.select_neurons(
        subject.model, words.contrast(), hook_point=subject.neurons, position="word", test="student", batch_size=3
    )
    return relative(selection.t, subject.t())


def _laminar_profile(subject: Subject) -> float:
    points = in_layers(subject.model, subject.neurons)
    units = torch.zeros(len(points), tlesion.hooks.width(subject.model, points[0])[1], dtype=torch.bool)
    units[:, [0, 3, 20]] = True
    profile = tlesion.laminar_profile(
        subject.model,
        {"some": units, "all": torch.ones_like(units)},
        words.prompts(masked=subject.masked),
        hook_point=subject.neurons,
        n_controls=2,
    )
    lesions = [[zero(name, units=chosen, positions="readout")] for chosen in ([0, 3, 20], None) for name in points]
    logits = subject.logits([[], *lesions])
    # Relative to the logits, not to the drops: a drop is the small difference of two of them.
    drops = (logits[:1] - logits[1:]).view(profile.logit_drop.shape)
    return float((profile.logit_drop - drops).abs().max() / logits.abs().max())


def _decompose_drop(subject: Subject) -> float:
    result = tlesion.decompose_drop(
        subject.model, None, words.prompts(masked=subject.masked), hook_point=_inside_mlp(subject)
    )
    points = in_layers(subject.model, _inside_mlp(subject))
    logits = subject.logits([[], *[[zero(name, positions="readout")] for name in points]])
    drops = logits[:1] - logits[1:]
    found = max((one[0] - drops).abs().max() for one in (result.logit_drop, result.measured_drop))
    return float(found / logits.abs().max())


def _inside_mlp(subject: Subject) -> str:
    return "mlp.hook_post" if subject.neurons == "hook_attn_out" else subject.neurons


STUDIES: dict[str, Callable[[Subject], Any]] = {
    "select_neurons": _select_neurons,
    "laminar_profile": _laminar_profile,
    "decompose_drop": _decompose_drop,
}
