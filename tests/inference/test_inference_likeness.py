"""Independent units: labels stand, and where there are none the words decide."""

import dataclasses

import pytest

import tlesion
from tlesion import Contrast, Prompt
from tlesion.inference import detected_groups, effective_n, independent_units

TARGETS = ("him", "her")
HELPED = [
    f"{a} helped {b} with the {noun}, so she thanked [MASK]"
    for a, b, noun in (("Robert", "Lucy", "ladder"), ("Karl", "Olga", "translation"), ("Otto", "Emma", "umbrella"))
]
OTHER = "Nobody in the village knew [MASK]."


def test_prompts_of_one_template_are_one_group():
    groups = detected_groups([Prompt(text, TARGETS) for text in (*HELPED, OTHER)])
    assert groups == ("... helped ... with the ladder so she thanked [MASK]",) * 3 + ("... in the village knew [MASK]",)
    assert effective_n(groups) == 2


def test_labels_that_are_given_stand_and_name_what_is_joined_to_them():
    texts = [*HELPED, OTHER]
    assert detected_groups(texts, ["", "t", "", ""]) == ("t", "t", "t", "... in the village knew [MASK]")
    assert detected_groups(texts, ["a", "b", "", "b"]) == ("a", "b", "a", "b"), "labels keep apart what is alike"
    assert detected_groups(texts, [1, 2, 3, 4]) == ("1", "2", "3", "4")
    assert detected_groups([Prompt(text, TARGETS, group="x") for text in texts]) == ("x",) * 4
    assert detected_groups([Prompt(text, TARGETS, group="x") for text in texts], [""] * 4)[3] != "x", "labels= decides"


def test_a_name_that_is_found_is_never_a_label_that_was_given():
    groups = detected_groups([OTHER, HELPED[0]], ["", "... in the village knew [MASK]"])
    assert effective_n(groups) == 2


def test_the_words_asked_about_are_open_where_all_ask_about_them():
    prompts = [
        Prompt(f"{name} told [MASK] that {word} dog", ("his", "her"))
        for name, word in (("Emma", "her"), ("Karl", "his"))
    ]
    assert effective_n(detected_groups(prompts)) == 1
    other = dataclasses.replace(prompts[0], targets=("their", "our"))
    assert effective_n(detected_groups([other, *prompts])) == 2


def test_pairs_belong_together_where_either_sentence_does():
    pairs = [
        ("The walk with Karl was long, cold and boring.", "They walk home."),
        ("The walk with Otto was long, cold and boring.", "You walk by the sea."),
        ("Every day there is a walk to the lake.", "Do not walk so fast."),
    ]
    contrast = Contrast.from_pairs(pairs, ("walk", "walk"), conditions=("noun", "verb"))
    first, second, third = detected_groups(contrast)
    assert first == second != third
    assert detected_groups(dataclasses.replace(contrast, groups=("x", "y", "z"))) == ("x", "y", "z")


def test_sentences_without_pairs_are_labelled_one_by_one():
    a = [text.replace("[MASK]", "him") for text in HELPED]
    contrast = Contrast.from_sentences(a, ["We saw her there.", HELPED[0].replace("[MASK]", "her")], TARGETS)
    groups = detected_groups(contrast)
    assert len(groups) == 5
    assert groups[0] == groups[1] == groups[2] == groups[4] != groups[3]


@pytest.mark.parametrize("causal", [False, True])
def test_the_shipped_prompts_have_the_templates_that_their_labels_say(causal):
    prompts = tlesion.prompts.him_her(causal=causal)
    labels = [one.group for one in prompts]
    assert detected_groups(prompts) == tuple(labels)
    found = detected_groups([dataclasses.replace(one, group="") for one in prompts])
    alike = {frozenset(i for i, one in enumerate(groups) if one == name) for groups in (found,) for name in groups}
    own = {frozenset(i for i, one in enumerate(labels) if one == name) for name in labels}
    assert len(own - alike) == 2, "two templates name the sex of both in three places, and their halves are not joined"
    assert effective_n(found) == effective_n(labels) + 2


@pytest.mark.parametrize(
    ("name", "n_found"), [("him_her", 54), ("him_her_in_context", 52), ("singular_plural", 54), ("noun_verb", 53)]
)
def test_the_shipped_contrasts_have_about_as_many_templates_as_pairs(name, n_found):
    contrast = getattr(tlesion.contrasts, name)()
    assert effective_n(detected_groups(contrast)) == 54
    assert effective_n(detected_groups(dataclasses.replace(contrast, groups=()))) == n_found


def test_planted_contrasts_are_independent():
    language = tlesion.toy.planted_model("masked").language
    for about in ("context", "word"):
        assert effective_n(detected_groups(language.contrast(100, seed=0, about=about, n_shared=3))) == 100


def test_prompts_of_token_ids_are_compared_by_their_ids():
    prompts = [Prompt.from_tokens([5, 6, 7, 8, 9, last], targets=(1, 2)) for last in (3, 4, 3)]
    other = Prompt.from_tokens([31, 32, 33, 34, 35, 36], targets=(1, 2))
    first, second, third, fourth = detected_groups([*prompts, other])
    assert first == second == third != fourth


def test_how_many_units_there_are_is_said_in_a_sentence():
    labels = [str(i % 6) for i in range(40)]
    assert independent_units(labels) == "40 prompts from 6 templates: 6 independent units"
    assert independent_units(["a"] * 3, "pairs") == "3 pairs from 1 template: 1 independent unit"
    assert independent_units(["a", "b"]) == "2 prompts, each from a template of its own: 2 independent units"
    assert effective_n([]) == 0


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"], '1 group label for 2 texts; give one for each, "" where none is known'),
        (["a"] * 3, "3 group labels for 2"),
    ],
)
def test_not_one_label_for_each_is_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        detected_groups(["We saw", "They saw"], labels)


def test_one_text_in_place_of_several_is_refused():
    with pytest.raises(TypeError, match="give a list of texts"):
        detected_groups("We saw him")
    with pytest.raises(TypeError, match="give prompts, texts or a contrast"):
        detected_groups([3, 4])


def test_texts_too_short_to_tell_a_template_stand_alone_under_names_of_their_own():
    """The frame of "prompt 1" and "prompt 2" is one, and no template."""
    assert len(set(detected_groups([f"prompt {i}" for i in range(5)]))) == 5
    assert len(set(detected_groups([f"The prompt number {i} is" for i in range(5)]))) == 1
