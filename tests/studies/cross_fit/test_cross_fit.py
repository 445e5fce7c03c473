"""Cross-fitting: fold by fold what public functions give by hand, the planted truth, no sentence on both sides."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from transformer_lens import HookedEncoder

import tlesion
from tlesion import Contrast, Prompt
from tlesion.inference import empirical_p, joint_controls, require_independent, standardised_effect
from tlesion.inference.folds import split_folds, template_groups
from tlesion.stats import jaccard, jaccard_by_chance

pytestmark = pytest.mark.slow

PAIRS = [(f"{start} him{end}", f"{start} her{end}") for start, end in [
    ("We saw", " today."), ("The boy told", "."), ("Robert helped", " by the river."), ("The nurse called", "."),
    ("She thanked", " for the apple."), ("If people saw", " they would help."), ("The old teacher gave", " a cup."),
    ("They brought", " into the garden."),
]]  # fmt: skip
CONTRAST = Contrast.from_pairs(PAIRS, ("him", "her"))
OPTIONS: dict[str, Any] = {"test": "paired", "correction": "none", "alpha": 0.2}


@pytest.fixture(scope="module", params=["bert", "gpt2"])
def model(request, checkpoint_folder):
    return tlesion.load_model(checkpoint_folder(request.param))


@pytest.fixture(scope="module")
def result(model):
    return tlesion.cross_fit(model, CONTRAST, 3, seed=1, **OPTIONS)


def left_out(result, fold):
    return (result.fold_of_pair == fold).nonzero().flatten().tolist()


@pytest.mark.parametrize("fold", range(3))
def test_a_fold_is_what_selection_and_profile_give_by_hand(model, result, fold):
    masked = isinstance(model, HookedEncoder)
    rest = (result.fold_of_pair != fold).nonzero().flatten().tolist()
    selection = tlesion.select_neurons(model, CONTRAST.subset(rest), **OPTIONS)
    texts = [CONTRAST.a[i].masked if masked else CONTRAST.a[i].before for i in left_out(result, fold)]
    masks = {name: selection.mask(name) for name in ("him", "her")}
    profile = tlesion.laminar_profile(model, masks, [Prompt(text, ("him", "her")) for text in texts], n_controls=0)
    mine = result.fold == fold
    assert [text for text, own in zip(result.prompts, mine, strict=True) if own] == texts
    # Another batch of prompts: float32 rounding.
    for name, place in (("logit_drop", 2), ("global_change", 2), ("clean_logits", 0)):
        found = getattr(result, name).index_select(place, mine.nonzero().flatten())
        torch.testing.assert_close(found, getattr(profile, name), atol=1e-5, rtol=1e-5)
    assert result.selected[:, fold].equal(torch.stack(list(masks.values())))
    assert result.selected.any(), "nothing selected would compare nothing"


def test_every_prompt_is_new_to_the_selection_of_its_fold(result):
    for fold in range(3):
        rest = CONTRAST.subset((result.fold_of_pair != fold).nonzero().flatten().tolist())
        prompts = [
            Prompt(t, w) for t, w, f in zip(result.prompts, result.targets, result.fold, strict=True) if f == fold
        ]
        assert require_independent(rest, prompts) == ()
    assert len(require_independent(result, [Prompt(text, ("him",)) for text in result.prompts], allow_shared=True)) == 8
    causal = "[MASK]" not in result.prompts[0]
    assert result.fold_of_pair.equal(split_folds(template_groups(CONTRAST, causal=causal), 3, seed=1))


def test_masks_of_the_folds_are_compared(result):
    for mask in range(2):
        for layer in range(result.selected.shape[2]):
            one, other = result.selected[mask, 0, layer], result.selected[mask, 2, layer]
            expected = [jaccard(one, other), jaccard_by_chance(one, other)]
            found = [x[mask, 0, 2, layer].item() for x in (result.jaccard, result.jaccard_by_chance)]
            assert found == pytest.approx(expected, nan_ok=True)
    table = result.stability()
    assert list(table.columns) == ["mask", "layer", "jaccard", "by_chance", "in_all", "in_any"]
    row = table.query("mask == 'her' and layer == 1").iloc[0]
    assert row["in_all"] == int(result.selected[1, :, 1].all(dim=0).sum())
    assert row["in_any"] == int(result.selected[1, :, 1].any(dim=0).sum())
    pairs = [result.jaccard[1, i, j, 1].item() for i, j in ((0, 1), (0, 2), (1, 2))]
    assert row["jaccard"] == pytest.approx(np.nanmean(pairs), nan_ok=True)


def test_tables_hold_the_numbers_of_the_fields(result):
    frame = result.to_frame()
    assert list(frame.columns) == [
        "mask", "layer", "prompt", "fold", "text", "group", "target", "is_correct", "clean_logit", "lesioned_logit",
        "logit_drop", "global_change", "n_lesioned",
    ]  # fmt: skip
    row = frame.query("mask == 'her' and layer == 1 and prompt == 4 and target == 'him'").iloc[0]
    fold = int(result.fold[4])
    assert (row["fold"], row["text"], row["group"]) == (fold, result.prompts[4], result.groups[4])
    assert row["logit_drop"] == result.logit_drop[1, 1, 4, 0].item()
    assert row["lesioned_logit"] == pytest.approx(row["clean_logit"] - row["logit_drop"])
    assert row["n_lesioned"] == int(result.selected[1, fold, 1].sum())
    effects = result.effects(method="t", level=0.9)
    row = effects.query("mask == 'her' and layer == 1").iloc[0]
    own = (result.logit_drop[1, 1, :, 1] - result.logit_drop[1, 1, :, 0]).numpy()
    expected = stats.ttest_1samp(own, 0).confidence_interval(0.9)
    assert (row["advantage"], row["low"], row["high"]) == pytest.approx((own.mean(), *expected))
    assert row["own_drop"] - row["other_drop"] == pytest.approx(row["advantage"])
    assert effects["p_corrected"].dropna().between(0, 1).all()


def test_saved_and_read_back(result, tmp_path):
    again = tlesion.load_result(result.save(tmp_path / "kept"))
    assert again.content_hash == result.content_hash
    assert again.effects(method="t").equals(result.effects(method="t"))


@pytest.mark.parametrize("kind", ["masked", "causal"])
def test_planted_causal_neurons_are_found_and_their_held_out_effect_is_the_true_one(kind):
    planted = tlesion.toy.planted_model(kind, n_decoys=2, n_token=0, effect_size=4.0, background=0.0)
    contrast = planted.language.contrast(24, seed=1)
    position: Any = {"masked": "mask", "causal": "before"}[kind]
    found = tlesion.cross_fit(
        planted.model, contrast, 3, position=position, correction="holm", alpha=1e-4, n_controls=19
    )
    carriers = planted.truth.mask("causal") | planted.truth.mask("decoy")
    assert found.selected.any(dim=0).equal(carriers.expand(3, -1, -1)), "d = 4: every fold finds them all"
    table: Any = found.effects(method="t").set_index(["mask", "layer"])
    for mask in ("him", "her"):
        for layer in (0, 3):
            assert table.loc[(mask, layer), ["advantage", "n_lesioned"]].tolist() == [0.0, 0.0]
            assert table.loc[(mask, layer), "p_control"] == 1.0
        for layer in (1, 2):
            assert table.loc[(mask, layer), "low"] > 0
            assert table.loc[(mask, layer), "p_corrected"] < 0.01
            assert table.loc[(mask, layer), "p_control"] == 1 / 20
    assert len(found.prompts) == 48, "contexts differ: two prompts of each pair"
    assert {found.correct.count(word) for word in ("him", "her")} == {24}


def test_nothing_planted_is_no_more_than_random_masks_though_a_mask_of_noise_does_something():
    """Noise neurons write a little: over prompts that is a small, certain effect; beside random masks it is none."""
    planted = tlesion.toy.planted_model("masked", n_causal=0, n_decoys=0, n_token=0)
    found = tlesion.cross_fit(
        planted.model, planted.language.contrast(24, seed=2), 3, position="mask", correction="none", alpha=0.2,
        n_controls=49,
    )  # fmt: skip
    assert (found.selected.sum(dim=(2, 3)) > 5).all(), "noise was selected"
    table = found.effects(method="t")
    assert table["p_corrected"].min() < 0.001
    assert table["p_control"].min() > 0.01  # a fixed seed; of 8 masks and layers one would be below in 8 % of seeds
    assert table["z_control"].abs().max() < 3


def test_controls_are_those_of_the_folds_together(model):
    found = tlesion.cross_fit(model, CONTRAST, 2, seed=3, n_controls=2, **OPTIONS)
    controls = joint_controls(found.selected.flatten(0, 1), n_controls=2, seed=3)
    left = found.fold == 1
    prompts = [Prompt(text, ("him", "her")) for text, own in zip(found.prompts, left, strict=True) if own]
    masks = {"him": controls[1, 0 * 2 + 1], "her": controls[1, 1 * 2 + 1]}
    profile = tlesion.laminar_profile(model, masks, prompts, n_controls=0)
    # Another batch of lesions: float32 rounding.
    torch.testing.assert_close(found.control_logit_drop[:, 1][:, :, left], profile.logit_drop, atol=1e-5, rtol=1e-5)
    plain = tlesion.cross_fit(model, CONTRAST, 2, seed=3, **OPTIONS)
    assert plain.control_logit_drop.shape[1] == 0
    torch.testing.assert_close(found.logit_drop, plain.logit_drop, atol=1e-5, rtol=1e-5)
    assert plain.effects(method="t")[["p_control", "z_control"]].isna().all(axis=None)
    own = (found.logit_drop[1, ..., 1] - found.logit_drop[1, ..., 0]).mean(dim=1)
    others = (found.control_logit_drop[1, ..., 1] - found.control_logit_drop[1, ..., 0]).mean(dim=2)
    row = found.effects(method="t").query("mask == 'her' and layer == 1").iloc[0]
    assert row["p_control"] == empirical_p(own, others)[1].item()
    assert row["z_control"] == pytest.approx(standardised_effect(own, others)[1].item())


def test_reference_values_come_from_the_sentences_selected_on(model):
    masked = isinstance(model, HookedEncoder)
    found = tlesion.cross_fit(model, CONTRAST, 2, ablation="mean", **OPTIONS)
    rest = CONTRAST.subset((found.fold_of_pair != 0).nonzero().flatten().tolist())
    reference = tlesion.measure_reference(model, rest, position="mask" if masked else "before")
    selection = tlesion.select_neurons(model, rest, **OPTIONS)
    prompts = [Prompt(text, ("him", "her")) for text, fold in zip(found.prompts, found.fold, strict=True) if fold == 0]
    profile = tlesion.laminar_profile(
        model, {"him": selection.mask("him")}, prompts, ablation="mean", reference=reference, n_controls=0
    )
    torch.testing.assert_close(found.logit_drop[:1, :, found.fold == 0], profile.logit_drop, atol=1e-5, rtol=1e-5)


def test_what_cannot_be_evaluated_is_refused(model):
    same = Contrast.from_pairs([("Him we saw.", "We saw him there."), ("Him people saw.", "People saw him.")] * 2,
                               [("Him", "him"), ("Him", "him")] * 2, conditions=("front", "back"))  # fmt: skip
    with pytest.raises(ValueError, match="4 pairs that fall into 2 template"):
        tlesion.cross_fit(model, same, 3)
    if not isinstance(model, HookedEncoder):
        with pytest.raises(ValueError, match=r"the word 'Him' begins 'Him we saw\.', so that a causal model"):
            tlesion.cross_fit(model, same, 2)
    one_word = Contrast.from_pairs([("We saw him.", "They saw him."), ("The boy told him.", "Lucy told him.")],
                                   ("him", "him"), conditions=("we", "they"))  # fmt: skip
    with pytest.raises(ValueError, match=r"has the word 'him' in both sentences.*two different words"):
        tlesion.cross_fit(model, one_word, 2)
    with pytest.raises(ValueError, match="n_controls is -1; give 0"):
        tlesion.cross_fit(model, CONTRAST, 2, n_controls=-1)
    with pytest.raises(ValueError, match="2 group labels for 8 pairs"):
        tlesion.cross_fit(model, CONTRAST, 2, groups=["a", "b"])
