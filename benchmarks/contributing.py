"""The parts of CONTRIBUTING.md that are made from files: ``python -m benchmarks.contributing``.

The floors are those that tests/test_imports.py enforces, what a room holds is what its own docstring says, and the
targets are those of the benchmarks.
"""

import ast
import re
from pathlib import Path
from typing import Any

from benchmarks.readme import ROOT, filled, measured

PAGE = ROOT / "CONTRIBUTING.md"
PACKAGE = ROOT / "tlesion"
FLOORS = ROOT / "tests" / "test_imports.py"


def sections() -> dict[str, str]:
    """The generated sections by name, as they stand in the page."""
    return {"floors": floors(), "rooms": rooms(), "studies": studies(), "targets": targets()}


def floors() -> str:
    """The floors of the package, the top one on top."""
    by_floor: dict[int, list[str]] = {}
    for floor, names in enforced_floors():
        by_floor.setdefault(floor, []).extend(existing(names))
    shown = [f"{floor}  {'  '.join(names)}" for floor, names in sorted(by_floor.items(), reverse=True)]
    return "\n".join(["```text", *shown, "```"])


def rooms() -> str:
    """A row for each room, the highest first: what it holds, and who may import it."""
    lines = ["| floor | room | holds | may be imported by |", "| --- | --- | --- | --- |"]
    above: list[str] = []
    rows: list[str] = []
    for floor, names in reversed(enforced_floors()):
        readers = ", ".join(f"`{name}`" for name in above) + (" and above" if len(rows) > len(above) else "")
        rows += [f"| {floor} | `{name}` | {holds(name)} | {readers or 'nobody'} |" for name in existing(names)]
        above = existing(names) or above
    return "\n".join([*lines, *rows])


def studies() -> str:
    """A row for each room of the studies."""
    found = sorted(path.name for path in (PACKAGE / "studies").iterdir() if (path / "__init__.py").is_file())
    return "\n".join(
        ["| room | holds |", "| --- | --- |", *(f"| `{name}` | {holds(f'studies/{name}')} |" for name in found)]
    )


def existing(names: set[str]) -> list[str]:
    """Rooms that there are, of those that the test has a floor for."""
    return sorted(name for name in names if source_of(name).is_file())


def holds(room: str) -> str:
    """The first sentence of a room's docstring."""
    text = ast.get_docstring(ast.parse(source_of(room).read_text(encoding="utf-8"))) or ""
    first = " ".join(text.split("\n\n")[0].split())
    return re.sub(r":(?:func|mod|class|meth):`~?([^`]+)`", r"`\1`", first).replace("``", "`").replace("|", "\\|")


def source_of(room: str) -> Path:
    """The file that stands for a room."""
    path = PACKAGE / room
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def enforced_floors() -> list[tuple[int, set[str]]]:
    """The table FLOORS of the test, read without running it: (floor, rooms), from the bottom up."""
    for node in ast.parse(FLOORS.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "FLOORS" and node.value is not None:
            return list(ast.literal_eval(node.value))
    raise ValueError("tests/test_imports.py has no table FLOORS any more; CONTRIBUTING.md shows the floors by it")


def targets() -> str:
    """Every target that a benchmark misses, with the reason it gives, and how many of the others hold."""
    lines = [line for name in ("sweep", "selection", "subspace_removal") for line in _missed(name)]
    for name in ("verdicts", "calibration"):
        held = [row["holds"] for row in measured(name)["rows"] if row["holds"]]
        lines.append(
            f"- [{name}](benchmarks/results/{name}.md): of {len(held)} numbers with a target "
            f"{held.count('yes')} hold it; the page lists the others, with reasons."
        )
    return "\n".join(lines)


def _missed(name: str) -> list[str]:
    record = measured(name)
    found = []
    for row in record["rows"]:
        what = f"{row.get('work') or row.get('what') or ''} ({row['shape']})" if "shape" in row else row["what"]
        why = next((note for note in record["notes"] if note.startswith(f"{what}:") and "missed because" in note), "")
        reason = why.partition("missed because ")[2]
        cells = [(column, cell) for column, cell in row.items() if "MISSED" in str(cell)]
        found += [f"- [{name}](benchmarks/results/{name}.md), {what}, {_told(*cell)}: {reason}" for cell in cells]
    return found


def _told(column: str, cell: Any) -> str:
    return f"{column} {str(cell).replace(', MISSED', '')}"


def main() -> None:
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), sections(), page=Path(PAGE).name), encoding="utf-8")


if __name__ == "__main__":
    main()
