"""--checkpoint on the command line: parts are kept, taken up again, and refused to another run."""

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import tlesion
from tlesion.cli import app

pytestmark = pytest.mark.slow

PAIRS = [("We saw him.", "We saw her."), ("Ask him now.", "Ask her now."), ("Tell him.", "Tell her.")]


@pytest.fixture
def tlesion_command():
    """`tlesion ...` in this process, at 80 columns."""

    def run(*args: object):
        return CliRunner(env={"COLUMNS": "80"}).invoke(app, [str(arg) for arg in args])

    return run


@pytest.fixture
def study(checkpoint_folder, tmp_path) -> dict[str, Path]:
    """A small random BERT, and files of pairs and prompts that it can read."""
    pairs, prompts = tmp_path / "pairs.csv", tmp_path / "prompts.jsonl"
    with pairs.open("w", newline="") as file:
        csv.writer(file).writerows([("a", "b", "word_a", "word_b"), *((a, b, "him", "her") for a, b in PAIRS)])
    text = "Robert helped Lucy and she thanked [MASK] for it."
    prompts.write_text(json.dumps({"text": text, "targets": ["him", "her"], "correct": "him"}))
    return {"model": checkpoint_folder("bert"), "pairs": pairs, "prompts": prompts}


@pytest.mark.parametrize("command", ["laminar", "subspace", "replace", "context"])
def test_a_run_with_a_checkpoint_keeps_its_parts_and_is_read_from_them(study, tlesion_command, tmp_path, command):
    small = {
        "laminar": ["--pairs", study["pairs"], "--prompts", study["prompts"], "--alpha", 0.5, "--controls", 19],
        "subspace": ["--text", "The teacher gave the boy an apple.", "--layers", "0,1", "--ranks", "", "--n-random", 1],
        "replace": ["--prompts", study["prompts"], "--layers", "1"],
        "context": ["--text", "The teacher gave the boy an apple and told the girl to share it."],
    }
    results = {"laminar": "profile", "subspace": "subspace", "replace": "replacement", "context": "context"}
    kept, hashes = tmp_path / "kept", []
    for run, extra in enumerate(([], ["--checkpoint", kept], ["--checkpoint", kept])):
        out = tmp_path / str(run)
        done = tlesion_command(command, "--model", study["model"], *small[command], *extra, "--out", out, "--json")
        assert (done.exit_code, done.stderr) == (0, "")
        hashes.append(tlesion.load_result(out / results[command]).content_hash)
    assert hashes[0] == hashes[1] == hashes[2]
    folder = kept / "context" if command == "context" else kept
    assert json.loads((folder / "checkpoint.json").read_text())["state"] == "finished"
    assert list((folder / "parts").iterdir())
    if command == "laminar":
        beside = {path.name for path in kept.iterdir() if path.is_dir()}
        assert beside == {"parts", "dose", "cumulative", "decomposition"}
    other = {"laminar": ["--ablation", "gaussian"], "replace": ["--factors", "3"]}.get(command, ["--seed", 5])
    again = ["--checkpoint", kept, *other, "--out", tmp_path / "3"]
    done = tlesion_command(command, "--model", study["model"], *small[command], *again)
    assert done.exit_code == 2
    assert done.stderr.startswith("tlesion: the checkpoint in ")
    assert "is of another run (settings." in done.stderr
    assert len(done.stderr.splitlines()) == 1
