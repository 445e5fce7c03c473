"""The notebooks: each runs from top to bottom on the shipped models, and shows what it should without being run."""

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest

import tlesion
from benchmarks.notebooks import PLOTLY, executed, joined, notebooks

ROOT = str(Path(__file__).parents[2])
pytestmark = pytest.mark.slow

NOTEBOOKS = notebooks()
SHIPPED = ("toy-bert", "toy-gpt")
REAL = ("bert-large-uncased", "gpt2-xl", "EleutherAI/gpt-neo-125m")


def outputs_of(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def figures_in(notebook) -> list[str]:
    """The titles of a notebook's figures."""
    shown = [output["data"][PLOTLY] for output in outputs_of(notebook) if PLOTLY in output.get("data", {})]
    return [str(figure["layout"].get("title", {}).get("text")).split(":")[0] for figure in shown]


def test_there_is_one_for_every_study_and_one_more():
    assert [path.name[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06"]


def test_notebooks_run_from_top_to_bottom(monkeypatch):
    """One test for all of them, because each kernel would spend most of its time on imports."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # kernels of several workers share the cores
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for path, fresh in zip(NOTEBOOKS, executed(*NOTEBOOKS), strict=True):
        kept = nbformat.read(path, as_version=4)
        assert [cell.source for cell in fresh.cells] == [cell.source for cell in kept.cells]
        counts = [[len(cell.get("outputs", [])) for cell in notebook.cells] for notebook in (fresh, kept)]
        assert counts[0] == counts[1], path.stem
        assert not [output for output in outputs_of(fresh) if output.output_type == "error"]
        assert len(figures_in(fresh)) == len(figures_in(kept)) > 0 or path.stem.startswith("06"), "06 shows tables"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_with_what_it_shows(path):
    nbformat.validate(kept := nbformat.read(path, as_version=4))
    code = [cell for cell in kept.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "run once, from top to bottom"
    for output in outputs_of(kept):
        data = output.get("data", {})
        assert (PLOTLY in data) == ("image/png" in data), "a static image beside every figure: make notebooks"
        assert output.get("name") != "stderr", output.get("text")
    text = path.read_text(encoding="utf-8")
    assert ROOT not in text
    assert not [folder for folder in ("home", "root", "work", "Users") if f"/{folder}/" in text]
    assert not re.search(r"(?<![\w:/.])/(?:[\w.-]+/)+[\w.-]+\.(?:py|ipynb|html|json|csv|safetensors)\b", text)
    assert path.stat().st_size < 4e6


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_line_at_the_top_switches_the_model(path):
    cells = nbformat.read(path, as_version=4).cells
    assert re.match(rf"# {int(path.name[:2])}\. \w", cells[0].source)
    first = next(cell for cell in cells if cell.cell_type == "code").source.splitlines()[0]
    assignment, _, comment = first.partition("#")
    assert ast.literal_eval(assignment.split("=")[1].strip()) in SHIPPED
    assert any(name in comment for name in REAL)
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    assert not [name for name in SHIPPED if name in code.split("\n", 1)[1]], "the name stands in the first line only"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_only_public_names_are_used(path):
    code = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            assert not [one.name for one in node.names if one.name.startswith("tlesion.")]
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tlesion"):
            assert node.module == "tlesion"
            assert {one.name for one in node.names} <= set(tlesion.__all__)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_text_quotes_no_number_that_depends_on_the_weights(path):
    """What was found is printed by the code, so that it cannot disagree with the figures."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    for cell in cells:
        assert not re.findall(r"\d\.\d\d|\d ?%|\blayers? \d", cell.source), cell.source


def test_printed_text_in_pieces_becomes_one():
    pieces = [nbformat.v4.new_output("stream", name="stdout", text=text) for text in ("a\n", "b\n")]
    table = nbformat.v4.new_output("display_data", data={"text/plain": "t"})
    (first, second) = joined([*pieces, table])
    assert json.dumps(first["text"]) == '"a\\nb\\n"'
    assert second is table
