"""What sufficiency and minimality say, draw, keep and print: the numbers of the result, and no more than they show."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import tlesion
from tlesion import plots
from tlesion.cli import app
from tlesion.studies.sufficiency import words

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def planted():
    return tlesion.toy.planted_model("causal", n_layers=3, layers=(1,), n_causal=8, background=0.0)


@pytest.fixture(scope="module")
def kept(planted):
    """Everything that writes; nothing but decoys; and all neurons."""
    causal, decoys = planted.truth.mask("causal"), planted.truth.mask("decoy")
    masks = {"causal": causal, "decoys": decoys, "all": torch.ones_like(causal)}
    prompts = planted.language.prompts(24, seed=1)
    return tlesion.sufficiency(planted.model, masks, prompts, n_controls=99, match=None)


@pytest.fixture(scope="module")
def halved(planted):
    masks = {word: planted.truth.mask("causal", word) for word in ("him", "her")}
    masks["her"][2, 5] = True
    return tlesion.minimality(planted.model, masks, planted.language.prompts(24, seed=1), n_halves=6)


def test_what_is_said_of_sets(kept):
    first, causal, decoys, every = words.sufficiency(kept)
    assert first.startswith("In each run one set's neurons of one layer were kept, and the rest of that layer was cut.")
    assert causal.startswith(
        "causal-neurons: cutting the whole MLP of a layer has an effect on the margin of the right answer that is "
        "shown in layer 1. The set keeps more of it than random sets of the same size in layer 1: 100 % in layer 1 "
        "(interval 100 % to 100 %, 8 neurons, random sets "
    )
    assert causal.endswith("% on average, corrected p 0.010).")
    assert (
        "In no layer is the set shown to keep more of it than random sets of the same size; the smallest p is" in decoys
    )
    assert every.endswith("In layer 1 the set is all there is: nothing was cut.")
    assert "keeps" not in every


def test_helping_is_called_helping_and_no_controls_are_said_to_be_none(planted):
    """her-neurons help her against him: on prompts that ask for him they work against the right answer."""
    masks = {"her": planted.truth.mask("causal", "her")}
    prompts = [one for one in planted.language.prompts(24, seed=1) if one.correct == "him"]
    right = [tlesion.Prompt(one.text, one.targets) for one in prompts]
    found = tlesion.sufficiency(planted.model, masks, right, n_controls=0)
    _, her, last = words.sufficiency(found)
    assert float(found.whole_effect[0, 1].mean()) < 0
    assert "It helps in layer 1: there the share is of that help." in her
    assert re.search(r"The set keeps −\d+ % in layer 1 \(interval −\d+ % to −\d+ %, 4 neurons\)\.", her)
    assert "In layers 0" not in her, "there is no share to speak of"
    assert last == "No random sets were kept: what as many random neurons keep is left open."
    for_her = tlesion.minimality(planted.model, {"his": masks["her"]}, prompts, about={"his": "him"})
    assert "The largest is in layer 1, where it does not cost but helps by 1." in words.minimality(for_her)[1]


def test_what_is_not_shown_is_not_said(planted):
    masks = {"him": planted.truth.mask("decoy", "him")}
    found = tlesion.sufficiency(planted.model, masks, planted.language.prompts(2, seed=1), n_controls=0)
    assert words.sufficiency(found)[1] == (
        "him-neurons: fewer than two independent prompts cannot show an effect, so that there is nothing to keep a "
        "share of."
    )
    none = tlesion.minimality(planted.model, masks, planted.language.prompts(24, seed=1))
    assert words.minimality(none)[1] == (
        "him-neurons: in layer 1 cutting the set has no effect on the margin of 'him' that is shown. In layers 0 and 2 "
        "the set has no neuron: nothing was cut."
    )


def test_what_is_said_of_halves(halved):
    first, him, her = words.minimality(halved)
    assert "a half does 50 % of it on average" in first
    assert re.match(
        r"him-neurons: cutting all of the set has an effect on the margin of 'him' that is shown in layer 1\. "
        r"The largest is in layer 1, where it costs \d\.\d\d logits \(4 neurons\): a random half of it does 50 % of "
        r"that on average \(interval 50 % to 50 %; single halves 4\d % to 5\d %\)\. 50 % lies within the interval in "
        r"layer 1\. In layers 0 and 2 the set has no neuron: nothing was cut\.",
        him,
    )
    assert "In layer 2 the set has one neuron, and no half." in her


@pytest.mark.parametrize(
    ("share", "low", "high", "said"),
    [
        (0.1, 0.05, 0.2, "A half does less than 50 % on average in layer 1."),
        (0.9, 0.8, 1.0, "A half does more than 50 % on average in layer 1."),
        (0.6, 0.4, 0.8, "50 % lies within the interval in layer 1."),
        (0.503, 0.502, 0.504, "50 % lies within the interval in layer 1."),
    ],
)
def test_halves_are_told_by_their_interval(halved, share, low, high, said):
    values = {
        name: torch.full_like(halved.share, value) for name, value in (("share", share), ("low", low), ("high", high))
    }
    him = words.minimality(replace(halved, **values))[1]
    told = ("less than 50 %", "more than 50 %", "50 % lies")
    assert said in him
    assert sum(what in him for what in told) == 1


def test_two_sided_p_tell_more_from_less(kept):
    settings = kept.provenance.settings | {"alternative": "two-sided"}
    both = replace(
        kept,
        control_p_corrected=torch.full_like(kept.share, 0.02),
        provenance=replace(kept.provenance, settings=settings),
    )
    _, causal, decoys, _ = words.sufficiency(both)
    assert "keeps more of it" in causal
    assert "keeps less of it" in decoys


def test_too_few_random_sets_are_said_to_be_too_few(planted):
    masks = {"causal": planted.truth.mask("causal")}
    found = tlesion.sufficiency(planted.model, masks, planted.language.prompts(24, seed=1), n_controls=9)
    said = words.sufficiency(found)[1]
    assert (
        "In no layer is the set shown to keep more of it than random sets of the same size and activity (9 are" in said
    )


def test_frames_hold_the_numbers(kept, halved):
    frame, table = kept.to_frame(), kept.summary()
    assert len(frame) == 3 * 3 * 24 * 2
    row = frame.query("mask == 'causal' and layer == 1 and prompt == 3 and target == 'her'").iloc[0]
    assert row["logit_drop"] == kept.logit_drop[0, 1, 3, 1].item()
    assert row["whole_logit_drop"] == kept.whole_logit_drop[1, 3, 1].item()
    assert row["kept"] == kept.kept[0, 1, 3].item()
    ratio = 1 - table["rest_effect"] / table["whole_effect"]
    known = table["share"].notna()
    np.testing.assert_allclose(ratio[known], table["share"][known], atol=1e-12)
    assert table["reason"].tolist() == [reason for row in kept.reasons for reason in row]
    assert kept.reasons[2] == ("ceiling not shown", "all kept", "ceiling not shown")
    assert kept.share[2, 1] == 1
    assert kept.control_p[2, 1] == 1
    halves = halved.to_frame()
    assert len(halves) == 2 * 6 * 3 * 24 * 2
    row = halves.query("mask == 'her' and half == 4 and layer == 1 and prompt == 1 and target == 'her'").iloc[0]
    assert row["half_effect"] == halved.half_effect[1, 4, 1, 1].item()
    assert row["effect"] == halved.effect[1, 1, 1].item()
    assert row["n_lesioned"] == 4
    table = halved.summary().set_index(["mask", "layer"]).loc[("him", 1)]
    assert table["half_effect"] / table["effect"] == pytest.approx(table["share"])
    assert table["smallest"] <= table["share"] <= table["largest"]


@pytest.mark.parametrize("which", ["kept", "halved"])
def test_a_result_is_saved_short_and_reported(which, request, tmp_path):
    result = request.getfixturevalue(which)
    again = tlesion.load_result(result.save(tmp_path / "result"))
    assert type(again) is type(result)
    assert again.content_hash == result.content_hash
    assert len(repr(result).splitlines()) <= 15
    report = tlesion.Report([result])
    page = report.page()
    assert page.title.endswith("in planted-causal")
    assert [section.title for section in page.sections][-1] == "What was run"
    assert set(report.tables()) == {"shares"}
    assert report.summary() == (words.sufficiency if which == "kept" else words.minimality)(result)


def test_the_figure_of_sufficiency_draws_shares_that_say_something(kept):
    figure = plots.sufficiency(kept)
    titles = [one.text for one in figure.layout.annotations]
    assert titles == ["causal-neurons kept", "decoys-neurons kept", "all-neurons kept"]
    line = next(trace for trace in figure.data if trace.name == "causal-neurons")
    np.testing.assert_array_equal(line.y, kept.share[0].numpy())
    np.testing.assert_allclose(line.error_y.array + line.y, kept.high[0].numpy())
    whole = next(trace for trace in figure.data if trace.name == "all-neurons")
    assert np.isnan(whole.y).all(), "a share that says nothing of the set is not drawn"
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert bars[0].base[1] == kept.control_share[0, :, 1].min().item()
    assert [bar.showlegend for bar in bars] == [True, False, False]
    dashes = next(trace for trace in figure.data if trace.name == "whole MLP cut")
    np.testing.assert_allclose(dashes.y, kept.whole_effect[0].nanmean(dim=1).numpy())
    assert all(trace.hovertemplate or trace.hoverinfo == "skip" for trace in figure.data)
    alone = plots.sufficiency(kept, masks=["decoys"])
    assert [one.text for one in alone.layout.annotations] == ["decoys-neurons kept"]
    with pytest.raises(ValueError, match="mask 'him' is unknown"):
        plots.sufficiency(kept, masks=["him"])


def test_the_figure_of_minimality_draws_every_half(halved):
    figure = plots.minimality(halved)
    points = next(trace for trace in figure.data if trace.mode == "markers")
    np.testing.assert_array_equal(points.y, halved.half_share[0].numpy().ravel())
    assert list(points.customdata) == [0, 1, 2] * 6
    np.testing.assert_allclose(points.x, points.customdata, atol=0.16)
    low, high = figure.layout.yaxis.range
    assert low < 0
    assert high > 1
    assert figure.layout.yaxis3.title.text == "effect on the set’s word<br>dashed: half of the set cut"
    with pytest.raises(ValueError, match="mask 'hm' is unknown"):
        plots.minimality(halved, masks=["hm"])


def test_the_command_line_runs_both_and_refuses_prompts_of_the_selection(tmp_path):
    runner = CliRunner()
    texts = tlesion.contrasts.him_her().a[:2]
    prompts = tmp_path / "prompts.jsonl"
    fresh = tmp_path / "fresh.jsonl"
    shared = [f'{{"text": "{one.text.replace(one.word, "[MASK]")}", "targets": ["him", "her"]}}' for one in texts]
    prompts.write_text("\n".join(shared))
    fresh.write_text(
        '{"text": "Robert thanked Lucy because she helped [MASK].", "targets": ["him", "her"], "correct": "him"}\n'
        '{"text": "Lucy thanked Robert because he helped [MASK].", "targets": ["him", "her"], "correct": "her"}\n'
    )
    told = runner.invoke(app, ["minimality", "--prompts", str(prompts), "--out", str(tmp_path / "no")])
    assert told.exit_code == 2
    assert "made from sentences that the neurons were selected on" in told.stderr
    for name, options in (("sufficiency", ["--n-controls", "2"]), ("minimality", ["--n-halves", "2"])):
        out = tmp_path / name
        told = runner.invoke(app, [name, "--prompts", str(fresh), "--out", str(out), *options])
        assert told.exit_code == 0, told.stderr
        assert (out / "report.html").is_file()
        assert tlesion.load_result(out / name).provenance.settings["selected_on"] is not None
