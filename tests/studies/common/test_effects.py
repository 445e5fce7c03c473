"""What a lesion costs the word that its mask is about, worked out by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tlesion.studies.common.effects import own_effect, own_targets, words_of_masks

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


@pytest.mark.parametrize(
    ("masks", "about", "settled"),
    [
        (["him", "her"], None, {"him": "him", "her": "her"}),
        (["decoys", "other", "them"], None, {"decoys": "", "other": "", "them": ""}),
        (["her_neurons", "him"], {"her_neurons": "her"}, {"her_neurons": "her", "him": "him"}),
        (["her"], {"her": "him"}, {"her": "him"}),
        (["her"], {"her": ""}, {"her": ""}),
        (["him_and_her"], None, {"him_and_her": ""}),
    ],
)
def test_a_word_that_is_given_goes_before_a_name(masks, about, settled):
    assert words_of_masks(masks, [BOTH] * 2, about) == settled


@pytest.mark.parametrize("name", ["her_neurons", "her neurons", "Her", "neurons-her", "set.her.2"])
def test_a_name_with_a_target_in_it_is_warned_of(name):
    with pytest.warns(UserWarning, match=rf"mask '{name}' .* not about 'her'.*about=\{{'{name}': 'her'\}}"):
        assert words_of_masks([name], [BOTH]) == {name: ""}


def test_words_and_masks_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match=r"the word of mask 'her' 'hers' is unknown; allowed: 'him', 'her' \(did you"):
        words_of_masks(["her"], [BOTH], {"her": "hers"})
    with pytest.raises(
        ValueError, match=r"mask 'hers' is unknown; allowed: 'her' .*; about=\{mask: word\} names masks"
    ):
        words_of_masks(["her"], [BOTH], {"hers": "her"})


def test_a_mask_is_judged_on_the_word_that_was_given():
    by_name, given = (own_targets(mask, [BOTH] * 4, ["him", "her", "him", None], about=word)
                      for mask, word in (("her", None), ("some", "her")))  # fmt: skip
    assert (given.about, given.prompts.tolist(), given.target.tolist()) == ("her", [1], [1])
    assert given.prompts.tolist() == by_name.prompts.tolist()
    assert own_targets("her", [BOTH] * 4, ["him", "her", "him", None], about="").prompts.tolist() == [0, 1, 2]
