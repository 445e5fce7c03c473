"""Context modulation: a token in its text, alone, and with a space before it."""

from tlesion.studies.common.registry import Study, register

register(
    Study(
        name="context",
        help="Compare every token's activations in its text with those of the token alone, layer by layer.",
        run="tlesion.studies.context.study:context_modulation",
        result="tlesion.studies.context.result:ContextModulation",
        summary="tlesion.studies.context.words:summary",
        page="tlesion.studies.context.page:context_page",
        tables={"layers": "tlesion.studies.context.result:ContextModulation.to_frame"},
        beside={"space": "tlesion.studies.context.space_result:SpaceModulation"},
    )
)
