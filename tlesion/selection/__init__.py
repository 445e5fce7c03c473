"""Selection: which neurons tell two conditions apart, by tests that run inside the forward pass."""

from tlesion.selection.cache import select_from_cache
from tlesion.selection.result import NeuronSelection
from tlesion.selection.select import select_neurons
from tlesion.selection.statistics import register_statistic, statistic_names
from tlesion.selection.testing import Criterion

__all__ = [
    "Criterion",
    "NeuronSelection",
    "register_statistic",
    "select_from_cache",
    "select_neurons",
    "statistic_names",
]
