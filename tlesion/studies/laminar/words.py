"""The laminar report's sentences: every number in them is computed from the results."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tlesion.drawing.targets import target_words
from tlesion.selection import NeuronSelection
from tlesion.studies.evidence.activation_histogram import ActivationHistogram
from tlesion.studies.laminar.study import REFERENCES, LaminarProfile
from tlesion.studies.laminar.summary import clean_accuracy, summarise_profile

NEARLY_ALL = 0.5
"""From this share of a layer on, a mask is called nearly the whole layer."""


def summary(
    profile: LaminarProfile,
    selection: NeuronSelection | None = None,
    histogram: ActivationHistogram | None = None,
    verdict: Sequence[str] = (),
) -> list[str]:
    """What was found, in the order in which a reader asks; ``verdict``: the sentences on it."""
    said = [] if selection is None else [selected(selection)]
    said.append(clean(profile))
    table = summarise_profile(profile)
    said += [cost(profile, table, mask) for mask in profile.masks]
    if histogram is not None:
        said.append(silenced(histogram))
    if not verdict:
        return [*said, "No control lesions are shown here: what random neurons of the same number cost is left open."]
    return [*said, *verdict]


def selected(selection: NeuronSelection) -> str:
    """How many neurons tell the conditions apart, and where."""
    a, b = selection.conditions
    counts = {name: int(selection.mask(name).sum()) for name in (a, b)}
    total, n_all = sum(counts.values()), selection.t.numel()
    what = f"{total} of {n_all} neurons ({_percent(total / n_all)}) tell {a!r} from {b!r}"
    how = f"{selection.test} t-test, {selection.correction}, {selection.n_a} against {selection.n_b} sentences"
    text = f"{what} ({how}): {counts[a]} are larger for {a!r}, {counts[b]} for {b!r}."
    if not total:
        return f"No neuron tells {a!r} from {b!r} ({how}). The lesions below cut nothing."
    share = selection.density()["any"].to_numpy()
    low, high = selection.layers[int(share.argmin())], selection.layers[int(share.argmax())]
    text += f" The share is smallest in layer {low} ({_percent(share.min())}) and largest in layer {high} "
    text += f"({_percent(share.max())})."
    if (n_wide := int((share > NEARLY_ALL).sum())) > 0:
        where = "every layer" if n_wide == len(share) else f"{n_wide} of {len(share)} layers"
        text += f" In {where} that is more than half of the neurons: so wide a mask says little about {a!r} or {b!r}"
        text += " in particular."
    return text


def identical_pairs(selection: NeuronSelection) -> str:
    """In how many pairs nothing can differ; "" where there is no such pair."""
    if not selection.n_identical_pairs:
        return ""
    return (
        f"In {selection.n_identical_pairs} of {selection.n_a} pairs the model has read the same tokens up to the "
        "tested position: nothing can differ there, and they count as differences of zero. Pairs in which the context "
        "before it decides the word would tell more."
    )


def clean(profile: LaminarProfile) -> str:
    """Whether the unlesioned model can do what is measured."""
    accuracy = clean_accuracy(profile)
    n = len(profile.prompts)
    if np.isnan(accuracy):
        return f"Effects are measured on {n} prompt{'s' if n > 1 else ''}; none of them names a right target."
    known = sum(correct is not None for correct in profile.correct)
    return (
        f"Before any lesion the model's largest target logit is the right one in {round(accuracy * known)} of {known} "
        f"prompts ({_percent(accuracy)})."
    )


def cost(profile: LaminarProfile, table: pd.DataFrame, mask: str) -> str:
    """Where a mask's lesion moves its own target most, whether it costs or helps it, beside the other targets.

    Args:
        profile: The profile.
        table: Its `summarise_profile`.
        mask: The mask. Its own target is the one of the same name; without one, all targets are looked at.
    """
    names = target_words(profile.targets)
    own = [names.index(mask)] if mask in names else list(range(len(names)))
    rows = table[(table["mask"] == mask) & table["target"].isin(own)]
    subject = f"{_VERBS.get(profile.provenance.settings['ablation'], 'Ablating')} the {mask}-neurons of one layer"
    most = rows.iloc[int(rows["median"].abs().argmax())]
    if most["median"] == 0:
        what = " and ".join(repr(names[j]) for j in own)
        return f"{subject} leaves the logit of {what} as it was in the median prompt, whatever the layer."
    layer, target = int(most["layer"]), int(most["target"])
    verb = "costs" if most["median"] > 0 else "does not cost but helps"
    others = [
        f"{_signed(_at(table, mask, layer, j)['median'])} for {name!r}" for j, name in enumerate(names) if j != target
    ]
    whole = _at(table, REFERENCES[1], layer, target)["median"]
    text = f"{subject} {verb} {names[target]!r} most in layer {layer}: a median logit drop "
    text += f"of {_signed(most['median'])} (middle half of the prompts {_signed(most['q25'])} to "
    text += f"{_signed(most['q75'])}; {int(most['n_lesioned'])} neurons)"
    text += f", against {', '.join(others)} there" if others else ""
    text += f". Ablating that layer's whole MLP gives {_signed(whole)} for {names[target]!r}."
    return text + _largest_cost(rows, most)


_VERBS = {
    "zero": "Zeroing",
    "mean": "Setting to their mean",
    "median": "Setting to their median",
    "gaussian": "Replacing by noise",
}


def _largest_cost(rows: pd.DataFrame, most: pd.Series) -> str:
    """Where the lesion costs most, if it helps more elsewhere."""
    if most["median"] > 0:
        return ""
    best = rows.iloc[int(rows["median"].argmax())]
    if best["median"] <= 0:
        return " In no layer does it cost the median prompt."
    return f" The largest cost is {_signed(best['median'])}, in layer {int(best['layer'])}."


def silenced(histogram: ActivationHistogram) -> str:
    """How much of what the neurons receive the activation function silences."""
    shares = histogram.silenced.mean(dim=0).numpy()
    low, high = int(shares.argmin()), int(shares.argmax())
    text = f"{_percent(shares.mean())} of the values that reach the activation function are silenced (at most "
    text += f"{_percent(histogram.threshold)} of them is left)"
    if shares[low] < shares[high]:
        text += f": from {_percent(shares[low])} in layer {histogram.layers[low]} to {_percent(shares[high])} in layer "
        text += f"{histogram.layers[high]}"
    return f"{text}."


def largest_layer(profile: LaminarProfile) -> int:
    """The layer in which any mask moves the targets most, by the mean over prompts of the drop's size."""
    size = profile.logit_drop.abs().mean(dim=(2, 3)).amax(dim=0)
    return profile.layers[int(size.argmax())]


def _at(table: pd.DataFrame, mask: str, layer: int, target: int) -> pd.Series:
    return table[(table["mask"] == mask) & (table["layer"] == layer) & (table["target"] == target)].iloc[0]


def _percent(share: float) -> str:
    percent = 100 * float(share)
    return f"{percent:.0f} %" if percent in (0, 100) or percent >= 10 else f"{percent:.1f} %"


def _signed(value: float) -> str:
    if abs(value) < 5e-5:
        return "0"
    return (f"{value:+.2f}" if abs(value) >= 0.1 else f"{value:+.2g}").replace("-", "−")


def listed(words: Sequence[str]) -> str:
    """Words as a sentence lists them.

    Example:
        >>> listed(["him", "her", "it"])
        'him, her and it'
    """
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
