"""Replacing activations: keys of a head, noise in neurons, scaled hidden states."""

from tlesion.studies.common.registry import Study, register

register(
    Study(
        name="replace",
        help="Replace heads' keys, neurons or hidden states, one layer at a time, and follow it downstream.",
        run="tlesion.studies.replacement.study:replacement",
        result="tlesion.studies.replacement.result:Replacement",
        summary="tlesion.studies.replacement.words:summary",
        page="tlesion.studies.replacement.page:replacement_page",
        tables={
            "effects": "tlesion.studies.replacement.result:Replacement.effects_frame",
            "recovery": "tlesion.studies.replacement.result:Replacement.recovery",
        },
        saved_as="replacement",
    )
)
