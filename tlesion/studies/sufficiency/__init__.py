"""Sufficiency and minimality: what does a set of neurons do alone, and does half of it do as much as all of it?

A lesion shows that neurons are needed. `sufficiency` keeps nothing but them; `minimality` cuts random halves of them.

- ``study.py``: `sufficiency`; ``result.py``: `Sufficiency`.
- ``halves.py``: `minimality`; ``halves_result.py``: `Minimality`.
- ``asked.py``: what both settle before anything runs; ``lesions.py``: their runs; ``shares.py``: shares of an effect,
  and where there is none; ``against_random.py``: a set among random sets.
- ``words.py``, ``figures.py``, ``page.py``: their sentences, figures and reports.
"""

from tlesion.studies.common.registry import Study, register_study

register_study(
    Study(
        name="sufficiency",
        help="Keep nothing of a layer but one set of neurons: how much of the layer's effect do they keep?",
        run="tlesion.studies.sufficiency.study:sufficiency",
        result="tlesion.studies.sufficiency.result:Sufficiency",
        summary="tlesion.studies.sufficiency.words:sufficiency",
        page="tlesion.studies.sufficiency.page:sufficiency_page",
        tables={"shares": "tlesion.studies.sufficiency.result:Sufficiency.summary"},
    )
)
register_study(
    Study(
        name="minimality",
        help="Cut random halves of a set of neurons: does half of it do as much as all of it?",
        run="tlesion.studies.sufficiency.halves:minimality",
        result="tlesion.studies.sufficiency.halves_result:Minimality",
        summary="tlesion.studies.sufficiency.words:minimality",
        page="tlesion.studies.sufficiency.page:minimality_page",
        tables={"shares": "tlesion.studies.sufficiency.halves_result:Minimality.summary"},
    )
)
