"""Figures: each function takes a result and returns a plotly `Figure`, and shows, writes and sets nothing.

Every function takes ``template=``: None for tlesion's own, which reads well on light and dark pages, a plotly name
such as ``"plotly_dark"``, or a Template.

A new study adds one module here, ``plots/<study>.py``, and re-exports its functions below. They build on
:mod:`tlesion.plots.style`: colours by ``colour_map`` (conditions a and b keep theirs everywhere), ``finish`` as the
last step, diverging colours by ``centred``, axis titles that name the unit and the sign, and a hover text that tells
layer, neuron or prompt, and value. Nothing else in the package imports plotly.
"""

from tlesion.plots.context import (
    context_scatter,
    correlation_by_layer,
    correlation_by_length,
    correlation_by_neuron,
    space_scatter,
)
from tlesion.plots.cumulative import cumulative_lesion
from tlesion.plots.decomposition import direct_downstream
from tlesion.plots.dose import dose_response
from tlesion.plots.evidence import verdict
from tlesion.plots.histogram import activation_histogram, silenced_share
from tlesion.plots.laminar import global_change, laminar_profile
from tlesion.plots.overlap import mask_overlap, position_shares
from tlesion.plots.power import power_curve
from tlesion.plots.replacement import head_map, hidden_by_layer, prediction_change, recovery
from tlesion.plots.selection import selective_share, volcano
from tlesion.plots.stability import selection_stability
from tlesion.plots.subspace import drift_map, rank_sweep, subspace_drop, variance_against_drop, variance_by_layer
from tlesion.plots.subspace_covariance import covariance_change, covariance_pair, covariance_spectrum

__all__ = [
    "activation_histogram",
    "context_scatter",
    "correlation_by_layer",
    "correlation_by_length",
    "correlation_by_neuron",
    "covariance_change",
    "covariance_pair",
    "covariance_spectrum",
    "cumulative_lesion",
    "direct_downstream",
    "dose_response",
    "drift_map",
    "global_change",
    "head_map",
    "hidden_by_layer",
    "laminar_profile",
    "mask_overlap",
    "position_shares",
    "power_curve",
    "prediction_change",
    "rank_sweep",
    "recovery",
    "selection_stability",
    "selective_share",
    "silenced_share",
    "space_scatter",
    "subspace_drop",
    "variance_against_drop",
    "variance_by_layer",
    "verdict",
    "volcano",
]
