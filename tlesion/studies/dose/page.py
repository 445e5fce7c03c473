"""The section of a report that asks how much has to be cut."""

from tlesion.paper.page import Drawing, Section
from tlesion.studies.dose import figures, words
from tlesion.studies.dose.result import DoseResponse


def dose_section(dose: DoseResponse) -> Section:
    """How the effect grows with the number of neurons."""
    text = [
        "The neurons of a layer are cut in the order of |t|, the strongest first: the doses are shares of the layer. "
        "Dotted and filled: as many random neurons of the layer.",
        words.doses(dose),
    ]
    drawings = [
        Drawing(figures.dose_response(dose), caption="Mean logit drop of the targets against the share that is cut."),
        Drawing(
            figures.dose_response(dose, measure="kl"),
            caption="How far the whole prediction moves: a curve that leaves the controls here, too, is damage.",
        ),
    ]
    return Section("How much has to be cut?", text, drawings=drawings)
