"""Figures of sufficiency and minimality: shares of an effect by layer, above the effects that they are shares of."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch
from jaxtyping import Bool
from plotly.subplots import make_subplots
from torch import Tensor

from tlesion.drawing.axes import tick_step
from tlesion.drawing.style import NEUTRAL, Figure, TemplateLike, finish, translucent
from tlesion.drawing.targets import chosen_masks, target_colours
from tlesion.studies.common.point import neurons_of
from tlesion.studies.sufficiency.halves_result import Minimality
from tlesion.studies.sufficiency.result import Sufficiency

FURTHEST = 2.0
"""Shares are drawn from minus this much to one more than it: beyond, the effect that they are of is close to none."""


def sufficiency(result: Sufficiency, *, masks: Sequence[str] | None = None, template: TemplateLike = None) -> Figure:
    """The share of each layer's effect that a set keeps, beside what random sets of its size keep; a panel per set.

    Above: shares with their intervals over prompts; grey: mean and range of the random sets'. Layers in which the set
    has no neuron, or the whole layer no effect that is shown, have none. Below: what cutting the whole
    layer costs the set's word (dashes), and what cutting all but the set costs it (solid), means over prompts.

    Args:
        result: The result.
        masks: Which masks to show; None: all.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Raises:
        ValueError: An unknown mask.

    Example:
        >>> import tlesion
        >>> planted = tlesion.toy.planted_model("causal", n_layers=2, layers=(1,))
        >>> masks = {"both": planted.truth.mask("causal")}
        >>> found = tlesion.sufficiency(planted.model, masks, planted.language.prompts(8, seed=1), n_controls=3)
        >>> tlesion.plots.sufficiency(found).layout.yaxis.title.text
        'share of the layer’s effect<br>that the set keeps'
    """
    shown = chosen_masks(masks, result.masks)
    figure = _panels([f"{neurons_of(mask)} kept" for mask in shown])
    rest, whole = result.rest_effect.nanmean(dim=-1), result.whole_effect.nanmean(dim=-1)
    for col, mask in enumerate(shown, start=1):
        row, label = result.masks.index(mask), neurons_of(mask)
        if result.n_controls:
            _add_controls(figure, result, row, col=col)
        _add_shares(figure, result, row, what="kept", col=col)
        _add_effect(figure, result, row, rest[row], dash="solid", what=f"all but {label} cut", col=col)
        _add_effect(figure, result, row, whole[row], dash="dash", what=f"{result.whole} cut", col=col)
    _axes(figure, result, [rest, whole], guides=(0.0, 1.0), above="share of the layer’s effect<br>that the set keeps")
    figure.update_yaxes(title_text=f"effect on the set’s word<br>dashed: {result.whole} cut", row=2, col=1)
    return _finished(figure, template, "What sets of neurons keep when the rest of their layer is cut")


def minimality(result: Minimality, *, masks: Sequence[str] | None = None, template: TemplateLike = None) -> Figure:
    """The share of a set's effect that random halves of it have, per layer; a panel per set.

    Above: the mean share of the halves with its interval over prompts, and every single half (faint points). Layers in
    which the set has no half, or no effect that is shown, have none. Below: the effect of the set (solid) and the mean
    effect of its halves (dashes), means over prompts.

    Args:
        result: The result.
        masks: Which masks to show; None: all.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Raises:
        ValueError: An unknown mask.

    Example:
        >>> import tlesion
        >>> planted = tlesion.toy.planted_model("causal", n_layers=2, layers=(1,))
        >>> masks = {"both": planted.truth.mask("causal")}
        >>> found = tlesion.minimality(planted.model, masks, planted.language.prompts(8, seed=1))
        >>> tlesion.plots.minimality(found).layout.yaxis.title.text
        'share of the set’s effect<br>that a random half has'
    """
    shown = chosen_masks(masks, result.masks)
    figure = _panels([f"halves of {neurons_of(mask)} cut" for mask in shown])
    effect, halves = result.effect.nanmean(dim=-1), result.half_effect.nanmean(dim=-1).mean(dim=1)
    for col, mask in enumerate(shown, start=1):
        row, label = result.masks.index(mask), neurons_of(mask)
        figure.add_trace(_single_halves(result, row), row=1, col=col)
        _add_shares(figure, result, row, what="a half, on average", col=col)
        _add_effect(figure, result, row, effect[row], dash="solid", what=f"{label} cut", col=col)
        _add_effect(figure, result, row, halves[row], dash="dash", what=f"half of {label} cut", col=col)
    _axes(
        figure, result, [effect, halves], guides=(0.5, 1.0), above="share of the set’s effect<br>that a random half has"
    )
    figure.update_yaxes(title_text="effect on the set’s word<br>dashed: half of the set cut", row=2, col=1)
    return _finished(figure, template, "What random halves of sets of neurons do")


def _panels(titles: Sequence[str]) -> Figure:
    return make_subplots(
        rows=2,
        cols=len(titles),
        shared_xaxes=True,
        shared_yaxes="rows",
        vertical_spacing=0.08,
        horizontal_spacing=0.04,
        row_heights=[0.6, 0.4],
        subplot_titles=titles,
    )


def _finished(figure: Figure, template: TemplateLike, title: str) -> Figure:
    finish(figure, template, title=title, height=660)
    return figure.update_layout(margin_t=84)  # titles of panels stand between the figure's title and the panels


def _add_shares(figure: Figure, result: Sufficiency | Minimality, row: int, *, what: str, col: int) -> None:
    """A mask's shares with their intervals, where they say something of it."""
    says, label = _says(result, row), neurons_of(result.masks[row])
    share, low, high = (np.where(says, values[row], np.nan) for values in (result.share, result.low, result.high))
    line = go.Scatter(
        x=list(result.layers),
        y=share,
        name=label,
        legendgroup=label,
        mode="lines+markers",
        line={"color": _colour(result, row), "width": 2.5},
        marker={"size": 6},
        error_y={"array": high - share, "arrayminus": share - low, "thickness": 1.5, "width": 4},
        customdata=np.stack([low, high], axis=1),
        hovertemplate=f"<b>{label}</b>, layer %{{x}}<br>{what} %{{y:.0%}}"
        "<br>interval %{customdata[0]:.0%} to %{customdata[1]:.0%}<extra></extra>",
    )
    figure.add_trace(line, row=1, col=col)


def _add_controls(figure: Figure, result: Sufficiency, row: int, *, col: int) -> None:
    """What the random sets keep: bars over their range, and their mean; layers without a share leave a gap."""
    shares = np.where(_says(result, row), result.control_share[row], np.nan)
    low, high, mean = shares.min(axis=0), shares.max(axis=0), shares.mean(axis=0)
    name = f"{len(shares)} random sets: mean and range"
    common: dict[str, Any] = {"x": list(result.layers), "legendgroup": name, "legendrank": 1001}
    bars = {"width": 0.6, "marker": {"color": translucent(NEUTRAL, 0.3), "line": {"width": 0}}, "hoverinfo": "skip"}
    figure.add_trace(go.Bar(y=high - low, base=low, name=name, showlegend=col == 1, **bars, **common), row=1, col=col)
    dashes = go.Scatter(
        y=mean,
        name=name,
        showlegend=False,
        mode="markers",
        marker={"symbol": "line-ew", "size": 12, "line": {"color": NEUTRAL, "width": 2.5}},
        customdata=np.stack([low, high], axis=1),
        hovertemplate="<b>random sets</b>, layer %{x}<br>kept %{y:.0%} on average"
        "<br>range %{customdata[0]:.0%} to %{customdata[1]:.0%}<extra></extra>",
        **common,
    )
    figure.add_trace(dashes, row=1, col=col)


def _says(result: Sufficiency | Minimality, row: int) -> Bool[np.ndarray, " layer"]:
    """The layers in which a share says something of the set."""
    return np.array([not reason for reason in result.reasons[row]])


def _add_effect(
    figure: Figure, result: Sufficiency | Minimality, row: int, values: Tensor, *, dash: str, what: str, col: int
) -> None:
    line = go.Scatter(
        x=list(result.layers),
        y=values.numpy(),
        name=what,
        legendgroup=neurons_of(result.masks[row]),
        showlegend=False,
        mode="lines",
        line={"color": _colour(result, row), "width": 2, "dash": dash},
        hovertemplate=f"<b>{what}</b>, layer %{{x}}<br>mean effect %{{y:.3f}} logits<extra></extra>",
    )
    figure.add_trace(line, row=2, col=col)


def _single_halves(result: Minimality, row: int) -> go.Scatter:
    label, shares = neurons_of(result.masks[row]), result.half_share[row].numpy()
    layers = np.tile(np.asarray(result.layers), len(shares))
    # Spread evenly by the half's number: the same picture every time, without a random state.
    jitter = np.repeat(0.3 * (np.arange(len(shares)) * 0.618034 % 1 - 0.5), len(result.layers))
    return go.Scatter(
        x=np.round(layers + jitter, 3),
        y=shares.ravel(),
        mode="markers",
        marker={"size": 4, "color": _colour(result, row), "opacity": 0.35, "line": {"width": 0}},
        legendgroup=label,
        showlegend=False,
        customdata=layers,
        hovertemplate=f"<b>one half of {label}</b>, layer %{{customdata}}<br>share %{{y:.0%}}<extra></extra>",
    )


def _colour(result: Sufficiency | Minimality, row: int) -> str:
    return target_colours(result.masks, result.targets)[result.masks[row]]


def _axes(
    figure: Figure,
    result: Sufficiency | Minimality,
    effects: Sequence[Tensor],
    *,
    guides: Sequence[float],
    above: str,
) -> None:
    """Both rows' axes; shares far out are cut off."""
    ends = [min(result.layers) - 0.6, max(result.layers) + 0.6]
    figure.update_xaxes(dtick=tick_step(len(result.layers)), range=ends)
    figure.update_xaxes(title_text="layer", row=2)
    points = [result.half_share] if isinstance(result, Minimality) else []
    low, high = _span([result.low, result.high, *points, torch.tensor([0.0, *guides])])
    span = [max(low, -FURTHEST) - 0.08, min(high, 1 + FURTHEST) + 0.08]
    figure.update_yaxes(tickformat=".0%", range=span, row=1)
    figure.update_yaxes(title_text=above, row=1, col=1)
    low, high = _span([*effects, torch.zeros(1)])
    margin = 0.08 * ((high - low) or 1.0)
    figure.update_yaxes(range=[low - margin, high + margin], zeroline=True, row=2)
    figure.update_yaxes(title_standoff=12)
    for guide in guides:
        figure.add_hline(guide, line={"color": NEUTRAL, "width": 1, "dash": "dash"}, row=1, col="all")


def _span(values: Sequence[Tensor]) -> tuple[float, float]:
    """The smallest and the largest of some values, NaN and infinite ones left out."""
    known = torch.cat([value.double().flatten() for value in values])
    known = known[known.isfinite()]
    return float(known.min()), float(known.max())
