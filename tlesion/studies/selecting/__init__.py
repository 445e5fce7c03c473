"""What does a selection depend on: on where the question is asked, and on the sentences?

The selecting itself is :mod:`tlesion.selection`. Here stand the studies of it, and its part of the reports:

- ``positions.py``: `compare_positions` and `compare_selections`, selections side by side (`SelectionComparison`).
- ``stability.py``: `selection_stability`, the same test once more on other sentences (`SelectionStability`).
- ``figures.py``: figures of one selection; ``comparison_figures.py``: of several.
- ``words.py``, ``page.py``: the sentences and the sections of the laminar report that are about the selection.
"""

from tlesion.studies.common.registry import Study, register_study

register_study(
    Study(
        name="neurons",
        help="List the neurons that tell two conditions apart.",
        run="tlesion.selection.select:select_neurons",
        result="tlesion.selection.result:NeuronSelection",
        summary="tlesion.studies.common.selected:selected",
        page=None,
        tables={"neurons": "tlesion.selection.result:NeuronSelection.to_frame"},
        saved_as="selection",
    )
)
