"""The part of the laminar report that asks whether the effect is real: controls, verdicts, doses, paths."""

import numpy as np
import pandas as pd

from tlesion.paper.page import Drawing, Section
from tlesion.paper.table import Table
from tlesion.studies.cumulative import figures as cumulative_figures
from tlesion.studies.cumulative.result import CumulativeLesion
from tlesion.studies.decomposition import figures as decomposition_figures
from tlesion.studies.decomposition.result import DropDecomposition
from tlesion.studies.dose import figures as dose_figures
from tlesion.studies.dose.result import DoseResponse
from tlesion.studies.evidence import words
from tlesion.studies.laminar.result import LaminarProfile
from tlesion.studies.verdict import figures as verdict_figures
from tlesion.studies.verdict.result import Verdict


def verdict_section(verdict: Verdict, profile: LaminarProfile) -> Section:
    """Every lesion beside random ones of the same size, and what is to be thought of it."""
    settings = verdict.provenance.settings
    text = [
        f"Beside each mask stand {profile.n_controls} random lesions of as many neurons in the same layer. An effect "
        "is specific when it costs the mask's own word against the other one, in the mean over prompts, more than "
        "nearly all of these, and more than they do for as much change of all logits. Effects are means over the "
        "prompts in which the word is right.",
        *[words.judged(verdict, mask) for mask in verdict.masks],
        *words.stretches(verdict),
        *words.dissociated(verdict),
    ]
    drawings = [
        Drawing(
            verdict_figures.verdict(verdict, profile, mask=mask),
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
        ("", "mask"): frame["mask"],
        ("", "layer"): frame["layer"],
        ("", "neurons"): frame["n_lesioned"],
        ("effect on its word", "mean"): frame["effect"],
        ("effect on its word", "interval"): [
            words.interval(low, high) for low, high in zip(frame["low"], frame["high"], strict=True)
        ],
        ("effect on its word", "other way"): [f"{100 * share:.0f} %" for share in frame["opposite"]],
        ("against controls", "SD"): frame["standardised"],
        ("against controls", "p, corrected"): [words.p_value(p) for p in frame["control_p_corrected"]],
        ("over prompts", "p, corrected"): [words.p_value(p) for p in frame["p"]],
    }
    if verdict.dissociated:
        columns["dissociation", "mean"] = frame["dissociation"]
        columns["dissociation", "p"] = [words.p_value(p) for p in frame["dissociation_p"]]
    columns["", "verdict"] = frame["verdict"]
    ordered = pd.DataFrame({key: np.asarray(value) for key, value in columns.items()})
    caption = (
        "Effect in logits, positive: the lesion cost the mask's own word. Other way: share of prompts whose effect has "
        "the other sign than the mean. SD: distance from the controls' mean in their standard deviations."
    )
    if verdict.dissociated:
        caption += (
            f" Dissociation: what the {verdict.dissociated[0]}-neurons cost {verdict.dissociated[0]!r} more than "
            f"{verdict.dissociated[1]!r}, minus the same of the {verdict.dissociated[1]}-neurons."
        )
    return Table(ordered, caption=caption, digits=2)


def dose_section(dose: DoseResponse) -> Section:
    """How the effect grows with the number of neurons."""
    text = [
        "The neurons of a layer are cut in the order of |t|, the strongest first: the doses are shares of the layer. "
        "Dotted and filled: as many random neurons of the layer.",
        words.doses(dose),
    ]
    drawings = [
        Drawing(
            dose_figures.dose_response(dose), caption="Mean logit drop of the targets against the share that is cut."
        ),
        Drawing(
            dose_figures.dose_response(dose, measure="kl"),
            caption="How far the whole prediction moves: a curve that leaves the controls here, too, is damage.",
        ),
    ]
    return Section("How much has to be cut?", text, drawings=drawings)


def cumulative_section(cumulative: CumulativeLesion) -> Section:
    """Where an effect turns into collapse."""
    text = [
        "All layers up to one, and all from one on, are lesioned at once. The divergence says how far the whole "
        "prediction moved, the accuracy whether the right word is still found.",
        words.collapse(cumulative),
    ]
    drawing = Drawing(
        cumulative_figures.cumulative_lesion(cumulative),
        caption="Above: KL divergence from the clean prediction. Below: accuracy.",
    )
    return Section("Where does it turn into collapse?", text, drawings=[drawing])


def decomposition_section(decomposition: DropDecomposition) -> Section:
    """Which way an effect takes to the logits."""
    text = [
        "A lesion's logit drop is split into what goes straight from the MLP's output to the logits, what goes through "
        "later layers, and what only the rescaling by the norms causes. The parts add up to the whole. After the last "
        "layer nothing follows, so that its downstream part is zero: a drop there is direct or rescaling, which is why "
        "last layers often look odd.",
        words.paths(decomposition),
    ]
    drawing = Drawing(
        decomposition_figures.direct_downstream(decomposition), caption="Mean over prompts; parts of one bar add up."
    )
    return Section("Which way does it take?", text, drawings=[drawing])
