"""Figures: each function takes a result and returns a plotly `Figure`, and shows, writes and sets nothing.

Every function takes ``template=``: None for tlesion's own, which reads well on light and dark pages, a plotly name
such as ``"plotly_dark"``, or a Template.

A new study adds one module here, ``plots/<study>.py``, and re-exports its functions below. They build on
:mod:`tlesion.drawing.style`: colours by ``colour_map`` (conditions a and b keep theirs everywhere), ``finish`` as the
last step, diverging colours by ``centred``, axis titles that name the unit and the sign, and a hover text that tells
layer, neuron or prompt, and value. Nothing else in the package imports plotly.
"""

from tlesion.studies.context.figures import (
    context_scatter,
    correlation_by_layer,
    correlation_by_length,
    correlation_by_neuron,
    space_scatter,
)
from tlesion.studies.cumulative.figures import cumulative_lesion
from tlesion.studies.decomposition.figures import direct_downstream
from tlesion.studies.dose.figures import dose_response
from tlesion.studies.evidence.figures import activation_histogram, silenced_share
from tlesion.studies.laminar.figures import global_change, laminar_profile
from tlesion.studies.replacement.figures import head_map, hidden_by_layer, prediction_change, recovery
from tlesion.studies.selecting.figures import selective_share, volcano
from tlesion.studies.selecting.overlap_figures import mask_overlap, position_shares
from tlesion.studies.selecting.power_figures import power_curve
from tlesion.studies.selecting.stability_figures import selection_stability
from tlesion.studies.subspace_removal.covariance_figures import covariance_change, covariance_pair, covariance_spectrum
from tlesion.studies.subspace_removal.figures import (
    drift_map,
    rank_sweep,
    subspace_drop,
    variance_against_drop,
    variance_by_layer,
)
from tlesion.studies.verdict.figures import verdict

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
