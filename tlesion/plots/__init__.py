"""Figures: each function takes a result and returns a plotly `Figure`, and shows, writes and sets nothing.

Every function takes ``template=``: None for tlesion's own, which reads well on light and dark pages, a plotly name
such as ``"plotly_dark"``, or a Template.

A new study adds one module here, ``plots/<study>.py``, and re-exports its functions below. They build on
:mod:`tlesion.plots.style`: colours by ``colour_map`` (conditions a and b keep theirs everywhere), ``finish`` as the
last step, diverging colours by ``centred``, axis titles that name the unit and the sign, and a hover text that tells
layer, neuron or prompt, and value. Nothing else in the package imports plotly.
"""

from tlesion.plots.histogram import activation_histogram, silenced_share
from tlesion.plots.laminar import global_change, laminar_profile
from tlesion.plots.selection import selective_share, volcano

__all__ = [
    "activation_histogram",
    "global_change",
    "laminar_profile",
    "selective_share",
    "silenced_share",
    "volcano",
]
