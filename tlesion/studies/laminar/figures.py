"""Figures of a laminar profile: what the lesion of each layer costs, mask by mask."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tlesion.drawing.bands import add_spread
from tlesion.drawing.style import NEUTRAL, Figure, TemplateLike, finish
from tlesion.drawing.targets import chosen_masks, target_colours, target_words
from tlesion.studies.common.effects import spread_of_change
from tlesion.studies.laminar.study import LaminarProfile

_WHOLE = 1
"""The second of the profile's `references`."""


def laminar_profile(
    profile: LaminarProfile,
    *,
    masks: Sequence[str] | None = None,
    show_prompts: bool = True,
    show_whole: bool = True,
    template: TemplateLike = None,
) -> Figure:
    """Logit drop of every target per lesioned layer, each mask in its own panel, all on the same y axis.

    Drawn are, for each target: the median over prompts (line), their middle half (band, 25 to 75 %), every prompt
    (faint points), and the median when all units of the layer are ablated (dashes: the whole MLP, or all heads), the
    most that a mask of the layer could be expected to cost.

    Args:
        profile: The profile.
        masks: Which masks to show; None: all. The y axis spans all of them in any case, so that figures of single
            masks can stand side by side.
        show_prompts: Draw the faint points.
        show_whole: Draw the dashes.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Raises:
        ValueError: An unknown mask.

    Example:
        >>> import torch, tlesion
        >>> model = tlesion.load_model("toy-bert")
        >>> prompt = tlesion.Prompt("Robert thanked Lucy because she helped [MASK].", ("him", "her"), correct="him")
        >>> few = torch.arange(512).expand(12, 512) < 20
        >>> profile = tlesion.laminar_profile(model, {"few": few}, [prompt])
        >>> figure = tlesion.plots.laminar_profile(profile)
        >>> figure.layout.yaxis.title.text
        'logit drop (clean − lesioned)<br>positive: the lesion cost this token'
    """
    shown = chosen_masks(masks, profile.masks)
    figure = make_subplots(
        cols=len(shown),
        shared_yaxes=True,
        horizontal_spacing=0.04,
        subplot_titles=[f"{mask}-neurons lesioned" for mask in shown] if len(shown) > 1 else None,
    )
    drop, whole = profile.logit_drop.numpy(), profile.reference_logit_drop[_WHOLE].numpy()
    names = target_words(profile.targets)
    colours = target_colours(profile.masks, profile.targets)
    for col, mask in enumerate(shown, start=1):
        for j, name in enumerate(names):
            if show_whole:
                _add_whole(figure, profile, np.median(whole[..., j], axis=1), name, colours[name], col=col)
            add_spread(
                figure,
                profile.layers,
                drop[profile.masks.index(mask), :, :, j],
                name=name,
                colour=colours[name],
                prompts=profile.prompts if show_prompts else None,
                unit="logit drop",
                offset=0.3 * (j - (len(names) - 1) / 2),
                show_legend=col == 1,
                col=col,
                row=1,
            )
    _axes(figure, profile, values=[drop] if not show_whole else [drop, np.median(whole, axis=1)])
    figure.update_yaxes(title_text="logit drop (clean − lesioned)<br>positive: the lesion cost this token", col=1)
    what = f"{shown[0]}-neurons lesioned" if len(shown) == 1 else "Logit drop per lesioned layer"
    return finish(figure, template, title=what, height=440)


def global_change(profile: LaminarProfile, *, show_whole: bool = True, template: TemplateLike = None) -> Figure:
    """How far all logits move per lesioned layer: median over prompts, their middle half, one line per mask.

    A shift of all logits alike counts for nothing: ``profile.global_change`` is a standard deviation.

    Args:
        profile: The profile.
        show_whole: Draw the same for all units of the layer (dashes).
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Example:
        >>> import torch, tlesion
        >>> model = tlesion.load_model("toy-bert")
        >>> prompt = tlesion.Prompt("Robert thanked Lucy because she helped [MASK].", ("him", "her"), correct="him")
        >>> few = torch.arange(512).expand(12, 512) < 20
        >>> profile = tlesion.laminar_profile(model, {"few": few}, [prompt])
        >>> figure = tlesion.plots.global_change(profile)
        >>> figure.layout.yaxis.title.text
        'global change (logits)'
    """
    figure = Figure()
    colours = target_colours(profile.masks, profile.targets)
    if show_whole:
        whole = np.median(profile.reference_global_change[_WHOLE].numpy(), axis=1)
        figure.add_trace(_dashes(profile, whole, profile.references[_WHOLE], NEUTRAL, unit="global change"))
    for mask, values in zip(profile.masks, profile.global_change.numpy(), strict=True):
        add_spread(
            figure,
            profile.layers,
            values,
            name=f"{mask}-neurons",
            colour=colours[mask],
            prompts=None,
            unit="global change",
        )
    _layer_axis(figure, profile)
    figure.update_yaxes(title_text="global change (logits)", rangemode="tozero")
    measure = spread_of_change(profile.provenance)
    return finish(figure, template, title=f"Change of all logits per lesioned layer ({measure})")


def _add_whole(
    figure: Figure, profile: LaminarProfile, median: np.ndarray, name: str, colour: str, *, col: int
) -> None:
    trace = _dashes(
        profile, median, f"{name}, {profile.references[_WHOLE]}", colour, unit="logit drop", show_legend=col == 1
    )
    figure.add_trace(trace, row=1, col=col)


def _dashes(
    profile: LaminarProfile, median: np.ndarray, name: str, colour: str, *, unit: str, show_legend: bool = True
) -> go.Scatter:
    return go.Scatter(
        x=list(profile.layers),
        y=median,
        name=name,
        legendgroup=name,
        legendrank=1001,  # after the lines that it is the reference of
        showlegend=show_legend,
        mode="lines",
        line={"color": colour, "width": 1.5, "dash": "dash"},
        hovertemplate=f"<b>{name}</b>, layer %{{x}}<br>median {unit} %{{y:.3f}}<extra></extra>",
    )


def _axes(figure: Figure, profile: LaminarProfile, *, values: Sequence[np.ndarray]) -> None:
    low = min(0.0, *(float(part.min()) for part in values))
    high = max(0.0, *(float(part.max()) for part in values))
    margin = 0.05 * ((high - low) or 1.0)
    figure.update_yaxes(range=[low - margin, high + margin], zeroline=True)
    _layer_axis(figure, profile)


def _layer_axis(figure: Figure, profile: LaminarProfile) -> None:
    ends = [min(profile.layers) - 0.6, max(profile.layers) + 0.6]
    figure.update_xaxes(title_text="lesioned layer", dtick=_tick(profile), range=ends)


def _tick(profile: LaminarProfile) -> int:
    """At most about a dozen ticks."""
    return max(1, -(-len(profile.layers) // 12))
