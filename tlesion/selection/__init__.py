"""Selection: which neurons tell two conditions apart, by tests that run inside the forward pass."""

from tlesion.selection.cache import select_from_cache
from tlesion.selection.result import NeuronSelection
from tlesion.selection.select import select_neurons
from tlesion.selection.testing import TESTS, Criterion

__all__ = ["TESTS", "Criterion", "NeuronSelection", "select_from_cache", "select_neurons"]
