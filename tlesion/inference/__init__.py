"""Inference: is an effect more than chance? Matched controls, intervals over prompts, claims about layers."""

from tlesion.inference.against_controls import empirical_p, standardised_effect
from tlesion.inference.bootstrap import Interval, bootstrap_mean
from tlesion.inference.controls import joint_controls, log_n_controls, matched_controls
from tlesion.inference.dissociation import DoubleDissociation, double_dissociation
from tlesion.inference.independence import require_independent
from tlesion.inference.layers import LayerCluster, cluster_permutation, max_statistic
from tlesion.inference.likeness import detected_groups, effective_n, independent_units
from tlesion.inference.sign_flips import sign_flip_p

__all__ = [
    "DoubleDissociation",
    "Interval",
    "LayerCluster",
    "bootstrap_mean",
    "cluster_permutation",
    "detected_groups",
    "double_dissociation",
    "effective_n",
    "empirical_p",
    "independent_units",
    "joint_controls",
    "log_n_controls",
    "matched_controls",
    "max_statistic",
    "require_independent",
    "sign_flip_p",
    "standardised_effect",
]
