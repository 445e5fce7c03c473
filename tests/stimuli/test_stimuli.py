"""Contrasts and prompts: what they hold, and every way in which they can be wrong."""

import dataclasses
from typing import Any

import pytest

from tlesion import Contrast, Prompt, Sentence
from tlesion.stimuli import combined_hash, stimulus_hash

PAIRS = [("We saw him today.", "We saw her today."), ("Ask him now.", "Ask her now.")]
WORDS = ("him", "her")


def test_a_contrast_of_pairs():
    contrast = Contrast.from_pairs(PAIRS, words=WORDS, groups=["one", "two"])
    assert contrast.conditions == WORDS
    assert contrast.paired
    assert contrast.subword == "last"
    assert [sentence.text for sentence in contrast.a] == ["We saw him today.", "Ask him now."]
    assert {sentence.word for sentence in contrast.b} == {"her"}
    assert contrast.a[0].span == (7, 10)
    assert contrast.a[0].masked == "We saw [MASK] today."
    assert contrast == Contrast.from_pairs([list(pair) for pair in PAIRS], list(WORDS), groups=("one", "two"))


def test_words_of_their_own_for_every_pair():
    pairs = [("A dog ran.", "Two dogs ran."), ("A cat sat.", "Two cats sat.")]
    words = [("dog", "dogs"), ("cat", "cats")]
    contrast = Contrast.from_pairs(pairs, words, conditions=("singular", "plural"))
    assert contrast.conditions == ("singular", "plural")
    assert [sentence.word for sentence in contrast.b] == ["dogs", "cats"]
    with pytest.raises(ValueError, match=r"each pair has its own words, so the conditions need names: conditions="):
        Contrast.from_pairs(pairs, words)


def test_an_unpaired_contrast_may_have_unequal_numbers_and_one_word_for_both():
    contrast = Contrast.from_sentences(
        ["The walk was long.", "A walk helps.", "One walk."],
        ["They walk home.", "We walk."],
        words=("walk", "walk"),
        conditions=("noun", "verb"),
        subword="mean",
    )
    assert (len(contrast.a), len(contrast.b), contrast.paired) == (3, 2, False)
    assert contrast.conditions == ("noun", "verb")
    assert contrast.subword == "mean"


def test_a_subset_keeps_pairs_and_groups():
    contrast = Contrast.from_pairs([*PAIRS, ("Call him.", "Call her.")], WORDS, groups="xyz", subword="first")
    chosen = contrast.subset([2, 0])
    assert [sentence.text for sentence in chosen.a] == ["Call him.", "We saw him today."]
    assert [sentence.text for sentence in chosen.b] == ["Call her.", "We saw her today."]
    assert chosen.groups == ("z", "x")
    assert (chosen.subword, chosen.conditions, chosen.paired) == ("first", WORDS, True)
    with pytest.raises(ValueError, match=r"condition 'him' has 1 sentence\(s\); a test needs at least two"):
        contrast.subset([1])
    unpaired = Contrast.from_sentences(["him a", "him b"], ["her a", "her b"], WORDS)
    with pytest.raises(ValueError, match=r"an unpaired contrast has no pairs to pick"):
        unpaired.subset([0, 1])


def test_words_are_found_as_whole_words_and_case_counts():
    assert Sentence("The hymn, him; chimney.", "him").span == (10, 13)
    assert Sentence("Him? Ask him.", "him").span == (9, 12)
    assert Sentence("It is (him) here.", "him").masked == "It is ([MASK]) here."
    assert Sentence("Ask the nurse-maid now.", "nurse-maid").span == (8, 18)
    assert Sentence("Überall saß er.", "saß").span == (8, 11)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sentence("We saw them.", "him"), r"the sentence 'We saw them\.' does not contain the word 'him' as a "
         r"whole word; it has to, once"),
        (lambda: Sentence("A hymn for whim.", "him"), r"does not contain the word 'him' as a whole word"),
        (lambda: Sentence("He saw him and him.", "him"), r"'He saw him and him\.' contains the word 'him' 2 times; it "
         r"has to occur once, so that the position that matters is clear"),
        (lambda: Contrast.from_pairs([PAIRS[0], ("Ask him.", "Ask them.")], WORDS), r"'Ask them\.' does not contain "
         r"the word 'her'"),
        (lambda: Contrast.from_pairs([PAIRS[0], ("Ask him.", "Her? Ask her or her.")], WORDS), r"word 'her' 2 times"),
        (lambda: Contrast.from_pairs(PAIRS[:1], WORDS), r"condition 'him' has 1 sentence\(s\); a test needs at least "
         r"two in each condition"),
        (lambda: Contrast.from_pairs([], WORDS), r"no pair was given; a test needs at least two sentences"),
        (lambda: Contrast.from_sentences(["him a", "him b"], ["her c"], WORDS), r"condition 'her' has 1 sentence"),
        (lambda: Contrast.from_pairs([PAIRS[0], ("a him",)], WORDS), r"pair 2 is \('a him',\); a pair is \(sentence "
         r"of a, sentence of b\)"),
        (lambda: Contrast.from_pairs(["ab", "cd"], WORDS), r"pair 1 is 'ab'; a pair is"),
        (lambda: Contrast.from_pairs(PAIRS, "him"), r"words 'him' is one word; give two"),
        (lambda: Contrast.from_pairs(PAIRS, ("him",)), r"words \('him',\) for 2 pair\(s\) of sentences; give one "
         r"\(word of a, word of b\) for all, or one for each pair"),
        (lambda: Contrast.from_pairs(PAIRS, [WORDS] * 3), r"for 2 pair\(s\) of sentences; give one"),
        (lambda: Contrast.from_sentences(["him"], ["her"], [WORDS, WORDS]), r"for 1 pair\(s\) of sentences"),
        (lambda: Contrast.from_pairs(PAIRS, WORDS, conditions=("x", "x")), r"conditions \('x', 'x'\): give two "
         r"different names, that of a and that of b"),
        (lambda: Contrast.from_pairs(PAIRS, WORDS, conditions=("x",)), r"conditions \('x',\): give two different"),
        (lambda: Contrast.from_pairs(PAIRS, WORDS, conditions=("any", "x")), r"condition name 'any' is taken"),
        (lambda: Contrast.from_sentences(["walk"] * 2, ["walk"] * 2, ("walk", "walk")), r"give two different names, "
         r"that of a and that of b, conditions="),
        (lambda: Contrast.from_pairs(PAIRS, WORDS, subword="middle"), r"subword 'middle' is unknown; allowed: 'last', "
         r"'first', 'mean'"),
        (lambda: Contrast.from_pairs(PAIRS, WORDS, groups=["one"]), r"1 groups for 2 sentences; give one label per"),
        (lambda: dataclasses.replace(Contrast.from_sentences(["him"] * 3, ["her"] * 2, WORDS), paired=True),
         r"3 sentences against 2 are not pairs; give equally many, or build the contrast with Contrast\.from_sent"),
    ],
)  # fmt: skip
def test_a_contrast_that_cannot_be_meant_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"targets": "him"}, r"targets 'him' is one word; give a tuple of words, \('him',\) for one"),
        ({"targets": ()}, r"targets \(\): give one or more different words"),
        ({"targets": ("him", "him")}, r"targets \('him', 'him'\): give one or more different words"),
        ({"targets": ("him", " her")}, r"target ' her' is empty or begins or ends with a space; give the bare word"),
        ({"targets": ("",)}, r"target '' is empty"),
        ({"targets": ("him", "her"), "correct": "them"}, r"correct 'them' is unknown; allowed: 'him', 'her'"),
    ],
)
def test_a_prompt_that_cannot_be_meant_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Prompt("She thanked [MASK].", **fields)


def test_a_prompt_keeps_its_targets_as_a_tuple():
    listed: Any = ["him", "her"]
    prompt = Prompt("She thanked [MASK].", listed, correct="him", group="thanks")
    assert prompt.targets == ("him", "her")
    assert prompt == Prompt("She thanked [MASK].", ("him", "her"), "him", "thanks")
    assert hash(prompt) == hash(Prompt("She thanked [MASK].", ("him", "her"), "him", "thanks"))


def test_a_masked_prompt_becomes_a_causal_one():
    prompt = Prompt("She thanked [MASK] for it.", ("him", "her"), correct="him", group="thanks")
    causal = prompt.before_mask()
    assert causal == Prompt("She thanked", ("him", "her"), correct="him", group="thanks")
    for text, count in (("She thanked him.", 0), ("[MASK] thanked [MASK].", 2)):
        with pytest.raises(ValueError, match=rf"holds {count} mask tokens; .* exactly one \[MASK\]"):
            Prompt(text, ("him", "her")).before_mask()


def test_shared_stimuli_are_found_whatever_their_case_and_spacing():
    """A prompt asks for the sentences that its targets make of it."""
    prompt = Prompt("We  saw [MASK] today.", ("him", "her"))
    contrast = Contrast.from_pairs(PAIRS, WORDS)
    assert set(prompt.stimuli) == {stimulus_hash("we saw him today."), stimulus_hash("We saw her today. ")}
    assert set(prompt.stimuli) <= set(contrast.stimuli)
    assert len(set(contrast.stimuli)) == 4
    assert Prompt("We saw", ("him",)).stimuli == (stimulus_hash("We saw him"),)
    assert combined_hash(contrast.stimuli) != combined_hash(contrast.stimuli[::-1])
