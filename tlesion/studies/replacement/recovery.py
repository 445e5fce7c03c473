"""Is a deviation undone later, and by what: by layers that write against it, or by the norm that rescales it?"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64
from torch import Tensor

from tlesion.measures import recovery_index

RECOVERED = 0.1
"""A deviation that shrinks by less than this share counts as not undone."""

UNDEFINED = 0.01
"""Where the norm alone leaves less than this share of the relative deviation, none is left after it to recover."""

VERDICTS = ("compensation", "rescaling", "none", "no deviation")


def recovery_frame(
    drift: Float64[Tensor, "variant layer"],
    relative: Float64[Tensor, "variant layer"],
    normed: Float64[Tensor, "variant layer"],
    starts: Sequence[int],
    labels: Sequence[str],
    *,
    post_norm: bool,
) -> pd.DataFrame:
    r"""How much of each lesion's deviation every later layer has undone, in three sizes, and what undid it.

    With h the clean hidden state after block l, h' the lesioned one, F the final norm, and s the lesioned block:

    .. math:: D_l = \lVert h'_l - h_l \rVert, \quad
        E_l = \frac{D_l}{\lVert h_l \rVert}, \quad
        N_l = \frac{\lVert F(h'_l) - F(h_l) \rVert}{\lVert F(h_l) \rVert}

    the recovery index of each is 1 − its value at l by its value at s. They differ in what they count as undoing. A
    later layer that writes the opposite of the deviation makes D smaller. A state that grows around the deviation
    leaves D as it is and makes E and N smaller. A deviation in size only (a factor) is gone after the norm.

    So where the blocks add to the hidden state and nothing divides it (pre-norm models), ``compensation`` means: D has
    shrunk by a tenth at least. In a post-norm model (BERT) every block's norm sets the size anew; only what changes the
    direction can be compensated, and ``compensation`` means: N has shrunk by a tenth at least. Otherwise, where any of
    the three has, the verdict is ``rescaling``: the norm or growth has made a deviation smaller that is still there;
    and ``none`` where nothing has.

    Args:
        drift, relative, normed: D, E and N, means over tokens and prompts.
        starts: s for every variant.
        labels: What variants are called.
        post_norm: Whether every block ends in a norm.

    Returns:
        A row per variant and layer from s on. Columns: variant, layer, start, absolute, relative, normed (recovery
        indices; the last is NaN where the norm alone removes the deviation at s), removed_by_norm (1 − N_l / E_l: what
        the norm takes away at that very layer), verdict (empty at s itself).
    """
    rows = []
    for index, (start, label) in enumerate(zip(starts, labels, strict=True)):
        absolute, scaled = recovery_index(drift[index], start), recovery_index(relative[index], start)
        after_norm = recovery_index(normed[index], start)
        if bool(normed[index, start] < UNDEFINED * relative[index, start]):
            after_norm = torch.full_like(after_norm, torch.nan)
        for layer in range(start, drift.shape[1]):
            three = (float(absolute[layer]), float(scaled[layer]), float(after_norm[layer]))
            removed = 1 - float(normed[index, layer] / relative[index, layer]) if relative[index, layer] > 0 else np.nan
            verdict = "" if layer == start else verdict_of(*three, post_norm=post_norm)
            rows.append((label, layer, start, *three, removed, verdict))
    columns = ["variant", "layer", "start", "absolute", "relative", "normed", "removed_by_norm", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def verdict_of(absolute: float, relative: float, normed: float, *, post_norm: bool) -> str:
    """One of `VERDICTS` for three recovery indices; the rule stands in :func:`recovery_frame`.

    Example:
        >>> verdict_of(0.4, 0.6, 0.5, post_norm=False), verdict_of(0.0, 0.3, 0.2, post_norm=False)
        ('compensation', 'rescaling')
        >>> verdict_of(0.9, 0.9, float("nan"), post_norm=True)
        'rescaling'
    """
    if np.isnan(absolute):
        return "no deviation"
    if (normed if post_norm else absolute) >= RECOVERED:
        return "compensation"
    return "rescaling" if any(index >= RECOVERED for index in (absolute, relative, normed)) else "none"
