"""The laminar report's sentences: every number in them is computed from the results."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tlesion.drawing.targets import target_words
from tlesion.paper.prose import listed, percent
from tlesion.selection import NeuronSelection
from tlesion.studies.common.selected import selected
from tlesion.studies.laminar.result import LaminarProfile
from tlesion.studies.laminar.summary import summarise_profile


def summary(
    profile: LaminarProfile,
    selection: NeuronSelection | None = None,
    *,
    first: Sequence[str] = (),
    others: Sequence[str] = (),
    verdict: Sequence[str] = (),
) -> list[str]:
    """What was found, in the order in which a reader asks.

    Args:
        profile: The profile.
        selection: Where its masks come from.
        first: What has to be known before anything else.
        others: Sentences on what was measured beside it.
        verdict: Sentences on whether it is real.
    """
    said = [*first, *([] if selection is None else [selected(selection)])]
    said.append(clean(profile))
    said += about(profile)
    table = summarise_profile(profile)
    said += [cost(profile, table, mask) for mask in profile.masks]
    said += others
    if not verdict:
        return [*said, "No control lesions are shown here: what as many random neurons cost is left open."]
    return [*said, *verdict]


def clean(profile: LaminarProfile) -> str:
    """Whether the unlesioned model can do what is measured."""
    accuracy = profile.clean_accuracy
    n = len(profile.prompts)
    known = sum(correct is not None for correct in profile.correct)
    if np.isnan(accuracy):
        one = "each has one target, so that there is nothing to choose between"
        why = one if known else "none of them names a right target"
        return f"Effects are measured on {n} prompt{'s' if n > 1 else ''}; {why}."
    return (
        f"Before any lesion the model's largest target logit is the right one in {round(accuracy * known)} of {known} "
        f"prompts ({percent(accuracy)})."
    )


def about(profile: LaminarProfile) -> list[str]:
    """Which word each mask is about, where its name alone does not say so."""
    if all(word == mask for mask, word in profile.about.items()):
        return []
    said = [
        f"the {mask}-neurons {f'about {word!r}' if word else 'about the right answer of each prompt'}"
        for mask, word in profile.about.items()
    ]
    return [f"Taken to be: {listed(said)}."]


def cost(profile: LaminarProfile, table: pd.DataFrame, mask: str) -> str:
    """Where a mask's lesion moves its own target most, whether it costs or helps it, beside the other targets.

    Args:
        profile: The profile.
        table: Its `summarise_profile`.
        mask: The mask. Its own target is the word that it is about; without one, all targets are looked at.
    """
    names = target_words(profile.targets)
    word = profile.about[mask]
    own = [names.index(word)] if word in names else list(range(len(names)))
    rows = table[(table["mask"] == mask) & table["target"].isin(own)]
    if not rows["n_lesioned"].any():
        return f"There are no {mask}-neurons in any layer: nothing was cut."
    done = _DONE.get(profile.provenance.settings["ablation"], "Ablating {}")
    subject = done.format(f"the {mask}-neurons of one layer")
    most = rows.iloc[int(rows["median"].abs().argmax())]
    if most["median"] == 0:
        what = " and ".join(repr(names[j]) for j in own)
        return f"{subject} leaves the logit of {what} as it was in the median prompt, whatever the layer."
    layer, target = int(most["layer"]), int(most["target"])
    verb = "costs" if most["median"] > 0 else "does not cost but helps"
    others = [
        f"{_signed(_at(table, mask, layer, j)['median'])} for {name!r}" for j, name in enumerate(names) if j != target
    ]
    ceiling = profile.references[1]
    whole = _at(table, ceiling, layer, target)["median"]
    text = f"{subject} {verb} {names[target]!r} most in layer {layer}: a median logit drop "
    text += f"of {_signed(most['median'])} (middle half of the prompts {_signed(most['q25'])} to "
    text += f"{_signed(most['q75'])}; {int(most['n_lesioned'])} neurons)"
    text += f", against {', '.join(others)} there" if others else ""
    text += f". Ablating {in_layer(ceiling, 'that layer')} gives {_signed(whole)} for {names[target]!r}."
    return text + _largest_cost(rows, most)


def in_layer(ceiling: str, layer: str) -> str:
    """The ceiling with its layer: ``that layer's whole MLP``, ``all heads in that layer``."""
    return f"{layer}'s {ceiling}" if ceiling.startswith("whole") else f"{ceiling} in {layer}"


_DONE = {
    "zero": "Zeroing {}",
    "mean": "Setting {} to their mean",
    "median": "Setting {} to their median",
    "gaussian": "Replacing {} by noise",
}


def _largest_cost(rows: pd.DataFrame, most: pd.Series) -> str:
    """Where the lesion costs most, if its largest effect is to help."""
    if most["median"] > 0:
        return ""
    best = rows.iloc[int(rows["median"].argmax())]
    if best["median"] <= 0:
        return " In no layer does it cost the median prompt."
    return f" The largest cost is {_signed(best['median'])}, in layer {int(best['layer'])}."


def largest_layer(profile: LaminarProfile) -> int:
    """The layer in which any mask moves the targets most, by the mean over prompts of the drop's size."""
    size = profile.logit_drop.abs().mean(dim=(2, 3)).amax(dim=0)
    return profile.layers[int(size.argmax())]


def _at(table: pd.DataFrame, mask: str, layer: int, target: int) -> pd.Series:
    return table[(table["mask"] == mask) & (table["layer"] == layer) & (table["target"] == target)].iloc[0]


def _signed(value: float) -> str:
    if abs(value) < 5e-5:
        return "0"
    return (f"{value:+.2f}" if abs(value) >= 0.1 else f"{value:+.2g}").replace("-", "−")
