"""Figure of a verdict: every lesion's effect with its interval, and the controls that it has to exceed behind it."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from tlesion.drawing.style import NEUTRAL, Figure, TemplateLike, finish, translucent
from tlesion.drawing.targets import chosen_masks, target_colours
from tlesion.studies.laminar.result import LaminarProfile
from tlesion.studies.verdict.result import (
    DAMAGE,
    INCONCLUSIVE,
    NEGLIGIBLE,
    NOT_CUT,
    OPPOSITE,
    SPECIFIC,
    Verdict,
)

SYMBOLS = {
    SPECIFIC: "star",
    OPPOSITE: "star-open",
    DAMAGE: "x",
    NEGLIGIBLE: "circle-open",
    INCONCLUSIVE: "diamond-open",
    NOT_CUT: "line-ew-open",
}
"""How each verdict is drawn."""


def verdict(
    verdict: Verdict, profile: LaminarProfile, *, mask: str | None = None, template: TemplateLike = None
) -> Figure:
    """What the lesions of one mask cost its own word, layer by layer, beside matched controls.

    Filled: the range of the controls' means, the band in which 95 of 100 lie, and their mean (dotted). Points: the
    effect, mean over prompts, with its interval; the symbol is the verdict. Dashes: the smallest effect of interest, on
    either side of zero.

    Args:
        verdict: The verdict.
        profile: The profile that it judges.
        mask: Which mask to show; None: the first.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Raises:
        ValueError: An unknown mask, or a verdict on another profile.

    Example:
        >>> import tlesion
        >>> planted = tlesion.toy.planted_model("causal", n_layers=2, d_mlp=32, layers=(1,), n_causal=4)
        >>> masks = {word: planted.truth.mask("causal", word) for word in ("him", "her")}
        >>> profile = tlesion.laminar_profile(planted.model, masks, planted.language.prompts(20, seed=1), n_controls=50)
        >>> tlesion.plots.verdict(tlesion.verdict(profile), profile).layout.xaxis.title.text
        'lesioned layer'
    """
    if verdict.provenance.settings["content"] != profile.content_hash:
        raise ValueError("the verdict is not on this profile; give the profile that tlesion.verdict was called with")
    (name,) = chosen_masks([mask or verdict.masks[0]], verdict.masks)
    row = verdict.masks.index(name)
    colour = target_colours(verdict.masks, profile.targets)[name]
    figure = Figure()
    settings = verdict.provenance.settings
    effects = profile.effect_of(name, measure=settings["measure"], prompts=settings["prompts"])
    controls = effects.controls.mean(dim=-1).numpy()
    _add_controls(figure, verdict.layers, controls)
    _add_effect(figure, verdict, row, colour)
    smallest = float(verdict.smallest_effect[row])
    if smallest < 2 * float(np.nanmax(np.abs([verdict.low[row].numpy(), verdict.high[row].numpy()]), initial=0.0)):
        line = {"color": NEUTRAL, "dash": "dash", "width": 1}
        figure.add_hline(y=-smallest, line=line)
        note = {"text": "smallest effect of interest", "font": {"size": 11, "color": NEUTRAL}}
        figure.add_hline(y=smallest, line=line, annotation=note)
    figure.update_xaxes(title_text="lesioned layer", dtick=max(1, -(-len(verdict.layers) // 12)))
    what = "margin drop" if settings["measure"] == "margin" else "logit drop"
    about = verdict.about[row]
    figure.update_yaxes(title_text=f"{what} of {about} (logits)<br>above 0: the lesion cost it, below: helped")
    return finish(figure, template, title=f"{name}-neurons lesioned, and random ones", height=460)


def _add_controls(figure: Figure, layers: Sequence[int], means: np.ndarray) -> None:
    """Range, central 95 % and mean of the controls."""
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    for bottom, top, alpha, name in (
        (means.min(axis=0), means.max(axis=0), 0.14, f"{len(means)} matched controls: range"),
        (low, high, 0.24, "95 of 100 controls"),
    ):
        band = {"x": list(layers), "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "legendgroup": name}
        figure.add_trace(go.Scatter(y=bottom, showlegend=False, **band))
        fill = {"fill": "tonexty", "fillcolor": translucent(NEUTRAL, alpha)}
        figure.add_trace(go.Scatter(y=top, name=name, **band, **fill))
    figure.add_trace(
        go.Scatter(
            x=list(layers),
            y=means.mean(axis=0),
            name="mean of the controls",
            mode="lines",
            line={"color": NEUTRAL, "width": 1.5, "dash": "dot"},
            customdata=np.stack([means.min(axis=0), means.max(axis=0)], axis=1),
            hovertemplate="<b>controls</b>, layer %{x}<br>mean %{y:.3f}, range %{customdata[0]:.3f} to "
            "%{customdata[1]:.3f}<extra></extra>",
        )
    )


def _add_effect(figure: Figure, verdict: Verdict, row: int, colour: str) -> None:
    """A line through the effects, and for each verdict its symbols with their intervals."""
    layers, effect = np.asarray(verdict.layers), verdict.effect[row].numpy()
    line = {"color": colour, "width": 1.5}
    figure.add_trace(go.Scatter(x=layers, y=effect, mode="lines", line=line, showlegend=False, hoverinfo="skip"))
    numbers = np.stack(
        [
            verdict.low[row].numpy(),
            verdict.high[row].numpy(),
            verdict.control_p_corrected[row].numpy(),
            verdict.p[row].numpy(),
            100 * verdict.opposite[row].numpy(),
            verdict.n_lesioned[row].numpy(),
        ],
        axis=1,
    )
    said = np.asarray(verdict.verdicts[row])
    for word, symbol in SYMBOLS.items():
        here = said == word
        if not here.any():
            continue
        figure.add_trace(
            go.Scatter(
                x=layers[here],
                y=effect[here],
                name=word,
                mode="markers",
                marker={
                    "symbol": symbol,
                    "size": 13 if word in (SPECIFIC, OPPOSITE) else 10,
                    "color": colour,
                    "line": {"width": 2},
                },
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": numbers[here, 1] - effect[here],
                    "arrayminus": effect[here] - numbers[here, 0],
                    "width": 4,
                    "thickness": 1.5,
                },
                customdata=numbers[here],
                hovertemplate=(
                    f"<b>{word}</b>, layer %{{x}} (%{{customdata[5]:.0f}} neurons)<br>effect %{{y:.3f}}, interval "
                    "%{customdata[0]:.3f} to %{customdata[1]:.3f}<br>p against controls %{customdata[2]:.3g}, over "
                    "prompts %{customdata[3]:.3g} (both corrected)<br>%{customdata[4]:.0f} % of the prompts go the "
                    "other way<extra></extra>"
                ),
            )
        )
