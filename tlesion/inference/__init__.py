"""Inference: is an effect more than chance? Matched controls, intervals over prompts, claims about layers."""

from tlesion.inference.bootstrap import Interval, bootstrap_mean
from tlesion.inference.controls import empirical_p, log_n_controls, matched_controls, standardised_effect
from tlesion.inference.layers import LayerCluster, cluster_permutation, max_statistic
from tlesion.inference.sign_flips import sign_flip_p

__all__ = [
    "Interval",
    "LayerCluster",
    "bootstrap_mean",
    "cluster_permutation",
    "empirical_p",
    "log_n_controls",
    "matched_controls",
    "max_statistic",
    "sign_flip_p",
    "standardised_effect",
]
