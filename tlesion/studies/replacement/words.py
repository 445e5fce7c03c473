"""The replacement report's sentences: every number in them is computed from the result."""

import numpy as np
import pandas as pd

from tlesion.paper.prose import listed, true_minus
from tlesion.studies.replacement.recovery import RECOVERED
from tlesion.studies.replacement.result import Replacement

FAR = 3.0
"""Values this many standard deviations away are called far out of distribution."""


def summary(result: Replacement) -> list[str]:
    """What was found, in the order in which a reader asks."""
    return [strongest(result), *spread(result), undone(result), how(result), distribution(result)]


def strongest(result: Replacement) -> str:
    """The variants that change the prediction most, and least."""
    kl = result.kl.mean(dim=1)
    most, least = int(kl.argmax()), int(kl.argmin())
    first = f"{_named(result, most)} changes the prediction most: KL {_small(float(kl[most]))} nats on average over "
    first += f"{len(result.prompts)} prompts, and {result.top_kept[most].mean():.0%} of the "
    first += f"{result.prediction.clean_top.shape[1]} likeliest tokens stay among them."
    if len(result.variants) == 1:
        return first
    least_change = f"{_named(result, least)} changes it least (KL {_small(float(kl[least]))})."
    return f"Of {len(result.variants)} lesions, {first} {least_change}"


def spread(result: Replacement) -> list[str]:
    """The standard deviation of the hidden state by the clean one, at the lesioned block and at the end."""
    last = result.n_layers - 1
    ratio = (result.hidden.std / result.hidden.clean_std).quantile(0.5, dim=2)
    said = []
    for name, indices in result.families().items():
        early = [index for index in indices if result.starts[index] < last]
        if early:
            begin = float(ratio[early, [result.starts[index] for index in early]].quantile(0.5))
            end = float(ratio[early, last].quantile(0.5))
            said.append(
                f"{name}: the standard deviation of the hidden state is {begin:.2f} times the clean one after the "
                f"lesioned block and {end:.2f} times after the last (medians over prompts and {len(early)} lesions)."
            )
    return said


def undone(result: Replacement) -> str:
    """How much of the deviation is left after the last block."""
    last = last_rows(result)
    if not len(last):
        return "Every lesion is in the last block: nothing comes after it that could undo anything."
    parts = [f"{last[name].median():+.2f} {what}" for name, what in _INDICES.items() if last[name].notna().any()]
    n_none = int(last["normed"].isna().sum())
    text = (
        f"After the last block the recovery index is, in the median of {len(last)} lesions before it, "
        f"{listed(parts)} (0: nothing undone, 1: all, below 0: grown)."
    )
    if n_none:
        text += (
            f" For {n_none} of them the norm alone removes the deviation at once, and none is left to recover after it."
        )
    return true_minus(text)


def how(result: Replacement) -> str:
    """Compensation, or only rescaling?"""
    last = last_rows(result)
    if not len(last):
        return ""
    counts = last["verdict"].value_counts()
    said = {
        "compensation": "later layers compensate (they write against the deviation)",
        "rescaling": "it is only rescaled (by growth of the state, or by a norm)",
        "none": f"nothing is undone (less than {RECOVERED:.0%})",
        "no deviation": "there is no deviation",
    }
    parts = [f"in {counts[name]} {text}" for name, text in said.items() if counts.get(name)]
    return f"Of these {len(last)} lesions, by the end: {listed(parts)}."


def distribution(result: Replacement) -> str:
    """How far out of distribution the values are."""
    z, outside = result.outlying.z_of_mean.numpy(), result.outlying.outside_unit.numpy()
    if not np.isfinite(z).any():
        return "No lesion changes any value."
    far = int((np.abs(z) > FAR).sum())
    low, high = (f"{round(float(bound), 1) + 0.0:.1f}".replace("-", "−") for bound in (np.nanmin(z), np.nanmax(z)))
    text = (
        f"The mean of the values put in lies {low} to {high} standard deviations from the mean of their layer's clean "
        f"distribution; {np.nanmin(outside):.0%} to {np.nanmax(outside):.0%} of them lie outside the range that their "
        "own unit has in the clean runs."
    )
    if far:
        text += (
            f" {far} of {len(z)} lesions are more than {FAR:g} standard deviations out: what they show is damage by "
            "unnatural values as much as the loss of what was replaced."
        )
    return text


def last_rows(result: Replacement) -> pd.DataFrame:
    """The recovery after the last block, of the lesions that begin before it."""
    frame = result.recovery()
    return frame[(frame["layer"] == result.n_layers - 1) & (frame["start"] < frame["layer"])]


_INDICES = {"absolute": "in size", "relative": "relative to the clean state", "normed": "after the final norm"}


def _small(value: float) -> str:
    """A divergence; below float32's rounding it says nothing more."""
    return f"{value:.3g}" if value >= 1e-9 else "below 1e-9"


def _named(result: Replacement, variant: int) -> str:
    return f"“{result.variants[variant]}”"
