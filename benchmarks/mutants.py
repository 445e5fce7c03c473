"""Would the tests notice? A seeded sample of small faults, each put into the code by itself and run against its tests.

``python -m benchmarks.mutants`` (or ``make mutants``) takes the faults from cosmic-ray: another operator, another
number, a condition turned round, a decorator left out. A fault counts as caught if a test of its room fails, or if the
tests no longer come to an end. What survives is listed: a test that is missing, or code that makes no difference.

How they are run: :mod:`benchmarks.mutant_runs`.
"""

import argparse
import difflib
import random
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.mutant_runs import ROOT, TESTS, survivors_of

MARK = "# no mutants"
"""At the end of a line whose faults no test can see: sizes of steps, for example, that change no number."""


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Attributes:
        path: Of the module, in the repository.
        line: Where it is, from 1.
        operator: cosmic-ray's name for what is done.
        occurrence: The place among those of the module at which it can be done.
    """

    path: str
    line: int
    operator: str
    occurrence: int

    def code(self) -> str:
        """The module with the fault."""
        from cosmic_ray.mutating import mutate_code
        from cosmic_ray.plugins import get_operator

        code = mutate_code((ROOT / self.path).read_text(), get_operator(self.operator)(), self.occurrence)
        assert code is not None, f"{self} is no fault of this module"
        return str(code)

    def __str__(self) -> str:
        before, after = (ROOT / self.path).read_text().splitlines(), self.code().splitlines()
        changed = [line for line in difflib.unified_diff(before, after, n=0, lineterm="") if line[:1] in "+-"]
        shown = "\n".join(f"    {line}" for line in changed if not line.startswith(("+++", "---")))
        return f"{self.path}:{self.line} {self.operator.removeprefix('core/')}\n{shown}"


def mutants_of(path: str) -> Iterator[tuple[tuple[object, ...], Mutant]]:
    """Every fault of a module, with the place that it shares with others: ``<`` may become ``<=``, ``>`` or ``!=``."""
    import parso
    from cosmic_ray.ast import ast_nodes
    from cosmic_ray.plugins import get_operator, operator_names

    source = (ROOT / path).read_text()
    lines, tree = source.splitlines(), parso.parse(source)
    for name in operator_names():
        if get_operator(name).arguments():
            continue
        operator, occurrence = get_operator(name)(), -1
        for node in ast_nodes(tree):
            for start, end in operator.mutation_positions(node):
                occurrence += 1
                if _in_annotation(node) or lines[start[0] - 1].endswith(MARK):
                    continue
                yield (path, start, end), Mutant(path, start[0], name, occurrence)


def _in_annotation(node: Any) -> bool:
    """Whether a node is part of a type: another one there changes nothing, or fails when the module is imported."""
    while node.parent is not None:
        before = [getattr(child, "value", "") for child in node.parent.children[: node.parent.children.index(node)]]
        kind = node.parent.type
        if (kind == "tfpdef" and ":" in before) or (kind == "annassign" and before == [":"]):
            return True
        if kind == "funcdef" and before[-1:] == ["->"]:
            return True
        node = node.parent
    return False


def sampled(paths: Sequence[str], *, n: int, seed: int) -> list[Mutant]:
    """A draw of places, and of one fault at each, so that a place with many possible faults does not count more."""
    places: dict[tuple[object, ...], list[Mutant]] = defaultdict(list)
    for path in paths:
        for place, mutant in mutants_of(path):
            places[place].append(mutant)
    draw = random.Random(seed)
    found: list[Mutant] = []
    for place in draw.sample(sorted(places, key=str), len(places)):
        mutant = draw.choice(places[place])
        if len(found) == n:
            break
        if _is_python(mutant.code()):
            found.append(mutant)
    return found


def _is_python(code: str) -> bool:
    """Whether code can be read: cosmic-ray takes the ``*`` before keyword-only arguments for a product."""
    try:
        compile(code, "fault", "exec")
    except SyntaxError:
        return False
    return True


def modules(since: str | None) -> list[str]:
    """The modules of the rooms; with ``since``, those that differ from that commit."""
    found = [path.relative_to(ROOT).as_posix() for room in TESTS for path in (ROOT / "tlesion" / room).rglob("*.py")]
    if since is not None:
        command = ["git", "-C", str(ROOT), "diff", "--name-only", since]
        changed = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
        found = [path for path in found if path in changed]
    return sorted(found)


def main() -> None:
    """Sample, run, and say which share was caught."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants", description=__doc__)
    parser.add_argument("--n", type=int, default=200, help="how many faults (200)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (0)")
    parser.add_argument("--since", help="only modules that differ from this commit: main")
    parser.add_argument("--room", action="append", choices=sorted(TESTS), help="only this room; may be given again")
    parser.add_argument("--workers", type=int, default=1, help="how many at a time (1)")
    parser.add_argument("--least", type=float, default=0.9, help="share that has to be caught (0.9)")
    given = parser.parse_args()
    rooms = given.room or sorted(TESTS)
    paths = [path for path in modules(given.since) if Path(path).parts[1] in rooms]
    mutants = sampled(paths, n=given.n, seed=given.seed)
    if not mutants:
        print("no module to put a fault into")
        return
    faults = [(mutant.path, mutant.code(), str(mutant)) for mutant in mutants]
    survivors = [mutants[place] for place in survivors_of(faults, workers=given.workers)]
    share = 1 - len(survivors) / len(mutants)
    print(f"\n{len(mutants) - len(survivors)} of {len(mutants)} caught: {share:.0%} (seed {given.seed})")
    for mutant in sorted(survivors, key=lambda one: (one.path, one.line)):
        print(f"survived: {mutant}")
    if share < given.least:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
