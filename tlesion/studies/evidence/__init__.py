"""What is put beside a laminar profile before its effects are believed, and the page of all of it.

The laminar study registers here, because its page shows the other rooms' results, too.
"""

from tlesion.studies.common.registry import Study, register_study

register_study(
    Study(
        name="laminar",
        help="Select neurons by a contrast, lesion them one layer at a time, and report what that costs the targets.",
        run="tlesion.studies.laminar.study:laminar_profile",
        result="tlesion.studies.laminar.result:LaminarProfile",
        summary="tlesion.studies.laminar.words:summary",
        page="tlesion.studies.evidence.page:laminar_page",
        tables={
            "profile": "tlesion.studies.laminar.result:LaminarProfile.to_frame",
            "verdict": "tlesion.studies.verdict.result:Verdict.to_frame",
        },
        beside={
            "selection": "tlesion.selection.result:NeuronSelection",
            "comparison": "tlesion.studies.selecting.positions:SelectionComparison",
            "histogram": "tlesion.studies.evidence.activation_histogram:ActivationHistogram",
            "verdict": "tlesion.studies.verdict.result:Verdict",
            "dose": "tlesion.studies.dose.result:DoseResponse",
            "cumulative": "tlesion.studies.cumulative.result:CumulativeLesion",
            "decomposition": "tlesion.studies.decomposition.result:DropDecomposition",
        },
        saved_as="profile",
    )
)
