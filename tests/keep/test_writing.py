"""One way of writing: files and folders are there whole or not at all, and no other room writes any."""

import ast
from pathlib import Path

import pytest

import tlesion
from tlesion.keep.writing import write_whole, write_whole_folder

PACKAGE = Path(tlesion.__file__).parent
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE / "keep")

WRITERS = {"write_text", "write_bytes", "mkstemp", "mkdtemp", "NamedTemporaryFile", "rename", "renames", "touch"}
"""Calls that make or move files. A temporary folder that is gone at once (`TemporaryDirectory`) is no place to keep."""


def written_in(source: str) -> list[tuple[int, str]]:
    """Where a module writes files itself: the line, and the call."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = [one.value for one in (*node.args, *(k.value for k in node.keywords)) if isinstance(one, ast.Constant)]
        opened = name == "open" and any(isinstance(mode, str) and set(mode) & set("wax+") for mode in given[-1:])
        # A frame's `rename` names columns, a text's `replace` takes two arguments.
        columns = any(keyword.arg in ("columns", "index") for keyword in node.keywords)
        if (name in WRITERS and not columns) or opened or (name == "to_csv" and node.args):
            found.append((node.lineno, name))
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_other_room_writes_files(path):
    found = written_in(path.read_text(encoding="utf-8"))
    assert not found, f"{path}: {found}; write with tlesion.keep.writing"


def test_every_form_of_writing_would_be_seen():
    seen = written_in(
        "path.write_text(x)\nopen(p, 'w')\npath.open(mode='ab')\ntempfile.mkstemp()\nframe.to_csv(path)\n"
        "a.rename(b)\nframe.rename(columns={})\nopen(p)\nopen(p, 'rb')\nframe.to_csv(index=False)\ntext.replace(a, b)\n"
    )
    assert [line for line, _ in seen] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(("data", "held"), [("naïve\n", "naïve\n".encode()), (b"\x00\xff", b"\x00\xff")])
def test_a_file_is_text_or_bytes(tmp_path, data, held):
    assert write_whole(tmp_path / "new" / "file", data) == tmp_path / "new" / "file"
    assert (tmp_path / "new" / "file").read_bytes() == held
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]
    assert (tmp_path / "new" / "file").stat().st_mode & 0o777 == 0o644


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    write_whole_folder(tmp_path / "out", {"a": "1", "b": b"2"})
    write_whole_folder(tmp_path / "out", {"a": "3"})
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == {"a": "3"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with pytest.raises(ValueError, match=r"cannot write into '.*a': it is a file; give the name of a folder"):
        write_whole_folder(tmp_path / "out" / "a", {"b": "1"})


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_file_that_is_broken_off_leaves_the_older_one(tmp_path, monkeypatch, error):
    path = write_whole(tmp_path / "file", "older")

    def broken(*_):
        raise error("broken off")

    monkeypatch.setattr("tlesion.keep.writing.Path.replace", broken)
    with pytest.raises(error, match="broken off"):
        write_whole(path, "newer")
    assert path.read_text() == "older"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
