"""The verdict's numbers against the functions they come from, its table, and every way to ask wrongly."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from tlesion import SmallestEffect, Verdict, load_result, verdict
from tlesion.inference import bootstrap_mean, empirical_p, max_statistic, standardised_effect
from tlesion.inference.control_maximum import control_maximum_p
from tlesion.studies.verdict.result import FEW_PROMPTS, INCONCLUSIVE, NEGLIGIBLE, SPECIFIC


def test_the_numbers_are_those_of_the_functions_they_come_from(by_hand):
    profile = by_hand.effects(by_hand.drops(0.3, 0.1), by_hand.drops(0.1, 0.0), by_hand.drops(-0.4, 0.2))
    result = verdict(profile, seed=5, n_permutations=300)
    values = profile.logit_drop[0, ..., 0] - profile.logit_drop[0, ..., 1]
    controls = (profile.control_logit_drop[0, ..., 0] - profile.control_logit_drop[0, ..., 1]).mean(dim=-1)
    mean = values.mean(dim=1)
    student = stats.ttest_1samp(values.numpy(), 0.0, axis=1).confidence_interval(0.95)
    expected = {
        "effect": mean,
        "low": torch.from_numpy(student.low),
        "high": torch.from_numpy(student.high),
        "p": max_statistic(values, n_permutations=300, seed=5),
        "control_p": empirical_p(mean, controls, alternative="two-sided"),
        "control_p_corrected": control_maximum_p(mean, controls, alternative="two-sided"),
        "selective_p": control_maximum_p(mean / 0.2, controls / 0.2, alternative="two-sided"),
        "standardised": standardised_effect(mean, controls),
        "opposite": torch.stack([(v * v.mean() < 0).double().mean() for v in values]),
    }
    for name, value in expected.items():
        torch.testing.assert_close(getattr(result, name)[0], value, atol=1e-12, rtol=0, msg=name)
    assert result.opposite[0, 1] > 0, "some prompts go the other way"
    error = (result.control_p_corrected * (1 - result.control_p_corrected) / by_hand.N_CONTROLS).sqrt()
    torch.testing.assert_close(result.control_p_corrected_error, error)
    boot = verdict(profile, interval="bca", n_resamples=400, seed=5)
    torch.testing.assert_close(boot.low[0], bootstrap_mean(values, n_resamples=400, seed=5).low)


def test_negligible_is_what_two_one_sided_tests_find(by_hand):
    """Against scipy: both tests at 0.05, whatever p says."""
    for mean in (0.30, 0.36, 0.37, 0.38, 0.39):
        profile = by_hand.effects(by_hand.drops(mean, 0.0), by_hand.SILENT)
        values = (profile.logit_drop[0, 0, :, 0] - profile.logit_drop[0, 0, :, 1]).numpy()
        below = stats.ttest_1samp(values, 0.4, alternative="less").pvalue
        above = stats.ttest_1samp(values, -0.4, alternative="greater").pvalue
        said = verdict(profile, smallest=0.4).verdicts[0][0]
        assert (said == NEGLIGIBLE) is bool(max(below, above) <= 0.05), mean


def test_the_bounds_of_the_change_of_all_logits_are_one_sided(by_hand):
    change = torch.linspace(0.2, 0.6, by_hand.N_JUDGED).double()
    result = verdict(by_hand.effects(by_hand.SILENT, by_hand.SILENT, change=change))
    band = stats.ttest_1samp(change.numpy(), 0.0).confidence_interval(0.9)
    assert result.global_low[0, 0].item() == pytest.approx(band.low)
    assert result.global_high[0, 0].item() == pytest.approx(band.high)


def test_what_is_quoted_as_largest_has_an_interval_that_allows_for_the_choice(by_hand):
    """One of three lesions is specific: level 1 - 0.05 / 3; with none the widest is given."""
    profile = by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.drops(0.0, 0.0))
    result = verdict(profile)
    values = (profile.logit_drop[0, 1, :, 0] - profile.logit_drop[0, 1, :, 1]).numpy()
    band = stats.ttest_1samp(values, 0.0).confidence_interval(1 - 0.05 / 3)
    assert result.selected_low[0, 1].item() == pytest.approx(band.low)
    assert result.selected_high[0, 1].item() == pytest.approx(band.high)


def test_the_smallest_effect_of_interest_says_where_it_comes_from(by_hand):
    profile = by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0))
    result = verdict(profile)
    assert result.smallest_effect.item() == pytest.approx(0.4)
    assert result.smallest_origin == ("not set beforehand: 10 % of the median clean margin on these prompts",)
    anyones: Any = np.float32(0.5)
    assert verdict(profile, smallest=anyones).smallest_origin == ("given",)
    before = dataclasses.replace(
        profile,
        provenance=dataclasses.replace(
            profile.provenance,
            settings=profile.provenance.settings | {"smallest": {"value": 0.7, "origin": "set before the run"}},
        ),
    )
    assert verdict(before).smallest_effect.item() == 0.7
    assert verdict(before).smallest_origin == ("set before the run",)
    other = verdict(before, smallest=SmallestEffect(0.2, "a pilot"))
    assert other.smallest_origin == ("a pilot",)
    assert (other.to_frame()["smallest"] == 0.2).all()


def test_groups_of_prompts_count_once(by_hand):
    """24 prompts of four templates are four independent ones: too few for any p, whatever they agree on."""
    profile = by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.SILENT)
    grouped = dataclasses.replace(profile, groups=tuple(f"template {i // 6}" for i in range(by_hand.N_JUDGED)))
    result = verdict(grouped)
    assert result.n_groups.item() == 4
    assert result.n_prompts.item() == by_hand.N_JUDGED
    assert result.p[0, 1].item() == pytest.approx(2 / 16)
    assert (result.verdicts[0][1], result.reasons[0][1]) == (INCONCLUSIVE, FEW_PROMPTS)
    alone = dataclasses.replace(profile, groups=tuple(f"template {i}" for i in range(by_hand.N_JUDGED)))
    assert verdict(alone).verdicts == verdict(profile).verdicts
    one = dataclasses.replace(profile, groups=("same",) * by_hand.N_JUDGED)
    assert verdict(one).p.isnan().all()
    assert verdict(one).verdicts[0][1] == INCONCLUSIVE


def test_templates_that_nobody_named_are_found_in_the_texts(by_hand):
    profile = by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.SILENT)
    places = ("in the garden", "near the old mill", "behind the school", "at the harbour")
    names = ("Robert", "Karl", "Otto", "Henry", "Paul", "Simon")
    texts = tuple(f"{name} helped Lucy {place} so the teacher praised [MASK]" for place in places for name in names)
    made = dataclasses.replace(profile, prompts=texts)
    assert verdict(made).n_groups.item() <= 4
    assert verdict(made, groups="none").n_groups.item() == by_hand.N_JUDGED
    labelled = dataclasses.replace(made, groups=tuple(f"template {i // 6}" for i in range(by_hand.N_JUDGED)))
    assert verdict(labelled, groups="none").n_groups.item() == by_hand.N_JUDGED
    assert verdict(made, groups=[i // 6 for i in range(by_hand.N_JUDGED)]).n_groups.item() == 4
    with pytest.raises(ValueError, match=r"2 group labels for 24 prompts; give one for each prompt"):
        verdict(made, groups=["a", "b"])


def test_two_masks_that_are_specific_for_their_words_are_dissociated(by_hand):
    profile = by_hand.two_masks(by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.drops(0.5, 0.5)))
    result = verdict(profile)
    assert result.verdicts[0][1] == result.verdicts[1][1] == SPECIFIC
    assert result.n_prompts.tolist() == [12, 12]
    assert result.dissociated == ("him", "her")
    assert result.dissociates.tolist() == [False, True, False]
    torch.testing.assert_close(result.dissociation, result.effect.sum(dim=0))
    first, second = (profile.logit_drop[m, 1, m::2] @ torch.tensor([1.0, -1.0]).double() * (1 - 2 * m) for m in (0, 1))
    error = ((first.var() * 11 / 144 + second.var() * 11 / 144) * 24 / 23).sqrt()
    reach = stats.t.ppf(0.975, 23) * error
    assert result.dissociation_high[1].item() == pytest.approx(float(first.mean() + second.mean() + reach))
    controls = profile.control_logit_drop[0, ..., 0] - profile.control_logit_drop[0, ..., 1]
    pairs = controls[:, :, 0::2].mean(dim=-1) - controls[:, :, 1::2].mean(dim=-1)
    torch.testing.assert_close(result.dissociation_p, control_maximum_p(result.dissociation, pairs))
    frame = result.to_frame()
    assert (frame.query("layer == 1")["dissociation"] == result.dissociation[1].item()).all()
    assert frame.query("dissociates")["layer"].tolist() == [1, 1]
    alone = verdict(by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.SILENT))
    assert alone.dissociated == ()
    assert alone.to_frame()["dissociation"].isna().all()
    assert not alone.dissociates.any()


def test_one_mask_alone_makes_no_double_dissociation(by_hand):
    profile = by_hand.two_masks(by_hand.effects(by_hand.SILENT, by_hand.drops(3.0, 0.0), by_hand.SILENT))
    drop = profile.logit_drop.clone()
    drop[1] = 0.0
    result = verdict(dataclasses.replace(profile, logit_drop=drop))
    assert result.verdicts[0][1] == SPECIFIC
    assert result.dissociation_p[1] <= 0.05, "the sum exceeds that of pairs of controls"
    assert not result.dissociates.any()


@pytest.mark.slow
def test_what_replacing_by_the_mean_does_is_seen_where_the_word_is_right(by_hand):
    """It costs "him" where he is right and helps him where she is: all prompts together show nothing."""
    profile = by_hand.two_masks(by_hand.effects(by_hand.SILENT, by_hand.drops(1.0, 0.0, spread=0.3), by_hand.SILENT))
    sign = torch.tensor([1.0, -0.8]).double().repeat(by_hand.N_JUDGED // 2)[None, None, :, None]
    both_ways = dataclasses.replace(profile, logit_drop=profile.logit_drop * sign)
    assert verdict(both_ways).verdicts[0][1] == SPECIFIC
    assert verdict(both_ways, prompts="all").verdicts[0][1] != SPECIFIC
    assert verdict(both_ways, prompts="all").n_prompts[0] == by_hand.N_JUDGED
    assert verdict(both_ways, prompts="all").opposite[0, 1] == 0.5


def test_a_mask_of_another_name_is_judged_on_the_right_answer(by_hand):
    named, other = (
        verdict(by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.SILENT, mask=mask))
        for mask in ("him", "decoys")
    )
    assert other.about == ("right answer",)
    assert other.verdicts == named.verdicts
    assert torch.equal(other.effect, named.effect)


def test_a_lone_target_is_measured_by_its_drop(by_hand):
    profile = by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.SILENT)
    lone = dataclasses.replace(
        profile,
        logit_drop=profile.logit_drop[..., :1],
        control_logit_drop=profile.control_logit_drop[..., :1],
        reference_logit_drop=profile.reference_logit_drop[..., :1],
        clean_logits=profile.clean_logits[:, :1],
        targets=(("him",),) * by_hand.N_JUDGED,
    )
    result = verdict(lone)
    assert result.verdicts == ((NEGLIGIBLE, SPECIFIC, NEGLIGIBLE),)
    assert result.smallest_effect.item() == pytest.approx(0.1), "a tenth of what cutting a whole layer costs"


def test_a_verdict_is_saved_and_tidy(by_hand, tmp_path):
    result = verdict(by_hand.two_masks(by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.SILENT)))
    loaded = load_result(result.save(tmp_path / "verdict"))
    assert isinstance(loaded, Verdict)
    assert loaded.content_hash == result.content_hash
    frame = result.to_frame()
    assert list(frame.columns) == [
        "mask", "about", "layer", "n_lesioned", "share_lesioned", "control_overlap", "n_prompts", "n_groups", "effect",
        "low", "high", "opposite", "p", "control_p", "control_p_error", "control_p_corrected",
        "control_p_corrected_error", "selective_p", "standardised", "global_change", "global_low", "global_high",
        "minimal_effect", "detectable_effect", "selected_low", "selected_high", "smallest", "dissociation",
        "dissociation_low", "dissociation_high", "dissociation_p", "dissociates", "verdict", "reason",
    ]  # fmt: skip
    assert len(frame) == 6
    assert frame.query("mask == 'her' and layer == 1")["verdict"].item() == SPECIFIC
    settings = result.provenance.settings
    assert settings["alpha"] == 0.05
    assert settings["correction"] == "max"
    assert settings["profile"]["hook_point"] == "mlp.hook_post"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"measure": "margins"}, r"measure 'margins' is unknown; allowed: 'margin', 'drop'"),
        ({"prompts": "wrong"}, r"prompts 'wrong' is unknown; allowed: 'right', 'all'"),
        ({"correction": "bonferoni"}, r"correction 'bonferoni' is unknown; .*did you mean 'bonferroni'"),
        ({"interval": "bcA"}, r"interval 'bcA' is unknown; allowed: 'bca', 'percentile', 't'"),
        ({"alpha": 0}, r"alpha must lie between 0 and 0\.5, got 0\.0"),
        ({"groups": "found"}, r"groups 'found' is unknown; allowed: 'given', 'detect', 'none'"),
        ({"power": 0.01}, r"power must lie between alpha and 1, got 0\.01"),
        ({"smallest": -1.0}, r"the smallest effect of interest is -1\.0 logits; give a number above zero"),
        ({"share": 0}, r"share 0 defines the smallest effect of interest; give a number above zero"),
        ({"level": 1.5}, r"level must lie between 0 and 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(by_hand, options, message):
    with pytest.raises(ValueError, match=message):
        verdict(by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.SILENT), **options)


def test_profiles_that_cannot_be_judged_are_refused(by_hand):
    with pytest.raises(ValueError, match=r"holds no matched controls.*n_controls=99"):
        verdict(by_hand.profile())
    profile = by_hand.effects(by_hand.SILENT, by_hand.SILENT, by_hand.SILENT)
    even = dataclasses.replace(profile, clean_logits=torch.ones_like(profile.clean_logits))
    with pytest.raises(ValueError, match=r"the median clean margin is 0 on these prompts.*give smallest="):
        verdict(even)
    assert verdict(even, smallest=0.1).verdicts == ((INCONCLUSIVE,) * 3,), "ties are no right answers"


def test_a_verdict_of_older_rules_is_not_read(by_hand, tmp_path):
    result = verdict(by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0)))
    with pytest.raises(ValueError, match=r"rules of tlesion 0\.1.*call tlesion\.verdict on it"):
        Verdict.from_older({"effect": result.effect})
