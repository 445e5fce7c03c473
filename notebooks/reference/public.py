"""What is public, read from the package's sources: which name stands on which page of the API reference."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "tlesion"


def pages() -> dict[str, list[str]]:
    """The pages of the reference: ``{page: [dotted public name, ...]}``, both in alphabetical order.

    A name of the package itself stands on the page of the module that it comes from, and those of a public module
    (``tlesion.stats``) on a page named after it. Nothing is listed by hand, so that no name can be forgotten.
    """
    found: dict[str, list[str]] = {}
    for name, module in top_level().items():
        found.setdefault(_page_of(module), []).append(f"tlesion.{name}")
    for module in public_modules():
        found.setdefault(module, []).extend(f"tlesion.{module}.{name}" for name in names_in(module))
    return {page: sorted(names) for page, names in sorted(found.items())}


def top_level() -> dict[str, str]:
    """The names of the package itself and the module of each, as ``__init__.pyi`` lists them; no modules."""
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module for node in imports if node.module for alias in node.names}


def public_modules() -> list[str]:
    """The modules that the package shows: ``tlesion.stats`` and so on."""
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    return [alias.name for node in imports if not node.module for alias in node.names]


def names_in(module: str) -> list[str]:
    """The public names of a module: its stub's, else its ``__all__``, else the functions and classes it defines."""
    stub = PACKAGE / module / "__init__.pyi"
    if stub.is_file():
        nodes = [node for node in ast.parse(stub.read_text(encoding="utf-8")).body if isinstance(node, ast.ImportFrom)]
        return [alias.name for node in nodes if node.module for alias in node.names]
    tree = ast.parse(source_of(module).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return list(ast.literal_eval(node.value))
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [name for name in defined if not name.startswith("_")]


def source_of(module: str) -> Path:
    """The file of a dotted module below the package: ``studies.laminar``."""
    path = PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _page_of(module: str) -> str:
    """A study has a page of its own, with its result: ``context`` for studies.context and studies.context_result."""
    first, *rest = module.split(".")
    if first != "studies":
        return first
    return {"subspace_result": "subspace_removal"}.get(rest[0], rest[0].removesuffix("_result"))
