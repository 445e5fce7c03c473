"""A grid of verdicts: each cell is the verdict on its own condition, and a word stands where all conditions give it."""

import dataclasses

import numpy as np
import pytest
import torch

import tlesion
from tlesion import plots
from tlesion.anatomy.runners import CausalRunner
from tlesion.selection.reference import reference_for
from tlesion.studies.verdict.grid import halves_of, part_of
from tlesion.studies.verdict.grid_figures import COLOURS, LETTERS, STANDS
from tlesion.studies.verdict.result import VERDICTS

PLANTED = tlesion.toy.planted_model("causal", n_layers=2, d_mlp=64, layers=(1,), n_causal=6, logit_effect=1.0)
MASKS = {word: PLANTED.truth.mask("causal", word) for word in ("him", "her")}
PROMPTS = PLANTED.language.prompts(48, seed=1)
CONTRAST = PLANTED.language.contrast(8, seed=0)


@pytest.fixture(scope="module")
def grid():
    return tlesion.verdict_grid(PLANTED.model, MASKS, PROMPTS, ablations=["zero", "mean"], contrast=CONTRAST)


def test_every_ablation_has_all_prompts_and_both_halves(grid):
    assert grid.conditions == ("zero", "zero, half 1", "zero, half 2", "mean", "mean, half 1", "mean, half 2")
    assert grid.ablations == ("zero",) * 3 + ("mean",) * 3
    assert grid.halves == (0, 1, 2) * 2
    assert grid.n_prompts.tolist() == [[24, 24], [12, 12], [12, 12]] * 2
    assert grid.about == ("him", "her")


def test_a_cell_is_the_verdict_of_its_own_study(grid):
    for condition, name in ((0, "zero"), (3, "mean")):
        reference = reference_for(PLANTED.model, CONTRAST, name)
        profile = tlesion.laminar_profile(PLANTED.model, MASKS, PROMPTS, ablation=name, reference=reference)
        alone = tlesion.verdict(profile)
        assert grid.words[condition] == alone.verdicts
        assert grid.reasons[condition] == alone.reasons
        torch.testing.assert_close(grid.effect[condition], alone.effect)
        torch.testing.assert_close(grid.low[condition], alone.low)
        torch.testing.assert_close(grid.smallest_effect[condition], alone.smallest_effect)
    halves = grid.effect[1:3].mean(dim=0)
    torch.testing.assert_close(halves, grid.effect[0], msg="halves of equal size")


def test_a_half_has_the_effects_of_its_prompts(by_hand):
    profile = by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0))
    labels = [f"t{i // 2}" for i in range(by_hand.N_JUDGED)]
    first, second = halves_of(labels, profile.correct, seed=0)
    part = part_of(profile, labels, first)
    torch.testing.assert_close(part.effect_of("him").values, profile.effect_of("him").values[:, first])
    torch.testing.assert_close(part.effect_of("him").controls, profile.effect_of("him").controls[..., first])
    assert tlesion.verdict(part).n_groups.tolist() == [6]
    assert sorted([*first, *second]) == list(range(by_hand.N_JUDGED))


def test_halves_keep_templates_whole_and_deal_words_evenly():
    labels = [f"t{i // 3}" for i in range(60)]
    correct = [("him", "her")[i // 3 % 2] for i in range(60)]
    first, second = halves_of(labels, correct, seed=3)
    assert not {labels[i] for i in first} & {labels[i] for i in second}
    for half in (first, second):
        assert sum(correct[i] == "him" for i in half) == 15
    assert halves_of(labels, correct, seed=3) == (first, second)
    assert halves_of(labels, correct, seed=4) != (first, second)


def test_words_stand_where_all_conditions_give_them(grid):
    for mask in range(2):
        for layer in range(2):
            words = {grid.words[condition][mask][layer] for condition in range(6)}
            assert grid.stands[mask][layer] == (words.pop() if len(words) == 1 else "")
    assert grid.stands[0][0] == "nothing cut"
    same = dataclasses.replace(grid, words=((("damage", "specific"), ("negligible", "inconclusive")),) * 6)
    assert same.stands == (("damage", "specific"), ("negligible", "inconclusive"))
    other = (("damage", "specific"), ("damage", "inconclusive"))
    differ = dataclasses.replace(same, words=(*same.words[:5], other))
    assert differ.stands == (("damage", "specific"), ("", "inconclusive"))
    text = differ.summary().splitlines()
    assert text[0].startswith("The study was judged in 6 conditions (ablation: zero and mean on all prompts and on")
    assert text[1] == "him-neurons, in every condition: specific in layer 1; damage in layer 0."
    assert text[2] == (
        "her-neurons, in every condition: no definite word. Inconclusive in every condition: layer 1. Conditions "
        "differ in layer 0 (damage in 1 of 6, negligible in 5 of 6)."
    )


def test_the_table_has_a_row_for_every_cell(grid, tmp_path):
    frame = grid.to_frame()
    assert len(frame) == 6 * 2 * 2
    row = frame.query("condition == 'mean, half 2' and mask == 'her' and layer == 1").iloc[0]
    assert (row["ablation"], row["half"], row["about"]) == ("mean", 2, "her")
    assert row["effect"] == grid.effect[5, 1, 1].item()
    assert row["n_prompts"] == grid.n_prompts[5, 1].item()
    assert row["verdict"] == grid.words[5][1][1]
    assert row["stands"] == grid.stands[1][1]
    assert tlesion.load_result(grid.save(tmp_path / "grid")).content_hash == grid.content_hash


def test_halves_can_be_left_out_and_references_given():
    values = torch.ones(2, 64, dtype=torch.float64)
    grid = tlesion.verdict_grid(
        PLANTED.model, MASKS, PROMPTS, ablations=["mean"], references={"mean": values}, halves=False, n_controls=19
    )
    assert grid.conditions == ("mean",)
    assert "on each half" not in grid.summary()


def test_what_cannot_be_is_refused_before_the_model_runs(monkeypatch):
    monkeypatch.setattr(CausalRunner, "embed", lambda *_, **__: pytest.fail("the model was run"))
    for options, kind, message in (
        ({"ablations": "zero"}, TypeError, r"give a list of names, ablations=\['zero', 'mean'\]"),
        ({"ablations": []}, ValueError, "no ablation was given"),
        ({"ablations": ["none"]}, ValueError, "ablation 'none' is unknown"),
        ({}, ValueError, r"ablation 'mean' puts in values .* give contrast=\.\.\."),
        ({"ablations": ["zero"], "groups": "some"}, ValueError, "groups 'some' is unknown"),
        ({"ablations": ["zero"], "halves": 1}, TypeError, "halves is 1"),
    ):
        with pytest.raises(kind, match=message):
            tlesion.verdict_grid(PLANTED.model, MASKS, PROMPTS, **options)


def test_a_word_that_one_template_asks_for_has_no_halves():
    few = [one for one in PROMPTS if one.correct == "him"] + [one for one in PROMPTS if one.correct == "her"][:1]
    with pytest.raises(ValueError, match="one half of the prompts never asks for 'her': give prompts from more"):
        tlesion.verdict_grid(PLANTED.model, MASKS, few, ablations=["zero"], n_controls=19)
    with pytest.raises(ValueError, match="one template, which has no halves"):
        halves_of(["a", "a"], ["him", "her"], seed=0)


def test_templates_that_ask_for_words_of_their_own_are_dealt_too():
    """As in tasks whose answers are names: every prompt has another one."""
    first, second = halves_of([f"t{i}" for i in range(11)], [f"name {i}" for i in range(11)], seed=0)
    assert sorted((len(first), len(second))) == [5, 6]
    mixed = halves_of(["a", "a", "b", "c", "d", "e"], ["him", "her", "him", "him", "her", "her"], seed=0)
    assert sorted(map(len, mixed)) == [2, 4]


def test_the_figure_shows_the_words_of_every_condition(grid):
    figure = plots.verdict_grid(grid)
    him, her = figure.data[:2]
    assert [one.text for one in figure.layout.annotations] == ["him-neurons", "her-neurons"]
    assert list(him.y) == [*reversed(grid.conditions), STANDS]
    for at, condition in enumerate(reversed(range(6))):
        assert list(her.text[at]) == [LETTERS[word] for word in grid.words[condition][1]]
    assert list(him.text[-1]) == [LETTERS.get(word, "") for word in grid.stands[0]]
    names = list(COLOURS)
    assert set(names) == set(VERDICTS)
    place = np.array(him.z, dtype=float)[5, 1]
    assert names[int(place)] == grid.words[0][0][1]
    assert f"effect {grid.effect[0, 0, 1].item():.3f}" in him.customdata[5][1]
    assert len(plots.verdict_grid(grid, mask="her").data) == 1 + len(COLOURS)
    with pytest.raises(ValueError, match="mask 'hm' is unknown"):
        plots.verdict_grid(grid, mask="hm")
