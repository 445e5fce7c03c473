"""Subspaces of activations: fit them, stream them, cut them out. Tensor mathematics only, no model."""

from tlesion.subspace.basis import Subspace
from tlesion.subspace.fit import METHODS, fit_subspace
from tlesion.subspace.leace import fit_leace
from tlesion.subspace.oblique import ObliqueEraser
from tlesion.subspace.stream import SubspaceFitter

__all__ = ["METHODS", "ObliqueEraser", "Subspace", "SubspaceFitter", "fit_leace", "fit_subspace"]
