"""Context modulation: how much of a neuron's activation is the token's own, and how much its context's?

Every token is read in its text and by itself (`context_modulation`), and words with a leading space and without it
(`space_modulation`).

- ``study.py``: `context_modulation` and its steps; ``result.py``: `ContextModulation` and its parts.
- ``layers.py``: texts, single tokens and windows on their way through the model; ``sums.py``: what a layer comes
  down to.
- ``space.py``, ``space_result.py``: `space_modulation` and `SpaceModulation`.
- ``words.py``, ``figures.py``, ``scatter_figures.py``, ``page.py``: sentences, figures and the report of both.
"""

from tlesion.studies.common.registry import Study, register_study

register_study(
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
