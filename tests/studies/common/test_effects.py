"""What a lesion costs the word that its mask is about, worked out by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tlesion.studies.common.effects import own_effect, own_targets

BOTH = ("him", "her")
TARGETS = [BOTH, ("her", "him"), ("he", "she"), BOTH]
CORRECT = ["him", "her", "he", None]


@pytest.mark.parametrize(
    ("mask", "prompts", "about", "chosen", "places"),
    [
        ("him", "right", "him", [0], [0]),
        ("him", "all", "him", [0, 1, 3], [0, 1, 0]),
        ("her", "right", "her", [1], [0]),
        ("she", "right", "she", [2], [1]),  # never right: wherever it is a target
        ("any", "right", "", [0, 1, 2], [0, 0, 0]),
        ("any", "all", "", [0, 1, 2], [0, 0, 0]),
    ],
)
def test_whom_a_mask_is_about_and_where(mask, prompts, about, chosen, places):
    own = own_targets(mask, TARGETS, CORRECT, prompts=prompts)
    assert (own.about, own.prompts.tolist(), own.target.tolist()) == (about, chosen, places)


def test_a_lone_target_is_meant_whatever_the_mask_is_called():
    own = own_targets("decoys", [("him",), ("her",)], [None, None])
    assert (own.about, own.prompts.tolist(), own.target.tolist()) == ("", [0, 1], [0, 0])
    drop = torch.tensor([[1.0], [3.0]], dtype=torch.float64)
    assert own_effect(drop, own, measure="margin").tolist() == [1.0, 3.0]


def test_margin_and_drop_by_hand():
    own = own_targets("b", [("a", "b", "c"), ("b", "c", "a")], [None, None])
    drop = torch.tensor([[[1.0, 5.0, 3.0], [2.0, 4.0, 8.0]]], dtype=torch.float64)  # lesion, prompt, target
    assert own_effect(drop, own, measure="drop").tolist() == [[5.0, 2.0]]
    assert own_effect(drop, own).tolist() == [[5.0 - 2.0, 2.0 - 6.0]]


@given(st.floats(-50, 50), st.integers(0, 2**31 - 1))
def test_a_shift_of_all_targets_alike_is_no_effect(shift, seed):
    drop = torch.from_numpy(np.random.default_rng(seed).standard_normal((3, 4, 2)))
    own = own_targets("him", [BOTH] * 4, ["him", "her", "him", None])
    before, after = own_effect(drop, own), own_effect(drop + shift, own)
    torch.testing.assert_close(before, after, atol=1e-12, rtol=0)  # float64 sums of numbers up to 50
    moved = own_effect(drop + shift, own, measure="drop") - own_effect(drop, own, measure="drop")
    torch.testing.assert_close(moved, torch.full_like(moved, shift), atol=1e-12, rtol=0)


def test_what_cannot_be_meant_is_refused():
    message = r"mask 'any' bears no target's name, and no prompt names its right answer.*a target \('him', 'her'\)"
    with pytest.raises(ValueError, match=message):
        own_targets("any", [BOTH], [None])
    with pytest.raises(ValueError, match=r"prompts 'write' is unknown; allowed: 'right', 'all'"):
        own_targets("him", [BOTH], [None], prompts="write")
    with pytest.raises(ValueError, match=r"measure 'margins' is unknown; allowed: 'margin', 'drop'"):
        own_effect(torch.zeros(1, 2, dtype=torch.float64), own_targets("him", [BOTH], [None]), measure="margins")
