"""Removing directions of activations instead of neurons."""

from tlesion.studies.common.registry import Study, register

register(
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
