"""CONTRIBUTING.md: its generated sections agree with their files, and its examples run as they stand there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import tlesion
from benchmarks import contributing
from benchmarks.readme import filled

ROOT = Path(tlesion.__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, flags=re.M | re.S)
EXAMPLES = {block.splitlines()[0].removeprefix("# "): block for kind, block in BLOCKS if kind == "python"}
LINES = [line.split("  #")[0].strip() for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()]
COMMANDS = [line for line in LINES if line.startswith("tlesion ")]

# In a process of its own: what the examples register would stay registered for all other tests.
RUN = """
import shlex, sys
from pathlib import Path
from typer.testing import CliRunner
from tlesion.cli import app

for line in sys.stdin.read().splitlines():
    command, _, target = line.partition(" > ")
    done = CliRunner().invoke(app, shlex.split(command)[1:])
    assert done.exit_code == 0, f"{line}: {done.output}"
    print(done.stdout)
    if target:
        Path(target).write_text(done.stdout, encoding="utf-8")
"""


def test_every_block_is_of_a_kind_that_is_checked():
    assert {kind for kind, _ in BLOCKS} == {"python", "sh", "text"}
    assert TEXT.count("```") == 2 * len(BLOCKS)
    assert list(EXAMPLES) == ["halve.py", "ranksum.py", "whole_mlps.py"]


@pytest.mark.slow
def test_the_examples_are_found_by_the_command_line_the_archive_and_the_report(tmp_path):
    for name, source in EXAMPLES.items():
        (tmp_path / name).write_text(source, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input="\n".join(COMMANDS),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in EXAMPLES:
        assert [line for line in COMMANDS if f"--use {name} " in line], f"no command uses {name}"
    assert "Cutting the MLP of layer" in done.stdout
    page = (tmp_path / "mlps" / "report.html").read_text(encoding="utf-8")
    assert "Cutting the MLP of layer" in page
    assert "mean_drop" in (tmp_path / "mlps" / "layers.csv").read_text(encoding="utf-8")


def test_everything_else_in_shell_blocks_is_a_target_of_make():
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M)
    named = {*re.findall(r"\bmake ([\w-]+)", "\n".join([*LINES, *re.findall(r"`([^`\n]+)`", TEXT)]))}
    assert {"test", "lint", "quick", "test-kernels", "mutants"} <= named
    assert named <= set(targets)


@pytest.mark.parametrize("name", contributing.sections())
def test_generated_sections_agree_with_their_files(name):
    """`python -m benchmarks.contributing` brings them up to date."""
    assert contributing.sections()[name] in TEXT
    assert filled(TEXT, contributing.sections(), page="CONTRIBUTING.md") == TEXT


def test_the_floors_are_those_that_are_enforced():
    block = next(block for kind, block in BLOCKS if kind == "text")
    shown = {int(line[0]): set(line[3:].split()) for line in block.splitlines()}
    enforced: dict[int, set[str]] = {}
    for floor, names in contributing.enforced_floors():
        enforced.setdefault(floor, set()).update(names)
    assert shown == {floor: set(contributing.existing(names)) for floor, names in enforced.items()}
    assert list(shown) == sorted(shown, reverse=True), "the top floor stands on top"


def test_every_room_says_what_it_holds_in_a_sentence():
    rooms = [name for _, names in contributing.enforced_floors() for name in contributing.existing(names)]
    studies = [f"studies/{path.parent.name}" for path in contributing.PACKAGE.glob("studies/*/__init__.py")]
    for room in [*rooms, *studies]:
        assert contributing.holds(room).endswith((".", "?")), room


def test_links_are_there():
    targets = re.findall(r"\]\((?!https?:|#)([^)]+)\)", TEXT)
    assert targets
    for target in targets:
        assert (ROOT / target).exists(), target
