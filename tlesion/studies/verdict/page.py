"""The section of a report that asks whether an effect is real."""

import numpy as np
import pandas as pd

from tlesion.paper.page import Drawing, Section
from tlesion.paper.prose import interval, p_value
from tlesion.paper.table import Table
from tlesion.studies.laminar.result import LaminarProfile
from tlesion.studies.verdict import figures, words
from tlesion.studies.verdict.result import Verdict


def verdict_section(verdict: Verdict, profile: LaminarProfile) -> Section:
    """Every lesion beside random ones of the same size, and the verdict on it."""
    settings = verdict.provenance.settings
    text = [
        f"Beside each set of neurons stand {profile.n_controls} random lesions of as many neurons in the same layer. "
        "An effect is specific when it costs the set's own word against the other one, in the mean over prompts, more "
        "than nearly all of these, and more than they do for as much change of all logits. Effects are means over the "
        "prompts in which the word is right.",
        words.about(verdict),
        *[words.judged(verdict, mask) for mask in verdict.masks],
        *words.stretches(verdict),
        *words.dissociated(verdict),
    ]
    drawings = [
        Drawing(
            figures.verdict(verdict, profile, mask=mask),
            caption=f"Bars: {100 * settings['level']:.0f} % interval over prompts. "
            f"Judged on {int(verdict.n_prompts[i])} prompts ({int(verdict.n_groups[i])} independent of each other).",
            half=len(verdict.masks) > 1,
        )
        for i, mask in enumerate(verdict.masks)
    ]
    return Section("Is the effect real?", text, drawings=drawings, tables=[verdict_table(verdict)])


def verdict_table(verdict: Verdict) -> Table:
    """A row per mask and layer."""
    frame = verdict.to_frame()
    columns = {
        ("", "neuron set"): frame["mask"],
        ("", "layer"): frame["layer"],
        ("", "neurons"): frame["n_lesioned"],
        ("effect on its word", "mean"): frame["effect"],
        ("effect on its word", "interval"): [
            interval(low, high) for low, high in zip(frame["low"], frame["high"], strict=True)
        ],
        ("effect on its word", "other way"): [f"{100 * share:.0f} %" for share in frame["opposite"]],
        ("against controls", "SD"): frame["standardised"],
        ("against controls", "p, corrected"): [p_value(p) for p in frame["control_p_corrected"]],
        ("over prompts", "p, corrected"): [p_value(p) for p in frame["p"]],
    }
    if verdict.dissociated:
        columns["dissociation", "mean"] = frame["dissociation"]
        columns["dissociation", "p"] = [p_value(p) for p in frame["dissociation_p"]]
    columns["", "verdict"] = frame["verdict"]
    ordered = pd.DataFrame({key: np.asarray(value) for key, value in columns.items()})
    caption = (
        "Effect in logits, positive: the lesion cost the set's own word. Other way: share of prompts whose effect has "
        "the other sign than the mean. SD: distance from the controls' mean in their standard deviations."
    )
    if verdict.dissociated:
        first, second = verdict.dissociated
        a, b = (verdict.about[verdict.masks.index(mask)] for mask in verdict.dissociated)
        caption += (
            f" Dissociation: what the {first}-neurons cost {a!r} more than {b!r}, minus the same of the "
            f"{second}-neurons."
        )
    return Table(ordered, caption=caption, digits=2)
