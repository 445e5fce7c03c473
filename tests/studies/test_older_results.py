"""Results of four studies as version 0.1.0 saved them, each number in a field of its own, are read into parts.

``older/<name>/`` is what ``.save()`` wrote there of a tiny model, and ``older/<name>.csv`` its ``to_frame()``.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import tlesion
from tlesion.studies.context.page import context_page
from tlesion.studies.replacement.page import replacement_page
from tlesion.studies.subspace_removal.page import subspace_page

OLDER = Path(__file__).with_name("older")
PAGES: dict[str, Any] = {"subspace": subspace_page, "replacement": replacement_page, "context": context_page}


@pytest.mark.parametrize("name", ["subspace", "replacement", "context", "space"])
def test_an_older_result_says_what_it_said(name, tmp_path):
    result = tlesion.load_result(OLDER / name)
    expected = pd.read_csv(OLDER / f"{name}.csv", keep_default_na=False, na_values=[""])
    # The numbers went through text, with 17 digits at most.
    pd.testing.assert_frame_equal(result.to_frame(), expected, check_dtype=False, rtol=1e-12)
    again = tlesion.load_result(result.save(tmp_path / name))
    assert again.content_hash == result.content_hash
    if name in PAGES:
        assert PAGES[name](again).summary == PAGES[name](result).summary


def test_a_page_calls_the_change_of_all_logits_what_was_measured():
    """Version 0.1 saved the root mean square, which nothing turns into a standard deviation."""
    old = tlesion.load_result(OLDER / "replacement")
    made_now = replace(old, provenance=replace(old.provenance, versions={"tlesion": "0.2.0"}))
    for result, measure in ((old, "root mean square"), (made_now, "standard deviation over the vocabulary")):
        captions = [table.caption for section in replacement_page(result).sections for table in section.tables]
        assert sum(f"change of all logits ({measure})" in caption for caption in captions) == 1


def test_parts_hold_what_belongs_together():
    removal = tlesion.load_result(OLDER / "subspace")
    assert removal.cut.label == "svd, rank 1"
    assert removal.controls.labels == ("random, rank 1, control 0", "random, rank 1, control 1")
    assert removal.ranks.labels == ("svd, rank 2", "random, rank 2, control 0")
    assert removal.ranks.draws == (None, 0)
    assert removal.test_of(removal.controls).mean.shape == (2, 2)
    assert removal.test.over == "texts"
    assert len(removal.texts) == removal.drift.shape[2] == len(removal.tokens)
    context = tlesion.load_result(OLDER / "context")
    assert len(context.kept) == context.in_context.shape[1] == 3
    assert len(context.by_length.lengths) == len(context.by_length.correlation)
    replaced = tlesion.load_result(OLDER / "replacement")
    assert replaced.variants == ("layer 0 × 0.1", "layer 1 × 0.1")
    assert replaced.prediction.vocabulary
