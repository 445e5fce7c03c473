"""The report of a laminar profile, with the selection and the histograms that belong to it."""

from pathlib import PurePath

from tlesion.keep.results import Result
from tlesion.paper.page import Drawing, Page, Section
from tlesion.paper.prose import listed
from tlesion.paper.provenance import provenance_section
from tlesion.selection import NeuronSelection
from tlesion.studies.cumulative.page import cumulative_section
from tlesion.studies.cumulative.result import CumulativeLesion
from tlesion.studies.decomposition.page import decomposition_section
from tlesion.studies.decomposition.result import DropDecomposition
from tlesion.studies.dose.page import dose_section
from tlesion.studies.dose.result import DoseResponse
from tlesion.studies.evidence import figures
from tlesion.studies.evidence.activation_histogram import ActivationHistogram
from tlesion.studies.evidence.words import silenced
from tlesion.studies.laminar import words
from tlesion.studies.laminar.page import checked, profile_section
from tlesion.studies.laminar.result import LaminarProfile
from tlesion.studies.selecting.page import comparison_section, power_section, selection_section
from tlesion.studies.selecting.positions import SelectionComparison
from tlesion.studies.verdict.page import verdict_section
from tlesion.studies.verdict.result import Verdict
from tlesion.studies.verdict.words import chance, found


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
        >>> few = torch.arange(512).expand(12, 512) < 20
        >>> profile = tlesion.laminar_profile(tlesion.load_model("toy-bert"), {"few": few}, [prompt])
        >>> [section.title for section in laminar_page(profile).sections]
        ['What does each lesion cost?', 'What was run']
    """
    shown = words.largest_layer(profile) if layer is None else layer
    results: dict[str, Result] = {"profile": profile}
    sections = [profile_section(profile)]
    if verdict is not None:
        sections.append(verdict_section(verdict, profile))
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
        sections.append(dose_section(dose))
        results |= {"dose": dose}
    if cumulative is not None:
        sections.append(cumulative_section(cumulative))
        results |= {"cumulative": cumulative}
    if decomposition is not None:
        sections.append(decomposition_section(decomposition))
        results |= {"decomposition": decomposition}
    sections.append(checked(provenance_section(results), profile))
    model = PurePath(profile.provenance.model["name"]).name  # of a folder its last part, of "a/b" likewise
    n_prompts = len(profile.prompts)
    return Page(
        title=f"Laminar profile of {model}",
        subtitle=f"{model}, {len(profile.layers)} layers; {n_prompts} prompt{'s' if n_prompts > 1 else ''}; "
        f"{profile.provenance.settings['ablation']} ablation of {profile.provenance.settings['hook_point']}, "
        f"position: {profile.provenance.settings['position']}",
        summary=words.summary(
            profile,
            selection,
            others=[] if histogram is None else [silenced(histogram)],
            first=[] if verdict is None else chance(verdict),
            verdict=[] if verdict is None else found(verdict),
        ),
        sections=sections,
    )


def histogram_section(histogram: ActivationHistogram, *, layer: int) -> Section:
    """What the activation function lets through, in one layer and over layers."""
    row = histogram.layers.index(layer) if layer in histogram.layers else 0
    shares = [
        f"{100 * float(histogram.silenced[i, row]):.1f} % for {name!r}" for i, name in enumerate(histogram.conditions)
    ]
    text = [
        silenced(histogram),
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
