"""Folds: templates found in sentences, kept together, and split evenly."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tlesion
from tlesion import Contrast, Prompt
from tlesion.inference import require_independent
from tlesion.inference.folds import split_folds, template_groups
from tlesion.stimuli import Sentence


def contrast_of(*starts, end=".", groups=()):
    return Contrast.from_pairs([(f"{s} him{end}", f"{s} her{end}") for s in starts], ("him", "her"), groups=groups)


@pytest.mark.parametrize(
    ("groups", "own", "expected"),
    [
        (None, (), [0, 1, 0, 2]),  # frames: two names in one template
        (None, ("x", "y", "z", "y"), [0, 1, 2, 1]),  # the contrast's own labels
        ([5, 5, 6, 6], ("x", "y", "z", "y"), [0, 0, 1, 1]),  # labels that are given come first
        (torch.tensor([1, 2, 3, 4]), (), [0, 1, 2, 3]),
    ],
)
def test_labels_in_their_order(groups, own, expected):
    starts = ("Robert saw that they knew", "We like", "Lucy saw that they knew", "Nobody thanked")
    contrast = contrast_of(*starts, groups=own)
    assert template_groups(contrast, groups=groups).tolist() == expected


def test_folds_have_the_notion_of_a_template_that_everything_has():
    starts = ("Robert helped Lucy with the ladder, so she thanked", "Karl helped Olga with the map, so she thanked")
    contrast = contrast_of("We like", *starts, "Nobody knew")
    assert template_groups(contrast).tolist() == [0, 1, 1, 2]
    assert template_groups(contrast, groups=["", "x", "", ""]).tolist() == [0, 1, 1, 2]
    assert template_groups(contrast, groups=["a", "b", "c", "d"]).tolist() == [0, 1, 2, 3]
    assert template_groups(contrast, groups="detect").tolist() == [0, 1, 1, 2]
    assert template_groups(contrast, groups="none").tolist() == [0, 1, 2, 3]


def test_a_full_stop_makes_no_other_sentence():
    contrast = Contrast.from_pairs(
        [("We saw him.", "We saw her."), ("They met him!", "They met her!"), ("We saw, him", "We saw, her")],
        ("him", "her"),
        groups=("x", "y", "z"),
    )
    assert template_groups(contrast).tolist() == [0, 1, 0]


def test_no_label_puts_a_sentence_on_both_sides():
    pairs = [
        ("We saw him.", "We saw her."),
        ("We like him.", "We like her."),
        ("We saw him.", "They saw her."),  # shares a sentence with the first
        ("They saw him.", "They met her."),  # its masked sentence is that of the third's other one
        ("You saw us.", "Her dog saw us."),
    ]
    words = [("him", "her")] * 4 + [("us", "us")]
    contrast = Contrast.from_pairs(pairs, words, conditions=("m", "f"))
    assert template_groups(contrast, groups=range(5)).tolist() == [0, 1, 0, 0, 2]


def test_what_a_causal_model_is_asked_is_kept_together_for_it():
    contrast = contrast_of("We saw", "They saw")
    longer = Contrast(
        a=(*contrast.a, Sentence("We saw him again.", "him")),
        b=(*contrast.b, Sentence("We saw her again.", "her")),
        conditions=("him", "her"),
        groups=("x", "y", "z"),
    )
    assert template_groups(longer).tolist() == [0, 1, 2]
    assert template_groups(longer, causal=True).tolist() == [0, 1, 0]


@settings(max_examples=40, deadline=None)
@given(
    starts=st.lists(
        st.sampled_from(["We saw", "we saw", "Robert saw", "They like", "A dog bit", "Lucy saw"]), min_size=4
    ),
    k=st.integers(2, 4),
    seed=st.integers(0, 100),
    causal=st.booleans(),
)
def test_folds_share_no_prompt_with_what_is_selected_on(starts, k, seed, causal):
    contrast = contrast_of(*starts, groups=[str(i) for i in range(len(starts))])
    groups = template_groups(contrast, causal=causal)
    if int(groups.max()) + 1 < k:
        return
    folds = split_folds(groups, k, seed=seed)
    for fold in range(k):
        rest = (folds != fold).nonzero().flatten().tolist()
        out = (folds == fold).nonzero().flatten().tolist()
        assert out, "an empty fold"
        if len(rest) < 2:
            continue
        prompts = [Prompt(contrast.a[i].before if causal else contrast.a[i].masked, ("him", "her")) for i in out]
        assert require_independent(contrast.subset(rest), prompts) == ()


def test_folds_are_even_whole_and_seeded():
    groups = torch.arange(30).repeat_interleave(torch.arange(30) % 4 + 1)
    folds = split_folds(groups, 4, seed=0)
    sizes = torch.bincount(folds)
    assert sizes.max() - sizes.min() <= 1  # the last groups placed hold one pair
    assert all(len(folds[groups == group].unique()) == 1 for group in range(30))
    assert folds.equal(split_folds(groups, 4, seed=0))
    assert not folds.equal(split_folds(groups, 4, seed=1))


def test_shipped_contrasts_without_their_labels_still_have_templates():
    contrast = dataclasses.replace(tlesion.contrasts.singular_plural(), groups=())
    groups = template_groups(contrast)
    assert 10 < len(groups.unique()) <= len(contrast.a)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c, g: template_groups(c, groups=[1, 2]), "2 group labels for 3 pairs; give one for each pair"),
        (
            lambda c, g: template_groups(dataclasses.replace(c, paired=False)),
            "an unpaired contrast has no pairs to put into folds; build it with Contrast.from_pairs",
        ),
        (lambda c, g: split_folds(g, 1, seed=0), "k is 1; give two folds or more"),
        (lambda c, g: split_folds(g, 3, seed=0), r"3 folds of 3 pairs that fall into 2 template\(s\).*give 2 folds at"),
    ],
)  # fmt: skip
def test_errors_say_what_came_and_what_is_allowed(call, message):
    contrast = contrast_of("Robert saw that they knew", "We like", "Lucy saw that they knew")
    with pytest.raises(ValueError, match=message):
        call(contrast, template_groups(contrast))
