"""A verdict in sentences: every number in them is computed from the result."""

from tlesion.paper.prose import interval, layer_list, listed, p_value, percent, signed
from tlesion.studies.verdict.decide import WIDE_FROM
from tlesion.studies.verdict.result import (
    AT_CHANCE,
    DAMAGE,
    FEW_CONTROLS,
    FEW_PROMPTS,
    INCONCLUSIVE,
    NEGLIGIBLE,
    NOT_CUT,
    OPPOSITE,
    REASONS,
    RIGHT_ANSWER,
    ROUNDING,
    SPECIFIC,
    VERDICTS,
    WIDE,
    Verdict,
)


def chance(verdict: Verdict) -> list[str]:
    """The first thing to say: that the model does not do the task, where that is so."""
    if not any(AT_CHANCE in row for row in verdict.reasons):
        return []
    return [
        f"The model does not do this task: unlesioned, it gives the right answer in {percent(verdict.accuracy)} of the "
        f"prompts, which guessing does as well (p = {p_value(float(verdict.chance_p))}). Nothing below says what its "
        "neurons do in the task."
    ]


def judged(verdict: Verdict, mask: str) -> str:
    """The verdicts on one mask, by what was found."""
    parts = [f"{_MEANING[word]} in {layer_list(at)}" for word in VERDICTS if (at := verdict.said_of(mask, word))]
    text = f"{mask}-neurons: {'; '.join(parts)}."
    row = verdict.masks.index(mask)
    text += "".join(_largest(verdict, row, word) for word in (SPECIFIC, OPPOSITE))
    why = [
        f"{_MISSING[reason]} in {layer_list(layers)}"
        for reason in REASONS
        if (layers := [at for at, said in zip(verdict.layers, verdict.reasons[row], strict=True) if said == reason])
    ]
    if why:
        text += f" Inconclusive: {'; '.join(why)}."
    if set(verdict.verdicts[row]) == {NOT_CUT}:
        return text
    size = float(verdict.smallest_effect[row])
    return text + f" Smallest effect of interest: {size:.2g} logits ({verdict.smallest_origin[row]})."


def _largest(verdict: Verdict, row: int, word: str) -> str:
    """The largest effect that is called so, with an interval that allows for its having been picked."""
    layers = verdict.said_of(verdict.masks[row], word)
    if not layers:
        return ""
    at = max(layers, key=lambda layer: abs(float(verdict.effect[row, verdict.layers.index(layer)])))
    i = verdict.layers.index(at)
    effect = float(verdict.effect[row, i])
    what = "costs the word" if effect > 0 else "helps the word, it does not cost it"
    return (
        f" {'Most' if len(layers) > 1 else 'It'} {what} in layer {at}: {signed(effect)} logits (interval, allowing for "
        f"the choice of layers, {interval(verdict.selected_low[row, i], verdict.selected_high[row, i])}), "
        f"{abs(float(verdict.standardised[row, i])):.1f} standard deviations from the controls; "
        f"{100 * float(verdict.opposite[row, i]):.0f} % of the prompts go the other way."
    )


_MEANING = {
    SPECIFIC: "specific",
    OPPOSITE: "specific, opposite (the lesion helps the word)",
    DAMAGE: "damage, no more than random lesions do or in proportion to the change of all logits",
    NEGLIGIBLE: "negligible",
    INCONCLUSIVE: "inconclusive",
    NOT_CUT: "nothing cut",
}

_MISSING = {
    AT_CHANCE: "the model does not do this task",
    ROUNDING: "the smallest effect of interest is finer than the model's numbers",
    WIDE: "the set is so wide that random sets hold much of it",
    FEW_CONTROLS: "too few controls to tell",
    FEW_PROMPTS: "too few prompts to tell",
}


def about(verdict: Verdict) -> str:
    """Which word each mask is judged on, and on how much independent evidence."""
    said = []
    for row, (mask, word) in enumerate(zip(verdict.masks, verdict.about, strict=True)):
        what = "the right answer of each prompt" if word == RIGHT_ANSWER else repr(word)
        prompts, groups = int(verdict.n_prompts[row]), int(verdict.n_groups[row])
        evidence = f"{prompts} prompt{'s' if prompts > 1 else ''}"
        if groups < prompts:
            evidence += f", {groups} independent template{'s' if groups > 1 else ''}"
        said.append(f"the {mask}-neurons on {what} ({evidence})")
    return f"Judged are {listed(said)}."


def dissociated(verdict: Verdict) -> list[str]:
    """Whether each of two masks costs its own word, and more than pairs of random ones do."""
    if not verdict.dissociated:
        return []
    layers = [layer for layer, so in zip(verdict.layers, verdict.dissociates.tolist(), strict=True) if so]
    if not layers:
        return []
    first, second = verdict.dissociated
    a, b = (verdict.about[verdict.masks.index(mask)] for mask in verdict.dissociated)
    return [
        f"Double dissociation in {layer_list(layers)}: the {first}-neurons are specific for {a!r} and the "
        f"{second}-neurons for {b!r}, and pairs of random sets do not do as much."
    ]


def wide(verdict: Verdict) -> list[str]:
    """Which sets are so wide that random ones hold much of them."""
    said = []
    for mask, shares in zip(verdict.masks, verdict.control_overlap, strict=True):
        held = [(layer, float(one)) for layer, one in zip(verdict.layers, shares, strict=True) if one > WIDE_FROM]
        if held:
            most = max(share for _, share in held)
            said.append(
                f"Random sets of the same size and activity hold up to {percent(most)} of the {mask}-neurons in "
                f"{layer_list([layer for layer, _ in held])}, and can hardly be told from them there; fewer neurons "
                "(top_k) would stand out more."
            )
    return said


def found(verdict: Verdict) -> list[str]:
    """What is said of every mask, and of both together."""
    return [*(judged(verdict, mask) for mask in verdict.masks), *wide(verdict), *dissociated(verdict)]
