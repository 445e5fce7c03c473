"""What the project says of itself: one version, a changelog that has it, hooks that run the linters of make."""

import re
import tomllib
from importlib.metadata import metadata, version
from pathlib import Path

import yaml

import tlesion

ROOT = Path(tlesion.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_version_stands_once():
    assert tlesion.__version__ == version("tlesion")
    assert not re.search(r"__version__ = [\"']", (ROOT / "tlesion" / "__init__.py").read_text(encoding="utf-8"))


def test_the_changelog_begins_with_this_version():
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.M)
    assert headings[0] == PROJECT["version"]
    assert len(set(headings)) == len(headings)


def test_classifiers_name_the_pythons_that_the_tests_run_on():
    named = {one.rsplit(" :: ", 1)[1] for one in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", one)}
    assert named == {"3.11", "3.12", "3.13"}
    assert PROJECT["requires-python"] == ">=3.11"
    assert PROJECT["keywords"]
    assert metadata("tlesion")["Name"] == "tlesion"


def test_the_hooks_before_a_commit_are_the_linters_of_make():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]]
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M)
    assert recipe is not None
    assert hooks == [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe[1].splitlines()]
    assert {repo["repo"] for repo in config["repos"]} == {"local"}, "nothing is fetched"
