"""The laminar study in one call: what is gathered equals what its parts give, gathered in the right places."""

import dataclasses
from typing import Any

import pytest
import torch

import tlesion
from tlesion.keep.hashing import tensor_hash
from tlesion.studies.evidence.beside import compare_in_context, strongest_layers
from tlesion.tokens import is_masked

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:the controls of mask")]

N_LAYERS, PLANTED_IN = 4, 3
KINDS = ("selection", "profile", "histogram", "verdict", "dose", "cumulative", "decomposition")


@pytest.fixture(scope="module", params=["causal", "masked"])
def planted(request):
    """A model whose only layer that carries the contrast is the last of four."""
    return tlesion.toy.planted_model(request.param, n_layers=N_LAYERS, d_mlp=24, layers=(PLANTED_IN,))


@pytest.fixture(scope="module")
def contrast(planted):
    return planted.language.contrast(20, seed=0)


@pytest.fixture(scope="module")
def prompts(planted):
    return planted.language.prompts(6, seed=1)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """The folder that what is gathered is written into."""
    return tmp_path_factory.mktemp("gathered") / "out"


@pytest.fixture(scope="module")
def gathered(planted, contrast, prompts, out):
    at: Any = "mask" if is_masked(planted.model) else "before"
    selection = tlesion.select_neurons(planted.model, contrast, position=at)
    return tlesion.report.laminar(planted.model, contrast, prompts, selection=selection, n_controls=19, out=out)


def test_what_is_gathered_is_what_the_parts_give(planted, contrast, prompts, gathered):
    model, results = planted.model, gathered.results
    assert tuple(results) == KINDS
    assert gathered.left_out == {}
    selection = results["selection"]
    masks = {name: selection.mask(name) for name in selection.conditions}
    smallest = tlesion.smallest_effect(model, contrast)
    profile = tlesion.laminar_profile(model, masks, prompts, n_controls=19, smallest=smallest, selected_on=selection)
    layers = results["dose"].layers
    by_hand = {
        "profile": profile,
        "verdict": tlesion.verdict(profile),
        "dose": tlesion.dose_response(model, selection, prompts, layers=layers, n_controls=10, allow_shared=True),
        "cumulative": tlesion.cumulative_lesion(model, masks, prompts),
        "decomposition": tlesion.decompose_drop(model, masks, prompts),
    }
    for name, result in by_hand.items():
        assert results[name].content_hash == result.content_hash, name
    assert int(selection.mask().sum()) > 0, "an empty mask would show nothing"


def test_doses_are_tried_where_lesions_do_most(gathered):
    dose, judged = gathered.results["dose"], gathered.results["verdict"]
    assert PLANTED_IN in dose.layers
    strength = judged.effect.abs().amax(dim=0)
    left = [layer for layer in range(N_LAYERS) if layer not in dose.layers]
    assert len(dose.layers) == 3
    assert float(strength[list(dose.layers)].min()) >= float(strength[left].max())


def test_the_strongest_layers_are_those_of_any_set_in_either_direction_and_no_number_is_no_effect(gathered):
    judged = gathered.results["verdict"]
    nan = torch.nan
    for weakest in (0.1, nan):
        effect = torch.tensor([[weakest, -3.0, 2.0, 1.0], [weakest, 0.0, 0.0, 2.5]], dtype=torch.float64)
        asked = dataclasses.replace(judged, effect=effect)
        assert strongest_layers(asked) == [1, 2, 3]
        assert strongest_layers(asked, 1) == [1]
    assert strongest_layers(dataclasses.replace(judged, effect=torch.full_like(effect, nan)), 2) == [0, 1]


@pytest.mark.parametrize("ablation", ["mean", "median"])
def test_a_reference_is_measured_where_a_prompt_is_read_and_not_at_the_word(planted, contrast, prompts, ablation):
    model = planted.model
    made = tlesion.report.laminar(model, contrast, prompts, ablation=ablation, n_controls=0)
    at: Any = "mask" if is_masked(model) else "before"
    places: list[Any] = [at, "word"]
    here, elsewhere = (
        tensor_hash(tlesion.measure_reference(model, contrast, statistic=ablation, position=place)) for place in places
    )
    assert here != elsewhere
    assert made.results["profile"].provenance.settings["reference"] == here


def test_without_controls_nothing_is_judged(planted, contrast, prompts):
    made = tlesion.report.laminar(planted.model, contrast, prompts, n_controls=0)
    assert sorted(made.results) == ["histogram", "profile", "selection"]
    assert made.results["selection"].provenance.settings["position"] == "word"


def test_masks_about_no_word_are_profiled_without_controls(planted, contrast, prompts):
    """Conditions by other names, and no right answers: there is nothing that a verdict could be on."""
    renamed = dataclasses.replace(contrast, conditions=("he", "she"))
    open_ended = [dataclasses.replace(prompt, correct=None) for prompt in prompts]
    made = tlesion.report.laminar(planted.model, renamed, open_ended, n_controls=19)
    profile: Any = made.results["profile"]
    assert profile.n_controls == 0
    assert "verdict" not in made.results
    told = {"he": "him", "she": "her"}
    made = tlesion.report.laminar(planted.model, renamed, open_ended, about=told, n_controls=19)
    judged: Any = made.results["verdict"]
    assert judged.about == ("him", "her")


def test_heads_have_all_the_evidence_but_what_says_that_it_is_about_mlps(planted, contrast, prompts):
    model, point = planted.model, "attn.hook_z"
    selection = tlesion.select_neurons(model, contrast, hook_point=point, correction="none", alpha=0.5)
    made = tlesion.report.laminar(model, contrast, prompts, selection=selection, hook_point=point, n_controls=19)
    assert set(KINDS) - set(made.results) == {"decomposition"}
    assert list(made.left_out) == ["decomposition"]
    assert "'attn.hook_z' is not inside an MLP" in made.left_out["decomposition"]
    dose: Any = made.results["dose"]
    assert dose.n_lesioned[-1] == model.cfg.n_heads * model.cfg.d_head
    assert "Laminar profile of" in made.page().title


def test_neurons_that_are_not_the_lesioned_units_have_no_doses(planted, contrast, prompts):
    """Masks over heads from one selection, lesioned at the queries: the same number of units, and so doses, too."""
    model = planted.model
    selection = tlesion.select_neurons(model, contrast, hook_point="attn.hook_z", correction="none", alpha=0.5)
    made = tlesion.report.laminar(
        model, contrast, prompts, selection=selection, hook_point="attn.hook_q", n_controls=19
    )
    assert "dose" in made.results


def test_the_shipped_pairs_are_compared_with_sentences_whose_context_decides(toy_bert):
    contrast = tlesion.contrasts.him_her()
    options: dict[str, Any] = {"test": "student", "alpha": 0.01, "top_k": 7}
    selection = tlesion.select_neurons(toy_bert, contrast, position=tlesion.Offset(1), **options)
    found = compare_in_context(toy_bert, contrast, selection, prepend_bos=None)
    assert found is not None
    assert found.names == ("at position word+1", "in context, at the word", "in context, at the mask")
    again = tlesion.select_neurons(toy_bert, tlesion.contrasts.him_her_in_context(), position="mask", **options)
    assert torch.equal(found.mask_a[2], again.mask("him"))
    assert torch.equal(found.mask_b[2], again.mask("her"))


def test_other_pairs_have_no_such_counterpart(planted, contrast, gathered):
    assert compare_in_context(planted.model, contrast, gathered.results["selection"], prepend_bos=None) is None


def test_the_folder_has_everything_and_makes_the_same_page_again(gathered, out):
    assert {path.name for path in out.iterdir()} == {*gathered.results, "profile.csv", "verdict.csv", "report.html"}
    again = tlesion.Report.read(out)
    assert {name: one.content_hash for name, one in again.results.items()} == {
        name: one.content_hash for name, one in gathered.results.items()
    }
    assert again.page().html() == gathered.page().html() == (out / "report.html").read_text(encoding="utf-8")


def test_what_cannot_be_done_is_refused_before_any_work(planted, contrast, prompts, tmp_path, monkeypatch):
    def worked(*_, **__):
        raise AssertionError("work was done")

    monkeypatch.setattr("tlesion.studies.evidence.gather.select_neurons", worked)
    with pytest.raises(ValueError, match=r"18 controls are too few for a verdict; give 19 or more"):
        tlesion.report.laminar(planted.model, contrast, prompts, n_controls=18)
    with pytest.raises(ValueError, match="-1 controls"):
        tlesion.report.laminar(planted.model, contrast, prompts, n_controls=-1)
    (tmp_path / "dose").mkdir()
    (tmp_path / "dose" / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="is there and is not a tlesion result"):
        tlesion.report.laminar(planted.model, contrast, prompts, out=tmp_path)


def test_a_selection_from_other_sentences_is_refused(planted, prompts, gathered):
    other = planted.language.contrast(20, seed=7)
    with pytest.raises(ValueError, match=r"made on other sentences \(20 against 20\) than the contrast's \(20 against"):
        tlesion.report.laminar(planted.model, other, prompts, selection=gathered.results["selection"])
