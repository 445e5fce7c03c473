"""Run tests with a fault put into the code: in a copy of the repository, until the first of them fails.

Each run is a process that is forked from one that has imported torch already, which takes longer than most tests.
"""

import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parents[1]
TESTS = {
    "stats": ("tests/stats",),
    "inference": ("tests/inference",),
    "interventions": ("tests/interventions",),
    "sweeps": ("tests/sweeps", "tests/keep/test_checkpoint.py", "tests/keep/test_checkpoint_studies.py"),
}
"""The tests that each room's faults are run against."""

SAID = "said.txt"
COPIED = ("tlesion", "tests", "benchmarks", "pyproject.toml")
IMPORTED = "ignore:Module already imported:pytest.PytestAssertRewriteWarning"
HEAVY = (
    "torch",
    "transformers",
    "transformer_lens",
    "scipy.stats",
    "statsmodels.api",
    "pandas",
    "pytest",
    "hypothesis",
)

Fault = tuple[str, str, str]
"""Path of a module, its source with the fault, and what the fault is called."""


class Copies:
    """Copies of the repository, and the processes that run tests in them, one at a time in each.

    Args:
        folder: Where they are made.
        n: How many.
    """

    def __init__(self, folder: Path, n: int) -> None:
        self._free = [folder / str(number) for number in range(n)]
        self._running: dict[int, tuple[Path, int, str, float]] = {}
        for copy in self._free:
            copy.mkdir()
            for name in COPIED:
                if (ROOT / name).is_dir():
                    shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(ROOT / name, copy / name)

    @property
    def full(self) -> bool:
        """Whether every copy is in use."""
        return not self._free

    @property
    def busy(self) -> bool:
        """Whether any copy is in use."""
        return bool(self._running)

    def start(self, number: int, path: str, code: str, *, limit: float) -> None:
        """Run the tests of a module's room with other code in the module.

        Args:
            number: By which :meth:`wait` names the run.
            path: Of the module.
            code: What stands in it.
            limit: After how many seconds the run is ended.
        """
        copy = self._free.pop()
        (copy / path).write_text(code)
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            _run_tests(copy, _in_order(path))
        self._running[pid] = (copy, number, path, time.monotonic() + limit)

    def wait(self) -> tuple[int, str, str]:
        """The next run that ends: its number, what became of its fault, and the end of what pytest said.

        ``"caught"`` (a test failed), ``"caught, out of time"`` (they came to no end), or ``"SURVIVED"``.
        """
        while True:
            for pid, (copy, number, path, deadline) in list(self._running.items()):
                ended, status = os.waitpid(pid, os.WNOHANG)
                late = not ended and time.monotonic() > deadline
                if late:
                    os.killpg(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                if ended or late:
                    del self._running[pid]
                    self._free.append(copy)
                    shutil.copy(ROOT / path, copy / path)
                    said = (copy / SAID).read_text(errors="replace").splitlines()[-15:]
                    became = "caught, out of time" if late else "caught" if status else "SURVIVED"
                    return number, became, "\n".join(said)
            time.sleep(0.05)


def survivors_of(faults: Sequence[Fault], *, workers: int) -> list[int]:
    """Run every fault, say what became of it, and return the numbers of those that no test has noticed."""
    for name in HEAVY:
        __import__(name)
    survivors: list[int] = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies = Copies(Path(folder), workers)
        limits = {room: _limit(copies, room) for room in dict.fromkeys(_room(path) for path, _, _ in faults)}
        begun = done = 0
        while done < len(faults):
            if begun < len(faults) and not copies.full:
                path, code, _ = faults[begun]
                copies.start(begun, path, code, limit=limits[_room(path)])
                begun += 1
                continue
            number, became, _ = copies.wait()
            done += 1
            if became == "SURVIVED":
                survivors.append(number)
            print(f"{done:4d} of {len(faults)}  {became}  {faults[number][2]}", flush=True)
    return survivors


def _limit(copies: Copies, room: str) -> float:
    """How long a room's tests may take: three times what they take without a fault, and a minute."""
    begun = time.monotonic()
    path = f"tlesion/{room}/__init__.py"
    copies.start(0, path, (ROOT / path).read_text(), limit=3600)
    _, became, said = copies.wait()
    if became != "SURVIVED":
        raise SystemExit(f"the tests of {room} fail without any fault; mend them first:\n{said}")
    taken = time.monotonic() - begun
    print(f"tests of {room}: {taken:.0f} s", flush=True)
    return 3 * taken + 60


def _room(path: str) -> str:
    return Path(path).parts[1]


def _in_order(path: str) -> list[str]:
    """The test files of a module's room, those first that are named after the module: they fail soonest."""
    files = [test for name in TESTS[_room(path)] for test in sorted((ROOT / name).rglob("test_*.py")) or [ROOT / name]]
    files.sort(key=lambda test: (Path(path).stem not in test.stem, test))
    return [test.relative_to(ROOT).as_posix() for test in files]


def _run_tests(copy: Path, files: Sequence[str]) -> NoReturn:
    """In the forked process: the tests, in the copy, until the first fails."""
    os.setpgid(0, 0)
    os.chdir(copy)
    said = os.open(SAID, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.path.insert(0, str(copy))
    os.environ["PYTHONPATH"] = str(copy)  # for tests that start Python anew
    sys.dont_write_bytecode = True
    code = 1
    try:
        import pytest

        code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-W", IMPORTED, *files]))
    except BaseException:
        traceback.print_exc(file=sys.stdout)
    finally:
        sys.stdout.flush()
        os._exit(code)
