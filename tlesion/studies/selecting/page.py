"""The selection's part of the laminar report: which neurons, how sure, and what another question would select."""

import pandas as pd

from tlesion import stats
from tlesion.paper.page import Drawing, Section
from tlesion.paper.table import Table
from tlesion.selection import NeuronSelection
from tlesion.selection.overlap import MaskOverlap
from tlesion.stats import PowerCurve
from tlesion.stats.level import BONFERRONI, FDR, SIDAK
from tlesion.stats.power import PAIRED, TWO_SAMPLE
from tlesion.studies.common.selected import selected
from tlesion.studies.selecting import comparison_figures, figures, words
from tlesion.studies.selecting.positions import SelectionComparison

PLANNED = ("none", *BONFERRONI, *SIDAK, *FDR)
"""Corrections whose level is known before the data are, so that power can be computed."""


def selection_section(selection: NeuronSelection, *, layer: int) -> Section:
    """Which neurons were selected: shares per layer, and one layer neuron by neuron."""
    a, b = selection.conditions
    text = [
        f"Every neuron of every layer was tested: is its activation ({selection.hook_point}) different for {a!r} and "
        f"{b!r}? A neuron is selected where the p-value, corrected over the {selection.family} "
        f"({selection.correction}), is at most {selection.alpha:g}.",
        selected(selection),
    ]
    n_dead = int(selection.dead.sum())
    if n_dead:
        text.append(f"{n_dead} neurons never change and cannot be tested; they are in no set.")
    text += words.rows_behind(selection)
    drawings = [
        Drawing(
            figures.selective_share(selection), caption="Share of each layer's neurons in the two sets.", half=True
        ),
        Drawing(
            figures.volcano(selection, layer=layer),
            caption="Each point is a neuron. Far to the side: a large difference; high up: strong evidence for it.",
            half=True,
        ),
    ]
    return Section(f"Which neurons tell {a!r} from {b!r}?", text, drawings=drawings)


def comparison_section(comparison: SelectionComparison) -> Section:
    """The same test asked elsewhere: how much is selected there, and how much the masks share."""
    overlap = comparison.overlap()
    a, b = comparison.conditions
    text = [
        f"At the word itself the two conditions differ in the token, so that a neuron may only tell the word {a!r} "
        f"from the word {b!r}. Where the word is hidden or still to come, only what the context says can differ.",
        " ".join(words.selects(comparison, i) for i in range(len(comparison.names))),
        *words.shared(overlap),
    ]
    drawings = [
        Drawing(
            comparison_figures.position_shares(comparison),
            caption="Share of each layer's neurons in either set.",
            half=True,
        ),
        Drawing(
            comparison_figures.mask_overlap(overlap),
            caption="Jaccard index: neurons that two sets share, by neurons in either. Chance: random sets with as "
            "many neurons in every layer.",
            half=True,
        ),
    ]
    return Section("What would another question select?", text, drawings=drawings, tables=[overlap_table(overlap)])


def overlap_table(overlap: MaskOverlap) -> Table:
    """Every two masks over all layers: sizes, what they share, chance."""
    frame = overlap.to_frame()
    frame = frame[frame["layer"] == "all"].drop(columns="layer")
    columns = ["one set", "another", "neurons", "neurons there", "in both", "Jaccard", "by chance"]
    return Table(
        pd.DataFrame({("", new): frame[old].to_numpy() for new, old in zip(columns, frame.columns, strict=True)}),
        caption="Sets over all layers, both directions together.",
        digits=2,
    )


def power_section(selection: NeuronSelection) -> Section | None:
    """What as many sentences can find at this test, correction and level; None for tests without a power formula."""
    if selection.test not in (*PAIRED, *TWO_SAMPLE) or selection.correction not in PLANNED:
        return None
    curve = power_of(selection)
    n = min(selection.n_rows)
    effect = float(curve.effect[curve.n.tolist().index(n)])
    unit = "pairs" if selection.test in PAIRED else "sentences per condition"
    if selection.n_rows != (selection.n_a, selection.n_b):
        unit = "templates"
    name = "d_z" if selection.test in PAIRED else "d"
    text = [
        f"With {n} {unit} and {curve.n_tests} neurons in a family, a neuron is found in {100 * curve.power:.0f} % of "
        f"studies if its true effect is at least {name} = {effect:.2f} (a difference of {effect:.2f} standard "
        "deviations). What is smaller is missed more often than that: that a neuron is not selected is no proof that "
        "it does not carry the contrast.",
        words.needed(curve, unit, name),
    ]
    drawing = Drawing(
        figures.power_curve(curve),
        caption=f"Both axes are logarithmic. Level of a single test: {curve.level:.2g}, if {100 * curve.share_true:.1f}"
        " % of the neurons truly differ, as many as were selected here.",
    )
    return Section("What could this study have missed?", text, drawings=[drawing])


def power_of(selection: NeuronSelection) -> PowerCurve:
    """The power curve of a selection's own test, correction, level and family, its number of rows among the n."""
    n = min(selection.n_rows)
    n_layers, n_neurons = selection.t.shape
    own_dof = n - 1 if selection.test in PAIRED else sum(selection.n_rows) - 2
    gained = float(selection.dof.nanmedian()) - own_dof if selection.test.startswith("moderated") else 0.0
    around = sorted({5, 8, 12, 20, 35, 54, 100, 200, n})
    return stats.power_curve(
        n=[k for k in around if k >= 3],
        test=selection.test,
        alpha=float(selection.alpha),
        correction=selection.correction,
        n_tests=n_neurons * (n_layers if selection.family == "model" else 1),
        share_true=float(selection.mask("any").double().mean()),
        prior_dof=max(0.0, gained),
    )
