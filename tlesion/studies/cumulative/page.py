"""The section of a report that asks where an effect turns into collapse."""

from tlesion.paper.page import Drawing, Section
from tlesion.studies.cumulative import figures, words
from tlesion.studies.cumulative.result import CumulativeLesion


def cumulative_section(cumulative: CumulativeLesion) -> Section:
    """Where an effect turns into collapse."""
    text = [
        "All layers up to one, and all from one on, are lesioned at once. The divergence says how far the whole "
        "prediction moved, the accuracy whether the right word is still found.",
        words.collapse(cumulative),
    ]
    drawing = Drawing(
        figures.cumulative_lesion(cumulative),
        caption="Above: KL divergence from the clean prediction. Below: accuracy.",
    )
    return Section("Where does it turn into collapse?", text, drawings=[drawing])
