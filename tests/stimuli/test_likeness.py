"""Likeness of texts: the same but for names, alike but for a few words, and nothing in common."""

import random
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tlesion
from tlesion.stimuli.likeness import components, frame, n_fixed, near_copies, normalised, template_labels

MEN, WOMEN = ("Robert", "Karl", "Simon", "Otto", "Ivan", "Hugo"), ("Lucy", "Olga", "Emma", "Nora", "Diana", "Rachel")
NOUNS = ("ladder", "violin", "letter", "project", "piano", "umbrella", "recipe", "engine", "map", "fence", "lamp")
PLACES = ("school", "office", "park", "harbour", "library", "market", "station", "church", "bakery", "castle")
VERBS = ("helped", "supported", "guided", "praised", "followed", "visited", "trusted", "warned")
TEMPLATES = {
    "a noun": "{A} helped {B} with the {n}, so she thanked [MASK]",
    "two nouns": "{A} gave {B} the {n} in the {p}, so she thanked [MASK].",
    "a verb and a noun": "{A} {v} {B} in the {p}, so the teacher praised [MASK].",
    "names twice, a place and a noun": "Then, {A} and {B} went to the {p}. {A} gave a {n} to",
    "numbers": "The {n} lasted from the year 17{d} to the year 17",
    "names alone": "The capital of {A} is",
}


def filled(template, n, seed=0):
    rng = random.Random(seed)
    slots = {"A": MEN, "B": WOMEN, "n": NOUNS, "p": PLACES, "v": VERBS, "d": range(10, 99)}
    return [template.format(**{name: rng.choice(values) for name, values in slots.items()}) for _ in range(n)]


def test_case_punctuation_spaces_and_coding_do_not_count():
    assert (
        normalised("  Yes,\tshe THANKED\n[MASK]! ") == normalised("yes she thanked [MASK].") == "yes she thanked [MASK]"
    )
    assert normalised("Émile") == normalised("E\u0301mile") == "émile"
    assert normalised("ﬁne") == "fine", "a ligature is two letters"
    assert normalised("Straße") == normalised("STRASSE")
    assert normalised("don’t") != normalised("don t")


def test_names_numbers_and_the_words_asked_about_are_left_open():
    assert frame("Robert told Émile that the dog likes him.", words=["him"]) == "... told ... that the dog likes [MASK]"
    assert frame("In 1990 Mary Jane Watson met him2!") == "... met ...", "names and numbers in a row are one slot"
    assert frame("Her dog saw HER.", words=["her", "him"]) == "[MASK] dog saw [MASK]"
    assert n_fixed(frame("Robert saw [MASK] today.")) == 2


@pytest.mark.parametrize("text", ["WE SAW HIM", "Paris", "[MASK]", "12 14", "", "..."])
def test_a_text_without_a_word_that_stays_is_its_own_frame(text):
    assert frame(text) == normalised(text)


def test_scripts_without_spaces_are_read_by_characters():
    assert frame("他说她来了") == "他 说 她 来 了"
    assert template_labels(["昨天他说[MASK]来了学校", "昨天他说[MASK]来了公园", "我们喜欢[MASK]的老师"]) == [0, 0, 1]


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_one_template_makes_is_one_group(name):
    assert set(template_labels(filled(TEMPLATES[name], 12))) == {0}


def test_templates_are_told_apart():
    texts = [text for template in TEMPLATES.values() for text in filled(template, 12)]
    labels = template_labels(texts)
    assert [labels[12 * i : 12 * i + 12] for i in range(6)] == [[i] * 12 for i in range(6)]


@pytest.mark.parametrize("kind", ["masked", "causal"])
def test_random_words_have_nothing_in_common(kind):
    prompts = tlesion.toy.planted_model(kind).language.prompts(300, seed=0)
    assert len(set(template_labels([one.text for one in prompts]))) == 300


def test_sentences_of_a_story_are_no_template():
    story = (Path(tlesion.__file__).parent / "data" / "corpus.txt").read_text()
    sentences = [one.strip() for one in story.replace("\n", " ").split(".") if len(one.split()) > 2]
    assert len(sentences) > 25
    assert len(set(template_labels(sentences))) == len(set(sentences))


def test_short_sentences_are_not_joined_by_what_all_sentences_share():
    texts = ["The [MASK] was a surprise.", "The [MASK] was a secret.", "The [MASK] was short.", "The [MASK] was hard."]
    assert template_labels(texts) == [0, 1, 2, 3]


def test_near_copies_say_almost_all_of_another():
    of = ["Nobody knew him.", "Karl guided Olga through the dark forest, so the tourists thanked him."]
    texts = [
        "Lucy guided Otto through the dark forest so the tourists thanked [MASK]",
        "Lucy guided Otto through the dark forest so the tourists thanked [MASK] with a song and a dance.",
        "Lucy guided Otto through the forest so the tourists praised [MASK]",
        "Everybody thanked [MASK].",
        "",
    ]
    assert near_copies(texts, of, words=["him", "her"]) == [1, 1, -1, -1, -1]
    assert near_copies([], of) == []
    assert near_copies(texts, []) == [-1] * 5


def test_thousands_of_texts_take_seconds():
    texts = [text for template in TEMPLATES.values() for text in filled(template, 800)]
    start = time.perf_counter()
    assert set(template_labels(texts)) == set(range(6))
    assert time.perf_counter() - start < 20  # about one second: all pairs in Python would take minutes


@given(
    st.lists(
        st.sampled_from(filled(TEMPLATES["two nouns"], 6) + filled(TEMPLATES["a noun"], 6) + ["", "A b."]), max_size=9
    )
)
def test_labels_are_numbered_by_their_first_texts_and_equal_texts_share_one(texts):
    labels = template_labels(texts)
    assert list(dict.fromkeys(labels)) == list(range(len(set(labels))))
    assert all(labels[i] == labels[texts.index(text)] for i, text in enumerate(texts))


def test_components_over_others():
    assert components(5, [4, 0, 3], [0, 2, 3]) == [0, 1, 0, 2, 0]
    assert components(0, [], []) == []
