"""The report of a laminar profile, with the selection and the histograms that belong to it."""

from pathlib import PurePath

import numpy as np
import pandas as pd

from tlesion.drawing.targets import target_words
from tlesion.keep.results import Result
from tlesion.paper.page import Drawing, Page, Section
from tlesion.paper.prose import listed
from tlesion.paper.provenance import provenance_section
from tlesion.paper.table import Table
from tlesion.selection import NeuronSelection
from tlesion.studies.cumulative.result import CumulativeLesion
from tlesion.studies.decomposition.result import DropDecomposition
from tlesion.studies.dose.result import DoseResponse
from tlesion.studies.evidence import figures
from tlesion.studies.evidence import sections as evidence
from tlesion.studies.evidence.activation_histogram import ActivationHistogram
from tlesion.studies.evidence.words import judged
from tlesion.studies.laminar import figures as laminar_figures
from tlesion.studies.laminar import words
from tlesion.studies.laminar.study import REFERENCES, LaminarProfile
from tlesion.studies.laminar.summary import summarise_profile
from tlesion.studies.selecting.page import comparison_section, power_section, selection_section
from tlesion.studies.selecting.positions import SelectionComparison
from tlesion.studies.verdict.result import Verdict


def laminar_page(
    profile: LaminarProfile,
    *,
    selection: NeuronSelection | None = None,
    comparison: SelectionComparison | None = None,
    histogram: ActivationHistogram | None = None,
    verdict: Verdict | None = None,
    dose: DoseResponse | None = None,
    cumulative: CumulativeLesion | None = None,
    decomposition: DropDecomposition | None = None,
    layer: int | None = None,
) -> Page:
    """The page of a laminar study: what a lesion of each layer costs, and which neurons were cut.

    Args:
        profile: The profile.
        selection: The selection that its masks come from, if there is one.
        comparison: What the same test selects where the question is asked elsewhere.
        histogram: Activations before and after the activation function, if they were measured.
        verdict: The verdict on the profile, if it has controls.
        dose: What more and more neurons of a layer cost.
        cumulative: What lesions of several layers at once cost.
        decomposition: Which way the effects take to the logits.
        layer: The layer that is shown neuron by neuron; None: the one whose lesion moves the targets most.

    Raises:
        ValueError: The selection or the histogram has no such layer.

    Example:
        >>> import torch, tlesion
        >>> from tlesion.studies.evidence.page import laminar_page
        >>> prompt = tlesion.Prompt("Robert thanked Lucy because she helped [MASK].", ("him", "her"), correct="him")
        >>> nothing = torch.zeros(12, 512, dtype=torch.bool)
        >>> profile = tlesion.laminar_profile(tlesion.load_model("toy-bert"), {"none": nothing}, [prompt])
        >>> [section.title for section in laminar_page(profile).sections]
        ['What does each lesion cost?', 'What was run']
    """
    shown = words.largest_layer(profile) if layer is None else layer
    results: dict[str, Result] = {"profile": profile}
    sections = [profile_section(profile)]
    if verdict is not None:
        sections.append(evidence.verdict_section(verdict, profile))
        results |= {"verdict": verdict}
    if selection is not None:
        sections.append(selection_section(selection, layer=shown))
        results = {"selection": selection, **results}
        if (power := power_section(selection)) is not None:
            sections.append(power)
    if comparison is not None:
        sections.append(comparison_section(comparison))
        results |= {"comparison": comparison}
    if histogram is not None:
        sections.append(histogram_section(histogram, layer=shown))
        results |= {"histogram": histogram}
    if dose is not None:
        sections.append(evidence.dose_section(dose))
        results |= {"dose": dose}
    if cumulative is not None:
        sections.append(evidence.cumulative_section(cumulative))
        results |= {"cumulative": cumulative}
    if decomposition is not None:
        sections.append(evidence.decomposition_section(decomposition))
        results |= {"decomposition": decomposition}
    sections.append(checked(provenance_section(results), profile))
    model = PurePath(profile.provenance.model["name"]).name  # of a folder its last part, of "a/b" likewise
    n_prompts = len(profile.prompts)
    return Page(
        title=f"Laminar profile of {model}",
        subtitle=f"{model}, {len(profile.layers)} layers; {n_prompts} prompt{'s' if n_prompts > 1 else ''}; "
        f"{profile.provenance.settings['ablation']} ablation of {profile.provenance.settings['hook_point']}, "
        f"position: {profile.provenance.settings['position']}",
        summary=words.summary(profile, selection, histogram, words_on(verdict)),
        sections=sections,
    )


def words_on(verdict: Verdict | None) -> list[str]:
    """The summary's sentences on the verdict, one for each mask."""
    return [] if verdict is None else [judged(verdict, mask) for mask in verdict.masks]


def profile_section(profile: LaminarProfile) -> Section:
    """What each lesion costs: a panel per mask, the change of all logits, the numbers."""
    text = [
        "In each run the masked neurons of one layer are ablated while the model reads a prompt, and the targets' "
        "logits are compared with those of the unlesioned model. Above zero the lesion cost the word; below zero it "
        "helped it.",
        "Lines are medians over prompts, bands the middle half of them, faint points single prompts. Dashes show the "
        "same for the layer's whole MLP: how large an effect of this layer can be at all.",
    ]
    drawings = [
        Drawing(
            laminar_figures.laminar_profile(profile, masks=[mask]),
            caption=f"Ablated: the {mask}-neurons of one layer, {_range(profile, i)} neurons. All panels have the "
            "same y axis.",
            half=len(profile.masks) > 1,
        )
        for i, mask in enumerate(profile.masks)
    ]
    change = Drawing(
        laminar_figures.global_change(profile),
        caption="How far a lesion moves the logits of the whole vocabulary at the readout position: median over "
        "prompts, and their middle half. A lesion that moves everything is damage, not a choice between the targets.",
    )
    return Section("What does each lesion cost?", text, drawings=[*drawings, change], tables=[profile_table(profile)])


def profile_table(profile: LaminarProfile) -> Table:
    """Medians per layer: a column for every mask and target, and for the whole MLP."""
    table = summarise_profile(profile)
    names = target_words(profile.targets)
    columns = {("", "layer"): np.asarray(profile.layers)}
    for mask in (*profile.masks, REFERENCES[1]):
        rows = table[table["mask"] == mask]
        group = f"{mask}-neurons ablated" if mask in profile.masks else f"{mask} ablated"
        for j, name in enumerate(names):
            columns[group, name] = rows.loc[rows["target"] == j, "median"].to_numpy()
        first = rows[rows["target"] == 0]
        columns[group, "all logits"] = first["global_change"].to_numpy()
        if first["still_right"].notna().all():
            columns[group, "right"] = first["still_right"].to_numpy()
    caption = (
        f"By lesioned layer: median logit drop of {listed(names)} (positive: the lesion cost the word); all "
        "logits: mean global change; right: share of prompts whose right target still has the largest target logit."
    )
    return Table(pd.DataFrame(columns), caption=caption, digits=2)


def histogram_section(histogram: ActivationHistogram, *, layer: int) -> Section:
    """What the activation function lets through, in one layer and over layers."""
    row = histogram.layers.index(layer) if layer in histogram.layers else 0
    shares = [
        f"{100 * float(histogram.silenced[i, row]):.1f} % for {name!r}" for i, name in enumerate(histogram.conditions)
    ]
    text = [
        words.silenced(histogram),
        f"A value counts as silenced where at most {100 * histogram.threshold:g} % of it is left behind the activation "
        f"function (for the GELU and 10 %: values below −1.28). In layer {layer}: {listed(shares)}. Zeroing a "
        "neuron that is silent already changes next to nothing.",
    ]
    drawings = [
        Drawing(
            figures.activation_histogram(histogram, layer=layer, point=point),
            caption=f"All neurons of layer {layer}, one value per neuron and sentence. The y axis is logarithmic.",
            half=True,
        )
        for point in ("before", "after")
    ]
    over_layers = Drawing(
        figures.silenced_share(histogram),
        caption="Solid: share of values of which next to nothing comes through. Dotted: share of negative values.",
    )
    return Section("What does the activation function let through?", text, drawings=[*drawings, over_layers])


def checked(section: Section, profile: LaminarProfile) -> Section:
    """The provenance with the profile's own check: a lesion of nothing has to change nothing."""
    null = max(
        float(profile.reference_logit_drop[0].abs().max()), float(profile.reference_global_change[0].abs().max())
    )
    verdict = "exactly zero, as it has to be" if null == 0 else "NOT zero: do not trust this profile"
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
