"""Subspace removal: cut a direction of activations instead of a neuron. What breaks, where, how does the damage grow?

The activations of one hook point are centred and decomposed, some directions are set to zero, the mean is added back,
and the model runs on; one layer at a time, beside random directions of equal rank and further ranks.

- ``study.py``: `subspace_removal` and its steps.
- ``cuts.py``: what is cut: subspaces of every layer, random controls, further ranks, and what that takes away there.
- ``damage.py``: what a cut costs: drift and logits as the sweep hands them over, and the test of the logit drops.
- ``result.py``: `SubspaceRemoval`; ``parts.py``: its parts; ``summary.py``: its tables in fewer numbers
  (`compare_cuts`).
- ``words.py``, ``figures.py``, ``covariance_figures.py``, ``page.py``: its sentences, figures and report.
"""

from tlesion.studies.common.registry import Study, register_study

register_study(
    Study(
        name="subspace",
        help="Cut a direction instead of a neuron, layer by layer: what breaks, where, how does the damage grow?",
        run="tlesion.studies.subspace_removal.study:subspace_removal",
        result="tlesion.studies.subspace_removal.result:SubspaceRemoval",
        summary="tlesion.studies.subspace_removal.words:summary",
        page="tlesion.studies.subspace_removal.page:subspace_page",
        tables={
            "layers": "tlesion.studies.subspace_removal.result:SubspaceRemoval.to_frame",
            "tokens": "tlesion.studies.subspace_removal.result:SubspaceRemoval.drops_frame",
            "cuts": "tlesion.studies.subspace_removal.summary:compare_cuts",
        },
    )
)
