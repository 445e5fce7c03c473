"""Is a selection stable? The same test again, on other sentences with the same words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float64, Int
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from tlesion.correlation import CoMoments, fisher_interval, spearman
from tlesion.hooks import Model
from tlesion.keep.results import Result
from tlesion.positions import position_of_record
from tlesion.provenance import provenance_of, require_same_model
from tlesion.public import public
from tlesion.selection import NeuronSelection, select_neurons
from tlesion.stats import jaccard, jaccard_by_chance
from tlesion.stats.noncentral import noncentral_p
from tlesion.stimuli import Contrast


@dataclass(frozen=True, eq=False, kw_only=True)
class SelectionStability(Result):
    """A selection and its repetition on other sentences, layer by layer.

    Attributes:
        t_first, t_second: The statistic in both; NaN for dead neurons.
        mask_first, mask_second: The selected neurons, of either sign.
        jaccard: Overlap of the masks; NaN where both are empty.
        jaccard_by_chance: What two random masks of the same sizes would overlap.
        correlation, correlation_low, correlation_high: Pearson's r of t over neurons. Neurons are not independent of
            each other: the interval (Fisher's) is descriptive.
        spearman: Spearman's r of t.
        replicated: Share of the neurons selected first that are selected again, with the same sign.
        predicted: What power predicts for that share, if the true effects were those that the first study saw.
        predicted_shrunken: The same after the effects have been shrunk towards zero by what selecting the largest
            adds to them.
        n_selected: Neurons selected first.
        n_first, n_second: Sentences of each condition, or pairs.
        conditions: Names of a and b.
        layers: The model's layer of every row.
        test, correction, alpha: How both were tested.
        hook_point: Short form of the hook point.
        shared_stimuli: Share of the second set's sentences that are in the first as well.
    """

    t_first: Float64[Tensor, "layer neuron"]
    t_second: Float64[Tensor, "layer neuron"]
    mask_first: Bool[Tensor, "layer neuron"]
    mask_second: Bool[Tensor, "layer neuron"]
    jaccard: Float64[Tensor, " layer"]
    jaccard_by_chance: Float64[Tensor, " layer"]
    correlation: Float64[Tensor, " layer"]
    correlation_low: Float64[Tensor, " layer"]
    correlation_high: Float64[Tensor, " layer"]
    spearman: Float64[Tensor, " layer"]
    replicated: Float64[Tensor, " layer"]
    predicted: Float64[Tensor, " layer"]
    predicted_shrunken: Float64[Tensor, " layer"]
    n_selected: Int[Tensor, " layer"]
    n_first: int
    n_second: int
    conditions: tuple[str, str]
    layers: tuple[int, ...]
    test: str
    correction: str
    alpha: float
    hook_point: str
    shared_stimuli: float

    def to_frame(self) -> pd.DataFrame:
        """Tidy: a row per layer.

        Columns: layer, n_selected, jaccard, jaccard_by_chance, correlation, correlation_low, correlation_high,
        spearman, replicated, predicted, predicted_shrunken.
        """
        frame = pd.DataFrame({"layer": self.layers, "n_selected": self.n_selected.numpy()})
        for name in ("jaccard", "jaccard_by_chance", "correlation", "correlation_low", "correlation_high"):
            frame[name] = getattr(self, name).numpy()
        for name in ("spearman", "replicated", "predicted", "predicted_shrunken"):
            frame[name] = getattr(self, name).numpy()
        return frame


@public
def selection_stability(
    model: Model, selection: NeuronSelection, contrast: Contrast, *, batch_size: int = 32
) -> SelectionStability:
    r"""Repeat a selection on a second contrast and say how much of it holds.

    The second selection has the settings of the first: hook point, position, test, correction, alpha. A neuron that
    had t_i first is found again with probability

    .. math:: P(|T_{\nu, \lambda_i}| \ge c), \qquad \lambda_i = |t_i| \sqrt{m_2 / m_1}

    with m = n for pairs and n_a n_b / (n_a + n_b) for two samples, and c the smallest |t| that was selected the
    second time (where none was, the critical value at alpha by the number of tests). ``predicted`` is the mean of it
    over the neurons selected first. They were selected for large effects, which are too large on average (the
    winner's curse); ``predicted_shrunken`` uses the effects that make the observed t as likely as possible *given that
    it passed* the first threshold.

    Args:
        model: The model that the selection is from.
        selection: Made by :func:`tlesion.select_neurons`.
        contrast: The same words in other sentences.
        batch_size: Sentences in a forward pass.

    Returns:
        Both selections side by side: overlap, correlation of t, what is found again and what power predicts of it.

    Raises:
        ValueError: The selection is of another model, was not made by `select_neurons`, or has other conditions.

    Source:
        Zhong & Prentice (2008), Biostatistics 9:621-634, for effects given selection (here with a normal likelihood).

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-bert")
        >>> contrast = tlesion.contrasts.him_her()
        >>> half, other = contrast.subset(range(0, 54, 2)), contrast.subset(range(1, 54, 2))
        >>> first = tlesion.select_neurons(model, half, test="paired")
        >>> tlesion.selection_stability(model, first, other).replicated.shape
        torch.Size([12])
    """
    settings = _settings(model, selection, contrast)
    second = select_neurons(model, contrast, layers=list(selection.layers), batch_size=batch_size, **settings)
    a, b = selection.mask("any"), second.mask("any")
    again = a & b & (selection.t.sign() == second.t.sign())
    n_selected = a.sum(dim=1)
    r = [_correlation(one, other) for one, other in zip(selection.t, second.t, strict=True)]
    power = [_predicted(selection, second, row) for row in range(len(selection.layers))]
    pairs = list(zip(a, b, strict=True))
    earlier = set(selection.provenance.stimuli)
    return SelectionStability(
        t_first=selection.t,
        t_second=second.t,
        mask_first=a,
        mask_second=b,
        jaccard=_double([jaccard(one, other) for one, other in pairs]),
        jaccard_by_chance=_double([jaccard_by_chance(one, other) for one, other in pairs]),
        correlation=_double([one[0] for one in r]),
        correlation_low=_double([one[1] for one in r]),
        correlation_high=_double([one[2] for one in r]),
        spearman=_double([one[3] for one in r]),
        replicated=again.sum(dim=1).double() / n_selected.double().where(n_selected > 0, torch.nan),
        predicted=_double([one[0] for one in power]),
        predicted_shrunken=_double([one[1] for one in power]),
        n_selected=n_selected,
        n_first=selection.n_a,
        n_second=second.n_a,
        conditions=selection.conditions,
        layers=selection.layers,
        test=selection.test,
        correction=selection.correction,
        alpha=selection.alpha,
        hook_point=selection.hook_point,
        shared_stimuli=float(np.mean([stimulus in earlier for stimulus in contrast.stimuli])),
        provenance=provenance_of(
            model, settings=settings | {"first": selection.content_hash}, stimuli=contrast.stimuli
        ),
    )


def _settings(model: Model, selection: NeuronSelection, contrast: Contrast) -> dict[str, Any]:
    """The options with which the selection was made, for `select_neurons`."""
    made: Mapping[str, Any] = selection.provenance.settings
    if "position" not in made:
        raise ValueError(
            "the selection was not made by select_neurons (its record lacks the position), so that it cannot be "
            "repeated; make it from sentences with tlesion.select_neurons"
        )
    require_same_model(selection, model)
    if selection.conditions != contrast.conditions:
        raise ValueError(
            f"the selection is of {selection.conditions} and the contrast of {contrast.conditions}; give a contrast "
            "with the same conditions in the same order"
        )
    names = ("hook_point", "test", "correction", "family", "alpha", "min_effect", "top_k", "prepend_bos")
    groups = "none" if made.get("groups") == "none" else "detect"  # Labels that were given are of other sentences.
    same = {name: made[name] for name in (*names, "n_permutations", "seed")}
    return same | {"position": position_of_record(made), "groups": groups}


def _correlation(first: Float64[Tensor, " neuron"], second: Float64[Tensor, " neuron"]) -> tuple[float, ...]:
    alive = first.isfinite() & second.isfinite()
    if int(alive.sum()) < 2:
        return (float("nan"),) * 4
    x, y = first[alive], second[alive]
    r = CoMoments.of(x, y).r
    low, high = fisher_interval(r, len(x))
    return float(r), float(low), float(high), float(spearman(x, y))


def _predicted(first: NeuronSelection, second: NeuronSelection, row: int) -> tuple[float, ...]:
    """The mean probability of being found again, with the effects as seen and with shrunken ones."""
    mask = first.mask("any")[row]
    if not bool(mask.any()):
        return float("nan"), float("nan")
    t = first.t[row, mask].abs().numpy()
    size = t * (_weight(second) / _weight(first)) ** 0.5
    critical, dof = np.full_like(t, _critical(second, row)), second.dof[row, mask].numpy()
    shrunken = _given_selection(t, _critical(first, row)) * size / t
    return tuple(float(np.nanmean(noncentral_p(critical, dof, one))) for one in (size, shrunken))


def _critical(selection: NeuronSelection, row: int) -> float:
    """The smallest |t| that was selected in a layer; where none was, the critical value at alpha / tests."""
    mask, alive = selection.mask("any")[row], ~selection.dead[row]
    if bool(mask.any()):
        return float(selection.t[row, mask].abs().min())
    level = selection.alpha / max(1, int(alive.sum()))
    return float(stats.t.isf(level / 2, float(selection.dof[row, alive].min()))) if bool(alive.any()) else float("inf")


def _weight(selection: NeuronSelection) -> float:
    """Squared noncentrality per squared effect."""
    if selection.is_paired:
        return float(selection.n_rows[0])
    n_a, n_b = selection.n_rows
    return n_a * n_b / (n_a + n_b)


def _given_selection(t: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    """The noncentrality that maximises the normal likelihood of t, given that |t| passed a threshold."""
    grid = np.linspace(0, 1, 401)[:, None] * t
    passed = stats.norm.sf(threshold - grid) + stats.norm.cdf(-threshold - grid)
    likeliest = np.argmax(stats.norm.logpdf(t - grid) - np.log(passed), axis=0)
    found: NDArray[np.float64] = np.take_along_axis(grid, likeliest[None], axis=0)[0]
    return found


def _double(values: list[float]) -> Float64[Tensor, " layer"]:
    return torch.tensor(values, dtype=torch.float64)
