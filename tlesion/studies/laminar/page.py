"""The sections of a report that show what each lesion costs, and what was run."""

import numpy as np
import pandas as pd

from tlesion.drawing.targets import target_words
from tlesion.paper.page import Drawing, Section
from tlesion.paper.prose import listed
from tlesion.paper.table import Table
from tlesion.studies.common.effects import spread_of_change
from tlesion.studies.laminar import figures
from tlesion.studies.laminar.result import LaminarProfile
from tlesion.studies.laminar.summary import summarise_profile
from tlesion.studies.laminar.words import in_layer


def profile_section(profile: LaminarProfile) -> Section:
    """What each lesion costs: a panel per mask, the change of all logits, the numbers."""
    ceiling = in_layer(profile.references[1], "the layer")
    text = [
        "In each run a set of neurons of one layer is ablated while the model reads a prompt, and the targets' "
        "logits are compared with those of the unlesioned model. Above zero the lesion cost the word; below zero it "
        "helped it.",
        "Lines are medians over prompts, bands the middle half of them, faint points single prompts. Dashes show the "
        f"same for {ceiling}: the largest effect that a part of it is likely to have.",
    ]
    drawings = [
        Drawing(
            figures.laminar_profile(profile, masks=[mask]),
            caption=f"Ablated: the {mask}-neurons of one layer, {_range(profile, i)} neurons. All panels have the "
            "same y axis.",
            half=len(profile.masks) > 1,
        )
        for i, mask in enumerate(profile.masks)
    ]
    change = Drawing(
        figures.global_change(profile),
        caption="How far a lesion moves the logits of the whole vocabulary at the readout position "
        f"({spread_of_change(profile.provenance)} of lesioned − clean logits): median over prompts, and their middle "
        "half. A lesion that moves everything is damage, not a choice between the targets.",
    )
    return Section("What does each lesion cost?", text, drawings=[*drawings, change], tables=[profile_table(profile)])


def profile_table(profile: LaminarProfile) -> Table:
    """Medians per layer: a column for every mask and target, and for all units of the layer."""
    table = summarise_profile(profile)
    names = target_words(profile.targets)
    columns = {("", "layer"): np.asarray(profile.layers)}
    for mask in (*profile.masks, profile.references[1]):
        rows = table[table["mask"] == mask]
        group = f"{mask}-neurons ablated" if mask in profile.masks else f"{mask} ablated"
        for j, name in enumerate(names):
            columns[group, name] = rows.loc[rows["target"] == j, "median"].to_numpy()
        first = rows[rows["target"] == 0]
        columns[group, "all logits"] = first["global_change"].to_numpy()
        if first["still_right"].notna().all():
            columns[group, "right"] = first["still_right"].to_numpy()
    caption = (
        f"By lesioned layer: median logit drop of {listed(names)} (positive: the lesion cost the word); all logits: "
        f"mean over prompts of their change ({spread_of_change(profile.provenance)}); right: share of prompts whose "
        "right target still has the largest target logit."
    )
    return Table(pd.DataFrame(columns), caption=caption, digits=2)


def checked(section: Section, profile: LaminarProfile) -> Section:
    """The provenance with the profile's own check: a lesion of nothing has to change nothing."""
    null = max(
        float(profile.reference_logit_drop[0].abs().max()), float(profile.reference_global_change[0].abs().max())
    )
    verdict = "exactly zero, as it must be" if null == 0 else "NOT zero: do not trust this profile"
    said = f"Check: a run with an edit in every layer and no neuron in any of them changes the logits by {null:g}, "
    return Section(
        section.title,
        [f"{said}{verdict}.", f"Plan of the sweep: {profile.plan.rstrip('.')}.", *section.text],
        facts=section.facts,
    )


def _range(profile: LaminarProfile, mask: int) -> str:
    counts = profile.n_lesioned[mask]
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"
