"""What a selection shows: where in a sentence, how stable, with how much power."""

from tlesion.studies.common.registry import Study, register

register(
    Study(
        name="neurons",
        help="List the neurons that tell two conditions apart.",
        run="tlesion.selection.select:select_neurons",
        result="tlesion.selection.result:NeuronSelection",
        summary="tlesion.studies.laminar.words:selected",
        page=None,
        tables={"neurons": "tlesion.selection.result:NeuronSelection.to_frame"},
        saved_as="selection",
    )
)
