"""Doses in sentences: every number in them is computed from the result."""

import math

from tlesion.paper.prose import listed, whole_percent
from tlesion.studies.dose.result import DoseResponse


def doses(dose: DoseResponse) -> str:
    """From which dose on the lesion costs the right answer, and whether random neurons do the same."""
    table = dose.collapse()
    gone = table[table["dose"].notna()]
    if gone.empty:
        return (
            "No lesion of a single layer, not even of all of its neurons, halves the share of prompts whose right word "
            f"is the likeliest of all (clean: {whole_percent(dose.clean_vocabulary_accuracy)})."
        )
    said = [
        f"layer {row['layer']:.0f} from {row['dose']:g} % on ({row['n_lesioned']:.0f} neurons; random ones "
        + ("never)" if math.isnan(row["control_dose"]) else f"from {row['control_dose']:g} %)")
        for row in gone.to_dict("records")
    ]
    return (
        f"The right word is the likeliest of all in less than half as many prompts as in the clean run: {listed(said)}."
    )
