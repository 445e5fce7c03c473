"""Selections side by side: shares, overlap beside chance, and the figures of both."""

import json

import numpy as np
import pytest
import torch

import tlesion
from tlesion import plots
from tlesion.selection.overlap import mask_overlap
from tlesion.stats import power_curve


@pytest.fixture(scope="module")
def planted():
    return tlesion.toy.planted_model("causal", n_layers=2, d_mlp=24, layers=(1,), n_token=8, effect_size=3.0)


@pytest.fixture(scope="module")
def compared(planted):
    contrasts = {about: planted.language.contrast(20, seed=1, about=about) for about in ("context", "word")}
    return tlesion.compare_positions(planted.model, contrasts, correction="holm")


def test_overlap_by_hand():
    a = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0]], dtype=torch.bool)
    b = torch.tensor([[0, 1, 1, 0], [0, 0, 0, 0]], dtype=torch.bool)
    overlap = mask_overlap({"a": a, "b": b, "none": torch.zeros_like(a)}, layers=[3, 7])
    assert overlap.size.tolist() == [[2, 1], [2, 0], [0, 0]]
    assert overlap.both[0, 1].tolist() == [1, 0]
    assert overlap.jaccard[0, 1].tolist() == [pytest.approx(1 / 3), 0.0]
    # Two of four drawn against two of four: 0, 1 or 2 shared with probabilities 1/6, 4/6, 1/6.
    assert overlap.by_chance[0, 1, 0].item() == pytest.approx(4 / 6 / 3 + 1 / 6)
    assert overlap.jaccard_model[0, 1].item() == pytest.approx(1 / 4)
    assert overlap.by_chance_model[0, 1].item() == pytest.approx(4 / 6 / 4 + 1 / 6 * 2 / 3)
    torch.testing.assert_close(overlap.jaccard, overlap.jaccard.transpose(0, 1), equal_nan=True)
    frame = overlap.to_frame()
    assert list(frame.columns) == ["mask_1", "mask_2", "layer", "n_1", "n_2", "n_both", "jaccard", "by_chance"]
    first = frame[(frame["mask_1"] == "a") & (frame["mask_2"] == "b")]
    assert first["layer"].tolist() == [3, 7, "all"]
    assert first["n_both"].tolist() == [1, 0, 1]
    empty = frame[(frame["mask_1"] == "b") & (frame["mask_2"] == "none") & (frame["layer"] == 7)]
    assert np.isnan(empty["jaccard"].item())


@pytest.mark.slow
def test_random_masks_overlap_as_chance_says():
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(200):
        one, other = (torch.rand(3, 50, generator=generator).argsort(dim=1) < 20 for _ in range(2))
        overlap = mask_overlap({"one": one, "other": other})
        found.append(overlap.jaccard_model[0, 1].item())
    # Masks of fixed size: the mean of 200 has a standard error of 0.003.
    assert np.mean(found) == pytest.approx(overlap.by_chance_model[0, 1].item(), abs=0.012)


def test_positions_select_what_the_truth_says(planted, compared):
    assert compared.names == ("context, word", "context, before", "word, word", "word, before")
    truth = planted.truth
    context, token = truth.causal | truth.decoy, truth.token
    masks = compared.masks()
    assert torch.equal(masks["context, word"], context | token)
    assert torch.equal(masks["context, before"], context)
    assert torch.equal(masks["word, word"], token)
    assert not masks["word, before"].any()
    assert torch.equal(compared.masks("him")["context, before"], context & (truth.effect > 0))
    assert torch.equal(compared.masks("her")["context, before"], context & (truth.effect < 0))


def test_frame_gives_shares_per_layer(compared):
    frame = compared.to_frame()
    assert list(frame.columns) == ["selection", "layer", "him", "her", "any", "n_selected", "n_neurons"]
    row = frame[(frame["selection"] == "context, before") & (frame["layer"] == 1)].iloc[0]
    assert (row["him"], row["her"], row["any"], row["n_selected"], row["n_neurons"]) == (4 / 24, 4 / 24, 8 / 24, 8, 24)
    overlap = compared.overlap()
    assert overlap.jaccard_model[0, 1].item() == pytest.approx(8 / 16)
    assert overlap.by_chance_model[0, 1].item() < 0.4


def test_selections_of_other_contrasts_and_tests_can_be_compared(planted):
    contrast = planted.language.contrast(10, seed=3)
    pick = {
        test: tlesion.select_neurons(planted.model, contrast, position="before", test=test)
        for test in ("welch", "paired")
    }
    result = tlesion.compare_selections(pick)
    assert result.tests == ("welch, fdr_bh over the layer at 0.05", "paired, fdr_bh over the layer at 0.05")
    assert torch.equal(result.masks("him")["paired"], pick["paired"].mask("him"))
    assert result.provenance.settings["welch"]["test"] == "welch"
    assert result.provenance.stimuli == contrast.stimuli


def test_saved_and_read_back(compared, tmp_path):
    again = tlesion.load_result(compared.save(tmp_path / "compared"))
    assert again.content_hash == compared.content_hash
    assert again.to_frame().equals(compared.to_frame())


def test_what_cannot_be_compared(planted, compared):
    contrast = planted.language.contrast(4, seed=0)
    one = tlesion.select_neurons(planted.model, contrast, position="before")
    other = tlesion.select_neurons(planted.model, contrast, position="before", layers=[1])
    elsewhere = tlesion.toy.planted_model("causal", n_layers=2, d_mlp=24, layers=(1,), n_token=8, seed=9)
    foreign = tlesion.select_neurons(elsewhere.model, contrast, position="before")
    with pytest.raises(ValueError, match=r"1 selection\(s\) to compare; give two or more by name"):
        tlesion.compare_selections({"one": one})
    with pytest.raises(ValueError, match=r"selection 'b' has the layers \(1,\), the first one \(0, 1\); they must"):
        tlesion.compare_selections({"a": one, "b": other})
    with pytest.raises(ValueError, match=r"selection 'b' is of model 'planted-causal', .* or with other weights"):
        tlesion.compare_selections({"a": one, "b": foreign})
    with pytest.raises(ValueError, match="direction 'them' is unknown; allowed: 'him', 'her', 'any'"):
        compared.masks("them")
    mask = torch.zeros(2, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"1 mask\(s\) to compare; give two or more"):
        mask_overlap({"a": mask})
    with pytest.raises(ValueError, match=r"mask 'b' has shape \(2, 3\) and dtype torch.float32; a mask is a bool"):
        mask_overlap({"a": mask, "b": mask.float()})
    with pytest.raises(ValueError, match=r"masks of different shapes cannot be compared: .*'b': \(2, 2\)"):
        mask_overlap({"a": mask, "b": mask[:, :2]})
    with pytest.raises(ValueError, match="3 layers for masks of 2 rows"):
        mask_overlap({"a": mask, "b": mask}, layers=[0, 1, 2])


def test_figures_draw_the_numbers(compared):
    shares = plots.position_shares(compared)
    frame = compared.to_frame()
    for trace in shares.data:
        rows = frame[frame["selection"] == trace.name]
        np.testing.assert_array_equal(trace.y, 100 * rows["any"])
        np.testing.assert_array_equal(trace.customdata[:, 0], rows["n_selected"])
    assert shares.layout.yaxis.title.text == "selected neurons (% of the layer)"
    overlap = compared.overlap()
    (heat,) = plots.mask_overlap(overlap).data
    np.testing.assert_array_equal(heat.z, overlap.jaccard_model)
    np.testing.assert_array_equal(heat.customdata[..., 0], overlap.by_chance_model)
    assert heat.customdata[0, 1].tolist()[1:] == [8, 16, 8]  # both, row's, column's
    assert heat.text[0][0] == "16 neurons"
    assert heat.text[1][0].startswith("0.50<br>chance 0.")
    assert heat.text[1][3] == "0.00<br>chance 0.00"
    json.loads(shares.to_json())


def test_power_figure_draws_the_curves():
    curves = {"BH": power_curve([5, 20], n_tests=100), "Bonferroni": power_curve([5, 20], correction="bonferroni")}
    figure = plots.power_curve(curves)
    for trace, curve in zip(figure.data, curves.values(), strict=True):
        np.testing.assert_array_equal(trace.x, curve.n)
        np.testing.assert_array_equal(trace.y, curve.effect)
    assert figure.layout.yaxis.title.text == "smallest effect found<br>d_z (standard deviations)"
    assert list(figure.layout.xaxis.tickvals) == [5, 20]
    two_samples = plots.power_curve(power_curve([5, 20], test="welch", n_tests=7))
    assert two_samples.data[0].name == "welch t, fdr_bh at 0.05 over 7 neurons"
    assert two_samples.layout.xaxis.title.text == "sentences per condition"
    with pytest.raises(ValueError, match="do not share an axis"):
        plots.power_curve({"a": power_curve([5]), "b": power_curve([5], test="welch")})
    with pytest.raises(ValueError, match="no power curve was given"):
        plots.power_curve({})
