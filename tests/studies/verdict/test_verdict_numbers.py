"""The verdict's numbers against the functions they come from, its table, and every way to ask wrongly."""

import dataclasses

import pytest
import torch

from tlesion import Verdict, load_result, verdict
from tlesion.inference import bootstrap_mean, double_dissociation, empirical_p, max_statistic, standardised_effect
from tlesion.inference.control_maximum import control_maximum_p
from tlesion.studies.verdict.result import NOTHING, SPECIFIC, UNCLEAR


def test_the_numbers_are_those_of_the_functions_they_come_from(by_hand):
    profile = by_hand.effects(by_hand.drops(0.3, 0.1), by_hand.drops(0.1, 0.0), by_hand.drops(-0.4, 0.2))
    result = verdict(profile, seed=5, n_permutations=300, n_resamples=400)
    values = profile.logit_drop[0, ..., 0] - profile.logit_drop[0, ..., 1]
    controls = (profile.control_logit_drop[0, ..., 0] - profile.control_logit_drop[0, ..., 1]).mean(dim=-1)
    mean = values.mean(dim=1)
    band = bootstrap_mean(values, n_resamples=400, seed=5)
    expected = {
        "effect": mean,
        "low": band.low,
        "high": band.high,
        "p": max_statistic(values, n_permutations=300, seed=5),
        "control_p": empirical_p(mean, controls),
        "control_p_corrected": control_maximum_p(mean, controls),
        "selective_p": control_maximum_p(mean / 0.2, controls / 0.2),
        "standardised": standardised_effect(mean, controls),
        "opposite": torch.stack([(v * v.mean() < 0).double().mean() for v in values]),
        "target_change": profile.logit_drop[0].square().mean(dim=-1).sqrt().mean(dim=-1),
    }
    for name, value in expected.items():
        torch.testing.assert_close(getattr(result, name)[0], value, atol=1e-12, rtol=0, msg=name)
    assert result.opposite[0, 1] > 0, "some prompts go the other way"
    assert torch.equal(profile.control_p(), result.control_p)
    # Student's interval below 20 prompts.
    short = verdict(by_hand.effects(*(layer[:12] for layer in profile.logit_drop[0])))
    torch.testing.assert_close(short.low[0], bootstrap_mean(values[:, :12], method="t").low)


def test_groups_of_prompts_count_once(by_hand):
    """24 prompts of four templates are four independent ones: too few for any p, whatever they agree on."""
    profile = by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.SILENT)
    grouped = dataclasses.replace(profile, groups=tuple(f"template {i // 6}" for i in range(by_hand.N_JUDGED)))
    result = verdict(grouped)
    assert result.n_groups.item() == 4
    assert result.n_prompts.item() == by_hand.N_JUDGED
    assert result.p[0, 1].item() == pytest.approx(2 / 16)
    assert result.verdicts[0][1] == UNCLEAR
    alone = dataclasses.replace(profile, groups=tuple(f"template {i}" for i in range(by_hand.N_JUDGED)))
    assert verdict(alone).verdicts == verdict(profile).verdicts
    one = dataclasses.replace(profile, groups=("same",) * by_hand.N_JUDGED)
    assert verdict(one).p.isnan().all()
    assert verdict(one).verdicts[0][1] == UNCLEAR


def test_two_masks_named_after_the_targets_are_dissociated(by_hand):
    profile = by_hand.two_masks(by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.drops(0.5, 0.5)))
    result = verdict(profile)
    assert result.verdicts[0][1] == result.verdicts[1][1] == SPECIFIC
    assert result.n_prompts.tolist() == [12, 12]
    expected = double_dissociation(profile.logit_drop)
    torch.testing.assert_close(result.dissociation, expected.interaction)
    torch.testing.assert_close(result.dissociation_low, expected.interval.low)
    assert result.dissociation[1].item() == pytest.approx(4.0)
    assert result.dissociation_p[1] < 0.001
    assert result.dissociated == ("him", "her")
    frame = result.to_frame()
    assert (frame.query("layer == 1")["dissociation"] == result.dissociation[1].item()).all()
    alone = verdict(by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.SILENT))
    assert alone.dissociated == ()
    assert alone.to_frame()["dissociation"].isna().all()
    swapped = dataclasses.replace(
        profile,
        targets=tuple(("him", "her") if i % 3 else ("her", "him") for i in range(by_hand.N_JUDGED)),
        logit_drop=torch.stack([d if i % 3 else d.flip(-1) for i, d in enumerate(profile.logit_drop.unbind(2))], 2),
    )
    torch.testing.assert_close(verdict(swapped).dissociation, result.dissociation)


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


def test_stretches_of_layers_are_those_of_the_cluster_test(by_hand):
    profile = by_hand.effects(by_hand.drops(0.3, 0.0), by_hand.drops(0.5, 0.0), by_hand.SILENT)
    shifted = dataclasses.replace(profile, layers=(4, 5, 6))
    frame = verdict(shifted).clusters_frame()
    assert frame[["mask", "first", "last"]].to_numpy().tolist() == [["him", 4, 5]]
    assert frame["effect"].item() == pytest.approx(0.4)
    assert frame["p"].item() < 0.001
    assert verdict(by_hand.effects(by_hand.SILENT, by_hand.SILENT, by_hand.SILENT)).clusters_frame().empty


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
    assert result.verdicts == ((NOTHING, SPECIFIC, NOTHING),)
    assert result.smallest_effect.item() == pytest.approx(0.1), "a tenth of what cutting a whole layer costs"


def test_a_verdict_is_saved_and_tidy(by_hand, tmp_path):
    result = verdict(by_hand.two_masks(by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.SILENT)))
    loaded = load_result(result.save(tmp_path / "verdict"))
    assert isinstance(loaded, Verdict)
    assert loaded.content_hash == result.content_hash
    frame = result.to_frame()
    assert list(frame.columns) == [
        "mask", "about", "layer", "n_lesioned", "n_prompts", "effect", "low", "high", "opposite", "p", "control_p",
        "control_p_corrected", "selective_p", "standardised", "target_change", "global_change", "minimal_effect",
        "detectable_effect", "smallest_effect", "dissociation", "dissociation_low", "dissociation_high",
        "dissociation_p", "verdict",
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
        ({"alpha": 0}, r"alpha must lie between 0 and 1, got 0\.0"),
        ({"power": 0.01}, r"power must lie between alpha and 1, got 0\.01"),
        ({"smallest": -1.0}, r"smallest -1\.0 and share 0\.1 define the smallest effect of interest; give numbers"),
        ({"alpha": 0.01}, r"holds 60 matched controls, with which p cannot reach 0\.01; make it with "
         r"laminar_profile\(\.\.\., n_controls=50\), 99 at least"),
        ({"level": 1.5}, r"level must lie between 0 and 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(by_hand, options, message):
    with pytest.raises(ValueError, match=message):
        verdict(by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0), by_hand.SILENT), **options)


def test_profiles_that_cannot_be_judged_are_refused(by_hand):
    with pytest.raises(ValueError, match=r"holds 0 matched controls"):
        verdict(by_hand.profile())
    profile = by_hand.effects(by_hand.SILENT, by_hand.SILENT, by_hand.SILENT)
    even = dataclasses.replace(profile, clean_logits=torch.ones_like(profile.clean_logits))
    with pytest.raises(ValueError, match=r"the clean margin between the targets is 0 on these prompts.*give smallest="):
        verdict(even)
    assert verdict(even, smallest=0.1).verdicts == ((NOTHING,) * 3,)
