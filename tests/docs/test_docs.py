"""The documentation site: it builds without a warning, holds every public name, and fetches nothing."""

import inspect
import operator
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import tlesion
from notebooks.reference import public
from notebooks.reference.docstrings import rewritten

ROOT = Path(tlesion.__file__).parents[1]
LOADS = re.compile(r"""<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)""")


def build(folder: Path) -> None:
    """The site as `make docs` builds it, in a folder of its own."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", "notebooks/reference/mkdocs.yml"]
    done = subprocess.run(
        [*command, "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def shown_names() -> list[str]:
    """Every public name, found by importing: not from the sources, as the site finds them."""
    return [shown for name in tlesion.__all__ for shown in shown_below(f"tlesion.{name}", getattr(tlesion, name))]


def shown_below(name: str, value: Any) -> list[str]:
    """A name, or those of a module: its own functions and classes, or what it lists."""
    if not inspect.ismodule(value):
        return [name]
    own = [key for key, thing in vars(value).items() if getattr(thing, "__module__", None) == value.__name__]
    listed = [key for key in getattr(value, "__all__", own) if not key.startswith("_")]
    things = [(f"{name}.{key}", getattr(value, key)) for key in listed]
    # A package inside (`toy.planted`) is where names come from; a module inside (`interventions.ablations`) is shown.
    things = [(key, thing) for key, thing in things if not hasattr(thing, "__path__")]
    things = [(key, thing) for key, thing in things if callable(thing) or inspect.ismodule(thing)]
    elsewhere = [key for key, thing in things if inspect.isclass(thing) and not thing.__module__.startswith("tlesion")]
    things = [(key, thing) for key, thing in things if key not in elsewhere]
    return [shown for key, thing in things for shown in shown_below(key, thing)]


def test_the_site_builds_and_shows_every_public_name(tmp_path):
    """One test, because building takes most of the time."""
    build(tmp_path)
    names = shown_names()
    expected = {"tlesion.laminar_profile", "tlesion.plots.volcano", "tlesion.hooks.scoped", "tlesion.prompts.him_her"}
    assert expected <= set(names)
    anchors = {anchor for page in (tmp_path / "reference").glob("*.html") for anchor in anchors_of(page)}
    assert not set(names) - anchors

    assert "doc-function" in (tmp_path / "reference" / "stats.html").read_text(encoding="utf-8")
    for page in (tmp_path / "reference").glob("*.html"):
        assert "doc-symbol-module" not in page.read_text(encoding="utf-8"), f"{page.name} shows a module for a name"

    laminar = (tmp_path / "reference" / "laminar.html").read_text(encoding="utf-8")
    text = re.sub(r"<[^>]+>", "", laminar)
    assert "mask layer prompt target" in text, "fields show their shapes"
    assert "Positive: the lesion cost that token" in text, "and their sign"

    home = (tmp_path / "index.html").read_text(encoding="utf-8")
    for name in ("contributing", "changelog"):
        assert f'href="{name}.html"' in home
        assert (tmp_path / f"{name}.html").is_file()

    for page in tmp_path.rglob("*.html"):
        content = page.read_text(encoding="utf-8")
        assert not LOADS.findall(content), f"{page.name} loads something from elsewhere"
        for source in re.findall(r'<img[^>]*src="([^"]+)"', content):
            assert (page.parent / source).is_file(), f"{page.name}: {source}"


def test_what_is_loaded_from_elsewhere_would_be_seen():
    assert LOADS.findall('<script async src="https://elsewhere.org/x.js">') == ["https://elsewhere.org/x.js"]
    assert LOADS.findall("<link rel=stylesheet href=//elsewhere.org/x.css>") == ["//elsewhere.org/x.css"]
    assert not LOADS.findall('<a href="https://elsewhere.org">a link to follow</a><script src="a//b.js">')


def test_a_group_of_names_becomes_a_line_for_each():
    text = "What.\n\nAttributes:\n    t, p: The test,\n        two-sided.\n    n: Rows.\n\nExample:\n    >>> 1\n    1\n"
    lines = rewritten(text).splitlines()
    assert lines[3:7] == ["    t: The test,", "        two-sided.", "    p: Likewise.", "    n: Rows."]
    assert "Examples:" in lines


def test_pages_are_found_in_the_sources_alone():
    """Every name of a page can be reached as it is written, from the package on."""
    for names in public.pages().values():
        for name in names:
            assert operator.attrgetter(name.removeprefix("tlesion."))(tlesion) is not None, name


def anchors_of(page: Path) -> set[str]:
    return set(re.findall(r'id="(tlesion\.[\w.]+)"', page.read_text(encoding="utf-8")))
