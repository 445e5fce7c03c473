"""Labels: 0, "0", NumPy's 0 and 0.0 are one label, and mean what a text label means wherever one is taken."""

# What types allow is not the question here: people pass what they have.
# mypy: disable-error-code="arg-type, list-item, call-arg, attr-defined"

import json

import numpy as np
import pytest
import torch

import tlesion
from tlesion.checks import label
from tlesion.files import read_prompts
from tlesion.inference.folds import template_groups
from tlesion.inference.groups import group_index

PLANTED = tlesion.toy.planted_model("masked", n_layers=2, d_mlp=48, layers=(1,))
MODEL = PLANTED.model
BASE = [prompt for prompt in PLANTED.language.prompts(24, seed=1) if prompt.correct == "him"]
MASK = PLANTED.truth.mask("causal", "him")
PAIRS = [(f"We saw him {where}.", f"We saw her {where}.") for where in ("here", "now", "again", "there")]
WORDS = ("him", "her")

KINDS = [int, str, float, np.int64, np.int32, np.uint8, np.float32, np.str_, np.array, torch.tensor]


def of(kind, number):
    return kind(str(number)) if kind in (str, np.str_) else kind(number)


def grouped(kind, start=0):
    return [
        tlesion.Prompt(one.text, one.targets, correct=one.correct, group=of(kind, start + i % 2))
        for i, one in enumerate(BASE)
    ]


def n_groups(prompts):
    profile = tlesion.laminar_profile(MODEL, {"him": MASK}, prompts, n_controls=19)
    return int(tlesion.verdict(profile, alpha=0.05).n_groups[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [0, 1, 7])
def test_a_number_and_its_text_are_one_label(kind, number):
    assert label(of(kind, number), "group") == str(number)


def test_other_labels():
    assert [label(one, "group") for one in (None, "", False, np.bool_(True), " x")] == ["", "", "False", "True", " x"]
    for wrong in (1.5, float("nan"), ("a", 1), [1], b"x", {"a": 1}, np.array([1, 2]), object()):
        with pytest.raises(TypeError, match="is no label; give text or a whole number"):
            label(wrong, "group")


@pytest.mark.parametrize("kind", KINDS)
def test_groups_of_prompts_count_whatever_they_are_called(kind):
    prompts = grouped(kind)
    assert [prompt.group for prompt in prompts[:3]] == ["0", "1", "0"]
    assert tlesion.Prompt("x [MASK]", WORDS, group=of(kind, 0)) == tlesion.Prompt("x [MASK]", WORDS, group="0")


def test_verdicts_count_groups_from_zero_and_from_one_and_reload_them(tmp_path):
    assert n_groups(grouped(int)) == n_groups(grouped(int, start=1)) == n_groups(grouped(np.int64)) == 2
    profile = tlesion.laminar_profile(MODEL, {"him": MASK}, grouped(np.int64), n_controls=0)
    again = tlesion.load_result(profile.save(tmp_path / "x"))
    assert again.groups == profile.groups == tuple(str(i % 2) for i in range(len(BASE)))


def test_a_prompt_without_a_group_is_in_no_group_called_like_its_place():
    prompts = grouped(int, start=3)[:6]
    prompts[3] = tlesion.Prompt(BASE[3].text, BASE[3].targets, correct="him")
    assert n_groups(prompts) == 3, "groups 3 and 4, and prompt 3 by itself"


@pytest.mark.parametrize("start", [0, 1])
def test_templates_in_files_count_from_zero_too(start, tmp_path):
    rows = [{"text": one.text, "targets": WORDS, "correct": 0, "template": start + i % 2} for i, one in enumerate(BASE)]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    prompts = read_prompts(tmp_path / "x.jsonl")
    assert {prompt.group for prompt in prompts} == {str(start), str(start + 1)}
    assert {prompt.correct for prompt in prompts} == {"him"}


@pytest.mark.parametrize("empty", [None, ""])
def test_no_template_is_no_group(empty, tmp_path):
    (tmp_path / "x.jsonl").write_text(json.dumps({"text": "x [MASK]", "targets": ["him"], "template": empty}))
    assert read_prompts(tmp_path / "x.jsonl")[0].group == ""


@pytest.mark.parametrize("kind", KINDS)
def test_groups_and_conditions_of_contrasts(kind):
    groups = [of(kind, i) for i in (0, 1, 0, 2)]
    contrast = tlesion.Contrast.from_pairs(PAIRS, WORDS, conditions=(of(kind, 0), of(kind, 1)), groups=groups)
    assert (contrast.conditions, contrast.groups) == (("0", "1"), ("0", "1", "0", "2"))
    assert template_groups(contrast).tolist() == template_groups(contrast, groups=groups).tolist()
    assert contrast.subset([np.int64(0), 3]).groups == ("0", "2")
    plain = tlesion.Contrast(contrast.a, contrast.b, conditions=(of(kind, 0), of(kind, 1)), groups=tuple(groups))
    assert plain == contrast


def test_conditions_that_are_one_label_or_none_are_refused():
    for same in ((0, "0"), (1, 1.0), ("a", np.str_("a")), ("", "b"), (None, "b"), (1,), "ab", ("any", "b")):
        with pytest.raises(ValueError, match="condition"):
            tlesion.Contrast.from_pairs(PAIRS, WORDS, conditions=same)
    with pytest.raises(TypeError, match=r"condition \(1, 2\) .* is no label"):
        tlesion.Contrast.from_pairs(PAIRS, WORDS, conditions=((1, 2), "b"))


def test_a_selection_gives_the_mask_of_a_condition_by_number_or_text(tmp_path):
    contrast = PLANTED.language.contrast(12, seed=0)
    numbered = tlesion.Contrast(contrast.a, contrast.b, conditions=(0, 1))
    selection = tlesion.select_neurons(MODEL, numbered, position="mask")
    again = tlesion.load_result(selection.save(tmp_path / "x"))
    for condition in (0, "0", np.int64(0), 0.0):
        assert again.mask(condition).equal(selection.mask("0"))
    assert selection.mask(0).any()
    assert list(selection.density().columns[1:3]) == ["0", "1"]
    cached = {"blocks.0.mlp.hook_pre": torch.from_numpy(np.random.default_rng(0).normal(size=(4, 2, 3)))}
    assert tlesion.select_from_cache(cached, cached, -1, -1, conditions=(0, 1)).conditions == ("0", "1")


@pytest.mark.parametrize("kind", [int, str, np.int64, np.str_])
def test_masks_may_have_numbers_for_names(kind, tmp_path):
    masks = {of(kind, i): mask for i, mask in enumerate((MASK, ~MASK))}
    profile = tlesion.laminar_profile(
        MODEL, masks, BASE[:2], about={of(kind, 0): "him", of(kind, 1): "her"}, n_controls=0
    )
    assert profile.masks == ("0", "1")
    assert profile.about == {"0": "him", "1": "her"}
    assert tlesion.load_result(profile.save(tmp_path / "x")).masks == ("0", "1")
    named = tlesion.laminar_profile(
        MODEL, {"0": MASK, "1": ~MASK}, BASE[:2], about={"0": "him", "1": "her"}, n_controls=0
    )
    assert profile.content_hash == named.content_hash


def test_masks_of_numpy_are_masks():
    own = tlesion.laminar_profile(MODEL, {"him": MASK}, BASE[:2], n_controls=0)
    assert (
        tlesion.laminar_profile(MODEL, {"him": MASK.numpy()}, BASE[:2], n_controls=0).content_hash == own.content_hash
    )


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({1: MASK, "1": MASK}, "give each a name of its own"),
        ({"": MASK}, "give each a name of its own"),
        ({None: MASK}, "give each a name of its own"),
        ({("him", 3): MASK}, r"mask name \('him', 3\) \(tuple\) is no label; .* such as 'him-3'"),
        ({1.5: MASK}, "mask name 1.5"),
    ],
)
def test_names_of_masks_that_could_be_confused_are_refused(masks, message):
    for study in (tlesion.laminar_profile, tlesion.cumulative_lesion, tlesion.decompose_drop):
        with pytest.raises((TypeError, ValueError), match=message):
            study(MODEL, masks, BASE[:2])


@pytest.mark.parametrize(
    ("correct", "word"),
    [(0, "him"), (1, "her"), (np.int64(1), "her"), (torch.tensor(0), "him"), ("her", "her"), (np.str_("her"), "her")],
)
def test_the_right_answer_by_its_place_or_its_word(correct, word):
    prompt = tlesion.Prompt("x [MASK]", WORDS, correct=correct)
    assert prompt.correct == word
    assert type(prompt.correct) is str
    assert prompt.before_mask().correct == word


@pytest.mark.parametrize(
    ("targets", "correct", "message"),
    [
        (WORDS, 2, "correct 2 is neither a target nor the index of one"),
        (WORDS, -1, "correct -1 is neither"),
        (WORDS, "", "correct '' is unknown"),
        (WORDS, False, "correct False is unknown"),
        (WORDS, 0.0, "correct 0.0 is unknown"),
        (("1", "0"), 0, "correct 0 is a target, and the index of another"),
    ],
)
def test_a_right_answer_that_is_none_or_could_be_two_is_refused(targets, correct, message):
    with pytest.raises(ValueError, match=message):
        tlesion.Prompt("x [MASK]", targets, correct=correct)
    assert tlesion.Prompt("x [MASK]", ("0", "1"), correct=0).correct == "0"


def test_group_labels_of_samples_are_one_where_their_texts_are():
    assert group_index([1, "1", np.int64(1), 0, "b"], 5).tolist() == [0, 0, 0, 1, 2]
    assert group_index(np.array([3, 3, 0]), 3).tolist() == [0, 0, 1]
    with pytest.raises(TypeError, match="group label nan"):
        group_index([float("nan"), 1.0], 2)
