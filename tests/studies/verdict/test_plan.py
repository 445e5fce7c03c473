"""The plan of a study: what it can reach, what it refuses and why, and that it keeps its word."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch

import tlesion
from tlesion.anatomy.runners import CausalRunner
from tlesion.studies.verdict import plan_power
from tlesion.studies.verdict.plan_pilot import Spread, smallest_told, spread_of_profile

PLANTED = tlesion.toy.planted_model("causal", n_layers=2, d_mlp=40, layers=(1,), logit_effect=1.0)
MODEL = PLANTED.model
PROMPTS = PLANTED.language.prompts(24, seed=1)


def planned(prompts=PROMPTS, **options):
    return tlesion.plan_study(MODEL, prompts, **options)


def causal_masks(planted=PLANTED):
    return {word: planted.truth.mask("causal", word) for word in ("him", "her")}


@pytest.fixture(scope="module")
def pilot():
    return tlesion.laminar_profile(MODEL, causal_masks(), PLANTED.language.prompts(24, seed=2))


def test_what_can_be_counted_is_counted():
    plan = planned(smallest=1)
    assert (plan.n_prompts, plan.n_groups, plan.n_judged) == (24, 24, 12)
    assert (plan.words, plan.layers, plan.n_tests, plan.n_lesioned) == (("him", "her"), (0, 1), 4, 2)
    assert plan.attainable_p_groups == pytest.approx(2 / 2**12)
    assert plan.attainable_p == plan.attainable_p_controls == pytest.approx(0.01)
    assert plan.attainable_z == pytest.approx((math.sqrt(19), math.sqrt(190)))
    curve = tlesion.stats.power_curve([12], power=0.9, alpha=0.05, correction="bonferroni", n_tests=4)
    assert float(plan.detectable_effect) == pytest.approx(float(curve.effect[0]))
    assert plan.bytes == 8 * (2 * 100 * 2) * 24 * 3
    assert plan.seconds > 0
    assert plan.accuracy == tlesion.verdict(profile_on(PROMPTS)).accuracy


def profile_on(prompts):
    return tlesion.laminar_profile(MODEL, causal_masks(), prompts, n_controls=39)


def test_one_set_is_about_the_right_answer_and_words_that_are_given_count():
    assert planned(n_masks=1).words == ("",)
    assert planned(n_masks=1).n_judged == 24
    assert planned(about={"a": "her"}).words == ("her",)
    assert planned(about={"a": ""}).n_judged == 24
    with pytest.raises(ValueError, match=r"the word of set 'a' 'hm' is unknown.*did you mean 'him'"):
        planned(about={"a": "hm"})


def test_groups_are_the_units_of_evidence():
    labelled = [dataclasses.replace(one, group=f"t{i // 4}") for i, one in enumerate(PROMPTS)]
    plan = planned(labelled)
    assert (plan.n_prompts, plan.n_groups, plan.n_judged) == (24, 6, 6)
    assert planned(labelled, groups="none").n_groups == 24
    assert any("with 8 they can" in problem for problem in plan.problems)
    assert math.isinf(float(plan.detectable_effect))
    assert plan.detectable_logits.isinf().all()


def test_a_copy_is_no_prompt_of_its_own():
    assert planned([*PROMPTS, *PROMPTS]).n_prompts == 24


def test_an_object_with_prompts_is_a_task():
    class Task:
        prompts = tuple(PROMPTS)

    assert planned(Task()).n_prompts == 24
    with pytest.raises(TypeError, match="give a list"):
        planned(PROMPTS[0])


def test_a_study_that_cannot_reach_its_level_is_refused_with_every_reason_before_the_model_runs(monkeypatch):
    monkeypatch.setattr(CausalRunner, "embed", lambda *_, **__: pytest.fail("the model was run"))
    with pytest.raises(ValueError, match="cannot reach its own level") as caught:
        planned(PROMPTS[:10], n_controls=18, share=1)
    text = str(caught.value)
    assert "5 independent templates at least" in text
    assert "smaller than 0.0625: give prompts from 6 templates or more for each word" in text
    assert "18 controls cannot make p smaller than 0.0526: give n_controls=19 or more" in text
    assert "whole layer (40 neurons)" in text
    assert text.count("\n- ") == 3
    with pytest.raises(ValueError, match="The sets have no neuron"):
        planned(share=0.01)


def test_each_way_out_leads_out():
    assert planned(PROMPTS[:12]).n_judged == 6
    assert planned(n_controls=19).attainable_p == pytest.approx(0.05)
    assert planned(share=0.9).n_lesioned == 36


def test_without_strict_the_reasons_are_problems():
    plan = planned(PROMPTS[:10], n_controls=18, share=1, strict=False)
    assert sum("give" in problem for problem in plan.problems[:3]) == 3
    assert plan.attainable_z == (0.0, 0.0)
    assert plan.needed_causal == 0
    assert "Problem: 5 independent" not in plan.summary()
    assert "Problem: A set is judged on 5" in plan.summary()


def test_a_wide_set_is_a_problem_and_says_how_many_neurons_have_to_carry_the_effect():
    plan = planned(share=0.5, smallest=50)
    assert any("50 % of a layer is wide" in problem and "where 7 neurons" in problem for problem in plan.problems)
    assert plan.needed_causal == 7
    assert not any("wide" in problem for problem in planned(share=0.2).problems)


def test_a_model_that_guesses_is_a_problem():
    guessing = [dataclasses.replace(one, correct=("him", "her")[i // 2 % 2]) for i, one in enumerate(PROMPTS)]
    plan = planned(guessing)
    assert plan.accuracy == pytest.approx(0.5)
    assert "not shown to do this task" in plan.problems[0]
    unasked = planned([dataclasses.replace(one, correct=None) for one in PROMPTS])
    assert unasked.accuracy.isnan()
    assert "No prompt names a right answer" in unasked.summary()
    assert not any("task" in problem for problem in unasked.problems)


def test_what_is_detectable_is_compared_with_what_is_of_interest():
    fine, coarse = planned(smallest=0.01), planned(smallest=50)
    assert any("smallest of interest is 0.01 logits" in problem for problem in fine.problems)
    assert coarse.problems == ()
    assert coarse.detectable_logits.tolist() == [50, 50], "below it an effect is negligible"
    assert coarse.sensitivity.equal(fine.sensitivity)
    assert fine.detectable_logits.equal(fine.sensitivity)
    assert coarse.smallest_origin == "set before the run"
    assert planned().smallest_origin.startswith("not set beforehand: 10 % of the median clean margin")


def test_more_prompts_fewer_tests_and_smaller_sets_find_smaller_effects():
    few, many = planned(PROMPTS[:16]), planned()
    assert many.detectable_effect < few.detectable_effect
    assert planned(layers=[1]).detectable_effect < many.detectable_effect
    assert planned(layers=[1]).sensitivity[0] < many.sensitivity[1]


def test_a_pilot_says_what_is_detectable_in_its_own_layers(pilot):
    plan = planned(pilot=pilot, n_masks=2)
    assert plan.detectable_logits[0].isnan(), "the pilot's sets have no neuron there"
    assert plan.detectable_logits[1] >= plan.sensitivity[1] > 0
    assert "the pilot that was given (2 sets, 99 controls of each)" in plan.summary()
    assert plan.words == ("him", "her")


def test_a_pilot_that_does_not_fit_is_refused_or_a_problem(pilot):
    with pytest.raises(TypeError, match="pilot is a str"):
        planned(pilot="folder")
    with pytest.raises(ValueError, match="no matched controls"):
        planned(pilot=tlesion.laminar_profile(MODEL, causal_masks(), PROMPTS, n_controls=0))
    other = tlesion.toy.planted_model("causal", n_layers=2, d_mlp=40, layers=(1,), seed=1)
    with pytest.raises(ValueError, match="other weights"):
        tlesion.plan_study(other.model, PROMPTS, pilot=pilot)
    with pytest.raises(ValueError, match=r"cuts units of 'mlp.hook_post', the study those of 'mlp.hook_pre'"):
        planned(pilot=pilot, hook_point="mlp.hook_pre")
    assert any("pilot's sets have 2 neurons" in problem for problem in planned(pilot=pilot, share=0.2).problems)


def test_the_smallest_effect_of_a_pilot_is_taken_over():
    recorded = tlesion.laminar_profile(MODEL, causal_masks(), PROMPTS, smallest=0.7)
    plan = planned(pilot=recorded)
    assert (plan.smallest_effect, plan.smallest_origin) == (0.7, "set before the run")


def test_options_out_of_range_are_refused():
    for options, message in (
        ({"share": 0}, "share 0.0 is out of range"),
        ({"share": 1.5}, "share 1.5 is out of range"),
        ({"alpha": 0.7}, "alpha must lie between"),
        ({"power": 0.01}, "power must lie between"),
        ({"n_masks": 0}, "n_masks is 0; give 1 or more"),
        ({"groups": "some"}, "groups 'some' is unknown"),
    ):
        with pytest.raises(ValueError, match=message):
            planned(**options)


def test_a_plan_is_a_result(tmp_path):
    plan = planned()
    assert tlesion.load_result(plan.save(tmp_path / "plan")).content_hash == plan.content_hash
    frame = plan.to_frame()
    assert list(frame["layer"]) == [0, 1]
    np.testing.assert_array_equal(frame["detectable_logits"], plan.detectable_logits)
    assert frame["attainable_z_10"].iloc[0] == plan.attainable_z[1]
    for number in (plan.n_tests, plan.n_controls, plan.n_prompts, plan.n_judged):
        assert str(number) in plan.summary()


def test_a_masked_model_and_a_lone_target_can_be_planned_too(toy_bert):
    prompts = [dataclasses.replace(one, targets=("him",), correct=None) for one in tlesion.prompts.him_her()[:24]]
    plan = tlesion.plan_study(toy_bert, prompts, layers=[3, 11], n_masks=1, strict=False)
    assert "what cutting whole layers costs" in plan.smallest_origin
    assert plan.layers == (3, 11)
    assert plan.detectable_logits.isfinite().all()


# ---- the numbers behind it


def test_groups_that_suffice_are_those_with_which_sign_flips_can_reach_the_level():
    for n_tests in (1, 4, 24):
        needed = plan_power.groups_needed(0.05, n_tests)
        assert n_tests * 2.0 ** (1 - needed) <= 0.05 < n_tests * 2.0 ** (2 - needed)


def test_no_random_set_lies_further_out_than_is_attainable():
    """Neurons that carry the effect alike, and a set that holds them all, against all random sets of its size."""
    rng = np.random.default_rng(0)
    for n_causal, share in ((1, 0.1), (4, 0.2)):
        sets = rng.random((20_000, 100)).argsort(axis=1)[:, :n_causal] < share * 100
        effect = sets.sum(axis=1)
        z = (n_causal - effect.mean()) / effect.std()
        assert z == pytest.approx(plan_power.attainable_z(share, n_causal), rel=0.05)


def test_a_set_standardised_with_its_controls_has_to_lie_as_far_out_as_is_said():
    """Controls whose largest |z| is known, and a set that just exceeds it once it is among the rows."""
    for n_controls, z in ((99, 3.0), (19, 3.0)):
        other = torch.linspace(-1, 1, n_controls).double()
        other = (other - other.mean()) / other.std(correction=0)
        r = plan_power.needed_z(1, n_controls, 0.05, z=z)
        for far, expected in ((0.97, False), (1.03, True)):
            rows = torch.cat([torch.tensor([far * r], dtype=torch.float64), other])
            observed = (rows[0] - rows.mean()) / rows.std(correction=0)
            assert bool(observed > z) is expected


def test_the_safe_rank_is_as_safe_as_it_says():
    """How often the fifth largest of 99 new draws exceeds a pilot's draw of the rank."""
    rng = np.random.default_rng(1)
    for miss in (0.05, 0.3):
        rank = plan_power.safe_rank(99, 99, 0.05, miss)
        pilots, studies = (np.sort(rng.random((20_000, 99)), axis=1)[:, ::-1] for _ in range(2))
        assert (studies[:, 4] > pilots[:, rank]).mean() <= miss + 0.01
        assert (studies[:, 4] > pilots[:, rank + 1]).mean() > miss - 0.01


def spread_by_hand(*, deviation=0.0, **numbers):
    names = ("centre", "spread", "share_centre", "share_spread", "scale")
    values: dict[str, Any] = {name: torch.tensor([[numbers.get(name, 0.0)]], dtype=torch.float64) for name in names}
    rest = {name: value for name, value in numbers.items() if name not in names}
    return Spread(deviation=torch.tensor([[deviation]], dtype=torch.float64), **values, **rest)


def told(spread, *, n_groups=20, n_controls=99):
    return smallest_told(spread, n_groups=n_groups, n_tests=2, n_controls=n_controls, alpha=0.05, power=0.9).item()


def test_what_is_told_is_the_larger_of_what_prompts_and_controls_ask_for():
    z = plan_power.normal_z(plan_power.safe_level(99, 0.05, 0.25), 2)
    r = z * math.sqrt(100 / (99 - z * z))
    assert told(spread_by_hand(centre=0.5, spread=2.0)) == pytest.approx(0.5 + 2 * r)
    assert told(spread_by_hand(share_centre=0.5, share_spread=2.0, scale=3.0)) == pytest.approx(3 * (0.5 + 2 * r))
    far = told(spread_by_hand(spread=2.0, furthest=6.0))
    assert far == pytest.approx(2 * 6 * math.sqrt(100 / (99 - 36)))
    d = float(tlesion.stats.power_curve([20], power=0.95, correction="bonferroni", n_tests=2).effect[0])
    assert told(spread_by_hand(deviation=3.0)) == pytest.approx(3 * d)
    assert math.isinf(told(spread_by_hand(), n_groups=6)), "six templates need not be enough for two tests"
    assert math.isinf(told(spread_by_hand(spread=1.0, furthest=5.0), n_controls=19))
    assert math.isnan(told(spread_by_hand(deviation=math.nan)))


def test_the_spread_of_a_profile_is_that_of_its_own_sets_and_controls(by_hand):
    """The mask's effects vary by 0.1 times a fixed spread; controls are normal draws of 0.1 on each of two logits."""
    profile = by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0))
    spread = spread_of_profile(profile, "detect", 60, 0.05, 0.25)
    factor = plan_power.upper_deviation(by_hand.N_JUDGED, 0.9)
    assert spread.deviation[0, 1].item() == pytest.approx(by_hand.SPREAD.std().item() * factor)
    one = profile.effect_of("him").controls.mean(dim=-1)
    torch.testing.assert_close(spread.spread[0], one.std(dim=0))
    torch.testing.assert_close(spread.centre[0], one.mean(dim=0).abs())
    assert spread.scale[0, 0].item() == pytest.approx(0.2), "twice the usual change"
    assert 2 < spread.furthest < 4
