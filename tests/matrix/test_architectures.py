"""Every architecture × plan × kind of lesion × dtype equals plain runs, or is refused as the table says: no third way.

The table is `benchmarks.architectures.table`. `make matrix` runs all of it and writes
benchmarks/results/architectures.md.
"""

import json
from dataclasses import asdict

import pytest

from benchmarks.architectures.cells import PLANS, STUDIES, Cell, cell, together
from benchmarks.architectures.lesions import EXPERTS, KINDS
from benchmarks.architectures.table import ARCHITECTURES, DTYPES, columns, stated

ALWAYS = {
    "BERT": ("laminar_profile", ""),
    "GPT-2": ("select_neurons", ""),
    "Llama": ("decompose_drop", ""),
    "experts": ("auto", EXPERTS),
    "inputs of queries, keys and values apart": ("auto", "inputs and results of heads"),
    "inputs of heads apart": ("fanout", "inputs and results of heads"),
    "results of heads apart": ("prefix", "inputs and results of heads"),
}
"""What few architectures have, and the studies; any other architecture has one of the other columns."""


def sample() -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """For every architecture a dtype and a column, plans and kinds of lesions in turn."""
    kinds = [kind for kind in KINDS if kind not in {kind for _, kind in ALWAYS.values()}]
    drawn: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    n = 0
    for number, (name, architecture) in enumerate(ARCHITECTURES.items()):
        dtype = architecture.dtypes[number % len(architecture.dtypes)]
        drawn[name] = (dtype, [ALWAYS[name]] if name in ALWAYS else [])
        if name not in ALWAYS and architecture.not_loaded(dtype) is None:
            drawn[name][1].append((PLANS[(n + n // len(kinds)) % len(PLANS)], kinds[n % len(kinds)]))
            n += 1
    return drawn


SAMPLE = sample()


def test_the_sample_has_every_plan_kind_of_lesion_and_dtype_several_times():
    drawn = [column for _, chosen in SAMPLE.values() for column in chosen]
    for plan in PLANS:
        assert sum(what == plan for what, _ in drawn) >= 5, plan
    for kind in KINDS:
        assert sum(one == kind for _, one in drawn) >= (1 if kind == EXPERTS else 2), kind
    for study in STUDIES:
        assert any(what == study for what, _ in drawn), study
    for dtype in DTYPES:
        assert sum(one == dtype for one, _ in SAMPLE.values()) >= len(ARCHITECTURES) // 3


def loaded(name: str, dtype: str):
    """The model with its plain numbers; None where it is refused on loading, as the table says."""
    architecture = ARCHITECTURES[name]
    word = architecture.not_loaded(dtype)
    if word is None:
        return architecture.subject(dtype), ""
    with pytest.raises((ValueError, TypeError)) as refusal:
        architecture.subject(dtype)
    assert stated(word, str(refusal.value)), str(refusal.value)
    return None, str(refusal.value)


def faults(cells: list[Cell]) -> list[str]:
    return [f"{one.what}, {one.kind or 'the study'}: {one.fault}" for one in cells if one.fault]


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_sample_equals_plain_runs_or_is_refused(name):
    dtype, chosen = SAMPLE[name]
    subject, _ = loaded(name, dtype)
    if subject is not None:
        there = [(what, kind) for what, kind in chosen if not kind or subject.lesions(kind)]
        refusal = ARCHITECTURES[name].refusal
        assert faults([cell(subject, what, kind, dtype, refusal=refusal(what)) for what, kind in there]) == []


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("name", "dtype"), [(name, dtype) for name, one in ARCHITECTURES.items() for dtype in one.dtypes]
)
def test_everything_equals_plain_runs_or_is_refused(name, dtype, request):
    subject, refusal = loaded(name, dtype)
    cells: list[Cell] = []
    if subject is not None:
        known = {plan: together(subject, plan) for plan in PLANS}
        there = [(what, kind) for what, kind in columns() if not kind or subject.lesions(kind)]
        allowed = ARCHITECTURES[name].refusal
        for what, kind in there:
            cells.append(cell(subject, what, kind, dtype, refusal=allowed(what), known=known.get(what)))
    record = {"architecture": name, "dtype": dtype, "refused": refusal, "cells": [asdict(one) for one in cells]}
    if request.config.option.cells is not None:
        with request.config.option.cells.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")  # one write for a line: workers append to one file
    assert faults(cells) == []
