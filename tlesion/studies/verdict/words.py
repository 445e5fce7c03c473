"""A verdict in sentences: every number in them is computed from the result."""

from collections import defaultdict

from tlesion.paper.prose import interval, layer_list, listed, p_value, signed
from tlesion.studies.verdict.result import DAMAGE, NOT_CUT, NOTHING, RIGHT_ANSWER, SPECIFIC, UNCLEAR, VERDICTS, Verdict


def judged(verdict: Verdict, mask: str) -> str:
    """The verdicts on one mask, by what was found."""
    row = verdict.masks.index(mask)
    layers: dict[str, list[int]] = defaultdict(list)
    for layer, word in zip(verdict.layers, verdict.verdicts[row], strict=True):
        layers[word].append(layer)
    parts = [f"{_MEANING[word]} in {layer_list(layers[word])}" for word in VERDICTS if layers[word]]
    text = f"{mask}-neurons: {'; '.join(parts)}."
    if layers[SPECIFIC]:
        at = max(layers[SPECIFIC], key=lambda layer: float(verdict.effect[row, verdict.layers.index(layer)]))
        i = verdict.layers.index(at)
        text += f" The largest specific effect is {signed(verdict.effect[row, i])} logits in layer {at} (interval "
        text += f"{interval(verdict.low[row, i], verdict.high[row, i])}), {float(verdict.standardised[row, i]):.1f} "
        text += f"standard deviations from the controls; {100 * float(verdict.opposite[row, i]):.0f} % of the prompts "
        text += "go the other way."
    if set(verdict.verdicts[row]) == {NOT_CUT}:
        return text
    return text + f" Effects of {float(verdict.smallest_effect[row]):.2g} logits or more would have been found."


_MEANING = {
    SPECIFIC: "specific",
    DAMAGE: "unspecific damage",
    NOTHING: "no effect found",
    UNCLEAR: "too little power to tell",
    NOT_CUT: "nothing cut",
}


def about(verdict: Verdict) -> str:
    """Which word each mask is judged on."""
    said = [
        f"the {mask}-neurons on {'the right answer of each prompt' if word == RIGHT_ANSWER else repr(word)}"
        for mask, word in zip(verdict.masks, verdict.about, strict=True)
    ]
    return f"Judged are {listed(said)}."


def stretches(verdict: Verdict) -> list[str]:
    """Which adjacent layers have an effect together."""
    alpha = verdict.provenance.settings["alpha"]
    found = [c for c in verdict.clusters if c[5] <= alpha]
    if not found:
        return [f"No stretch of adjacent layers has an effect over prompts (cluster permutation, p ≤ {alpha:g})."]
    said = [
        f"the {mask}-neurons of {layer_list(range(first, last + 1))} (mean {signed(effect)}, p = {p_value(p)})"
        for mask, first, last, effect, _, p in found
    ]
    return [f"Stretches of layers with an effect over prompts, by sign flips: {listed(said)}."]


def dissociated(verdict: Verdict) -> list[str]:
    """Whether the two masks do opposite things to the two words."""
    if not verdict.dissociated:
        return []
    first, second = verdict.dissociated
    a, b = (verdict.about[verdict.masks.index(mask)] for mask in verdict.dissociated)
    alpha = verdict.provenance.settings["alpha"]
    layers = [layer for layer, p in zip(verdict.layers, verdict.dissociation_p.tolist(), strict=True) if p <= alpha]
    what = f"{first}-neurons cost {a!r} more than {b!r} and {second}-neurons {b!r} more than {a!r}"
    if not layers:
        return [f"No double dissociation: in no layer do {what}."]
    return [f"Double dissociation ({what}): {layer_list(layers)}."]
