"""``tlesion laminar --about``: conditions that are called otherwise than the words that their neurons should cost."""

import json

import pytest
from typer.testing import CliRunner

import tlesion
from tlesion.cli import app

pytestmark = pytest.mark.slow

PAIRS = (
    "a,b,word_a,word_b\nWe saw him today.,We saw her today.,him,her\nAsk him.,Ask her.,him,her\n"
    "People listened to him.,People listened to her.,him,her\n"
)
PROMPT = {"text": "Robert helped Lucy and she thanked [MASK] for it.", "targets": ["him", "her"], "correct": "him"}


@pytest.fixture(scope="module")
def run(checkpoint_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("about")
    (folder / "pairs.csv").write_text(PAIRS)
    (folder / "prompts.jsonl").write_text(json.dumps(PROMPT))
    data = ["--model", checkpoint_folder("bert"), "--pairs", folder / "pairs.csv", "--conditions", "men,women"]
    data += ["--prompts", folder / "prompts.jsonl", "--alpha", 0.9, "--controls", 0, "--out", folder / "out"]

    def laminar(*more):
        done = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["laminar", *map(str, (*data, *more))])
        return done, folder / "out" / "profile"

    return laminar


def test_what_is_said_stands_in_the_profile(run):
    done, saved = run("--about", "men=him,women=her")
    assert done.exit_code == 0, done.output
    assert tlesion.load_result(saved).about == {"men": "him", "women": "her"}


@pytest.mark.parametrize(
    ("about", "said"), [("man=him", "mask 'man'"), ("men=it", "'it'"), ("men", "--about 'men' is not understood")]
)
def test_a_name_or_word_that_is_not_there_is_refused(run, about, said):
    done, _ = run("--about", about)
    assert done.exit_code == 2
    assert said in done.output
