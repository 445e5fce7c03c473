"""The benchmarks that need no other packages, on tiny models: they run to their rows, whatever these say."""

import argparse
import json
import sys

import pytest

from benchmarks import selection, shapes, subspace_removal, timing

pytestmark = pytest.mark.slow


def test_subspace_removal_runs_to_its_table(monkeypatch, tmp_path):
    monkeypatch.setattr(timing, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["benchmark", "--size", "tiny", "--rounds", "1"])
    subspace_removal.main()
    record = json.loads((tmp_path / "subspace_removal_tiny.json").read_text())
    assert len(record["rows"]) == 1
    assert all(str(value) for value in record["rows"][0].values()), "no cell is empty"
    assert f"# {record['title']}" in (tmp_path / "subspace_removal_tiny.md").read_text()


def test_selection_measures_time_and_memory():
    row = selection.time_row(shapes.TINY["bert-large"], rounds=1)
    assert all(row.values()), "no cell is empty"
    tiny = argparse.Namespace(tiny=True, threads=1)
    assert selection.peak_in_a_process(tiny, 108, give_back=True) >= 0


def test_the_sentences_of_a_selection_are_as_long_as_they_say():
    """Made-up words were once cut at special tokens of the same beginning."""
    shape = shapes.SHAPES["bert-large"]
    tokenizer = shapes.tokenizer_of(shape)
    contrast = selection.contrast_of(shape, 400)
    lengths = {len(tokenizer(sentence.text)["input_ids"]) for sentence in (*contrast.a, *contrast.b)}
    assert lengths == set(range(6, 15))
    assert tokenizer("him her <pad>")["input_ids"] == [5, 6, 1]
