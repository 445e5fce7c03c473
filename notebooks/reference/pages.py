"""The pages of the site, made when it is built: README, notebooks, a page per public module, how to contribute.

mkdocs loads this file by its path (``hooks:`` in mkdocs.yml).
"""

import ast
import base64
import json
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from notebooks.reference import public  # noqa: E402
from notebooks.reference.docstrings import in_markdown  # noqa: E402

_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)]+)\)")
BESIDE = {
    "CONTRIBUTING.md": ("Contributing", "contributing.md"),
    "CHANGELOG.md": ("Changelog", "changelog.md"),
}
"""Pages of the repository's root that stand beside the README, with their titles and places on the site."""
_IMAGE_TAG = re.compile(r'src="notebooks/figures/')


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The navigation follows the pages that there are."""
    books = [{title_of(path): f"notebooks/{path.stem}.md"} for path in notebooks()]
    reference = [{name: f"reference/{name}.md"} for name in public.pages()]
    config.nav = [
        {"tlesion": "index.md"},
        *([{"Notebooks": books}] if books else []),
        {"Reference": [{"All names": "reference/index.md"}, *reference]},
        *({title: page} for title, page in BESIDE.values()),
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Every page is generated: there is no second copy of a text that could grow old."""
    made: dict[str, str | bytes] = {"index.md": of_the_root("README.md"), "reference/index.md": all_names()}
    made |= {page: of_the_root(name) for name, (_, page) in BESIDE.items()}
    made |= {f"reference/{page}.md": reference_page(page, names) for page, names in public.pages().items()}
    for path in notebooks():
        made |= notebook_page(path)
    for uri, content in made.items():
        files.append(File.generated(config, uri, content=content))
    return files


def notebooks() -> list[Path]:
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


def of_the_root(name: str) -> str:
    """A page of the repository's root, with links that hold on the site; what is not on the site is only named."""

    def moved(match: re.Match[str]) -> str:
        bang, label, target = match.groups()
        if target.startswith("notebooks/figures/"):
            return f"{bang}[{label}]({target.removeprefix('notebooks/figures/')})"
        if target.endswith(".ipynb"):
            return f"[{label}]({target.removesuffix('.ipynb')}.md)"
        return f"[{label}]({BESIDE[target][1]})" if target in BESIDE else label

    text = (ROOT / name).read_text(encoding="utf-8")
    return _IMAGE_TAG.sub('src="', _LINK.sub(moved, text))


def all_names() -> str:
    """A table of every public name with its first line, linked to its place."""
    lines = ["# All public names", "", "| name | what it is |", "| --- | --- |"]
    for page, names in public.pages().items():
        lines += [f"| [`{name}`]({page}.md#{name}) | {first_line(name)} |" for name in names]
    return "\n".join(lines) + "\n"


def reference_page(page: str, names: list[str]) -> str:
    """What the module says of itself, and every name of it."""
    return "\n\n".join([f"# {page}", introduction(page), *map(entry, names)]) + "\n"


def entry(name: str) -> str:
    """What makes mkdocstrings show a name; one that a module bears, too, is taken from that module."""
    if not public.source_of(name.removeprefix("tlesion.")).is_file():
        return f"::: {name}"
    inner = f"{name}.{name.rsplit('.', 1)[1]}"
    return f'<a id="{name}"></a>\n\n::: {inner}\n    options:\n      heading: {name}'


def introduction(page: str) -> str:
    """The docstring of the page's module, its examples as code."""
    text = ast.get_docstring(ast.parse(public.page_source(page).read_text(encoding="utf-8"))) or ""
    return in_markdown(text)


def first_line(name: str) -> str:
    """The first line of a public name's docstring, read without importing anything."""
    *module, last = name.split(".")[1:]
    source = definition(".".join(module), last)
    line = (source or "").strip().splitlines()[0] if source else ""
    return in_markdown(line).replace("|", "\\|")


def definition(module: str, name: str) -> str | None:
    """The docstring of a name, following imports to where it is defined."""
    module = public.public_modules().get(module, module) or public.top_level()[name]
    while place := public.imported_from(module, name):
        module = place
    body = public.tree_of(module).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return ast.get_docstring(node)
        if name in _assigned(node):
            is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            return str(after.value.value) if is_text else None  # type: ignore[union-attr]
    return None


def _assigned(node: ast.stmt) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def title_of(path: Path) -> str:
    """The first heading of a notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "".join(cells[0]["source"])
    return text.splitlines()[0].lstrip("# ")


def notebook_page(path: Path) -> dict[str, str | bytes]:
    """A notebook as a page: its text, its code, and its outputs as they were saved."""
    parts: list[str] = []
    images: dict[str, str | bytes] = {}
    for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
        source = "".join(cell["source"])
        told = re.sub(r"(\]\(\w+)\.ipynb\)", r"\1.md)", source)
        parts.append(told if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for place, output in enumerate(cell.get("outputs", [])):
            shown, image = _output(output, f"{path.stem}-{number}-{place}.png")
            parts.append(shown)
            images |= {f"notebooks/{name}": content for name, content in image.items()}
    return {f"notebooks/{path.stem}.md": "\n\n".join(parts) + "\n", **images}


def _output(output: dict[str, Any], image: str) -> tuple[str, dict[str, bytes]]:
    data = output.get("data", {})
    if "image/png" in data:
        return f"![figure]({image})", {image: base64.b64decode("".join(data["image/png"]))}
    if "text/html" in data:
        html = re.sub(r"<style.*?</style>", "", "".join(data["text/html"]), flags=re.S)
        return re.sub(r"<table[^>]*>", "<table>", html), {}  # in the site's own style
    text = "".join(output.get("text", data.get("text/plain", "")))
    return f"```text\n{text.rstrip()}\n```", {}
