"""What a verdict says in sentences: no more than its words, and never two things of one lesion."""

import dataclasses
import itertools
import re

import pytest
import torch

from tlesion import verdict
from tlesion.studies.verdict import words
from tlesion.studies.verdict.page import verdict_section
from tlesion.studies.verdict.result import (
    AT_CHANCE,
    DAMAGE,
    INCONCLUSIVE,
    NEGLIGIBLE,
    NOT_CUT,
    OPPOSITE,
    REASONS,
    SPECIFIC,
    VERDICTS,
)


def said(profile, **options):
    """All sentences on a verdict, the page's among them."""
    result = verdict(profile, **options)
    section = verdict_section(result, profile)
    return result, " ".join([*words.chance(result), words.about(result), *words.found(result), *section.text])


def test_a_lesion_that_helps_is_not_said_to_cost(by_hand):
    result, text = said(by_hand.effects(by_hand.SILENT, by_hand.drops(-2.0, 0.0), by_hand.SILENT))
    assert result.verdicts[0][1] == OPPOSITE
    assert "specific, opposite (the lesion helps the word) in layer 1" in text
    assert "It helps the word, it does not cost it in layer 1: −2.00 logits" in text
    assert not re.search(r"(?<!not )costs? the word in", text)


def test_a_lesion_that_costs_is_not_said_to_help(by_hand):
    _, text = said(by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.SILENT))
    assert "It costs the word in layer 1: +2.00 logits" in text
    assert "helps" not in text


@pytest.mark.parametrize("pair", list(itertools.product(VERDICTS, repeat=2)), ids="/".join)
def test_a_dissociation_is_said_only_of_two_specific_lesions(by_hand, pair):
    """Whatever the two words are, and however small p is."""
    profile = by_hand.two_masks(by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.SILENT))
    whole = verdict(profile)
    assert whole.dissociates.tolist() == [False, True, False]
    from tlesion.studies.common.units import unit_labels
    from tlesion.studies.verdict.dissociation import dissociation_of
    from tlesion.studies.verdict.setting import mask_of

    labels = unit_labels(profile.prompts, profile.groups, "detect")
    first, second = (mask_of(profile, mask, labels, measure="margin", prompts="right") for mask in profile.masks)
    verdicts = [(NEGLIGIBLE, word, NEGLIGIBLE) for word in pair]
    found = dissociation_of(first, second, verdicts, alpha=0.05, level=0.95)
    assert found["dissociation_p"][1] <= 0.05
    claimed = bool(found["dissociates"][1])
    assert claimed is (pair == (SPECIFIC, SPECIFIC))
    told = words.dissociated(dataclasses.replace(whole, dissociates=found["dissociates"]))
    assert bool(told) is claimed


def test_every_lesion_is_in_one_list_of_layers(by_hand):
    """Each layer stands once, with its own word, and every inconclusive one has its reason."""
    layers = [
        by_hand.drops(0.0, 0.0),
        by_hand.drops(2.0, 0.0),
        by_hand.drops(-2.0, 0.0),
        by_hand.drops(0.3, 0.0, spread=12.0),
    ]
    profile = by_hand.effects(*layers, by_hand.SILENT)
    profile = dataclasses.replace(profile, n_lesioned=torch.tensor([[7, 7, 7, 7, 0]]))
    result, text = said(profile)
    assert result.verdicts[0] == (NEGLIGIBLE, SPECIFIC, OPPOSITE, INCONCLUSIVE, NOT_CUT)
    sentence = words.judged(result, "him").split(".")[0]
    assert sorted(map(int, re.findall(r"layer (\d)", sentence))) == [0, 1, 2, 3, 4]
    assert "Inconclusive: too few prompts to tell in layer 3" in text
    assert result.reasons[0] == ("", "", "", "few prompts", "")


def test_no_sentence_speaks_of_an_effect_found_beside_none(by_hand):
    """Significant over prompts and far below what matters: negligible, and nothing else."""
    result, text = said(by_hand.effects(by_hand.drops(0.02, 0.0, spread=0.1), by_hand.SILENT, by_hand.SILENT))
    assert result.p[0, 0] < 0.001
    assert result.verdicts[0][0] == NEGLIGIBLE
    for phrase in ("effect found", "no effect", "too little power", "unspecific", "stretch", "dissociation"):
        assert phrase not in text.lower(), phrase


def test_a_model_at_chance_is_the_first_thing_said(by_hand):
    profile = by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.SILENT)
    guesses = dataclasses.replace(profile, clean_logits=torch.eye(2).double().repeat(by_hand.N_JUDGED // 2, 1))
    result = verdict(guesses, smallest=0.4)
    assert words.chance(result)[0].startswith(
        "The model does not do this task: unlesioned, it gives the right answer in 50 %"
    )
    assert verdict_section(result, guesses).text[1] == words.chance(result)[0]
    assert set(result.reasons[0]) == {AT_CHANCE}
    assert words.chance(verdict(profile)) == []


def test_what_is_judged_says_how_much_is_independent(by_hand):
    profile = by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.SILENT)
    assert "(24 prompts)" in words.about(verdict(profile))
    grouped = dataclasses.replace(profile, groups=tuple(f"template {i // 3}" for i in range(by_hand.N_JUDGED)))
    assert "(24 prompts, 8 independent templates)" in words.about(verdict(grouped))


def test_every_word_and_reason_has_its_sentence_and_symbol(by_hand):
    from tlesion.studies.verdict.figures import SYMBOLS

    assert set(SYMBOLS) == set(VERDICTS)
    assert set(words._MEANING) == set(VERDICTS)
    assert set(words._MISSING) == set(REASONS)
    assert DAMAGE in VERDICTS
