"""Matched controls of a profile: plain lesions of random neurons that leave the profile's own numbers alone."""

import pytest
import torch

from tlesion import Contrast, Prompt, laminar_profile, load_model, matched_controls, select_neurons
from tlesion.studies.common.controls import measure_activity
from tlesion.sweeps.sweep import encode_prompts

pytestmark = pytest.mark.slow

TEXTS = ["We saw [MASK].", "The old teacher gave the boy an apple and told [MASK] to share it.", "We met [MASK] today."]
PROMPTS = [Prompt(text, ("him", "her"), correct="him", group=f"t{index}") for index, text in enumerate(TEXTS)]
ATOL = 2e-5  # float32 rounding of logits of order 1 to 10, after three layers; other batches take other kernels


@pytest.fixture(scope="module", params=["bert", "gpt2"])
def model(request, checkpoint_folder):
    return load_model(checkpoint_folder(request.param))


def prompts_for(model) -> list[Prompt]:
    return PROMPTS if type(model).__name__ == "HookedEncoder" else [prompt.before_mask() for prompt in PROMPTS]


def masks_for(model) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    masks = {name: torch.rand(3, model.cfg.d_mlp, generator=rng) < 0.2 for name in ("him", "her")}
    masks["her"][1] = False
    return masks


@pytest.fixture(scope="module")
def profile(model):
    return laminar_profile(model, masks_for(model), prompts_for(model), n_controls=5, seed=3, match=None)


def test_a_profiles_own_numbers_are_the_same_bits_with_and_without_controls(model, profile):
    alone = laminar_profile(model, masks_for(model), prompts_for(model), n_controls=0)
    for name in ("logit_drop", "global_change", "clean_logits", "reference_logit_drop", "reference_global_change"):
        assert torch.equal(getattr(alone, name), getattr(profile, name)), name
    assert alone.n_controls == 0
    assert alone.control_logit_drop.shape == (2, 0, 3, 3, 2)
    assert alone.control_global_change.shape == (2, 0, 3, 3)
    assert profile.control_logit_drop.shape == (2, 5, 3, 3, 2)
    assert profile.groups == ("t0", "t1", "t2")


def test_a_control_is_the_lesion_of_a_random_mask_of_the_same_size(model, profile):
    """Each control again, as a mask of its own."""
    found = 0
    for row, (name, mask) in enumerate(masks_for(model).items()):
        alone = laminar_profile(model, {name: mask}, prompts_for(model), n_controls=5, seed=3, match=None)
        torch.testing.assert_close(alone.control_logit_drop[0], profile.control_logit_drop[row], atol=ATOL, rtol=0)
        drawn = {f"control {i}": control for i, control in enumerate(redrawn(mask))}
        again = laminar_profile(model, drawn, prompts_for(model), n_controls=0)
        torch.testing.assert_close(again.logit_drop, profile.control_logit_drop[row], atol=ATOL, rtol=0)
        torch.testing.assert_close(again.global_change, profile.control_global_change[row], atol=ATOL, rtol=0)
        assert torch.equal(again.n_lesioned, profile.n_lesioned[row].expand(5, 3))
        found += int(again.logit_drop.abs().max() > 100 * ATOL)
    assert found == 2, "the controls do something"


def redrawn(mask: torch.Tensor) -> torch.Tensor:
    """The controls of a mask, from the profile's seed."""
    return matched_controls(mask, n_controls=5, seed=3)


def test_controls_follow_the_seed_and_one_shuffle_serves_all_masks_and_fewer_are_the_first_of_more(model, profile):
    masks, prompts = masks_for(model), prompts_for(model)
    fewer = laminar_profile(model, masks, prompts, n_controls=2, seed=3, match=None)
    torch.testing.assert_close(fewer.control_logit_drop, profile.control_logit_drop[:, :2], atol=ATOL, rtol=0)
    other_seed = laminar_profile(model, masks, prompts, n_controls=2, seed=4, match=None)
    twins = laminar_profile(
        model, {"him": masks["him"], "them": masks["him"]}, prompts, n_controls=2, seed=3, match=None
    )
    assert (other_seed.control_logit_drop[0] - fewer.control_logit_drop[0]).abs().max() > 100 * ATOL
    torch.testing.assert_close(*twins.control_logit_drop, atol=ATOL, rtol=0)


def test_the_overlap_is_what_the_controls_hold_on_average(model):
    """Of the share of the layer without matching; of the bins with it; against many draws."""
    masks = {"him": masks_for(model)["him"]}
    free = laminar_profile(model, masks, prompts_for(model), n_controls=1, match=None)
    torch.testing.assert_close(free.control_overlap[0], masks["him"].double().mean(dim=1))
    values = torch.arange(model.cfg.d_mlp).expand(3, -1)
    matched = laminar_profile(model, masks, prompts_for(model), n_controls=1, match=values)
    drawn = matched_controls(masks["him"], n_controls=3000, seed=0, match=values)
    held = (drawn & masks["him"]).sum(dim=-1).double().mean(dim=0) / masks["him"].sum(dim=-1)
    torch.testing.assert_close(matched.control_overlap[0], held, atol=0.03, rtol=0)
    assert laminar_profile(model, masks, prompts_for(model), n_controls=0).control_overlap.isnan().all()


def test_an_empty_layer_has_controls_that_change_nothing_and_p_1(profile):
    assert not profile.control_logit_drop[1, :, 1].any()
    assert not profile.control_global_change[1, :, 1].any()
    assert profile.control_p()[1, 1] == 1
    assert profile.standardised_effect()[1, 1].isnan()


@pytest.mark.parametrize("how", [{"plan": "loop"}, {"plan": "fanout"}, {"max_bytes": 40_000}])
def test_controls_do_not_depend_on_how_they_are_swept(model, profile, how):
    other = laminar_profile(model, masks_for(model), prompts_for(model), n_controls=5, seed=3, match=None, **how)
    torch.testing.assert_close(other.control_logit_drop, profile.control_logit_drop, atol=ATOL, rtol=0)
    torch.testing.assert_close(other.control_global_change, profile.control_global_change, atol=ATOL, rtol=0)


def test_p_and_standardised_effect_by_hand(profile):
    """Mask "him" on all three prompts, "her" as well, because no prompt says that her is right."""
    p, z = profile.control_p(), profile.standardised_effect()
    for row, (own, other) in enumerate(((0, 1), (1, 0))):
        for layer in (0, 2):
            effect = (profile.logit_drop[row, layer, :, own] - profile.logit_drop[row, layer, :, other]).mean().item()
            drops = profile.control_logit_drop[row, :, layer]
            controls = [(one[:, own] - one[:, other]).mean().item() for one in drops]
            assert p[row, layer] == (1 + sum(control >= effect for control in controls)) / 6
            spread = torch.tensor(controls, dtype=torch.float64)
            assert z[row, layer].item() == pytest.approx((effect - spread.mean().item()) / spread.std().item())
    drop = profile.control_p(measure="drop")
    effect, controls = profile.logit_drop[0, 0, :, 0].mean(), profile.control_logit_drop[0, :, 0, :, 0].mean(dim=1)
    assert drop[0, 0].item() == (1 + (controls >= effect).sum().item()) / 6


@pytest.mark.parametrize("position", ["readout", "all", 1, -1])
def test_activity_is_the_mean_absolute_activation_where_a_profile_lesions(model, position):
    prompts = prompts_for(model)
    readings = encode_prompts(model, prompts)
    names = [f"blocks.{layer}.mlp.hook_post" for layer in range(3)]
    found = measure_activity(model, names, readings, position=position)
    for layer, name in enumerate(names):
        rows = []
        for reading in readings:
            activation = model.run_with_cache(reading.ids[None])[1][name][0].double().abs()
            place = int(reading.readout[0]) if position == "readout" else position
            rows.append(activation if position == "all" else activation[[place]])
        # Float32 activations of order 1, in batches of other shapes.
        torch.testing.assert_close(found[layer], torch.cat(rows).mean(dim=0), atol=1e-5, rtol=0)
    assert not any(point.fwd_hooks for point in model.hook_dict.values())


def test_controls_matched_on_activity_are_as_active_as_the_mask(model):
    """The most active fifth: without matching, controls are half as active; with it, exactly from its bins."""
    names = [f"blocks.{layer}.mlp.hook_post" for layer in range(3)]
    activity = measure_activity(model, names, encode_prompts(model, prompts_for(model)), position="readout")
    most = torch.zeros_like(activity, dtype=torch.bool)
    most.scatter_(1, activity.topk(activity.shape[1] // 5, dim=1).indices, True)
    matched = laminar_profile(model, {"him": most}, prompts_for(model), n_controls=8, match="activity")
    values = laminar_profile(model, {"him": most}, prompts_for(model), n_controls=8, match=activity)
    free = laminar_profile(model, {"him": most}, prompts_for(model), n_controls=8, match=None)
    assert torch.equal(matched.control_logit_drop, values.control_logit_drop)
    own = matched.global_change[0].mean(dim=1)
    nearer = (matched.control_global_change[0].mean(dim=(0, 2)) - own).abs()
    assert (nearer < (free.control_global_change[0].mean(dim=(0, 2)) - own).abs()).all()
    assert matched.provenance.settings["match"] == "activity"
    assert free.provenance.settings["match"] is None
    assert len(values.provenance.settings["match"]) == 64, "the values' hash"


CONTRAST = Contrast.from_pairs([("We saw him.", "We saw her."), ("Ask him now!", "Ask her now!")], words=("him", "her"))


def test_prompts_of_the_selection_are_refused_unless_told(model):
    masks, prompts = masks_for(model), prompts_for(model)
    with pytest.raises(ValueError, match=r"1 of 3 prompts are made from sentences that the neurons were selected on"):
        laminar_profile(model, masks, prompts, selected_on=CONTRAST, n_controls=0)
    selection = select_neurons(model, CONTRAST)
    with pytest.raises(ValueError, match=r"pass allow_shared=True"):
        laminar_profile(model, masks, prompts, selected_on=selection, n_controls=0)
    told = laminar_profile(model, masks, prompts, selected_on=selection, allow_shared=True, n_controls=0)
    fresh = laminar_profile(model, masks, prompts[1:], selected_on=CONTRAST, n_controls=0)
    assert told.provenance.settings["selected_on"] == fresh.provenance.settings["selected_on"]
    assert laminar_profile(model, masks, prompts, n_controls=0).provenance.settings["selected_on"] is None
    with pytest.raises(TypeError, match=r"a str has no sentences to compare with"):
        laminar_profile(model, masks, prompts, selected_on="him", n_controls=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_controls": -1}, r"n_controls is -1; give 0 \(none\) or more"),
        ({"n_controls": 2, "seed": -1}, r"seed -1 is negative"),
        ({"n_controls": 2, "match": "activty"}, r"match 'activty' is unknown; allowed: 'activity' \(did you mean"),
        ({"n_controls": 2, "match": torch.ones(3, 5)}, r"match has shape \(3, 5\) and 0 values that are not finite; "
         r"give one finite number for each unit, \(3, \d+\) \[layer, unit\], or match='activity'"),
    ],
)  # fmt: skip
def test_controls_that_cannot_be_meant_are_refused(model, options, message):
    with pytest.raises(ValueError, match=message):
        laminar_profile(model, masks_for(model), prompts_for(model), **options)


def test_values_to_match_on_are_finite(model):
    values = torch.ones(3, model.cfg.d_mlp)
    values[1, 2] = torch.nan
    with pytest.raises(ValueError, match=r"and 1 values that are not finite"):
        laminar_profile(model, masks_for(model), prompts_for(model), n_controls=2, match=values)


def test_without_controls_nothing_can_be_compared(model):
    profile = laminar_profile(model, masks_for(model), prompts_for(model), n_controls=0)
    for compare in (profile.control_p, profile.standardised_effect):
        with pytest.raises(ValueError, match=r"has no matched controls.*laminar_profile\(\.\.\., n_controls=99\)"):
            compare()
    with pytest.raises(ValueError, match=r"mask 'hm' is unknown; allowed: 'him', 'her'"):
        profile.effect_of("hm")
