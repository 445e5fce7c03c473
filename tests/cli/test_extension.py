"""One file of a user's own adds a study, an ablation and a statistic to the commands, the archive and the report."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

import tlesion
from tlesion.cli import app
from tlesion.cli.group import import_extension
from tlesion.interventions import ablations
from tlesion.keep import results
from tlesion.selection import statistics
from tlesion.stimuli.files import read_pairs, read_prompts
from tlesion.studies.common import registry
from tlesion.studies.common.registry import studies

EXTENSION = '''
"""A study, an ablation and a statistic of one's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float64
from torch import Tensor

import tlesion
from tlesion import interventions as iv
from tlesion.provenance import provenance_of


@iv.ablations.register("halve", summary="half of what they are")
def halve(hook_name, *, units, positions, values, seed):
    return iv.scale(hook_name, 0.5, units=units, positions=positions)


@tlesion.register_statistic("gap", summary="the plain difference of means")
def gap(a, b):
    difference = a.mean - b.mean
    p = torch.where(difference.abs() > difference.abs().median(), 0.01, 0.5)
    return {"t": difference, "p": p, "dof": torch.inf, "effect_size": difference}


@dataclass(frozen=True, eq=False, kw_only=True)
class Doubled(tlesion.Result):
    """Margins of the prompts' targets, multiplied."""

    margins: Float64[Tensor, " prompt"]
    n_neurons: int
    options: tuple[str, ...]

    def to_frame(self):
        return pd.DataFrame({"margin": self.margins.numpy()})


def doubled(
    model,
    prompts: Sequence[tlesion.Prompt],
    masks: Mapping[str, Tensor],
    *,
    factor: float = 2.0,
    layers: Sequence[int] = (0, 1),
    note: str | None = None,
    loud: bool = False,
    position: str | int = "readout",
    hook: Tensor | None = None,
) -> Doubled:
    """Multiply the margins of the targets.

    Args:
        factor: What margins are multiplied
            by, in ``logits``.
        layers: Which layers are meant.
    """
    clean = tlesion.sweep(model, prompts, [[iv.scale("blocks.0.hook_resid_post", 1.0)]]).clean_logits
    return Doubled(
        margins=factor * (clean[:, 0] - clean[:, 1]),
        n_neurons=int(sum(mask.sum() for mask in masks.values())),
        options=(repr(layers), repr(note), repr(loud), repr(position)),
        provenance=provenance_of(model, settings={"factor": factor}, stimuli=[s for p in prompts for s in p.stimuli]),
    )


tlesion.register_study(
    tlesion.Study(
        name="doubled-margins",
        help="What are twice the margins?",
        run=doubled,
        result=Doubled,
        summary=lambda result: [f"The first is {result.margins[0]:.3f}."],
        tables={"margins": Doubled.to_frame},
    )
)
'''
PAIRS = (
    "a,b,word_a,word_b\nWe saw him today.,We saw her today.,him,her\nAsk him.,Ask her.,him,her\n"
    "People listened to him.,People listened to her.,him,her\n"
)
PROMPT = {"text": "Robert helped Lucy and she thanked [MASK] for it.", "targets": ["him", "her"], "correct": "him"}


@pytest.fixture(scope="module")
def extension(tmp_path_factory):
    """The file; what it registers is taken out of all registries again."""
    path = tmp_path_factory.mktemp("own") / "ext.py"
    path.write_text(EXTENSION)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_STUDIES", studies())
        patch.setattr(ablations._ABLATIONS, "_entries", dict(ablations._ABLATIONS._entries))
        patch.setattr(statistics._STATISTICS, "_entries", dict(statistics._STATISTICS._entries))
        for name, kind in list(results._KINDS.items()):
            patch.setitem(results._KINDS, name, kind)
        patch.setitem(results._KINDS, "Doubled", results.Result)
        patch.delitem(results._KINDS, "Doubled")
        yield path


@pytest.fixture(scope="module")
def study(checkpoint_folder, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("study")
    pairs, prompts = folder / "pairs.csv", folder / "prompts.jsonl"
    pairs.write_text(PAIRS)
    prompts.write_text(json.dumps(PROMPT))
    return {"model": checkpoint_folder("bert"), "pairs": pairs, "prompts": prompts}


def run(*args: object):
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, [str(arg) for arg in args])


def data_of(study: dict[str, Path]) -> list[object]:
    return ["--model", study["model"], "--pairs", study["pairs"], "--prompts", study["prompts"]]


@pytest.mark.slow
def test_a_study_of_ones_own_is_a_command_with_options_from_its_signature(extension):
    listed = run("--use", extension, "--help")
    assert (listed.exit_code, listed.stderr) == (0, "")
    assert "doubled-margins" in listed.stdout
    assert "What are twice the margins?" in listed.stdout
    told = " ".join(re.sub(r"[│╭╮╰╯─]", " ", run("--use", extension, "doubled-margins", "--help").stdout).split())
    for part in (
        "--factor <float> What margins are multiplied by, in logits. [default: 2.0]",
        "--layers",
        "--note",
        "--loud --no-loud",
        "--lesion-position",
        "--prompts FILE",
        "--pairs FILE",
        "--selection FOLDER",
        "--test TEST",
        "[default: doubled-margins-report]",
    ):
        assert part in told, part
    assert "--hook " not in told, "a tensor cannot be written on a command line, and has a default"


@pytest.mark.slow
def test_its_result_is_saved_reported_and_read_back(extension, study, tmp_path):
    out = tmp_path / "out"
    options = ["--factor", 3, "--layers", "2,-1", "--loud", "--lesion-position", -2, "--alpha", 0.5]
    done = run("--use", extension, "doubled-margins", *data_of(study), *options, "--out", out)
    assert (done.exit_code, done.stderr) == (0, "")
    saved = tlesion.load_result(out / "doubled-margins")
    assert type(saved).__name__ == "Doubled"
    model, prompts = tlesion.load_model(study["model"]), read_prompts(study["prompts"])
    clean = tlesion.laminar_profile(
        model, {"all": torch.ones(3, 48, dtype=torch.bool)}, prompts, n_controls=0
    ).clean_logits
    torch.testing.assert_close(saved.margins, 3 * (clean[:, 0] - clean[:, 1]))
    assert saved.options == ("[2, -1]", "None", "True", "-2")
    selection = tlesion.select_neurons(model, read_pairs(study["pairs"]), alpha=0.5)
    assert saved.n_neurons == int(selection.mask().sum()) > 0
    assert f"The first is {saved.margins[0]:.3f}." in done.stdout
    assert pd.read_csv(out / "margins.csv")["margin"].tolist() == pytest.approx(saved.margins.tolist())
    page = (out / "report.html").read_text(encoding="utf-8")
    assert f"The first is {saved.margins[0]:.3f}." in page
    assert run("--use", extension, "report", out, "--to", tmp_path / "again.html").exit_code == 0
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page
    assert "Doubled" in run("show", out).stdout
    record = json.loads(run("doubled-margins", *data_of(study), "--out", out, "--json").stdout)
    assert sorted(record["files"]) == ["doubled-margins", "margins", "report"]


@pytest.mark.slow
def test_masks_come_from_a_saved_selection_by_its_folder(extension, study, tmp_path):
    contrast = read_pairs(study["pairs"])
    selection = tlesion.select_neurons(tlesion.load_model(study["model"]), contrast, alpha=0.9)
    selection.save(tmp_path / "selection")
    import_extension(str(extension))
    out = tmp_path / "out"
    done = run("doubled-margins", *data_of(study), "--selection", tmp_path / "selection", "--out", out)
    assert (done.exit_code, done.stderr) == (0, "")
    assert tlesion.load_result(out / "doubled-margins").n_neurons == int(selection.mask().sum())


@pytest.mark.slow
def test_an_ablation_and_a_statistic_of_ones_own_are_values_of_every_study(extension, study, tmp_path):
    out = tmp_path / "out"
    own = ["--ablation", "halve", "--test", "gap", "--controls", 0]
    done = run("--use", extension, "laminar", *data_of(study), *own, "--out", out)
    assert (done.exit_code, done.stderr) == (0, "")
    selection, profile = (tlesion.load_result(out / name) for name in ("selection", "profile"))
    assert selection.test == "gap"
    assert profile.provenance.settings["ablation"] == "halve"
    model = tlesion.load_model(study["model"])
    masks = {name: selection.mask(name) for name in selection.conditions}
    assert int(selection.mask().sum()) > 0
    by_hand = tlesion.laminar_profile(model, masks, read_prompts(study["prompts"]), ablation="halve", n_controls=0)
    torch.testing.assert_close(profile.logit_drop, by_hand.logit_drop)
    zeroed = tlesion.laminar_profile(model, masks, read_prompts(study["prompts"]), n_controls=0)
    assert not torch.allclose(profile.logit_drop, zeroed.logit_drop)
    assert "halve ablation of mlp.hook_post" in (out / "report.html").read_text(encoding="utf-8")
    told = " ".join(re.sub(r"[│╭╮╰╯─]", " ", run("laminar", "--help").stdout).split())
    assert "halve (half of what they are)" in told
    assert "gap (the plain difference of means)" in told
    wrong = run("laminar", *data_of(study), "--ablation", "third", "--out", tmp_path / "wrong")
    assert "'halve'" in wrong.stderr


def test_what_cannot_be_used_is_an_error_in_one_line(tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("import a_module_that_nobody_has\n")
    failing = tmp_path / "failing.py"
    failing.write_text("1 / 0\n")
    for given, part in (
        (tmp_path / "nowhere.py", "there is no such file; give a Python file, or a module's name"),
        ("no.such.module", "is neither a file nor a module that can be imported"),
        (broken, "needs a module that is not installed: a_module_that_nobody_has"),
        (failing, "cannot be imported: ZeroDivisionError: division by zero"),
    ):
        done = run("--use", given, "models")
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1
        assert part in done.stderr


@pytest.mark.slow
def test_a_module_is_used_by_its_name_and_an_installed_one_by_its_entry_point(tmp_path):
    """In a process of its own: an installed package is a folder on the path with its record of entry points."""
    for name in ("named", "installed"):
        (tmp_path / f"{name}_study.py").write_text(
            f"import tlesion\n\nasked = 'A study that is {name}?'\n"
            f"tlesion.register_study(tlesion.Study(name='{name}', help=asked, run=print, result=str, summary=list))\n"
        )
    (tmp_path / "thesis-1.0.dist-info").mkdir()
    (tmp_path / "thesis-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: thesis\nVersion: 1.0\n")
    (tmp_path / "thesis-1.0.dist-info" / "entry_points.txt").write_text(
        "[tlesion]\nstudy = installed_study\nbroken = nowhere_at_all\n"
    )
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from tlesion.cli import app\n"
        "try:\n    app(['--use', 'named_study', '--help'])\n"
        "except SystemExit as end:\n    print(end.code, {'torch', 'transformers', 'pandas'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "A study that is named?" in done.stdout
    assert "A study that is installed?" in done.stdout
    assert done.stdout.splitlines()[-1] == "0 set()", "only what a user's own module imports is imported for the list"
    assert done.stderr.startswith("tlesion: 'nowhere_at_all' is installed, and cannot be used:")


def test_a_parameter_that_cannot_be_asked_for_is_named(extension, by_hand):
    def needs(model, gradient: torch.Tensor):
        raise AssertionError

    registry.register_study(
        registry.Study(name="needs", help="?", run=needs, result=type(by_hand.profile()), summary=list)
    )
    done = run("needs")
    assert done.exit_code == 2
    assert "study 'needs' needs 'gradient'" in done.stderr
    assert "cannot be written on a command line; give it a default, or call it one of prompts, contrast" in done.stderr
    del registry._STUDIES["needs"]


def test_a_file_is_not_run_twice_and_files_of_one_name_are_two(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same_name.py").write_text(f"import builtins\nWHERE = {folder!r}\n")
    before = set(sys.modules)
    for folder in ("one", "two", "one"):
        import_extension(str(tmp_path / folder / "same_name.py"))
    added: list[ModuleType] = [sys.modules[name] for name in set(sys.modules) - before if name.startswith("same_name")]
    assert sorted(module.WHERE for module in added) == ["one", "two"]
    assert importlib.util.find_spec("same_name") is None
    for module in added:
        del sys.modules[module.__name__]
