"""Accumulation in sentences: every number in them is computed from the result."""

import math

from tlesion.paper.prose import whole_percent
from tlesion.studies.common.point import neurons_of
from tlesion.studies.cumulative.result import DIRECTIONS, CumulativeLesion


def collapse(cumulative: CumulativeLesion) -> str:
    """How many layers have to be lesioned at once before the right answer is lost."""
    table = cumulative.collapse()
    said = []
    for mask in cumulative.masks:
        for direction in DIRECTIONS:
            row = table[(table["mask"] == mask) & (table["direction"] == direction)].iloc[0]
            label = neurons_of(mask)
            way = "from the first layer on" if direction == DIRECTIONS[0] else "from the last layer back"
            if math.isnan(row["n_layers"]):
                said.append(f"{label}, {way}: never, not even with all layers")
            else:
                said.append(f"{label}, {way}: with {int(row['n_layers'])} layers (KL {row['kl']:.2g} nats)")
    return (
        "The share of prompts whose right word is the likeliest of the vocabulary falls below half of the clean run's "
        f"({whole_percent(cumulative.clean_vocabulary_accuracy)}): {'; '.join(said)}."
    )
