"""The section of a report that asks whether an effect is real."""

import numpy as np
import pandas as pd

from tlesion.paper.page import Drawing, Section
from tlesion.paper.prose import interval, p_value
from tlesion.paper.table import Table
from tlesion.studies.common.effects import spread_of_change
from tlesion.studies.laminar.result import LaminarProfile
from tlesion.studies.verdict import figures, words
from tlesion.studies.verdict.result import Verdict


def verdict_section(verdict: Verdict, profile: LaminarProfile) -> Section:
    """Every lesion beside random ones of the same size, and the verdict on it."""
    settings = verdict.provenance.settings
    alike = "" if settings["profile"].get("match") is None else ", about equally active,"
    text = [
        f"Beside each set of neurons stand {profile.n_controls} random lesions of as many neurons{alike} in the same "
        "layer. An effect is specific when it moves the set's own word against the other one, in the mean over "
        "prompts, further than these lesions do, and further than they do for as much change of all logits; each "
        "comparison allows for having looked at all sets and layers. It is negligible when its 90 % interval lies "
        "within the smallest effect of interest. Effects are means over the prompts in which the word is right.",
        *words.chance(verdict),
        words.about(verdict),
        *words.found(verdict),
    ]
    drawings = [
        Drawing(
            figures.verdict(verdict, profile, mask=mask),
            caption=f"Bars: {100 * settings['level']:.0f} % interval over independent groups of prompts. "
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
        ("against controls", "p, corrected"): [
            f"{p_value(p)} ± {error:.3f}" if p == p else "–"
            for p, error in zip(frame["control_p_corrected"], frame["control_p_corrected_error"], strict=True)
        ],
        ("over prompts", "p, corrected"): [p_value(p) for p in frame["p"]],
        ("all logits", "change"): frame["global_change"],
        ("", "verdict"): [
            word if not reason else f"{word}: {reason}"
            for word, reason in zip(frame["verdict"], frame["reason"], strict=True)
        ],
    }
    ordered = pd.DataFrame({key: np.asarray(value) for key, value in columns.items()})
    return Table(
        ordered,
        caption="Effect in logits, positive: the lesion cost the set's own word; negative: it helped it. Other way: "
        "share of prompts whose effect has the other sign than the mean. SD: distance from the controls' mean in their "
        "standard deviations. p: corrected over all sets and layers; ±: how far other draws of the controls would move "
        f"it. Change: {spread_of_change(verdict.provenance)} of (lesioned − clean) logits.",
        digits=2,
    )
