"""Errors on the command line: one line on stderr, exit code 2, nothing half-written."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tlesion.cli import app
from tlesion.cli.errors import one_line
from tlesion.cli.options import position, two_words

pytestmark = pytest.mark.slow

PAIRS = "a,b,word_a,word_b\nWe saw him today.,We saw her today.,him,her\nAsk him.,Ask her.,him,her\n"


def run(*args: object):
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, [str(arg) for arg in args])


def assert_one_line(done, part: str) -> None:
    """The error of a command that failed as it should."""
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("tlesion: ")
    assert part in done.stderr


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "pairs.csv").write_text(PAIRS)
    return tmp_path


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["frob"], "No such command 'frob'. See tlesion --help."),
        (["demoo"], "Did you mean 'demo'?"),
        (["demo", "--frob"], "No such option: --frob"),
        (["show"], "Missing argument 'folder'. See tlesion show --help."),
        (["laminar", "--alpha", "much"], "Invalid value for '--alpha'"),
        (["laminar", "--words", "him"], "--words 'him' is not understood; give two words with a comma"),
        (["laminar", "--words", "him,her"], "add --pairs FILE"),
        (["laminar", "--pairs", "nowhere.csv"], "'nowhere.csv' is not a file; give a CSV or JSON-lines file"),
        (["laminar", "--pairs", "file"], "'file' cannot be read as CSV (.csv) or JSON lines"),
        (["demo", "--out", "file"], "cannot write into 'file': it is a file; give the name of a folder"),
        (["laminar", "--out", "file/deeper"], "cannot write into 'file/deeper': 'file' is a file"),
        (["demo", "--model", "toy-brt"], "toy-bert"),
        (["laminar", "--test", "t"], "test 't' is unknown; allowed: 'student', 'welch'"),
        (["laminar", "--ablation", "none"], "ablation 'none' is unknown; allowed: 'zero', 'mean'"),
        (["laminar", "--hook-point", "mlp.pre"], "hook point 'blocks.0.mlp.pre' is not in this model"),
        (["laminar", "--prompts", "pairs.csv"], "row 1 of 'pairs.csv' has no text in ['text', 'targets']"),
        (["show", "nowhere"], "the folder 'nowhere' is not there; give a folder that tlesion wrote"),
        (["show", "file"], "the folder 'file' is a file"),
        (["report", "."], "holds no tlesion result; give one that `tlesion demo`"),
        (["neurons", "file"], "the folder 'file' is a file"),
        (["neurons", "--csv", "."], "cannot write the file '.': it is a folder"),
        (["example", "words"], "example 'words' is unknown; allowed: 'pairs', 'prompts'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_errors_are_one_line(folder, monkeypatch, args, part):
    monkeypatch.chdir(folder)
    before = sorted(path.name for path in folder.rglob("*"))
    assert_one_line(run(*args), part)
    assert sorted(path.name for path in folder.rglob("*")) == before, "nothing is written by a failed command"


def test_a_folder_that_holds_something_else_is_refused_before_any_work(folder):
    (folder / "out" / "profile").mkdir(parents=True)
    (folder / "out" / "profile" / "thesis.txt").write_text("mine")
    done = run("demo", "--out", folder / "out", "--model", "a model that is never looked for")
    assert_one_line(done, "is there and is not a tlesion result; give an empty or a new folder")
    assert (folder / "out" / "profile" / "thesis.txt").read_text() == "mine"


def test_a_damaged_result_is_named(by_hand, folder):
    saved = by_hand.profile().save(folder / "profile")
    (saved / "tensors.safetensors").write_bytes(b"not these")
    assert_one_line(run("show", folder), "is damaged: tensors.safetensors does not match its checksum")


def test_limits_and_layers_of_a_list_that_do_not_exist(by_hand, folder):
    by_hand.selection().save(folder / "selection")
    assert_one_line(run("neurons", folder, "--limit", -1), "--limit is -1; give a number of rows")
    assert_one_line(run("neurons", folder, "--layer", 9), "--layer 9 is not in this selection; it has the layers [0, 1")
    assert_one_line(run("neurons", folder, "--direction", "it"), "--direction 'it' is unknown; allowed: 'him', 'her'")
    by_hand.profile().save(folder / "other" / "profile")
    assert_one_line(run("neurons", folder / "other"), "holds no selection, only: LaminarProfile")


def test_debug_shows_the_traceback_beside_the_line(folder):
    for args in (["--debug", "show", "nowhere"], ["show", "nowhere", "--debug"]):
        done = run(*args)
        assert done.exit_code == 2
        assert "Traceback (most recent call last)" in done.stderr
        assert done.stderr.splitlines()[-1].startswith("tlesion: the folder 'nowhere' is not there")


def test_an_error_that_nobody_expected_says_so(monkeypatch):
    def broken(*_):
        raise RuntimeError("a wire\ncame loose")

    monkeypatch.setattr("tlesion.cli.show.load_results", broken)
    assert_one_line(run("show", "."), "unexpected RuntimeError: a wire came loose (--debug shows where)")


def test_ctrl_c_ends_without_a_traceback(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("tlesion.cli.show.load_results", interrupted)
    done = run("show", ".")
    assert done.exit_code == 130
    assert "Traceback" not in done.stderr


def test_a_key_error_loses_its_quotes():
    assert one_line(KeyError("no layer 'x'")) == "no layer 'x'"
    assert one_line(ValueError()) == "ValueError"


def test_a_process_of_its_own_ends_with_code_2(tmp_path):
    (tmp_path / "file").write_text("mine")
    command = [Path(sys.executable).with_name("tlesion"), "demo", "--out", tmp_path / "file"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"tlesion: cannot write into '{tmp_path / 'file'}': it is a file; give the name of a folder\n"


def test_positions_and_words_are_read_from_text():
    assert position("-3", "--position") == -3
    assert position("mask", "--position") == "mask"
    assert two_words(None, "--words") is None
    with pytest.raises(ValueError, match="--conditions 'a,b,c' is not understood"):
        two_words("a,b,c", "--conditions")
