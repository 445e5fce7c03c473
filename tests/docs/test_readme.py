"""The README: every block of it runs, and what is made from files agrees with them."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import tlesion
from benchmarks import readme
from tlesion.cli import app

pytestmark = pytest.mark.slow

ROOT = Path(tlesion.__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, flags=re.M | re.S)
LINES = [line.split("  #")[0].strip() for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A temporary folder as the working directory, for what the blocks write."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_block_is_of_a_kind_that_is_checked():
    kinds = [kind for kind, _ in BLOCKS]
    assert set(kinds) == {"python", "sh"}
    assert TEXT.count("```") == 2 * len(BLOCKS)


def test_python_blocks_run_from_top_to_bottom(elsewhere, capsys):
    names: dict[str, Any] = {"__name__": "readme"}
    for number, source in enumerate(block for kind, block in BLOCKS if kind == "python"):
        exec(compile(source, f"README.md, Python block {number}", "exec"), names)
    printed = capsys.readouterr().out
    assert "n_selected" in printed
    assert "control_p_corrected" in printed
    assert type(names["figure"]).__name__ == "Figure"
    assert len(names["profile"].layers) == 12


def test_commands_run(elsewhere):
    commands = [line for line in LINES if line.startswith("tlesion ")]
    assert len(commands) >= 5
    for line in commands:
        command, _, target = line.partition(" > ")
        done = CliRunner().invoke(app, shlex.split(command)[1:])
        assert done.exit_code == 0, f"{line}: {done.output}"
        if target:
            Path(target).write_text(done.stdout, encoding="utf-8")
    assert (elsewhere / "my-study" / "report.html").is_file()


def test_everything_else_in_shell_blocks_is_a_target_of_make():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M)
    others = [line for line in LINES if line and not line.startswith("tlesion ")]
    assert {"make demo", "make test"} <= set(others)
    for line in others:
        assert re.fullmatch(r"make \w+", line), line
        assert line.split()[1] in targets, line


def test_the_study_has_twenty_lines():
    study = next(block for kind, block in BLOCKS if kind == "python")
    assert len([line for line in study.splitlines() if line.strip() and not line.startswith("#")]) <= 20


@pytest.mark.parametrize("name", readme.sections())
def test_generated_sections_agree_with_their_files(name):
    """`python -m benchmarks.readme` brings them up to date."""
    assert readme.sections()[name] in TEXT
    assert readme.filled(TEXT, readme.sections()) == TEXT


def test_links_and_images_are_there():
    targets = re.findall(r"\]\((?!https?:|#)([^)]+)\)", TEXT) + re.findall(r'src="([^"]+)"', TEXT)
    assert len(targets) > 10
    for target in targets:
        assert (ROOT / target).is_file(), target


def test_a_section_without_its_marks_is_refused():
    with pytest.raises(ValueError, match="exactly one <!-- speed: begin -->"):
        readme.filled(TEXT.replace("<!-- speed: begin -->", ""), readme.sections())
