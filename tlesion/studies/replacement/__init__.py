"""Replacement: what do replaced keys, noise in neurons, or rescaled hidden states do to all that comes after?

- ``study.py``: `replacement` and its steps.
- ``variants.py``: what is replaced (`Variant`, noise, factors); ``heads.py``: keys, queries and values of heads.
- ``downstream.py``: what becomes of hidden states and the prediction; ``outlying.py``: how unnatural the values are.
- ``result.py``: `Replacement` and its parts; ``recovery.py``: whether a deviation is undone later, and by what.
- ``words.py``, ``figures.py``, ``page.py``: its sentences, figures and report.
"""

from tlesion.studies.common.registry import Study, register_study

register_study(
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
