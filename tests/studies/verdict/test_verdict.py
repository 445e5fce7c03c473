"""The verdict's rules, one by one, on effects written by hand."""

import dataclasses

import pytest
import torch

from tlesion import verdict
from tlesion.studies.verdict.result import DAMAGE, NOT_CUT, NOTHING, SPECIFIC, UNCLEAR, VERDICTS


def test_an_effect_beyond_its_controls_is_specific(by_hand):
    result = verdict(by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.SILENT))
    assert result.verdicts == ((NOTHING, SPECIFIC, NOTHING),)
    assert result.effect[0, 1].item() == pytest.approx(2.0)
    assert result.about == ("him",)
    assert set(VERDICTS) == {SPECIFIC, DAMAGE, NOTHING, UNCLEAR, NOT_CUT}


def test_a_shift_of_both_targets_is_damage_by_the_margin_and_specific_by_the_drop(by_hand):
    """Both logits lose 2: the choice between them is as it was."""
    both = by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 2.0), by_hand.SILENT)
    result = verdict(both)
    assert result.verdicts[0][1] == DAMAGE
    assert result.effect[0, 1].item() == pytest.approx(0.0, abs=1e-12)
    assert verdict(both, measure="drop").verdicts[0][1] == SPECIFIC


def test_an_effect_of_a_size_that_controls_have_is_damage(by_hand):
    """0.15 is real over the prompts, and one to two standard deviations of the controls."""
    result = verdict(by_hand.effects(by_hand.SILENT, by_hand.drops(0.15, 0.0, spread=0.1), by_hand.SILENT))
    assert result.p[0, 1] < 0.001
    assert result.control_p_corrected[0, 1] > 0.05
    assert result.verdicts[0][1] == DAMAGE


def test_an_effect_against_the_masks_name_is_damage(by_hand):
    result = verdict(by_hand.effects(by_hand.SILENT, by_hand.drops(-2.0, 0.0), by_hand.SILENT))
    assert result.p[0, 1] < 0.001
    assert result.verdicts[0][1] == DAMAGE
    assert result.effect[0, 1] < 0


def test_a_large_effect_of_much_more_damage_is_damage(by_hand):
    """Ten times the controls' margins, and forty times their global change."""
    profile = by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.SILENT, change=4.0)
    result = verdict(profile)
    assert result.control_p_corrected[0, 1] <= 0.05
    assert result.selective_p[0, 1] > 0.05
    assert result.verdicts[0][1] == DAMAGE


def test_no_effect_of_interest_in_a_powerful_study_is_no_effect(by_hand):
    """The clean margin is 4, so that 0.4 is of interest; the spread over 24 prompts shows effects of 0.1."""
    result = verdict(by_hand.effects(by_hand.drops(0.0, 0.0), by_hand.SILENT, by_hand.SILENT))
    assert result.smallest_effect.item() == pytest.approx(0.4)
    assert result.minimal_effect[0, 0] < 0.4
    assert result.p[0, 0] > 0.05
    assert result.verdicts[0][0] == NOTHING
    assert (
        verdict(by_hand.effects(by_hand.drops(0.0, 0.0), by_hand.SILENT, by_hand.SILENT), smallest=0.01).verdicts[0][0]
        != NOTHING
    )


def test_few_prompts_have_too_little_power_however_large_the_effect(by_hand):
    """Five prompts: their 32 flips cannot make p 0.05. Six can."""
    few = [
        by_hand.effects(by_hand.SILENT[:n], by_hand.drops(0.3, 0.0, spread=0.0)[:n], by_hand.SILENT[:n]) for n in (5, 6)
    ]
    five, six = (verdict(profile) for profile in few)
    assert five.verdicts[0][1] == UNCLEAR
    assert five.minimal_effect[0, 1].isinf()
    assert five.p[0, 1].item() == pytest.approx(2 / 32)
    assert six.p[0, 1].item() == pytest.approx(2 / 64)
    assert six.verdicts[0][1] in (SPECIFIC, DAMAGE)


def test_a_wide_spread_over_prompts_is_too_little_power(by_hand):
    """Eight prompts with a standard deviation of about 0.4: an effect of 0.3 would have gone unnoticed."""
    thin = by_hand.effects(
        *(one[::3] for one in (by_hand.SILENT, by_hand.drops(0.02, 0.0, spread=4.0), by_hand.SILENT))
    )
    result = verdict(thin, smallest=0.3)
    assert result.p[0, 1] > 0.05
    assert result.minimal_effect[0, 1] > max(0.3, result.target_change[0, 1].item())
    assert result.verdicts[0][1] == UNCLEAR


def test_beyond_the_controls_of_its_layer_alone_is_too_little_power(by_hand):
    """Choose an effect between the limit of one layer and that of three."""
    one, three = (
        verdict(by_hand.effects(by_hand.drops(0.2, 0.0, spread=0.1), *rest))
        for rest in ((), (by_hand.SILENT, by_hand.SILENT))
    )
    for size in torch.linspace(0.15, 0.6, 46).tolist():
        profile = by_hand.effects(by_hand.drops(size, 0.0, spread=0.1), by_hand.SILENT, by_hand.SILENT)
        result = verdict(profile, smallest=0.1, n_resamples=50, n_permutations=500)
        if result.control_p[0, 0] <= 0.05 < result.control_p_corrected[0, 0]:
            break
    else:
        pytest.fail("no effect lies between the two limits")
    assert result.verdicts[0][0] == UNCLEAR
    assert verdict(profile, smallest=0.1, correction="none").verdicts[0][0] == SPECIFIC
    assert one.detectable_effect[0, 0] < three.detectable_effect[0, 0]


def test_in_a_layer_without_neurons_nothing_is_cut_and_there_is_no_p(by_hand):
    profile = by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.drops(2.0, 0.0))
    empty = dataclasses.replace(profile, n_lesioned=torch.tensor([[7, 0, 7]]))
    result = verdict(empty)
    assert result.verdicts == ((NOTHING, NOT_CUT, SPECIFIC),)
    row = result.to_frame().query("layer == 1").iloc[0]
    assert row["n_lesioned"] == 0
    assert row[["p", "control_p", "control_p_corrected", "selective_p"]].isna().all()
    nowhere = dataclasses.replace(profile, n_lesioned=torch.zeros(1, 3, dtype=torch.long))
    assert verdict(nowhere).verdicts == ((NOT_CUT,) * 3,)


def test_rounding_is_no_effect(by_hand):
    """1e-7 logits, the same in every prompt, where the largest logit is 5."""
    tiny = by_hand.drops(0.0, 0.0, spread=0.0)
    tiny[:, 0] += 1e-7 * (1 + 0.1 * torch.arange(by_hand.N_JUDGED))
    result = verdict(by_hand.effects(by_hand.SILENT, tiny, by_hand.SILENT))
    assert result.p[0, 1] < 0.001
    assert result.verdicts[0][1] == NOTHING


def test_logits_that_are_no_numbers_any_more_are_damage_and_leave_other_layers_alone(by_hand):
    broken = by_hand.drops(2.0, 0.0)
    broken[3] = torch.nan
    whole = by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.drops(0.1, 0.0))
    profile = by_hand.effects(broken, by_hand.drops(2.0, 0.0), by_hand.drops(0.1, 0.0))
    controls = profile.control_logit_drop.clone()
    controls[0, 5, 0] = torch.nan
    result = verdict(dataclasses.replace(profile, control_logit_drop=controls))
    assert result.verdicts[0] == (DAMAGE, *verdict(whole).verdicts[0][1:])
    assert result.verdicts[0][1] == SPECIFIC
    assert result.control_p_corrected[0, 1] <= 0.05
