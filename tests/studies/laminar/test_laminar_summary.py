"""The summary of a profile against pandas on its tidy frame."""

import numpy as np
import pytest

from tlesion.studies.laminar.summary import clean_accuracy, summarise_profile


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
    assert clean_accuracy(profile) == 0.0
    table = summarise_profile(profile)
    right = table.query("mask == 'her' and layer == 2 and target == 0")["still_right"].item()
    # Layer 2: drops of (him, her) are 0.3 (i - 1) (-1, 2); him gains and her loses from i = 2 on by 0.9 (i - 1).
    # Prompt 0: (-0.3, 1.6) her, wrong; 1: no change, wrong; 2: (0.3, 0.4) wrong; 3: (1.6, -1.2) him, and her is
    # right; 4: (0.9, -0.8) him, right.
    assert right == pytest.approx(1 / 5)


def test_without_right_targets_there_is_no_accuracy(by_hand):
    profile = by_hand.profile(known=False)
    assert np.isnan(clean_accuracy(profile))
    assert summarise_profile(profile)["still_right"].isna().all()
