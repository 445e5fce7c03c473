"""Double dissociation of two neuron sets: each costs its own word, more than pairs of random sets do."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float64
from scipy import stats
from torch import Tensor

from tlesion.inference.control_maximum import control_maximum_p
from tlesion.inference.groups import group_index
from tlesion.studies.laminar.result import LaminarProfile
from tlesion.studies.verdict.result import SPECIFIC
from tlesion.studies.verdict.rules import OneMask

NAMES = ("dissociation", "dissociation_low", "dissociation_high", "dissociation_p")


def pair_of(profile: LaminarProfile) -> tuple[str, ...]:
    """Two masks that are about the two targets of some prompt, in the targets' order; nothing where there are none."""
    of_word: dict[str, str] = {}
    # Of several masks about one word the one of its name comes first, then the first that was given.
    for mask in sorted(profile.masks, key=lambda name: profile.about[name] != name):
        of_word.setdefault(profile.about[mask], mask)
    for words in profile.targets:
        pair = tuple(of_word[word] for word in words if word in of_word)
        if len(pair) == 2:
            return pair
    return ()


def dissociation_of(
    first: OneMask, second: OneMask, verdicts: Sequence[Sequence[str]], *, alpha: float, level: float
) -> dict[str, Tensor]:
    r"""What both masks cost their own word more than the other one, on the prompts that the verdict judges them on.

    .. math:: D_l = e_{a,l} + e_{b,l}

    with e as in the verdict: the drop of the word's margin where the word is right. p compares D with that of pairs of
    controls, of which each pair comes from one shuffle, corrected over layers. A double dissociation is claimed where
    that p is small *and* both masks are specific in the layer by themselves: a large sum can come from one mask alone.

    Args:
        first: One mask, on its word's prompts.
        second: The other.
        verdicts: The words on both, layer by layer.
        alpha: Level.
        level: Of the interval.

    Returns:
        The fields of `Verdict`, by name.
    """
    both = (first, second)
    total = sum((one.effects.values.mean(dim=-1) for one in both), torch.zeros(()))
    controls = sum((one.effects.controls.mean(dim=-1) for one in both), torch.zeros(()))
    active = first.active & second.active
    p = torch.full_like(total, torch.nan)
    if bool(active.any()) and len(controls):
        p[active] = control_maximum_p(total[active], controls[:, active])
    reach = _error_reach(both, level)
    said = torch.tensor([all(words[layer] == SPECIFIC for words in verdicts) for layer in range(len(total))])
    return {
        "dissociation": total.where(active, torch.nan),
        "dissociation_low": (total - reach).where(active, torch.nan),
        "dissociation_high": (total + reach).where(active, torch.nan),
        "dissociation_p": p,
        "dissociates": said & (p <= alpha),
    }


def no_dissociation(n_layers: int) -> dict[str, Tensor]:
    """The fields where no two masks are about two targets."""
    empty: dict[str, Tensor] = {name: torch.full((n_layers,), torch.nan, dtype=torch.float64) for name in NAMES}
    return empty | {"dissociates": torch.zeros(n_layers, dtype=torch.bool)}


def _error_reach(both: Sequence[OneMask], level: float) -> Float64[Tensor, " layer"]:
    """Half the width of the interval of D: a group that has prompts of both words counts once."""
    labels: list[Any] = [label for one in both for label in one.groups]
    n_layers = len(both[0].active)
    if any(one.n_groups < 2 for one in both):
        return torch.full((n_layers,), torch.nan, dtype=torch.float64)
    parts = [one.effects.values - one.effects.values.mean(dim=-1, keepdim=True) for one in both]
    away = torch.cat([part / part.shape[1] for part in parts], dim=1)
    index = group_index(labels, len(labels))
    n = int(index.max()) + 1
    totals = torch.zeros(n_layers, n, dtype=torch.float64).index_add_(1, index, away)
    error = (n / (n - 1) * totals.square().sum(dim=1)).sqrt()
    return float(stats.t.ppf((1 + level) / 2, n - 1)) * error
