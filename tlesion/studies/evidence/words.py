"""The sentences of the evidence: every number in them is computed from the results."""

import math
from collections import defaultdict
from collections.abc import Sequence

import torch

from tlesion.paper.prose import listed
from tlesion.studies.cumulative.result import DIRECTIONS, CumulativeLesion
from tlesion.studies.decomposition.result import DropDecomposition
from tlesion.studies.dose.result import DoseResponse
from tlesion.studies.verdict.result import DAMAGE, NOTHING, SPECIFIC, UNCLEAR, VERDICTS, Verdict


def judged(verdict: Verdict, mask: str) -> str:
    """The verdicts on one mask, by what was found."""
    row = verdict.masks.index(mask)
    layers: dict[str, list[int]] = defaultdict(list)
    for layer, word in zip(verdict.layers, verdict.verdicts[row], strict=True):
        layers[word].append(layer)
    parts = [f"{_MEANING[word]} in {_layers(layers[word])}" for word in VERDICTS if layers[word]]
    text = f"{mask}-neurons: {'; '.join(parts)}."
    if layers[SPECIFIC]:
        at = max(layers[SPECIFIC], key=lambda layer: float(verdict.effect[row, verdict.layers.index(layer)]))
        i = verdict.layers.index(at)
        text += f" The largest specific effect is {signed(verdict.effect[row, i])} logits in layer {at} (interval "
        text += f"{interval(verdict.low[row, i], verdict.high[row, i])}), {float(verdict.standardised[row, i]):.1f} "
        text += f"standard deviations from the controls; {100 * float(verdict.opposite[row, i]):.0f} % of the prompts "
        text += "go the other way."
    return text + f" Effects from {float(verdict.smallest_effect[row]):.2g} logits on were looked for."


_MEANING = {
    SPECIFIC: "specific",
    DAMAGE: "unspecific damage",
    NOTHING: "no effect found",
    UNCLEAR: "too little power to tell",
}


def stretches(verdict: Verdict) -> list[str]:
    """Which adjacent layers have an effect together."""
    alpha = verdict.provenance.settings["alpha"]
    found = [c for c in verdict.clusters if c[5] <= alpha]
    if not found:
        return [f"No stretch of adjacent layers has an effect over prompts (cluster permutation, p ≤ {alpha:g})."]
    said = [
        f"the {mask}-neurons of {_layers(range(first, last + 1))} (mean {signed(effect)}, p = {p_value(p)})"
        for mask, first, last, effect, _, p in found
    ]
    return [f"Stretches of layers with an effect over prompts, by sign flips: {listed(said)}."]


def dissociated(verdict: Verdict) -> list[str]:
    """Whether the two masks do opposite things to the two words."""
    if not verdict.dissociated:
        return []
    a, b = verdict.dissociated
    alpha = verdict.provenance.settings["alpha"]
    layers = [layer for layer, p in zip(verdict.layers, verdict.dissociation_p.tolist(), strict=True) if p <= alpha]
    what = f"{a}-neurons cost {a!r} more than {b!r} and {b}-neurons {b!r} more than {a!r}"
    if not layers:
        return [f"No double dissociation: in no layer do {what}."]
    return [f"Double dissociation ({what}): {_layers(layers)}."]


def doses(dose: DoseResponse) -> str:
    """From which dose on the lesion costs the right answer, and whether random neurons do the same."""
    table = dose.collapse()
    gone = table[table["dose"].notna()]
    if gone.empty:
        return (
            "At no dose, the whole layer included, does one layer's lesion halve the share of prompts whose right word "
            f"is the likeliest of all (clean: {_percent(dose.clean_vocabulary_accuracy)})."
        )
    said = [
        f"layer {row['layer']:.0f} from {row['dose']:g} % on ({row['n_lesioned']:.0f} neurons; random ones "
        + ("never)" if math.isnan(row["control_dose"]) else f"from {row['control_dose']:g} %)")
        for row in gone.to_dict("records")
    ]
    return (
        f"The right word is the likeliest of all in less than half as many prompts as in the clean run: {listed(said)}."
    )


def collapse(cumulative: CumulativeLesion) -> str:
    """How many layers at once it takes until the right answer is gone."""
    table = cumulative.collapse()
    said = []
    for mask in cumulative.masks:
        for direction in DIRECTIONS:
            row = table[(table["mask"] == mask) & (table["direction"] == direction)].iloc[0]
            label = mask if mask.startswith("whole") else f"{mask}-neurons"
            way = "from the first layer on" if direction == DIRECTIONS[0] else "from the last layer back"
            if math.isnan(row["n_layers"]):
                said.append(f"{label}, {way}: not even with all layers")
            else:
                said.append(f"{label}, {way}: with {int(row['n_layers'])} layers (KL {row['kl']:.2g} nats)")
    return (
        "The share of prompts whose right word is the likeliest of the vocabulary falls below half of the clean run's "
        f"({_percent(cumulative.clean_vocabulary_accuracy)}): {'; '.join(said)}."
    )


def paths(decomposition: DropDecomposition) -> str:
    """Where the direct part is the larger one, and how much rescaling there is."""
    direct = decomposition.direct.abs().mean(dim=(2, 3))
    downstream = decomposition.downstream.abs().mean(dim=(2, 3))
    scaled = decomposition.rescaling.abs().mean(dim=(2, 3))
    said = []
    for row, mask in enumerate(decomposition.masks):
        layers = [
            layer
            for layer, larger in zip(decomposition.layers, (direct[row] > downstream[row]).tolist(), strict=True)
            if larger
        ]
        label = mask if mask.startswith("whole") else f"{mask}-neurons"
        where = _layers(layers) if layers else "no layer"
        total = float((direct + downstream + scaled)[row].sum())
        share = float(scaled[row].sum()) / total if total else 0.0
        said.append(
            f"{label}: the direct part is the larger one in {where}; rescaling makes up {_percent(share)} of the "
            "size of all parts"
        )
    return f"{'. '.join(part[0].upper() + part[1:] if part.startswith('whole') else part for part in said)}."


def interval(low: float | torch.Tensor, high: float | torch.Tensor) -> str:
    """``−0.10 to 0.35``, as tables and sentences give it."""
    return f"{_number(low)} to {_number(high)}"


def p_value(p: float) -> str:
    """A p as tables give it: two digits, "–" where there is none.

    Example:
        >>> p_value(0.0499), p_value(0.0001), p_value(float("nan"))
        ('0.050', '0.0001', '–')
    """
    if math.isnan(p):
        return "–"
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1g}"


def signed(value: float | torch.Tensor) -> str:
    """A number with its sign, two decimals."""
    return f"{float(value):+.2f}".replace("-", "−")


def _number(value: float | torch.Tensor) -> str:
    text = f"{float(value):.2f}"
    return text.replace("-", "−") if float(text) else text.removeprefix("-")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _layers(layers: Sequence[int]) -> str:
    """``layers 2 to 4, 6 and 7``: three neighbours and more together."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    parts = [part for run in runs for part in ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run))]
    return f"layer{'s' if len(layers) > 1 else ''} {listed(parts)}"
