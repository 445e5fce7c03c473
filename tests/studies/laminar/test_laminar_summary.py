"""The summary of a profile against pandas on its tidy frame."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tlesion.studies.laminar.summary import summarise_profile
from tlesion.studies.laminar.words import clean


def test_numbers_are_those_of_the_tidy_frame(by_hand):
    profile = by_hand.profile()
    table = summarise_profile(profile)
    tidy = profile.to_frame()
    assert len(table) == (2 + 2) * 3 * 2
    for (mask, layer, target), rows in tidy.groupby(["mask", "layer", "target"]):
        row = table.query(f"mask == {mask!r} and layer == {layer} and target == {('him', 'her').index(target)}").iloc[0]
        drop = rows["logit_drop"]
        expected = [drop.mean(), drop.quantile(0.25), drop.median(), drop.quantile(0.75), rows["global_change"].mean()]
        found = row[["mean", "q25", "median", "q75", "global_change"]].tolist()
        np.testing.assert_allclose(found, expected, rtol=1e-12)  # sums of five numbers in another order
        assert row["n_lesioned"] == rows["n_lesioned"].iloc[0]


def test_the_references_stand_beside_the_masks(by_hand):
    table = summarise_profile(by_hand.profile())
    whole, nothing = (table[table["mask"] == name] for name in ("whole MLP", "nothing"))
    assert (whole["median"] == 3.0).all()
    assert (whole["n_lesioned"] == 8).all()
    assert (nothing[["mean", "median", "global_change", "n_lesioned"]] == 0).all(axis=None)


def test_still_right_counts_prompts_whose_right_target_stays_first(by_hand):
    profile = by_hand.profile()
    # By hand: clean logits are (0, 1), (1, 0), ...; the right target is 0, 1, ...: always the smaller one.
    assert profile.clean_accuracy == 0.0
    table = summarise_profile(profile)
    right = table.query("mask == 'her' and layer == 2 and target == 0")["still_right"].item()
    # Layer 2: drops of (him, her) are 0.3 (i - 1) (-1, 2); him gains and her loses from i = 2 on by 0.9 (i - 1).
    # Prompt 0: (-0.3, 1.6) her, wrong; 1: no change, wrong; 2: (0.3, 0.4) wrong; 3: (1.6, -1.2) him, and her is
    # right; 4: (0.9, -0.8) him, right.
    assert right == pytest.approx(1 / 5)


def test_without_right_targets_there_is_no_accuracy(by_hand):
    profile = by_hand.profile(known=False)
    assert np.isnan(profile.clean_accuracy)
    assert summarise_profile(profile)["still_right"].isna().all()
    assert clean(profile) == "Effects are measured on 5 prompts; none of them names a right target."


def test_clean_accuracy_is_the_share_of_prompts_whose_right_target_leads(by_hand):
    profile = by_hand.profile()
    flipped = replace(profile, clean_logits=1 - profile.clean_logits)
    assert flipped.clean_accuracy == 1.0
    assert type(flipped.clean_accuracy) is float
    # Prompts 1 and 4 name no right target; of the other three, 0 and 2 are right, and 3 ends in a tie.
    logits = torch.tensor([[2.0, 1.0], [0.0, 9.0], [0.5, 0.0], [1.0, 1.0], [9.0, 0.0]], dtype=torch.float64)
    mixed = replace(profile, clean_logits=logits, correct=("him", None, "him", "him", None))
    assert mixed.clean_accuracy == pytest.approx(2 / 3)
    assert mixed.accuracy_after(torch.zeros_like(mixed.logit_drop)).tolist() == [[pytest.approx(2 / 3)] * 3] * 2
    assert clean(mixed).endswith("the right one in 2 of 3 prompts (67 %).")


def test_one_target_is_no_choice(by_hand):
    alone = by_hand.profile(targets=("him",), known=False)
    alone = replace(alone, correct=("him",) * len(alone.prompts))
    assert np.isnan(alone.clean_accuracy)
    assert summarise_profile(alone)["still_right"].isna().all()
    assert "each has one target" in clean(alone)
