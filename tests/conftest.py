"""Shared by all tests: threads, offline mode, shipped models loaded once."""

import importlib
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

# Nothing may reach for the network: a name that is not shipped or local has to fail at once.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the tests of the matrix write what they measured."""
    parser.addoption("--cells", type=Path, metavar="FILE", help="append every cell of the matrix to this file, as JSON")


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """What all tests stand on is there before anything is collected, in the processes that collect.

    While jaxtyping's hook imports a module of tlesion, whatever that module imports for the first time is compiled from
    its source, because the hook looks for compiled files by a name of its own: seconds, and for every worker.
    One thread for each worker: the models here are small, and threads that wait for each other spin.
    """
    if hasattr(session.config, "workerinput") or not session.config.getoption("numprocesses", None):
        for name in ("transformer_lens", "pandas", "plotly", "scipy.stats", "statsmodels.stats.multitest", "typer"):
            importlib.import_module(name)
        importlib.import_module("torch").set_num_threads(1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Examples count as slow: most of them load a model, and a docstring cannot be marked. `-m` has to name matrix."""
    for item in items:
        if isinstance(item, pytest.DoctestItem):
            item.add_marker(pytest.mark.slow)
    if "matrix" not in config.option.markexpr:
        left_out = [item for item in items if item.get_closest_marker("matrix")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _beside(name: str) -> ModuleType:
    """A module of this folder that is no test: pytest's importlib mode keeps the folder off the import path."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_beside("contracts").put_in_place()


@pytest.fixture(scope="session")
def toy_bert():
    """The shipped masked model; tests leave it as they find it."""
    import tlesion

    return tlesion.load_model("toy-bert")


@pytest.fixture(scope="session")
def toy_gpt():
    """The shipped causal model; tests leave it as they find it."""
    import tlesion

    return tlesion.load_model("toy-gpt")


@pytest.fixture(scope="session")
def checkpoints() -> ModuleType:
    """The module tests/checkpoints.py."""
    return _beside("checkpoints")


@pytest.fixture(scope="session")
def by_hand() -> ModuleType:
    """The module tests/results_by_hand.py."""
    return _beside("results_by_hand")


@pytest.fixture(scope="session")
def checkpoint_folder(checkpoints, tmp_path_factory) -> Callable[..., Path]:
    """`checkpoint_folder("gpt2", n_layer=2)`: a small random-weight checkpoint, made once; never write there."""
    made: dict[tuple, Path] = {}

    def folder(family: str, *, seed: int = 0, **sizes: object) -> Path:
        key = (family, seed, repr(sorted(sizes.items())))
        if key not in made:
            made[key] = checkpoints.make_checkpoint(family, tmp_path_factory.mktemp(family), seed=seed, **sizes)
        return made[key]

    return folder
