"""The section of a report that asks which way an effect takes to the logits."""

from tlesion.paper.page import Drawing, Section
from tlesion.studies.decomposition import figures, words
from tlesion.studies.decomposition.result import DropDecomposition


def decomposition_section(decomposition: DropDecomposition) -> Section:
    """By which path an effect reaches the logits."""
    text = [
        "A lesion's logit drop is split into what goes straight from the MLP's output to the logits, what goes through "
        "later layers, and what only the rescaling by the norms causes. The parts add up to the whole. After the last "
        "layer nothing follows, so that its downstream part is zero: a drop there is direct or rescaling, which is why "
        "last layers often look odd.",
        words.paths(decomposition),
    ]
    drawing = Drawing(figures.direct_downstream(decomposition), caption="Mean over prompts; parts of one bar add up.")
    return Section("Which path does it take?", text, drawings=[drawing])
