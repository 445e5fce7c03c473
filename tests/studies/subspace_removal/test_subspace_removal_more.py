"""A subspace study's other ways in: given subspaces, methods, hook points; covariance, saving, figures, page."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

import tlesion
from tlesion import interventions as iv
from tlesion.cli import app
from tlesion.studies.evidence.pages import page_of
from tlesion.studies.subspace_removal.page import subspace_page
from tlesion.studies.subspace_removal.summary import compare_cuts, correlate_with_variance
from tlesion.studies.subspace_removal.words import summary

pytestmark = pytest.mark.slow

TEXT = "The old teacher gave the boy an apple and told him to share it with the girl."
# float32 models run in batches of other shapes.
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture(scope="module")
def gpt2(checkpoint_folder):
    return tlesion.load_model(checkpoint_folder("gpt2"))


@pytest.fixture(scope="module")
def result(gpt2):
    return tlesion.subspace_removal(gpt2, TEXT, ranks=[1, 2], n_random=3)


def activations(model, point):
    ids = model.to_tokens(TEXT)
    return model.run_with_cache(ids, names_filter=point)[1][point][0].flatten(1)


def drop_by_hand(model, edit):
    ids = model.to_tokens(TEXT)
    change = (model(ids) - model.run_with_hooks(ids, fwd_hooks=[edit]))[0].double()
    return change[torch.arange(ids.shape[1] - 1), ids[0, 1:]]


@pytest.mark.parametrize("point", ["mlp.hook_pre", "mlp.hook_post", "hook_resid_post", "attn.hook_z"])
def test_hook_points(gpt2, point):
    found = tlesion.subspace_removal(gpt2, TEXT, hook_point=point, rank=2, n_random=0)
    for layer in range(3):
        name = f"blocks.{layer}.{point}"
        subspace = tlesion.fit_subspace(activations(gpt2, name), rank=2)
        expected = drop_by_hand(gpt2, iv.remove_subspace(name, subspace))
        torch.testing.assert_close(found.logit_drop[layer], expected, **CLOSE)
        torch.testing.assert_close(found.variance_ratio[layer], subspace.variance_ratio.sum(), rtol=1e-5, atol=0)
    assert bool((found.logit_drop.abs() > 1e-3).any())


def test_components_and_other_methods(gpt2):
    values = activations(gpt2, "blocks.2.mlp.hook_pre")
    options: dict[str, Any] = {"layers": [2], "n_random": 0, "seed": 3}
    found = tlesion.subspace_removal(gpt2, TEXT, components=[1, 4], **options)
    subspace = tlesion.fit_subspace(values, components=[1, 4])
    expected = drop_by_hand(gpt2, iv.remove_subspace("blocks.2.mlp.hook_pre", subspace))
    torch.testing.assert_close(found.logit_drop[0], expected, **CLOSE)
    assert found.cut.label == "svd, components 1, 4"
    full = tlesion.subspace_removal(gpt2, TEXT, method="random_in_span", rank=len(values) - 1, **options)
    # All directions in the span of the centred activations hold all of their variance.
    assert full.variance_ratio.item() == pytest.approx(1, abs=1e-6)
    draws = [
        tlesion.subspace_removal(gpt2, TEXT, method="random", **(options | {"seed": seed})).logit_drop
        for seed in (3, 3, 4)
    ]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_given_subspaces_and_erasers(gpt2):
    names = [f"blocks.{layer}.mlp.hook_pre" for layer in (0, 2)]
    values = {layer: activations(gpt2, name) for layer, name in zip((0, 2), names, strict=True)}
    direction = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 128), dtype=np.float32))
    given: dict[int, Any] = {
        0: tlesion.Subspace.from_directions(direction, activations=values[0]),
        2: tlesion.ObliqueEraser(
            left=torch.eye(128)[:1] + torch.eye(128)[5:6],
            right=torch.eye(128)[:1],
            mean=values[2].mean(dim=0),
            variance_lost=0.0,
            method="given",
            n_rows=0,
        ),
    }
    found = tlesion.subspace_removal(gpt2, TEXT, layers=[0, 2], subspaces=given, n_random=1)
    for row, (layer, name) in enumerate(zip((0, 2), names, strict=True)):
        expected = drop_by_hand(gpt2, iv.remove_subspace(name, given[layer]))
        torch.testing.assert_close(found.logit_drop[row], expected, **CLOSE)
        before, after = values[layer].double(), given[layer].remove(values[layer].double())
        lost = 1 - after.var(dim=0).sum() / before.var(dim=0).sum()
        torch.testing.assert_close(found.variance_ratio[row], lost, rtol=1e-4, atol=1e-6)
    assert found.variance_ratio[0].item() == pytest.approx(given[0].variance_ratio.item(), rel=1e-5)
    assert found.provenance.settings["method"] == "given"
    assert len(found.provenance.settings["subspaces"]) == 2


def test_without_the_mean_more_breaks(gpt2):
    kept = tlesion.subspace_removal(gpt2, TEXT, layers=[1], n_random=0)
    dropped = tlesion.subspace_removal(gpt2, TEXT, layers=[1], n_random=0, restore_mean=False)
    name = "blocks.1.mlp.hook_pre"
    edit = iv.remove_subspace(name, tlesion.fit_subspace(activations(gpt2, name)), restore_mean=False)
    torch.testing.assert_close(dropped.logit_drop[0], drop_by_hand(gpt2, edit), **CLOSE)
    assert not torch.allclose(kept.logit_drop, dropped.logit_drop, atol=1e-2)
    # The mean moves every neuron and no covariance.
    torch.testing.assert_close(kept.covariance.change, dropped.covariance.change)
    assert dropped.covariance.unit_change.item() > kept.covariance.unit_change.item()


def test_covariance_is_that_of_the_activations(gpt2, result):
    for layer in range(3):
        before = activations(gpt2, f"blocks.{layer}.mlp.hook_pre").double()
        subspace = tlesion.fit_subspace(before)
        start, end = (np.cov(part.numpy().T) for part in (before, subspace.remove(before)))
        change = np.linalg.norm(end - start) / np.linalg.norm(start)
        assert result.covariance.change[layer].item() == pytest.approx(change, rel=1e-4)
        ranks = [np.trace(c) ** 2 / np.linalg.norm(c) ** 2 for c in (start, end)]
        assert result.covariance.effective_rank_before[layer].item() == pytest.approx(ranks[0], rel=1e-4)
        assert result.covariance.effective_rank_after[layer].item() == pytest.approx(ranks[1], rel=1e-4)
        sampled = result.covariance.sampled[layer].numpy()
        expected = np.corrcoef(before.numpy().T)[np.ix_(sampled, sampled)]
        np.testing.assert_allclose(result.covariance.correlation_before[layer].numpy(), expected, atol=1e-4)
        squares = ((before - before.mean(dim=0)) @ subspace.basis.T).square()[:, 0]
        assert result.cut.top_token[layer].item() == int(squares.argmax())
        assert result.cut.top_token_share[layer].item() == pytest.approx(float(squares.max() / squares.sum()), rel=1e-4)


def test_frames(result):
    frame = result.to_frame()
    assert frame["layer"].tolist() == [0, 1, 2]
    end = (result.drift[:, -1] / result.clean_norm[-1]).mean(dim=1)
    assert frame["drift_at_end"].tolist() == pytest.approx(end.tolist())
    drops = result.drops_frame()
    assert len(drops) == result.logit_drop.numel()
    first = drops.iloc[0]
    assert (first["token"], first["target"]) == result.tokens[:2]
    assert first["logit_drop"] == result.logit_drop[0, 0].item()
    # Before the lesioned layer nothing changes, and at it something does.
    for layer in range(3):
        assert not bool(result.drift[layer, :layer].any())
        assert bool((result.drift[layer, layer] > 0).all())


def test_saved_and_read_back(result, tmp_path):
    back = tlesion.load_result(result.save(tmp_path / "result"))
    assert back.content_hash == result.content_hash
    pd.testing.assert_frame_equal(compare_cuts(back), compare_cuts(result))
    assert summary(back) == summary(result)


def test_figures_show_the_numbers(result):
    variance = tlesion.plots.variance_by_layer(result)
    assert list(variance.data[-1].y) == result.variance_ratio.tolist()
    drop = tlesion.plots.subspace_drop(result)
    low, high = drop.data[0], drop.data[1]
    controls = result.controls.logit_drop.mean(dim=2)
    assert list(low.y) == pytest.approx(controls.min(dim=0).values.tolist())
    assert list(high.y) == pytest.approx(controls.max(dim=0).values.tolist())
    line = drop.data[-1]
    assert list(line.y) == pytest.approx(result.logit_drop.mean(dim=1).tolist())
    assert list(line.y + line.error_y.array) == pytest.approx(result.test.high.tolist())
    drift = tlesion.plots.drift_map(result).data[0].customdata
    assert np.isnan(drift[2, :2]).all()
    assert drift[2, 2] == pytest.approx(result.drift_relative[2, 2].mean().item())
    scatter = tlesion.plots.variance_against_drop(result)
    assert list(scatter.data[-1].x) == result.variance_ratio.tolist()
    sweep = tlesion.plots.rank_sweep(result)
    assert list(sweep.data[0].x) == [1, 2]
    assert sweep.data[0].y[1] == pytest.approx(result.ranks.logit_drop[0].mean().item())
    pair = tlesion.plots.covariance_pair(result, layer=1)
    assert len(pair.data) == 2
    assert np.diag(pair.data[0].z) == pytest.approx(np.ones(48), abs=1e-3)
    assert tlesion.plots.covariance_spectrum(result, layer=1).layout.yaxis.type == "log"
    assert list(tlesion.plots.covariance_change(result).data[0].y) == result.covariance.change.tolist()


@pytest.mark.parametrize("rank", [0, 1])
def test_a_page_of_little(gpt2, rank):
    small = tlesion.subspace_removal(gpt2, TEXT, rank=rank, n_random=0, layers=[1])
    page = subspace_page(small).html()
    assert "Descriptive" in page
    assert correlate_with_variance(small)["r"].isna().all()
    with pytest.raises(ValueError, match="one rank only"):
        tlesion.plots.rank_sweep(small)
    with pytest.raises(ValueError, match=r"layer 2 is not in this result; it has \[1\]"):
        subspace_page(small, layer=2)


def test_the_page_says_what_was_found(result):
    page = page_of([result])
    assert page.summary == summary(result)
    said = " ".join(page.summary)
    share = result.variance_ratio
    assert f"{share.min().item():.1%}" in said
    assert f"{share.max().item():.1%}" in said
    assert result.caveat in said
    assert [section.title for section in page.sections][-1] == "What was run"


def test_command_line(checkpoint_folder, tmp_path):
    folder, out = checkpoint_folder("gpt2"), tmp_path / "out"
    arguments = ["subspace", "-m", str(folder), "--text", TEXT, "--n-random", "2", "--layers", "0,2", "--json"]
    run = CliRunner().invoke(app, [*arguments, "--out", str(out)])
    assert run.exit_code == 0, run.output
    record = json.loads(run.stdout)
    assert [row["layer"] for row in record["layers"]] == [0, 2]
    saved = tlesion.load_result(out / "subspace")
    again = tlesion.subspace_removal(
        tlesion.load_model(folder), TEXT, layers=[0, 2], n_random=2, ranks=[1, 2, 4, 8, 16]
    )
    torch.testing.assert_close(saved.logit_drop, again.logit_drop, **CLOSE)
    assert (saved.controls.labels, saved.ranks.labels) == (again.controls.labels, again.ranks.labels)
    assert "Subspace removal in" in (out / "report.html").read_text(encoding="utf-8")
    assert len(pd.read_csv(out / "cuts.csv")) == 2 * (1 + len(saved.controls) + len(saved.ranks))
    wrong = CliRunner().invoke(app, ["subspace", "-m", str(folder), "--text", TEXT, "--method", "pca"])
    assert wrong.exit_code == 2
    assert "method 'pca' is unknown" in wrong.output
