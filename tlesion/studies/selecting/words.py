"""Sentences about selections: every number in them is computed from the results."""

import math

from tlesion.paper.prose import listed
from tlesion.selection import NeuronSelection
from tlesion.selection.overlap import MaskOverlap
from tlesion.stats import PowerCurve
from tlesion.studies.selecting.positions import SelectionComparison


def identical_pairs(selection: NeuronSelection) -> str:
    """The number of pairs in which nothing can differ; "" where there is no such pair."""
    if not selection.n_identical_pairs:
        return ""
    return (
        f"In {selection.n_identical_pairs} of {selection.n_a} pairs the model has read the same tokens up to the "
        "tested position: nothing can differ there, and they count as differences of zero. Pairs in which the context "
        "before it decides the word would tell more."
    )


def copies(selection: NeuronSelection) -> str:
    """The number of sentences that were left out as copies; "" where there is none."""
    if not selection.n_copies:
        return ""
    return (
        f"{selection.n_copies} {'pairs' if selection.is_paired else 'sentences'} were left out: the model reads the "
        "same in others up to the tested position, and copies count once."
    )


def templates(selection: NeuronSelection) -> str:
    """How many independent rows the test had; "" where every sentence, or pair, is one."""
    a, b = selection.n_rows
    if selection.n_rows == (selection.n_a, selection.n_b):
        if selection.n_alike >= min(a, b):
            return ""
        return (
            f"Their words show that the sentences are made from {selection.n_alike} templates, and the test takes each "
            'for a new draw, so that its p are too small; groups="detect" takes the mean over each template.'
        )
    rows = f"{a} rows" if a == b else f"{a} and {b} rows"
    return (
        f"The sentences are made from {selection.n_templates} templates. The test is of the mean over each template's "
        f"sentences: {rows} of each condition, not {max(selection.n_a, selection.n_b)}."
    )


def rows_behind(selection: NeuronSelection) -> list[str]:
    """What a reader of the numbers should know of the rows behind them: a sentence for each thing that is so."""
    return [said for said in (identical_pairs(selection), copies(selection), templates(selection)) if said]


def needed(curve: PowerCurve, unit: str, name: str) -> str:
    """How many sentences a large, a medium and a small effect need."""
    said = [f"{curve.n_needed(effect)} for {name} = {effect:g}" for effect in (1.0, 0.5, 0.2)]
    return f"Needed {unit}: {listed(said)}."


def selects(comparison: SelectionComparison, i: int) -> str:
    """How much one of the selections selects."""
    either = comparison.mask_a[i] | comparison.mask_b[i]
    share, layers = float(either.double().mean()), either.double().mean(dim=1)
    text = f"Asked {comparison.names[i]!r}: {int(either.sum())} neurons ({100 * share:.1f} %"
    if 0 < share < 1:
        text += f"; {100 * float(layers.min()):.1f} to {100 * float(layers.max()):.1f} % of a layer"
    return text + ")."


def shared(overlap: MaskOverlap) -> list[str]:
    """The first mask against each other one, where there is something to compare."""
    said = []
    for j in range(1, len(overlap.names)):
        found, chance = float(overlap.jaccard_model[0, j]), float(overlap.by_chance_model[0, j])
        if math.isnan(found) or not overlap.size[j].sum():
            continue
        how = "more than" if found > chance else "no more than"
        said.append(
            f"{overlap.names[0]!r} and {overlap.names[j]!r} share {how} random sets of their sizes would: Jaccard "
            f"{found:.2f}, by chance {chance:.2f}."
        )
    return [" ".join(said)] if said else []
