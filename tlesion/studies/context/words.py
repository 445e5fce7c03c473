"""The context report's sentences: every number in them is computed from the results."""

import numpy as np

from tlesion.paper.prose import listed
from tlesion.studies.context.result import ContextModulation
from tlesion.studies.context.space_result import SpaceModulation


def summary(result: ContextModulation, space: SpaceModulation | None = None, *, layer: int | None = None) -> list[str]:
    """What was found, in the order in which a reader asks; in one ``layer`` (None: the middle one) and over all."""
    layer = result.layers[len(result.layers) // 2] if layer is None else layer
    said = [context(result, layer=layer), by_depth(result)]
    if space is not None:
        said.append(beside_space(result, space, layer=layer))
    if result.by_length.lengths:
        said.append(by_length(result, layer=layer))
    if len(result.alone) > 1:
        said.append(other_way(result, layer=layer))
    if bool(result.by_neuron.identity_share.isfinite().any()):
        said.append(identity(result, layer=layer))
    return said


def context(result: ContextModulation, *, layer: int) -> str:
    """The correlation in one layer."""
    row = result.layers.index(layer)
    r, low, high = (float(part[row]) for part in (result.correlation, result.correlation_low, result.correlation_high))
    n_texts = result.texts.n_texts
    texts = f"{n_texts} texts" if n_texts > 1 else "one text"
    over = f"jackknife over {result.interval_over}"
    if result.interval_over == "tokens":
        over += ", descriptive: tokens of a text depend on each other"
    return (
        f"In layer {layer} the activations of {len(result.tokens)} tokens of {texts} and those of the same tokens "
        f"{result.alone[0]} correlate with r = {r:.2f} ({result.level:.0%} interval {low:.2f} to {high:.2f}; {over})."
    )


def by_depth(result: ContextModulation) -> str:
    """Where the correlation is highest and lowest."""
    if len(result.layers) < 2:
        return f"Only layer {result.layers[0]} was examined."
    r = result.correlation.numpy()
    first, last = r[0], r[-1]
    low, high = result.layers[int(r.argmin())], result.layers[int(r.argmax())]
    return (
        f"It is {first:.2f} in layer {result.layers[0]} and {last:.2f} in layer {result.layers[-1]}; highest in layer "
        f"{high} ({r.max():.2f}), lowest in layer {low} ({r.min():.2f})."
    )


def beside_space(result: ContextModulation, space: SpaceModulation, *, layer: int) -> str:
    """Whether a leading space changes activations less than context does."""
    if layer not in space.layers:
        return f"A leading space was examined in other layers: {list(space.layers)}."
    r = float(space.correlation[space.layers.index(layer)])
    other = float(result.correlation[result.layers.index(layer)])
    shared = [i for i in space.layers if i in result.layers]
    higher = sum(
        float(space.correlation[space.layers.index(i)]) > float(result.correlation[result.layers.index(i)])
        for i in shared
    )
    verb = "less" if r > other else "more"
    return (
        f"With and without a leading space, {len(space.words)} words correlate with r = {r:.2f} there: the space "
        f"changes activations {verb} than context does ({other:.2f}). The space's correlation is the higher one in "
        f"{higher} of {len(shared)} layers."
    )


def by_length(result: ContextModulation, *, layer: int) -> str:
    """How the correlation changes with the number of tokens before."""
    row, part = result.layers.index(layer), result.by_length
    first, last, whole = (float(r[row]) for r in (part.correlation[0], part.correlation[-1], part.whole))
    verb = "falls" if last < first else "rises"
    return (
        f"In layer {layer} it {verb} from {first:.2f} with {part.lengths[0]} token before to {last:.2f} with "
        f"{part.lengths[-1]}; in the whole text it is {whole:.2f} (the same {part.n_tokens} tokens)."
    )


def other_way(result: ContextModulation, *, layer: int) -> str:
    """How much depends on how a token is run alone."""
    row = result.layers.index(layer)
    ways = [f"{float(r[row]):.2f} {way}" for way, r in zip(result.alone, result.correlation_by_alone, strict=True)]
    return f"Depending on how a token is run alone, in layer {layer} r is {listed(ways)}."


def identity(result: ContextModulation, *, layer: int) -> str:
    """How much of a neuron's variance the token explains."""
    share = result.by_neuron.identity_share[result.layers.index(layer)].numpy()
    low, middle, high = np.nanquantile(share, [0.1, 0.5, 0.9])
    return (
        f"Which token it is explains {middle:.0%} of the median neuron's variance in context in layer {layer} "
        f"(a tenth of the neurons below {low:.0%}, a tenth above {high:.0%}; {result.by_neuron.n_repeated} tokens that "
        "occur repeatedly, corrected for chance); the rest is context."
    )
