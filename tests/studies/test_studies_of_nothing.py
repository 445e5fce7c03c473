"""A study of nothing: refused before anything is swept; where some of it cuts something, the rest is "nothing cut"."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import tlesion
from tlesion.cli import app
from tlesion.selection import select_neurons as select
from tlesion.studies.verdict.words import judged

pytestmark = pytest.mark.slow

STUDIES: dict[str, Callable[..., Any]] = {
    "laminar": tlesion.laminar_profile,
    "cumulative": tlesion.cumulative_lesion,
    "decomposition": tlesion.decompose_drop,
    "sufficiency": tlesion.sufficiency,
    "minimality": tlesion.minimality,
}


@pytest.fixture(scope="module")
def planted():
    return tlesion.toy.planted_model("causal", n_layers=2, d_mlp=32, layers=(1,), n_causal=4)


@pytest.fixture(scope="module")
def prompts(planted):
    return planted.language.prompts(16, seed=1)


def no_neuron():
    return torch.zeros(2, 32, dtype=torch.bool)


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("names", [("him",), ("him", "her")])
def test_masks_without_a_neuron_are_refused_before_the_model_runs(planted, prompts, study, names):
    def never(activation, hook):
        raise AssertionError("the model was run")

    with (
        planted.model.hooks(fwd_hooks=[("blocks.0.hook_resid_pre", never)]),
        pytest.raises(ValueError, match=r"single unit in any layer, so that nothing would be cut.*selected nothing"),
    ):
        STUDIES[study](planted.model, {name: no_neuron() for name in names}, prompts)


def test_an_empty_mask_beside_another_is_nothing_cut(planted, prompts):
    masks = {"him": no_neuron(), "her": planted.truth.mask("causal", "her")}
    profile = tlesion.laminar_profile(planted.model, masks, prompts, n_controls=50)
    found = tlesion.verdict(profile)
    assert found.verdicts == (("nothing cut",) * 2, ("nothing cut", "specific"))
    rows = found.to_frame().query("mask == 'him'")
    assert rows[["p", "control_p", "control_p_corrected", "selective_p"]].isna().all(axis=None)
    assert judged(found, "him") == "him-neurons: nothing cut in layers 0 and 1."


def test_cross_fit_where_nothing_is_selected_is_refused(planted):
    contrast = planted.language.contrast(12, seed=0)
    with pytest.raises(ValueError, match="nothing was selected in any of the 3 folds"):
        tlesion.cross_fit(planted.model, contrast, 3, position="before", correction="bonferroni", alpha=1e-15)


def test_cross_fit_where_one_fold_selects_nothing_goes_on(planted, monkeypatch):
    """The lesions of that fold cut nothing: their effects are zero, and the others' are as they were."""
    contrast = planted.language.contrast(12, seed=0)
    options: dict[str, Any] = {"position": "before", "n_controls": 2}
    whole = tlesion.cross_fit(planted.model, contrast, 3, **options)
    calls = []

    def none_the_first_time(model, contrast, **how):
        calls.append(1)
        return select(model, contrast, **(how | ({"alpha": 1e-300} if len(calls) == 1 else {})))

    monkeypatch.setattr("tlesion.studies.cross_fit.study.select_neurons", none_the_first_time)
    part = tlesion.cross_fit(planted.model, contrast, 3, **options)
    assert not part.logit_drop[:, :, part.fold == 0].any()
    assert not part.control_logit_drop[..., part.fold == 0, :].any()
    assert not part.selected[:, 0].any()
    torch.testing.assert_close(part.logit_drop[:, :, part.fold != 0], whole.logit_drop[:, :, whole.fold != 0])
    assert part.control_logit_drop.shape == whole.control_logit_drop.shape


def test_the_command_line_says_what_happened_and_what_to_do(tmp_path):
    out = tmp_path / "report"
    told = CliRunner().invoke(
        app, ["laminar", "--model", "toy-bert", "--alpha", "1e-300", "--controls", "0", "--out", str(out)]
    )
    assert told.exit_code == 2
    assert "no neuron tells 'him' from 'her'" in told.stderr
    assert "there is nothing to lesion" in told.stderr
    assert "Traceback" not in told.stderr
    assert not out.exists()
