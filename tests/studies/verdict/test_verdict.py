"""The verdict's rules, one by one, on effects written by hand."""

import dataclasses

import pytest
import torch

from tlesion import verdict
from tlesion.studies.verdict.result import (
    AT_CHANCE,
    DAMAGE,
    FEW_CONTROLS,
    FEW_PROMPTS,
    INCONCLUSIVE,
    NEGLIGIBLE,
    NOT_CUT,
    OPPOSITE,
    REASONS,
    ROUNDING,
    SPECIFIC,
    VERDICTS,
    WIDE,
)


def judged(profile, layer=1, mask=0, **options):
    """The word on one layer, and the reason."""
    result = verdict(profile, **options)
    return result.verdicts[mask][layer], result.reasons[mask][layer]


def test_the_words_are_those_of_the_contract():
    assert set(VERDICTS) == {
        "nothing cut", "specific", "specific, opposite", "negligible", "damage", "inconclusive",
    }  # fmt: skip
    assert set(REASONS) == {"few prompts", "few controls", "wide set", "model at chance", "rounding"}


def test_an_effect_beyond_its_controls_is_specific(by_hand):
    result = verdict(by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.SILENT))
    assert result.verdicts == ((NEGLIGIBLE, SPECIFIC, NEGLIGIBLE),)
    assert result.reasons == (("", "", ""),)
    assert result.effect[0, 1].item() == pytest.approx(2.0)
    assert result.about == ("him",)


def test_an_effect_that_helps_the_word_is_specific_too_and_said_so(by_hand):
    result = verdict(by_hand.effects(by_hand.SILENT, by_hand.drops(-2.0, 0.0), by_hand.SILENT))
    assert result.verdicts[0][1] == OPPOSITE
    assert result.effect[0, 1] < 0
    assert result.control_p[0, 1] <= 0.05, "two-sided"


def test_a_shift_of_both_targets_is_none_by_the_margin_and_specific_by_the_drop(by_hand):
    """Both logits lose 2 and so do all others: no probability changes."""
    both = by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 2.0), by_hand.SILENT)
    assert judged(both)[0] == NEGLIGIBLE
    assert judged(both, measure="drop")[0] == SPECIFIC


def test_an_effect_of_a_size_that_controls_have_is_damage_if_it_matters_and_negligible_if_not(by_hand):
    """0.15 is real over the prompts, and one to two standard deviations of the controls."""
    profile = by_hand.effects(by_hand.SILENT, by_hand.drops(0.15, 0.0, spread=0.1), by_hand.SILENT)
    result = verdict(profile)
    assert result.p[0, 1] < 0.001
    assert result.control_p_corrected[0, 1] > 0.05
    assert result.smallest_effect.item() == pytest.approx(0.4)
    assert result.verdicts[0][1] == NEGLIGIBLE
    assert judged(profile, smallest=0.12)[0] == DAMAGE


def test_a_large_effect_of_much_more_damage_is_damage(by_hand):
    """Ten times the controls' margins, and forty times their global change."""
    profile = by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.SILENT, change=4.0)
    result = verdict(profile)
    assert result.control_p_corrected[0, 1] <= 0.05
    assert result.selective_p[0, 1] > 0.05
    assert result.verdicts[0][1] == DAMAGE


def test_a_change_of_all_logits_without_an_effect_is_damage_and_a_small_one_is_not(by_hand):
    for change, word in ((4.0, DAMAGE), (0.3, NEGLIGIBLE)):
        assert judged(by_hand.effects(by_hand.SILENT, by_hand.SILENT, by_hand.SILENT, change=change))[0] == word


def test_more_data_never_make_damage_of_what_is_negligible(by_hand):
    """The effect of 0.02 where 0.8 is the smallest of interest, at 6 to 640 prompts."""
    for n in (6, 40, 160, 640):
        spread = torch.linspace(-1, 1, n).double()
        drop = torch.stack([0.02 + 0.05 * spread, torch.zeros(n).double()], dim=-1)
        silent = torch.zeros_like(drop)
        assert judged(by_hand.effects(silent, drop), smallest=0.8)[0] == NEGLIGIBLE
        large = torch.stack([0.3 + 0.05 * spread, torch.zeros(n).double()], dim=-1)
        assert judged(by_hand.effects(silent, large), smallest=0.35)[0] in (NEGLIGIBLE, SPECIFIC)


def test_more_data_move_a_lesion_from_inconclusive_to_a_definite_word(by_hand):
    """Effects with a standard deviation of one, of which the mean is kept as it is."""
    for mean, change, definite in ((0.0, 0.1, NEGLIGIBLE), (1.5, 0.1, SPECIFIC), (0.2, 2.0, DAMAGE)):
        words = []
        for n in (6, 40, 160, 640):
            spread = torch.linspace(-1.7, 1.7, n).double()[torch.arange(n) * 7 % n if n % 7 else torch.arange(n)]
            drop = torch.stack([mean + spread, torch.zeros(n).double()], dim=-1)
            profile = by_hand.effects(torch.zeros_like(drop), drop, change=change * (1 + 0.3 * spread.flip(0)))
            words.append(judged(profile, smallest=0.4)[0])
        assert words[-1] == definite, (mean, words)
        first = words.index(definite)
        assert set(words[first:]) == {definite}, words
        assert set(words[:first]) <= {INCONCLUSIVE}, words


def test_five_prompts_can_show_nothing_and_six_can(by_hand):
    """Five prompts: their 32 flips cannot make p 0.05."""
    five, six = (
        verdict(by_hand.effects(by_hand.SILENT[:n], by_hand.drops(0.5, 0.0, spread=0.1)[:n], by_hand.SILENT[:n]))
        for n in (5, 6)
    )
    assert (five.verdicts[0][1], five.reasons[0][1]) == (INCONCLUSIVE, FEW_PROMPTS)
    assert five.minimal_effect[0, 1].isinf()
    assert five.p[0, 1].item() == pytest.approx(2 / 32)
    assert six.p[0, 1].item() == pytest.approx(2 / 64)
    assert six.verdicts[0][1] == SPECIFIC


def test_a_wide_spread_over_prompts_is_inconclusive(by_hand):
    """Eight prompts with a standard deviation of about 0.4: neither 0.3 nor 0 can be ruled out."""
    thin = by_hand.effects(
        *(one[::3] for one in (by_hand.SILENT, by_hand.drops(0.02, 0.0, spread=4.0), by_hand.SILENT))
    )
    assert judged(thin, smallest=0.25) == (INCONCLUSIVE, FEW_PROMPTS)


def test_the_family_is_all_masks_and_layers(by_hand):
    """An effect that one lesion alone would be called specific for, and one of many is not."""
    silent = [by_hand.SILENT] * 7
    for size in (0.35, 0.33, 0.31, 0.29, 0.27, 0.25):
        many = by_hand.effects(by_hand.drops(size, 0.0, spread=0.1), *silent)
        result = verdict(many, smallest=0.1)
        if result.control_p[0, 0] <= 0.05 < result.control_p_corrected[0, 0]:
            break
    else:
        pytest.fail("no effect lies between the two limits")
    assert result.verdicts[0][0] != SPECIFIC
    assert judged(many, 0, smallest=0.1, correction="none")[0] == SPECIFIC


def test_controls_that_are_too_few_to_tell_are_named(by_hand):
    profile = by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.SILENT)
    few = dataclasses.replace(
        profile,
        control_logit_drop=profile.control_logit_drop[:, :9],
        control_global_change=profile.control_global_change[:, :9],
    )
    assert judged(few) == (INCONCLUSIVE, FEW_CONTROLS)
    assert verdict(few).control_p_error[0, 1].item() == pytest.approx((0.2 * 0.8 / 9) ** 0.5)


def test_a_set_that_its_controls_hold_much_of_is_not_called_damage(by_hand):
    profile = by_hand.effects(by_hand.SILENT, by_hand.drops(0.15, 0.0, spread=0.1), by_hand.SILENT)
    wide = dataclasses.replace(profile, control_overlap=torch.full((1, 3), 0.6, dtype=torch.float64))
    with pytest.warns(UserWarning, match=r"hold 60 % of its neurons in layer 0.*at most 0\.82 √k.*top_k"):
        assert judged(wide, smallest=0.12) == (INCONCLUSIVE, WIDE)
    with pytest.warns(UserWarning, match="hold 60 %"):
        assert judged(wide, smallest=2.0)[0] == NEGLIGIBLE, "the interval needs no controls"
    older = dataclasses.replace(
        profile,
        n_lesioned=torch.full((1, 3), 60),
        control_overlap=torch.full((1, 3), torch.nan, dtype=torch.float64),
    )
    with pytest.warns(UserWarning, match="hold 60 %"):
        assert judged(older, smallest=0.12) == (INCONCLUSIVE, WIDE)


def test_a_model_that_guesses_is_said_to_do_so_before_anything_else(by_hand):
    profile = by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.drops(-2.0, 0.0))
    n = by_hand.N_JUDGED
    guesses = dataclasses.replace(profile, clean_logits=torch.eye(2).double().repeat(n // 2, 1))
    result = verdict(guesses, smallest=0.4)
    assert result.accuracy == 0.5
    assert result.verdicts == ((INCONCLUSIVE,) * 3,)
    assert result.reasons == ((AT_CHANCE,) * 3,)
    assert verdict(profile).accuracy == 1
    unasked = dataclasses.replace(guesses, correct=(None,) * n)
    assert verdict(unasked, smallest=0.4).verdicts[0][1] == SPECIFIC, "no right answers, no chance"


def test_one_word_for_all_prompts_is_chance_in_templates_too(by_hand):
    """A model that always says "him", on six templates that ask for each word as often."""
    profile = by_hand.two_masks(by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.SILENT))
    n = by_hand.N_JUDGED
    says_him = dataclasses.replace(
        profile,
        clean_logits=torch.tensor([5.0, 1.0]).double().repeat(n, 1),
        groups=tuple(f"template {i // 4}" for i in range(n)),
    )
    assert set(verdict(says_him, smallest=0.4).reasons[0]) == {AT_CHANCE}
    right = dataclasses.replace(profile, groups=says_him.groups)
    assert verdict(right).verdicts[0][1] == SPECIFIC


def test_few_templates_cannot_show_that_a_model_does_the_task(by_hand):
    profile = by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.SILENT)
    grouped = dataclasses.replace(profile, groups=tuple(f"template {i // 6}" for i in range(by_hand.N_JUDGED)))
    assert judged(grouped) == (INCONCLUSIVE, FEW_PROMPTS)


def test_rounding_bounds_no_effect_and_hides_what_is_finer(by_hand):
    """In bfloat16 logits of 60 stand 0.47 apart: 0.5 can be specific, and nothing below can be called negligible."""
    half = by_hand.effects(by_hand.SILENT, by_hand.drops(1.0, 0.0), by_hand.SILENT)
    record = dataclasses.replace(half.provenance, model=half.provenance.model | {"dtype": "bfloat16"})
    coarse = dataclasses.replace(half, clean_logits=half.clean_logits * 12, provenance=record)
    result = verdict(coarse, smallest=0.4)
    assert result.verdicts[0] == (INCONCLUSIVE, SPECIFIC, INCONCLUSIVE)
    assert result.reasons[0] == (ROUNDING, "", ROUNDING)
    assert verdict(coarse, smallest=0.6).verdicts[0] == (NEGLIGIBLE, SPECIFIC, NEGLIGIBLE)


def test_an_effect_of_rounding_alone_is_negligible(by_hand):
    """1e-7 logits, the same in every prompt, where the largest logit is 5."""
    tiny = by_hand.drops(0.0, 0.0, spread=0.0)
    tiny[:, 0] += 1e-7 * (1 + 0.1 * torch.arange(by_hand.N_JUDGED))
    result = verdict(by_hand.effects(by_hand.SILENT, tiny, by_hand.SILENT))
    assert result.p[0, 1] < 0.001
    assert result.verdicts[0][1] == NEGLIGIBLE


def test_in_a_layer_without_neurons_nothing_is_cut_and_there_is_no_p(by_hand):
    profile = by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.drops(2.0, 0.0))
    empty = dataclasses.replace(profile, n_lesioned=torch.tensor([[7, 0, 7]]))
    result = verdict(empty)
    assert result.verdicts == ((NEGLIGIBLE, NOT_CUT, SPECIFIC),)
    row = result.to_frame().query("layer == 1").iloc[0]
    assert row["n_lesioned"] == 0
    assert row[["p", "control_p", "control_p_corrected", "selective_p", "control_overlap"]].isna().all()
    nowhere = dataclasses.replace(profile, n_lesioned=torch.zeros(1, 3, dtype=torch.long))
    assert verdict(nowhere).verdicts == ((NOT_CUT,) * 3,)


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
