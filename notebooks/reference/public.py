"""What is public, read from the package's sources: which name stands on which page of the API reference."""

import ast
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "tlesion"


@cache
def pages() -> dict[str, list[str]]:
    """The pages of the reference: ``{page: [dotted public name, ...]}``, both in alphabetical order.

    A name of the package itself stands on the page of the room that it comes from, and those of a public module
    (``tlesion.stats``) on a page named after it. Nothing is listed by hand, so that no name can be forgotten.
    """
    found: dict[str, list[str]] = {}
    for name, module in top_level().items():
        found.setdefault(_page_of(module), []).append(f"tlesion.{name}")
    for name, module in public_modules().items():
        found.setdefault(name, []).extend(
            f"tlesion.{name}.{inner}" for inner in sorted(set(names_in(module)) - set(_modules_in(module)))
        )
    return {page: sorted(names) for page, names in sorted(found.items())}


def top_level() -> dict[str, str]:
    """The names of the package itself and the module of each, as ``__init__.pyi`` lists them; no modules."""
    return {name: module for name, module in _listed() if module and not source_of(f"{module}.{name}").is_file()}


def public_modules() -> dict[str, str]:
    """The modules that the package shows and where they are: ``stimuli.contrasts`` for ``tlesion.contrasts``.

    A public module shows those of its own that it names itself: ``interventions.ablations``.
    """
    dotted = {name: f"{module}.{name}".lstrip(".") for name, module in _listed()}
    shown = {name: module for name, module in dotted.items() if source_of(module).is_file()}
    inner = {f"{name}.{one}": f"{module}.{one}" for name, module in shown.items() for one in _modules_in(module)}
    return shown | inner


def _modules_in(module: str) -> list[str]:
    """The modules that a package's own file imports from the package itself, and so shows as they are."""
    path = source_of(module)
    nodes = ast.parse(path.read_text(encoding="utf-8")).body if path.name == "__init__.py" else []
    own = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == f"tlesion.{module}"]
    return [alias.name for node in own for alias in node.names if source_of(f"{module}.{alias.name}").is_file()]


def _listed() -> list[tuple[str, str]]:
    """Every name of the package's stub, with what it is imported from: "" for the package itself."""
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    return [(alias.name, node.module or "") for node in imports for alias in node.names]


def names_in(module: str) -> list[str]:
    """The public names of a module: its stub's, else its ``__all__``, else the functions and classes it defines.

    What another package defines is documented there: TransformerLens' ``HookPoint``, say.
    """
    tree = tree_of(module)
    if (PACKAGE / module / "__init__.pyi").is_file():
        nodes = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
        return [alias.name for node in nodes if node.module for alias in node.names]
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return [name for name in ast.literal_eval(node.value) if _is_own(module, name)]
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [name for name in defined if not name.startswith("_")]


@cache
def tree_of(module: str) -> ast.Module:
    """The source of a dotted module below the package, its stub where it has one."""
    path = source_of(module)
    stub = path.with_suffix(".pyi")
    return ast.parse((stub if stub.is_file() else path).read_text(encoding="utf-8"))


def imported_from(module: str, name: str) -> str | None:
    """What a module imports a name from, as a dotted module below the package.

    None where it does not import it, "" where it is another package's.
    """
    for node in tree_of(module).body:
        if isinstance(node, ast.ImportFrom) and name in [alias.asname or alias.name for alias in node.names]:
            if node.level:
                return f"{module}.{node.module}"
            first, _, rest = (node.module or "").partition(".")
            return rest if first == "tlesion" else ""
    return None


def _is_own(module: str, name: str) -> bool:
    place = imported_from(module, name)
    if not place:
        return place is None
    return source_of(f"{place}.{name}").is_file() or _is_own(place, name)


def source_of(module: str) -> Path:
    """The file of a dotted module below the package: ``studies.laminar``."""
    path = PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def page_source(page: str) -> Path:
    """The file that says what a page is about: a study's own file, where the page is a study's room."""
    module = public_modules().get(page, page)
    places = [module, f"studies.{page}.study", f"studies.{page}", f"studies.common.{page}"]
    return next(path for path in map(source_of, places) if path.is_file())


def _page_of(module: str) -> str:
    """A room has a page, and each study's room its own: ``context`` for studies.context.study and .result."""
    first, *rest = module.split(".")
    if first != "studies" or not rest:
        return first
    return rest[1] if rest[0] == "common" and len(rest) > 1 else rest[0]
