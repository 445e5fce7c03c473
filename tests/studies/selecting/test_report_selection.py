"""The selection's part of the laminar report: what its sentences and tables say is what the selections hold."""

from dataclasses import replace

import pytest

import tlesion
from tlesion.studies.selecting.page import (
    comparison_section,
    overlap_table,
    power_of,
    power_section,
    selection_section,
)
from tlesion.studies.selecting.positions import SelectionComparison


@pytest.fixture(scope="module")
def planted():
    return tlesion.toy.planted_model("masked", n_token=12)


@pytest.fixture(scope="module")
def contrast(planted):
    return planted.language.contrast(30, seed=0)


@pytest.fixture(scope="module")
def comparison(planted, contrast) -> SelectionComparison:
    return tlesion.compare_positions(planted.model, contrast)


@pytest.fixture(scope="module")
def select(planted, contrast):
    return lambda **options: tlesion.select_neurons(planted.model, contrast, **options)


@pytest.mark.slow
def test_comparison_says_how_much_each_question_selects_and_how_much_they_share(comparison):
    section = comparison_section(comparison)
    said = " ".join(section.text)
    for name, mask in comparison.masks().items():
        assert f"Asked {name!r}: {int(mask.sum())} neurons ({100 * mask.double().mean():.1f} %" in said
    overlap = comparison.overlap()
    more = overlap.jaccard_model[0, 1] > overlap.by_chance_model[0, 1]
    assert f"share {'more than' if more else 'no more than'} random sets" in said
    assert f"Jaccard {overlap.jaccard_model[0, 1]:.2f}, by chance {overlap.by_chance_model[0, 1]:.2f}" in said
    assert len(section.drawings) == 2


def test_overlap_table_holds_the_whole_model_only(comparison):
    frame = overlap_table(comparison.overlap()).frame
    masks = list(comparison.masks().values())
    assert len(frame) == 1
    assert frame["", "in both"].tolist() == [int((masks[0] & masks[1]).sum())]
    assert frame["", "neurons"].tolist() == [int(masks[0].sum())]


def test_an_empty_mask_is_not_said_to_share_anything(comparison):
    """Where nothing is selected there is no Jaccard index worth a sentence."""
    nothing = comparison.mask_a.clone()
    nothing[1] = False
    empty = replace(comparison, mask_a=nothing, mask_b=nothing & False)
    said = " ".join(comparison_section(empty).text)
    assert "0 neurons (0.0 %)" in said
    assert "share" not in said


@pytest.mark.slow
@pytest.mark.parametrize("test", ["welch", "paired", "moderated_paired"])
def test_power_is_that_of_the_selection_s_own_test(select, test):
    selection = select(test=test, correction="fdr_bh")
    curve = power_of(selection)
    assert (curve.test, curve.correction, curve.alpha) == (test, "fdr_bh", selection.alpha)
    assert curve.n_tests == selection.t.shape[1]
    assert curve.share_true == pytest.approx(selection.mask("any").double().mean().item())
    assert (curve.prior_dof > 0) == (test == "moderated_paired")
    section = power_section(selection)
    assert section is not None
    said = " ".join(section.text)
    effect = curve.effect[curve.n.tolist().index(30)].item()
    assert f"{effect:.2f}" in said
    assert ("30 pairs" if "paired" in test else "30 sentences per condition") in said
    assert f"{curve.n_needed(0.5)} for d" in said


def test_family_of_the_whole_model_counts_every_neuron(select):
    selection = select(family="model")
    assert power_of(selection).n_tests == selection.t.numel()


@pytest.mark.parametrize("options", [{"test": "permutation", "n_permutations": 99}, {"correction": "fdr_tsbky"}])
def test_no_power_is_claimed_where_no_formula_is_known(select, options):
    assert power_section(select(**options)) is None


def test_pairs_that_are_identical_up_to_the_word_are_counted(by_hand):
    selection = by_hand.selection()
    assert "the same tokens" not in " ".join(selection_section(selection, layer=0).text)
    some = replace(selection, provenance=by_hand.provenance(identical_pairs=2))
    assert f"In 2 of {some.n_a} pairs the model has read the same tokens" in " ".join(
        selection_section(some, layer=0).text
    )


def test_dead_neurons_are_counted(select):
    selection = select()
    said = " ".join(selection_section(selection, layer=0).text)
    n_dead = int(selection.dead.sum())
    assert (f"{n_dead} neurons never change" in said) == (n_dead > 0)
