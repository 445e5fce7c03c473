"""Figures of a replacement study: hidden states by layer, recovery, the prediction, and a map of heads."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tlesion.checks import one_of
from tlesion.drawing.axes import colour_bar, name_layers, sequential, tick_step
from tlesion.drawing.bands import add_spread
from tlesion.drawing.style import MORE, NEUTRAL, A, B, Figure, TemplateLike, finish
from tlesion.studies.replacement.result import Replacement

SIZES = {
    "std": "standard deviation of the hidden state",
    "std_token": "standard deviation of the hidden state,<br>mean over tokens",
    "norm": "norm of the hidden state",
    "cosine": "cosine to the clean hidden state",
    "drift": "drift: norm of (lesioned − clean)",
    "drift_relative": "drift by the clean norm",
    "drift_normed": "drift after the final norm",
}
MAX_LINES = 36
"""If there are more variants than this, those that change the prediction most are drawn."""

INDICES = {"absolute": "in size", "relative": "relative to the clean state", "normed": "after the final norm"}


def hidden_by_layer(
    result: Replacement,
    *,
    size: str = "std",
    variants: Sequence[int] | None = None,
    template: TemplateLike = None,
) -> Figure:
    """A size of the hidden state after each block, clean against every variant; medians over prompts.

    A variant is drawn from its lesioned block on. The axis is logarithmic where values span more than a decade.

    Args:
        result: The result.
        size: One of ``std``, ``std_token``, ``norm``, ``cosine``, ``drift``, ``drift_relative``, ``drift_normed``.
        variants: Indices of variants; None: all, or of very many those that change the prediction most.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Raises:
        ValueError: An unknown size.

    Example:
        >>> import tlesion
        >>> model, prompts = tlesion.load_model("toy-bert"), tlesion.prompts.him_her()[:1]
        >>> result = tlesion.replacement(model, prompts, tlesion.scale_variants(model, layers=[4, 8]))
        >>> tlesion.plots.hidden_by_layer(result).layout.xaxis.title.text
        'layer'
    """
    one_of("size", size, SIZES)
    values = np.median(getattr(result.hidden, size).numpy(), axis=2)
    figure = Figure()
    chosen = _chosen(result, variants)
    _add_variants(figure, result, values, chosen, unit=SIZES[size].replace("<br>", " "))
    drawn = [values[index, result.starts[index] :] for index in chosen]
    if size in ("std", "std_token", "norm"):
        clean = np.median(getattr(result.hidden, f"clean_{size}").numpy(), axis=1)
        figure.add_trace(_clean_line(clean))
        drawn.append(clean)
    positive = np.concatenate([part[part > 0] for part in drawn]) if drawn else np.ones(1)
    decades = len(positive) > 0 and positive.max() / positive.min() > 10 and size != "cosine"
    figure.update_yaxes(title_text=SIZES[size], type="log" if decades else "linear", dtick=1 if decades else None)
    name_layers(figure, result.n_layers)
    what = SIZES[size].split(",")[0].split(":")[0].capitalize()
    return finish(figure, template, title=f"{what} by layer", height=460)


def recovery(result: Replacement, *, variants: Sequence[int] | None = None, template: TemplateLike = None) -> Figure:
    """Recovery index by layer in its three sizes: 0 nothing of the deviation is undone, 1 all of it, below 0 it grows.

    Args:
        result: The result.
        variants: As in :func:`hidden_by_layer`.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Example:
        >>> import tlesion
        >>> model, prompts = tlesion.load_model("toy-bert"), tlesion.prompts.him_her()[:1]
        >>> result = tlesion.replacement(model, prompts, tlesion.scale_variants(model, layers=[4, 8]))
        >>> tlesion.plots.recovery(result).layout.xaxis.title.text
        'layer'
    """
    figure = make_subplots(cols=3, shared_yaxes=True, horizontal_spacing=0.03, subplot_titles=list(INDICES.values()))
    frame = result.recovery()
    chosen = _chosen(result, variants)
    for col, name in enumerate(INDICES, start=1):
        values = np.full((len(result.variants), result.n_layers), np.nan)
        for index, label in enumerate(result.variants):
            rows = frame[frame["variant"] == label]
            values[index, rows["layer"]] = rows[name]
        _add_variants(figure, result, values, chosen, unit="recovery", show_legend=col == 1, row=1, col=col)
    figure.update_yaxes(range=[-1.05, 1.05], zeroline=True)
    figure.update_yaxes(title_text="recovery index<br>0: nothing undone, 1: all", col=1)
    figure.update_xaxes(title_text="layer", dtick=2 * tick_step(result.n_layers))
    figure.update_layout(legend={"y": 1.12})
    return finish(figure, template, title="How much of the deviation is undone later", height=460)


def prediction_change(result: Replacement, *, template: TemplateLike = None) -> Figure:
    """Divergence of the prediction from the clean one, by lesioned layer, over prompts; a line per kind of lesion.

    Args:
        result: The result.
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Example:
        >>> import tlesion
        >>> model, prompts = tlesion.load_model("toy-bert"), tlesion.prompts.him_her()[:1]
        >>> result = tlesion.replacement(model, prompts, tlesion.scale_variants(model, layers=[4, 8]))
        >>> tlesion.plots.prediction_change(result).layout.xaxis.title.text
        'lesioned layer'
    """
    figure = Figure()
    for name, (indices, colour) in _families(result, range(len(result.variants))).items():
        layers = [result.starts[index] for index in indices]
        if len(set(layers)) == len(layers):
            kl = result.kl[indices].numpy()
            add_spread(figure, layers, kl, name=name, colour=colour, prompts=result.prompts, unit="KL")
    name_layers(figure, result.n_layers, title="lesioned layer")
    figure.update_yaxes(title_text="KL divergence from the clean prediction (nats)", rangemode="tozero")
    return finish(figure, template, title="How the prediction changes", height=440)


def head_map(result: Replacement, *, value: str = "kl", template: TemplateLike = None) -> Figure:
    """A heat map of layers and heads: what each head's lesion does to the prediction, mean over prompts.

    Args:
        result: A result of ``head_variants`` with every head by itself.
        value: ``"kl"`` (nats) or ``"global_change"`` (logits).
        template: See :mod:`tlesion.plots`.

    Returns:
        A plotly figure; nothing is shown or written.

    Raises:
        ValueError: An unknown value, or a result without single heads.

    Example:
        >>> import tlesion
        >>> model, prompts = tlesion.load_model("toy-bert"), tlesion.prompts.him_her()[:1]
        >>> result = tlesion.replacement(model, prompts, tlesion.head_variants(model, layers=[4, 8]))
        >>> tlesion.plots.head_map(result).layout.title.text
        "What each head's keys are worth"
    """
    one_of("value", value, ("kl", "global_change"))
    places = {
        (int(made["layer"]), int(made["head"])): index
        for index, made in enumerate(result.settings)
        if str(made.get("kind", "")).endswith("head") and str(made["head"]).isdigit()
    }
    if not places:
        raise ValueError("this result has no lesions of single heads; make it with tlesion.head_variants(model)")
    layers, heads = sorted({layer for layer, _ in places}), sorted({head for _, head in places})
    mean = getattr(result, value).mean(dim=1).numpy()
    grid = [[mean[places[layer, head]] if (layer, head) in places else np.nan for layer in layers] for head in heads]
    unit = {"kl": "KL (nats)", "global_change": "global change (logits)"}[value]
    kind = str(result.settings[next(iter(places.values()))]["kind"]).removesuffix(" head")
    figure = Figure(
        go.Heatmap(
            x=layers,
            y=heads,
            z=grid,
            zmin=0.0,
            colorscale=sequential(),
            colorbar=colour_bar(unit),
            hovertemplate=f"layer %{{x}}, <b>{kind} head %{{y}}</b><br>{unit} %{{z:.4f}}<extra></extra>",
        )
    )
    figure.update_xaxes(title_text="layer", dtick=tick_step(result.n_layers), showgrid=False)
    figure.update_yaxes(title_text=f"{kind} head", dtick=tick_step(len(heads), most=16), showgrid=False)
    return finish(figure, template, title=f"What each head's {kind}s are worth", height=max(320, 140 + 26 * len(heads)))


def _chosen(result: Replacement, variants: Sequence[int] | None) -> list[int]:
    if variants is not None:
        return list(variants)
    by_effect = result.kl.mean(dim=1).sort(descending=True, stable=True).indices.tolist()
    return sorted(by_effect[:MAX_LINES])


def _families(result: Replacement, chosen: Sequence[int]) -> dict[str, tuple[list[int], str]]:
    """Variants that differ in their layer only, by name, with a colour for each."""
    wanted = set(chosen)
    found = {name: [i for i in indices if i in wanted] for name, indices in result.families().items()}
    palette = (A, B, *MORE)
    return {name: (indices, palette[i % len(palette)]) for i, (name, indices) in enumerate(found.items())}


def _add_variants(
    figure: Figure,
    result: Replacement,
    values: np.ndarray,
    chosen: Sequence[int],
    *,
    unit: str,
    show_legend: bool = True,
    row: int | None = None,
    col: int | None = None,
) -> None:
    """A thin line per variant, from its lesioned block on, in the colour of its family."""
    for name, (indices, colour) in _families(result, chosen).items():
        for place, index in enumerate(indices):
            start, label = result.starts[index], result.variants[index]
            layers = np.arange(start, values.shape[1])
            figure.add_trace(
                go.Scatter(
                    x=layers,
                    y=values[index, start:],
                    name=name,
                    legendgroup=name,
                    showlegend=show_legend and place == 0,
                    mode="lines+markers",
                    line={"color": colour, "width": 1.4},
                    opacity=0.85,
                    marker={"size": [8] + [3] * (len(layers) - 1), "color": colour},
                    hovertemplate=f"<b>{label}</b><br>after layer %{{x}}<br>{unit} %{{y:.4g}}<extra></extra>",
                ),
                row=row,
                col=col,
            )


def _clean_line(values: np.ndarray) -> go.Scatter:
    """The clean run, thick and grey."""
    return go.Scatter(
        x=np.arange(len(values)),
        y=values,
        name="clean",
        mode="lines+markers",
        line={"color": NEUTRAL, "width": 3.5},
        marker={"size": 7},
        hovertemplate="<b>clean</b><br>after layer %{x}<br>%{y:.4g}<extra></extra>",
    )
