"""The command line: what it writes equals what the library computes, and what it says about itself is complete."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import typer
from typer.testing import CliRunner

import tlesion
from tlesion.cli import app
from tlesion.interventions import ablations
from tlesion.models.load import DTYPES
from tlesion.selection import statistic_names
from tlesion.stimuli.files import read_pairs, read_prompts

pytestmark = pytest.mark.slow

SENTENCES = (
    ("We saw him today.", "We saw her today."),
    ("The teacher gave him an apple.", "The teacher gave her an apple."),
    ("People listened to him.", "People listened to her."),
    ("The boy told him to share it.", "The boy told her to share it."),
    ("If the nurse had called him.", "If the nurse had called her."),
)
PROMPTS = (
    ("Robert helped Lucy and she thanked [MASK] for it.", "him"),
    ("We saw the girl and gave [MASK] an apple.", "her"),
)


@pytest.fixture
def tlesion_command():
    """`tlesion ...` in this process, at 80 columns."""

    def run(*args: object):
        return CliRunner(env={"COLUMNS": "80"}).invoke(app, [str(arg) for arg in args])

    return run


@pytest.fixture(scope="session")
def study(checkpoint_folder, tmp_path_factory) -> dict[str, Path]:
    """A small random BERT, and files of pairs and prompts that it can read."""
    folder = tmp_path_factory.mktemp("study")
    pairs, prompts = folder / "pairs.csv", folder / "prompts.jsonl"
    with pairs.open("w", newline="") as file:
        csv.writer(file).writerows([("a", "b", "word_a", "word_b"), *((a, b, "him", "her") for a, b in SENTENCES)])
    lines = [json.dumps({"text": text, "targets": ["him", "her"], "correct": right}) for text, right in PROMPTS]
    prompts.write_text("\n".join(lines))
    return {"model": checkpoint_folder("bert"), "pairs": pairs, "prompts": prompts}


def options_of(study: dict[str, Path]) -> list[object]:
    return ["--model", study["model"], "--pairs", study["pairs"], "--prompts", study["prompts"], "--alpha", 0.5]


@pytest.fixture(scope="session")
def finished(study, tmp_path_factory) -> tuple[Path, str]:
    """The folder of one run of `tlesion laminar`, and what it printed."""
    out = tmp_path_factory.mktemp("run") / "out"
    args = ["laminar", *options_of(study), "--test", "paired", "--out", out]
    done = CliRunner(env={"COLUMNS": "80"}).invoke(app, [str(arg) for arg in args])
    assert (done.exit_code, done.stderr) == (0, "")
    return out, done.stdout


# ---- laminar


@pytest.mark.filterwarnings("ignore:the controls of mask")
def test_a_run_holds_what_the_library_computes(study, finished):
    out, _ = finished
    model = tlesion.load_model(study["model"])
    selection = tlesion.select_neurons(model, read_pairs(study["pairs"]), test="paired", alpha=0.5)
    masks = {name: selection.mask(name) for name in selection.conditions}
    profile = tlesion.laminar_profile(
        model,
        masks,
        read_prompts(study["prompts"]),
        selected_on=selection,
    )
    saved = tlesion.load_result(out / "selection")
    assert saved.content_hash == selection.content_hash
    assert tlesion.load_result(out / "profile").content_hash == profile.content_hash
    pd.testing.assert_frame_equal(pd.read_csv(out / "profile.csv"), profile.to_frame(), check_dtype=False)
    assert sorted(path.name for path in out.iterdir()) == [
        "cumulative",
        "decomposition",
        "dose",
        "histogram",
        "profile",
        "profile.csv",
        "report.html",
        "selection",
        "verdict",
        "verdict.csv",
    ]
    judged = tlesion.verdict(profile)
    assert tlesion.load_result(out / "verdict").content_hash == judged.content_hash
    pd.testing.assert_frame_equal(pd.read_csv(out / "verdict.csv"), judged.to_frame(), check_dtype=False)
    assert int(selection.mask().sum()) > 0, "an empty mask would show nothing"


def test_the_table_shows_shares_and_means(finished):
    out, printed = finished
    profile, selection = (tlesion.load_result(out / name) for name in ("profile", "selection"))
    rows = [line.split() for line in printed.splitlines() if re.match(r" +\d+ ", line)]
    assert len(rows) == 3
    mean = profile.logit_drop.mean(dim=2)
    whole = profile.reference_logit_drop[1].mean(dim=1)
    for layer, row in enumerate(rows):
        numbers = [float(cell) for cell in row]
        share = selection.density()
        expected = [layer, *(round(100 * share[name][layer]) for name in ("him", "her"))]
        for m in range(2):
            expected += [*mean[m, layer].tolist(), float(profile.global_change[m, layer].mean())]
        expected += [*whole[layer].tolist(), float(profile.reference_global_change[1, layer].mean())]
        assert numbers == pytest.approx(expected, abs=0.0051)  # two decimals are printed


def test_the_output_fits_80_columns_and_names_the_files(finished):
    out, printed = finished
    table = [line for line in printed.splitlines() if re.match(r" +(\d+|layer) ", line)]
    assert max(map(len, table)) <= 80
    for name in ("report.html", "profile.csv", "selection", "profile", "histogram"):
        assert str(out / name) in printed


def test_without_controls_there_is_no_verdict(study, tlesion_command, tmp_path):
    done = tlesion_command("laminar", *options_of(study), "--controls", 0, "--out", tmp_path / "out", "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    record = json.loads(done.stdout)
    assert record["verdicts"] == []
    assert "No control lesions" in record["summary"][-1]
    assert not (tmp_path / "out" / "verdict").exists()


def test_masks_about_no_word_are_profiled_without_a_verdict(study, tlesion_command, tmp_path):
    """Conditions by other names, and no right answers: there is nothing that a verdict could be on."""
    prompts = tmp_path / "prompts.jsonl"
    lines = [json.dumps({"text": text, "targets": ["him", "her"]}) for text, _ in PROMPTS]
    prompts.write_text("\n".join(lines))
    options = ["--model", study["model"], "--pairs", study["pairs"], "--prompts", prompts, "--alpha", 0.5]
    done = tlesion_command("laminar", *options, "--conditions", "he,she", "--out", tmp_path / "out", "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    assert json.loads(done.stdout)["verdicts"] == []


def test_json_is_for_machines(study, tlesion_command, tmp_path):
    done = tlesion_command("laminar", *options_of(study), "--controls", 19, "--out", tmp_path / "out", "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    record = json.loads(done.stdout)
    assert [row["layer"] for row in record["selected"]] == [0, 1, 2]
    assert {row["mask"] for row in record["effects"]} == {"him", "her", "nothing", "whole MLP"}
    assert {row["target"] for row in record["effects"]} == {"him", "her"}
    assert Path(record["files"]["report"]).is_file()
    assert any("inconclusive" in said for said in record["summary"])
    assert [row["mask"] for row in record["verdicts"]] == ["him"] * 3 + ["her"] * 3


@pytest.mark.parametrize("ablation", ["mean", "gaussian"])
def test_options_reach_the_library(study, tlesion_command, tmp_path, ablation):
    extra = ["--ablation", ablation, "--lesion-position", -2, "--position", 1, "--top-k", 3, "--seed", 5]
    extra += ["--family", "model", "--correction", "none", "--min-effect", 0.1, "--plan", "loop", "--dtype", "float64"]
    extra += ["--controls", 19]  # the fewest of which a verdict is made
    done = tlesion_command("laminar", *options_of(study), *extra, "--out", tmp_path / "out")
    assert (done.exit_code, done.stderr) == (0, "")
    profile, selection = (tlesion.load_result(tmp_path / "out" / name) for name in ("profile", "selection"))
    assert profile.provenance.settings["ablation"] == ablation
    assert profile.provenance.settings["position"] == -2
    assert profile.provenance.settings["seed"] == 5
    assert profile.n_controls == 19
    assert profile.provenance.model["dtype"] == "float64"
    assert selection.provenance.settings["position"] == 1
    assert (selection.family, selection.correction, selection.top_k) == ("model", "none", 3)
    assert selection.provenance.settings["min_effect"] == 0.1
    assert int(selection.mask("him").sum(dim=1).max()) <= 3


def test_heads_are_selected_lesioned_and_explained(study, tlesion_command, tmp_path):
    """Everything beside the profile that is not about MLPs is there, and what is not there is said."""
    point = ["--hook-point", "attn.hook_z", "--lesion-point", "attn.hook_z"]
    done = tlesion_command("laminar", *options_of(study), *point, "--controls", 19, "--out", tmp_path / "out", "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    record = json.loads(done.stdout)
    assert {"selection", "profile", "histogram", "verdict", "dose", "cumulative"} < set(record["files"])
    assert list(record["left_out"]) == ["decomposition"]
    assert "'attn.hook_z' is not inside an MLP" in record["left_out"]["decomposition"]
    assert tlesion.load_result(tmp_path / "out" / "dose").n_lesioned[-1] == 32  # all heads of a layer, side by side
    told = tlesion_command("laminar", *options_of(study), *point, "--controls", 19, "--out", tmp_path / "out").stdout
    assert "- No decomposition: hook point 'attn.hook_z' is not inside an MLP" in " ".join(told.split())


def test_a_run_replaces_an_older_one(study, tlesion_command, tmp_path):
    out = tmp_path / "out"
    options = [*options_of(study), "--controls", 19, "--out", out]
    tlesion_command("laminar", *options)
    first = tlesion.load_result(out / "selection").content_hash
    assert tlesion_command("laminar", *options, "--test", "student").exit_code == 0
    assert tlesion.load_result(out / "selection").content_hash != first


# ---- what is made of a saved run


def test_show_says_what_a_folder_holds(finished, tlesion_command):
    out, _ = finished
    text = tlesion_command("show", out).stdout
    for part in ("LaminarProfile", "NeuronSelection", "ActivationHistogram", "BertForMaskedLM", "2 × 3 × 2 × 2"):
        assert part in text
    record = json.loads(tlesion_command("show", out / "profile", "--json").stdout)
    assert record["profile"]["content_hash"] == tlesion.load_result(out / "profile").content_hash


def test_the_report_is_made_again_from_the_folder(finished, tlesion_command, tmp_path):
    out, _ = finished
    before = (out / "report.html").read_text()
    (out / "report.html").unlink()
    assert tlesion_command("report", out).exit_code == 0
    assert (out / "report.html").read_text() == before
    elsewhere = tmp_path / "page.html"
    record = json.loads(tlesion_command("report", out, "--layer", 1, "--to", elsewhere, "--json").stdout)
    assert record == {"report": str(elsewhere)}
    assert "Every neuron of layer 1" in elsewhere.read_text()


def test_neurons_are_listed_from_a_folder_or_anew(study, finished, tlesion_command, tmp_path):
    out, _ = finished
    selection = tlesion.load_result(out / "selection")
    record = json.loads(tlesion_command("neurons", out, "--limit", 0, "--json").stdout)
    assert record["n_selected"] == len(record["neurons"]) == int(selection.mask().sum())
    for row in record["neurons"]:
        assert bool(selection.mask(row["direction"])[row["layer"], row["neuron"]])
    sizes = [abs(row["t"]) for row in record["neurons"]]
    assert sizes == sorted(sizes, reverse=True)
    one_layer = json.loads(tlesion_command("neurons", out, "--layer", 1, "--direction", "her", "--json").stdout)
    assert one_layer["n_selected"] == int(selection.mask("her")[1].sum())

    table = tmp_path / "neurons.csv"
    anew = ["--model", study["model"], "--pairs", study["pairs"], "--alpha", 0.5, "--test", "paired"]
    done = tlesion_command("neurons", *anew, "--limit", 2, "--csv", table)
    assert done.exit_code == 0
    assert f"2 of {int(selection.mask().sum())} selected neurons (144 tested)" in done.stdout
    pd.testing.assert_frame_equal(pd.read_csv(table), selection.to_frame())
    assert "the same tokens" not in done.stdout


def test_pairs_that_differ_in_the_word_only_are_named_where_the_word_is_hidden(tlesion_command):
    done = tlesion_command("neurons", "--test", "paired", "--position", "mask")
    assert done.exit_code == 0
    assert "0 of 0 selected neurons" in done.stdout
    assert "pairs the model has read the same tokens" in " ".join(done.stdout.split())


def test_examples_are_files_that_can_be_read(tlesion_command, tmp_path):
    for what, name, read in (("pairs", "p.csv", read_pairs), ("prompts", "p.jsonl", read_prompts)):
        path = tmp_path / name
        path.write_text(tlesion_command("example", what).stdout)
        assert read(path)


def test_models_are_listed_and_found(tlesion_command):
    record = json.loads(tlesion_command("models", "--json").stdout)
    assert set(record["shipped"]) == {"toy-bert", "toy-gpt"}
    assert record["shipped"]["toy-gpt"]["kind"] == "causal"
    assert record["known"] == []
    found = json.loads(tlesion_command("models", "--search", "GPT-neo-125", "--json").stdout)["known"]
    assert found == ["EleutherAI/gpt-neo-125M"]
    assert "0 names that TransformerLens knows hold 'qqq'." in tlesion_command("models", "-s", "qqq").stdout


# ---- help


def commands() -> dict[str, Any]:
    """The commands by name; each with its options once it is `made()`."""
    group: Any = typer.main.get_command(app)
    return group.commands


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_option_is_explained_with_its_default(name):
    command = commands()[name].made()
    assert command.help
    assert command.help == commands()[name].help, "the list of commands says the same as the command"
    for parameter in command.params:
        assert parameter.help, f"{name} {parameter.name} has no help"
        if parameter.default is None and not parameter.required:
            assert isinstance(parameter.show_default, str), f"{name} {parameter.name}: say what happens without it"
        else:
            assert parameter.show_default is not False, f"{name} {parameter.name}"


def test_help_names_everything_that_may_be_chosen():
    told = {parameter.name: parameter.help for parameter in commands()["laminar"].made().params}
    for option, names in (("test", statistic_names()), ("ablation", ablations.names()), ("dtype", DTYPES)):
        assert [name for name in names if not re.search(rf"\b{name}\b", told[option])] == []


def test_help_is_quick_because_nothing_heavy_is_imported():
    script = """
import sys
from tlesion.cli import app
try:
    app(["--help"])
except SystemExit as end:
    assert end.code == 0
print({"torch", "transformer_lens", "transformers", "pandas", "plotly", "scipy", "numpy"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "set()", done.stderr
    assert "laminar" in done.stdout


def test_without_a_command_there_is_help(tlesion_command):
    done = tlesion_command()
    assert done.exit_code == 0
    assert "Commands" in done.stdout


# ---- the shipped models


def test_the_demo_runs_piped_without_a_bar(tmp_path):
    """A process of its own, as `make demo` starts it; its output goes to files, where no bar belongs."""
    out = tmp_path / "demo"
    command = [Path(sys.executable).with_name("tlesion"), "demo", "--controls", "0", "--out", out]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}  # beside other workers, several threads wait for each other
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=one_thread)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\r" not in done.stdout
    assert "\x1b" not in done.stdout
    profile = tlesion.load_result(out / "profile")
    assert profile.provenance.model["name"] == "toy-bert"
    assert profile.masks == ("him", "her")
    assert torch.equal(profile.reference_logit_drop[0], torch.zeros_like(profile.reference_logit_drop[0]))
    assert float(profile.reference_logit_drop[1].abs().max()) > 0
    assert f"{int(tlesion.load_result(out / 'selection').mask().sum())} of 6144 neurons" in done.stdout
