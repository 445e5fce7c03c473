"""The public figures and where each one lives: for type checkers, and for the lazy import in ``__init__.py``."""

from tlesion.studies.context.figures import correlation_by_layer as correlation_by_layer
from tlesion.studies.context.figures import correlation_by_length as correlation_by_length
from tlesion.studies.context.figures import correlation_by_neuron as correlation_by_neuron
from tlesion.studies.context.scatter_figures import context_scatter as context_scatter
from tlesion.studies.context.scatter_figures import space_scatter as space_scatter
from tlesion.studies.cumulative.figures import cumulative_lesion as cumulative_lesion
from tlesion.studies.decomposition.figures import direct_downstream as direct_downstream
from tlesion.studies.dose.figures import dose_response as dose_response
from tlesion.studies.evidence.figures import activation_histogram as activation_histogram
from tlesion.studies.evidence.figures import silenced_share as silenced_share
from tlesion.studies.laminar.figures import global_change as global_change
from tlesion.studies.laminar.figures import laminar_profile as laminar_profile
from tlesion.studies.replacement.figures import head_map as head_map
from tlesion.studies.replacement.figures import hidden_by_layer as hidden_by_layer
from tlesion.studies.replacement.figures import prediction_change as prediction_change
from tlesion.studies.replacement.figures import recovery as recovery
from tlesion.studies.selecting.comparison_figures import mask_overlap as mask_overlap
from tlesion.studies.selecting.comparison_figures import position_shares as position_shares
from tlesion.studies.selecting.comparison_figures import selection_stability as selection_stability
from tlesion.studies.selecting.figures import power_curve as power_curve
from tlesion.studies.selecting.figures import selective_share as selective_share
from tlesion.studies.selecting.figures import volcano as volcano
from tlesion.studies.subspace_removal.covariance_figures import covariance_change as covariance_change
from tlesion.studies.subspace_removal.covariance_figures import covariance_pair as covariance_pair
from tlesion.studies.subspace_removal.covariance_figures import covariance_spectrum as covariance_spectrum
from tlesion.studies.subspace_removal.figures import drift_map as drift_map
from tlesion.studies.subspace_removal.figures import rank_sweep as rank_sweep
from tlesion.studies.subspace_removal.figures import subspace_drop as subspace_drop
from tlesion.studies.subspace_removal.figures import variance_against_drop as variance_against_drop
from tlesion.studies.subspace_removal.figures import variance_by_layer as variance_by_layer
from tlesion.studies.sufficiency.figures import minimality as minimality
from tlesion.studies.sufficiency.figures import sufficiency as sufficiency
from tlesion.studies.verdict.figures import verdict as verdict
from tlesion.studies.verdict.grid_figures import verdict_grid as verdict_grid

__all__: list[str]
