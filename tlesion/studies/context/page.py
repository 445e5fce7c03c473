"""The report of a context study: in context against alone, and a leading space beside it."""

from pathlib import PurePath

import pandas as pd

from tlesion.checks import row_of_layer
from tlesion.keep.results import Result
from tlesion.paper.page import Drawing, Page, Section
from tlesion.paper.provenance import provenance_section
from tlesion.paper.table import Table
from tlesion.studies.context import figures, scatter_figures, words
from tlesion.studies.context.result import ContextModulation
from tlesion.studies.context.space_result import SpaceModulation

N_ROWS = 10


def context_page(result: ContextModulation, *, space: SpaceModulation | None = None, layer: int | None = None) -> Page:
    """The page of a context study.

    Args:
        result: In context against alone.
        space: With a leading space against without, if it was measured.
        layer: The layer that is shown in detail; None: the middle one.

    Raises:
        ValueError: The result has no such layer.

    Example:
        >>> import tlesion
        >>> from tlesion.studies.context.page import context_page
        >>> model = tlesion.load_model("toy-gpt")
        >>> result = tlesion.context_modulation(model, "The teacher gave the boy an apple and the girl a cup.")
        >>> [section.title for section in context_page(result).sections][:2]
        ['In context and alone', 'How much context does it take?']
    """
    shown = result.layers[len(result.layers) // 2] if layer is None else layer
    row_of_layer(shown, result.layers)
    sections = [_both(result, space, shown)]
    if result.by_length.lengths:
        sections.append(_lengths(result))
    sections.append(_neurons(result, shown))
    results: dict[str, Result] = {"context": result}
    if space is not None:
        sections.append(_space(space, shown))
        results["space"] = space
    sections.append(provenance_section(results))
    model = PurePath(result.provenance.model["name"]).name
    return Page(
        title=f"Context modulation in {model}",
        subtitle=f"{model}, {len(result.layers)} layers of {result.hook_point}; {len(result.tokens)} tokens; alone: "
        f"{result.alone[0]}",
        summary=words.summary(result, space, layer=shown),
        sections=sections,
    )


def _both(result: ContextModulation, space: SpaceModulation | None, layer: int) -> Section:
    text = [
        "Every token is run once in its text and once alone. On the dashed diagonal both activations are equal: there "
        "context does nothing. Cells are coloured by the number of values in them, on a logarithmic scale.",
        f"The text begins: {result.texts.beginning()}",
    ]
    drawings = []
    if len(result.kept):
        drawings.append(
            Drawing(
                scatter_figures.context_scatter(result, layer=layer),
                caption=f"Layer {layer}: {len(result.kept)} tokens × {result.in_context.shape[2]} neurons.",
                half=space is not None,
            )
        )
    if space is not None and layer in space.layers:
        drawings.append(
            Drawing(
                scatter_figures.space_scatter(space, layer=layer),
                caption=f'Layer {layer}: {len(space.words)} words, " apple" against "apple", {space.alone}.',
                half=bool(drawings),
            )
        )
    drawings.append(
        Drawing(
            figures.correlation_by_layer(result, space=space),
            caption="Bands are "
            f"{result.level:.0%} intervals: a jackknife over {result.interval_over} (context) and over words (space). "
            "The dotted line shows the other way of running a token alone.",
        )
    )
    table = Table(
        result.to_frame(),
        caption="By layer: r over all tokens and neurons with its interval; medians of r neuron by neuron and token by "
        "token; median share of a neuron's variance that the token's identity explains.",
    )
    return Section("In context and alone", text, drawings=drawings, tables=[table])


def _lengths(result: ContextModulation) -> Section:
    text = [
        f"{result.by_length.n_tokens} tokens, each read with only so many tokens before it, against the same token "
        "alone. The position of a token moves with the length of its context: part of the change is the position's.",
    ]
    drawing = Drawing(
        figures.correlation_by_length(result),
        caption="A line per layer, darker ones deeper. The last point is the whole text.",
    )
    return Section("How much context does it take?", text, drawings=[drawing])


def _neurons(result: ContextModulation, layer: int) -> Section:
    text = [
        "Context-sensitive neurons change most between context and alone (root mean square change). Stable ones "
        "correlate most, among those that vary at least as much as the median neuron. The tokens are those at which a "
        "neuron changes most, and at which it is largest.",
    ]
    drawing = Drawing(figures.correlation_by_neuron(result), caption="Spread over the neurons of each layer.")
    tables = [
        Table(
            _told(result.notable_neurons(layer, kind, N_ROWS)),
            caption=f"Layer {layer}, the most {kind} neurons: r over tokens with its interval (descriptive), standard "
            "deviation in context, root mean square change.",
            digits=2,
        )
        for kind in ("context-sensitive", "stable")
    ]
    return Section("Which neurons does context change?", text, drawings=[drawing], tables=tables)


def _told(frame: pd.DataFrame) -> pd.DataFrame:
    names = {
        "correlation": "r",
        "deviation": "std",
        "rms_change": "change",
        "changed_at": "changes at",
        "peaks_at": "largest at",
    }
    return frame.drop(columns=["layer", "identity_share"]).rename(columns=names)


def _space(space: SpaceModulation, layer: int) -> Section:
    shown = layer if layer in space.layers else space.layers[len(space.layers) // 2]
    skipped = f"{len(space.skipped)} words were left out because they are not one token both ways"
    if space.skipped:
        skipped += (
            f" ({', '.join(repr(word) for word, _ in space.skipped[:12])}{', …' if len(space.skipped) > 12 else ''})"
        )
    frame = space.sensitive_neurons(shown, N_ROWS)
    columns = ["neuron", "correlation", "spearman", "t", "p_adjusted", "effect_size"]
    n_changed = int((space.by_neuron.p_adjusted[space.layers.index(shown)] <= 0.05).sum())
    text = [
        f"{len(space.words)} words with a leading space and without, each by itself. {skipped}.",
        f"In layer {shown}, {n_changed} of {space.with_space.shape[2]} neurons differ reliably (paired t over words, p "
        f"after {space.provenance.settings['correction']} at most 0.05).",
    ]
    tables = [
        Table(
            space.to_frame(),
            caption="By layer: Pearson's and Spearman's r over all words and neurons; intervals by a jackknife over "
            "words.",
        ),
        Table(
            frame[columns].rename(columns={"correlation": "r", "p_adjusted": "adjusted p", "effect_size": "d_z"}),
            caption=f"Layer {shown}: the neurons that the space changes most reliably; t and d_z are positive where "
            "the activation is larger with the space.",
        ),
        Table(
            space.words_frame(shown)
            .sort_values("correlation")
            .head(N_ROWS)
            .drop(columns="layer")
            .rename(columns={"correlation": "r"}),
            caption=f"Layer {shown}: the words that the space changes most. Intervals over neurons are descriptive.",
        ),
    ]
    return Section("What does a leading space do?", text, tables=tables)
