"""Shared by all tests: threads, offline mode, shipped models loaded once."""

import os

# Nothing may reach for the network: a name that is not shipped or local has to fail at once.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
import torch


def pytest_configure() -> None:
    """Share the cores between xdist's workers: more threads than cores make every test slower."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))


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
