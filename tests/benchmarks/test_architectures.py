"""The page of the matrix: a cell is a number, a refusal with its reason, or marked as wrong."""

from benchmarks.architectures.__main__ import rows
from benchmarks.architectures.table import ARCHITECTURES, DTYPES


def record(name, dtype, *cells, refused=""):
    keys = ("what", "kind", "difference", "refused", "fault")
    return {
        "architecture": name,
        "dtype": dtype,
        "refused": refused,
        "cells": [dict(zip(keys, cell, strict=True)) for cell in cells],
    }


def test_a_row_says_what_came_of_every_column():
    here = {
        ("GPT-2", "float32"): record(
            "GPT-2",
            "float32",
            ("loop", "hook_z", 3e-7, "", ""),
            ("fanout", "hook_z", 2e-6, "", ""),
            (
                "prefix",
                "hook_z",
                1e-6,
                "plan 'prefix' would not be exact for lesion 3: it begins early; use 'auto'",
                "",
            ),
            ("prefix", "noise", None, "plan 'prefix' would not be exact for lesion 0: it begins early; use 'auto'", ""),
            ("auto", "noise", 0.5, "", "differs by 0.5"),
        ),
        ("Gemma", "float32"): record("Gemma", "float32", refused="its configuration is not read; use a name"),
    }
    records = [here.get((name, dtype), record(name, dtype)) for name in ARCHITECTURES for dtype in DTYPES]
    table, reasons = rows(records)
    shown = {(row["architecture"], row["dtype"]): row for row in table}
    row = shown["GPT-2", "float32"]
    assert (row["loop"], row["fanout"], row["batched"]) == ("3e-07", "2e-06", "−")
    assert row["prefix"] == "1e-06; refused (a)"
    assert row["hook_z"] == "2e-06"
    assert row["noise"] == "5e-01; WRONG"
    assert row["auto"] == "5e-01; WRONG"
    assert shown["Gemma", "float32"]["loop"] == "not loaded (b)"
    assert reasons.letters == {"it begins early": "a", "its configuration is not read": "b"}
