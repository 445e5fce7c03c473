"""What a mask is about is said, recorded, and the same for everything that is computed from the profile."""

import dataclasses
from typing import Any

import pytest
import torch

import tlesion
from tlesion import plots
from tlesion.studies.laminar.words import summary
from tlesion.studies.verdict.page import verdict_section
from tlesion.studies.verdict.words import about, dissociated

OPTIONS: dict[str, Any] = {"n_controls": 39, "seed": 2}


@pytest.fixture(scope="module")
def planted():
    return tlesion.toy.planted_model("causal", n_layers=2, d_mlp=32, layers=(1,), n_causal=4)


@pytest.fixture(scope="module")
def prompts(planted):
    return planted.language.prompts(20, seed=1)


def masks_named(planted, him: str, her: str) -> dict[str, torch.Tensor]:
    return {him: planted.truth.mask("causal", "him"), her: planted.truth.mask("causal", "her")}


@pytest.fixture(scope="module")
def named(planted, prompts):
    return tlesion.laminar_profile(planted.model, masks_named(planted, "him", "her"), prompts, **OPTIONS)


@pytest.fixture(scope="module")
def told(planted, prompts):
    """The same masks by other names, whose controls are drawn anew."""
    masks = masks_named(planted, "first", "her_neurons")
    words = {"first": "him", "her_neurons": "her"}
    return tlesion.laminar_profile(planted.model, masks, prompts, about=words, **OPTIONS)


def test_a_word_that_is_given_counts_as_a_name_does(named, told):
    assert told.about == {"first": "him", "her_neurons": "her"}
    assert named.about == {"him": "him", "her": "her"}
    assert told.logit_drop.equal(named.logit_drop)
    for one, other in (("him", "first"), ("her", "her_neurons")):
        effect, same = named.effect_of(one), told.effect_of(other)
        assert same.own.about == one
        assert same.values.equal(effect.values)
    by_name, by_word = tlesion.verdict(named), tlesion.verdict(told)
    assert by_word.about == by_name.about == ("him", "her")
    assert by_word.effect.equal(by_name.effect)
    assert by_word.verdicts == by_name.verdicts
    assert by_word.dissociated == ("first", "her_neurons")
    torch.testing.assert_close(by_word.dissociation, by_name.dissociation, equal_nan=True)


def test_without_it_the_name_decides_and_a_near_name_is_warned_of(planted, prompts):
    masks = masks_named(planted, "him", "her_neurons")
    with pytest.warns(UserWarning, match=r"mask 'her_neurons' .* each prompt's right answer, not about 'her'; if that"):
        profile = tlesion.laminar_profile(planted.model, masks, prompts, n_controls=0)
    assert profile.about == {"him": "him", "her_neurons": ""}
    quiet = tlesion.laminar_profile(planted.model, masks, prompts, about={"her_neurons": ""}, n_controls=0)
    assert quiet.about == profile.about


def test_what_is_no_mask_or_no_target_is_refused_before_anything_runs(planted, prompts):
    masks = masks_named(planted, "him", "her")
    with pytest.raises(ValueError, match=r"the word of mask 'her' 'she' is unknown; allowed: 'him', 'her'"):
        tlesion.laminar_profile(planted.model, masks, prompts, about={"her": "she"}, n_controls=0)
    with pytest.raises(ValueError, match=r"mask 'hers' is unknown; allowed: 'him', 'her'"):
        tlesion.laminar_profile(planted.model, masks, prompts, about={"hers": "her"}, n_controls=0)


def test_it_is_kept_and_shown(told, named, tmp_path):
    again = tlesion.load_result(told.save(tmp_path / "profile"))
    assert again.about == told.about
    frame = told.to_frame()
    assert frame.groupby("mask")["about"].unique().str[0].to_dict() == told.about
    assert set(told.references_frame()["about"]) == {""}
    assert "Taken to be: the first-neurons about 'him' and the her_neurons-neurons about 'her'." in summary(told)
    assert not any(sentence.startswith("Taken to be") for sentence in summary(named))
    judged = tlesion.verdict(told)
    assert about(judged) == (
        "Judged are the first-neurons on 'him' (10 prompts) and the her_neurons-neurons on 'her' (10 prompts)."
    )
    assert about(judged) in verdict_section(judged, told).text
    assert "the first-neurons are specific for 'him' and the her_neurons-neurons for 'her'" in dissociated(judged)[0]
    figure = plots.verdict(judged, told, mask="her_neurons")
    assert "margin drop of her" in figure.layout.yaxis.title.text


def test_sentences_on_cost_follow_the_word_and_not_the_name(told, named):
    its_own = next(s for s in summary(told) if s.startswith("Zeroing the her_neurons-neurons"))
    assert its_own.replace("her_neurons", "her") == next(s for s in summary(named) if "Zeroing the her-" in s)


def test_a_profile_of_before_goes_by_its_names(named):
    settings = {name: value for name, value in named.provenance.settings.items() if name != "about"}
    old = dataclasses.replace(named, provenance=dataclasses.replace(named.provenance, settings=settings))
    assert old.about == {"him": "him", "her": "her"}
