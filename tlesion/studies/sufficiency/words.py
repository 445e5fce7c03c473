"""Sufficiency and minimality in sentences: every number in them is computed from the result."""

from collections.abc import Sequence

from torch import Tensor

from tlesion.paper.prose import layer_list, p_value, true_minus, whole_percent
from tlesion.studies.common.point import neurons_of
from tlesion.studies.sufficiency.halves_result import NO_EFFECT, NOTHING_CUT, ONE_NEURON, Minimality
from tlesion.studies.sufficiency.result import ALL_KEPT, NOTHING_KEPT, Sufficiency
from tlesion.studies.sufficiency.shares import FEW_PROMPTS

MOST_LAYERS = 3
"""So many layers are described one by one."""
AS_SHOWN = 0.005
"""Shares that differ by less are the same percentage."""

_FEW = "fewer than two independent prompts cannot show an effect"


def sufficiency(result: Sufficiency) -> list[str]:
    """What each set keeps, and whether random sets keep as much."""
    said = [
        "In each run one set's neurons of one layer were kept, and the rest of that layer was cut. At a share of 100 % "
        f"the set's word stands, on average, as if nothing were cut, at 0 % as with {the_whole(result)} cut. Intervals "
        "are over prompts, each layer by itself."
    ]
    said += [f"{neurons_of(mask)}: {' '.join(_kept(result, row))}" for row, mask in enumerate(result.masks)]
    if not result.n_controls:
        said.append("No random sets were kept: what as many random neurons keep is left open.")
    return said


def _kept(result: Sufficiency, row: int) -> list[str]:
    reasons, share = result.reasons[row], result.share[row]
    shown = [i for i, unknown in enumerate(share.isnan().tolist()) if not unknown]
    cutting = f"cutting {the_whole(result)} of a layer"
    if not shown:
        why = f"{cutting} has no effect on {_what(result, row)} that is shown, in whatever layer"
        return [f"{_FEW if FEW_PROMPTS in reasons else why}, so that there is nothing to keep a share of."]
    said = [f"{cutting} has an effect on {_what(result, row)} that is shown in {_layers(result, shown)}."]
    helped = [i for i in shown if result.whole_effect[row, i].nanmean() < 0]
    if helped:
        said.append(f"It helps in {_layers(result, helped)}: there the share is of that help.")
    own = [i for i in shown if not reasons[i]]
    if own:
        said += _among_random(result, row, own) if result.n_controls else _plainly(result, row, own)
    for reason, what in (
        (NOTHING_KEPT, "has no neuron: nothing was kept"),
        (ALL_KEPT, "is all there is: nothing was cut"),
    ):
        where = [i for i in range(len(reasons)) if reasons[i] == reason]
        said += [f"In {_layers(result, where)} the set {what}."] if where else []
    return said


def _among_random(result: Sufficiency, row: int, own: Sequence[int]) -> list[str]:
    """The layers in which a set keeps more, or less, of the effect than random sets do."""
    settings, p = result.provenance.settings, result.control_p_corrected[row]
    alpha = 1 - settings["level"] + 1e-9
    matched = {None: "", "activity": " and activity"}.get(settings["match"], ", matched")
    alike = f"random sets of the same size{matched}"
    beyond = result.share[row] - result.control_share[row].mean(dim=0)
    said = []
    for word, sign in (("more", 1), ("less", -1)):
        found = [i for i in own if p[i] <= alpha and sign * beyond[i] > 0]
        if found:
            shares = "; ".join(_share(result, row, i) for i in _strongest(result, row, found))
            said.append(f"The set keeps {word} of it than {alike} in {_layers(result, found)}: {shares}.")
    if said:
        return said
    at = min(own, key=lambda i: (float(p[i]), float(result.control_p[row, i])))
    than = {"larger": "more", "smaller": "less", "two-sided": "more or less"}[settings["alternative"]]
    few = f" ({result.n_controls} are too few to show it)" if 1 / (1 + result.n_controls) > alpha else ""
    return [
        f"In no layer is the set shown to keep {than} of it than {alike}{few}; the smallest p is that of "
        f"{_share(result, row, at)}."
    ]


def _plainly(result: Sufficiency, row: int, own: Sequence[int]) -> list[str]:
    return [f"The set keeps {'; '.join(_share(result, row, i) for i in _strongest(result, row, own))}."]


def _strongest(result: Sufficiency, row: int, among: Sequence[int]) -> list[int]:
    """A few layers, those in which the most logits are kept, in the order of the model."""
    size = result.kept[row].nanmean(dim=-1).abs()
    return sorted(sorted(among, key=lambda i: -float(size[i]))[:MOST_LAYERS])


def _share(result: Sufficiency, row: int, at: int) -> str:
    said = [_interval(result.low[row, at], result.high[row, at]), f"{int(result.n_kept[row, at])} neurons"]
    if result.n_controls:
        said.append(f"random sets {_percent(result.control_share[row, :, at].mean())} on average")
        said.append(f"corrected p {p_value(float(result.control_p_corrected[row, at]))}")
    return f"{_percent(result.share[row, at])} in layer {result.layers[at]} ({', '.join(said)})"


def minimality(result: Minimality) -> list[str]:
    """What half of each set does, beside all of it."""
    said = [
        "Random halves of each set were cut, in pairs that hold the set between them. Where the effects of two halves "
        "add up to the set's, a half does 50 % of it on average. Intervals are over prompts, each layer by itself."
    ]
    return said + [f"{neurons_of(mask)}: {' '.join(_halved(result, row))}" for row, mask in enumerate(result.masks)]


def _halved(result: Minimality, row: int) -> list[str]:
    reasons = result.reasons[row]
    shown = [i for i, reason in enumerate(reasons) if not reason]
    said = [_strongest_half(result, row, shown), *_other_halves(result, row, shown)] if shown else []
    what = _what(result, row)
    for reason, why in (
        (NO_EFFECT, f"cutting the set has no effect on {what} that is shown"),
        (FEW_PROMPTS, _FEW),
        (ONE_NEURON, "the set has one neuron, and no half"),
        (NOTHING_CUT, "the set has no neuron: nothing was cut"),
    ):
        where = [i for i in range(len(reasons)) if reasons[i] == reason]
        said += [f"In {_layers(result, where)} {why}."] if where else []
    return [said[0][0].lower() + said[0][1:], *said[1:]]


def _strongest_half(result: Minimality, row: int, shown: Sequence[int]) -> str:
    """Where the set has an effect, and what halves do in the layer in which it is largest."""
    effect = result.effect[row].nanmean(dim=-1)
    at = max(shown, key=lambda i: float(effect[i].abs()))
    halves, share = result.half_share[row, :, at], _percent(result.share[row, at])
    verb = "costs" if effect[at] > 0 else "does not cost but helps by"
    return (
        f"cutting all of the set has an effect on {_what(result, row)} that is shown in {_layers(result, shown)}. The "
        f"largest is in layer {result.layers[at]}, where it {verb} {float(effect[at].abs()):.2f} logits "
        f"({int(result.n_lesioned[row, at])} neurons): a random half of it does {share} of that on average "
        f"({_interval(result.low[row, at], result.high[row, at])}; single halves {_percent(halves.min())} to "
        f"{_percent(halves.max())})."
    )


def _other_halves(result: Minimality, row: int, shown: Sequence[int]) -> list[str]:
    """In which layers effects of halves add up, and in which they do not."""
    less = [i for i in shown if result.high[row, i] < 0.5 - AS_SHOWN]
    more = [i for i in shown if result.low[row, i] > 0.5 + AS_SHOWN]
    told = (("less than 50 %", less), ("more than 50 %", more))
    said = [f"A half does {what} on average in {_layers(result, where)}." for what, where in told if where]
    even = [i for i in shown if i not in less + more]
    return [*said, f"50 % lies within the interval in {_layers(result, even)}."] if even else said


def the_whole(result: Sufficiency) -> str:
    """``the whole MLP``, ``all heads``."""
    return f"the {result.whole}" if result.whole.startswith("whole") else result.whole


def _what(result: Sufficiency | Minimality, row: int) -> str:
    """What effects are on: ``the margin of 'him'``."""
    word = result.about[result.masks[row]]
    alone = result.provenance.settings["measure"] == "drop" or len(result.targets[0]) == 1
    return f"the {'logit' if alone else 'margin'} of {repr(word) if word else 'the right answer'}"


def _layers(result: Sufficiency | Minimality, rows: Sequence[int]) -> str:
    return layer_list([result.layers[i] for i in rows])


def _percent(share: Tensor) -> str:
    return true_minus(whole_percent(float(share) + 0.0)).replace("−0 %", "0 %")


def _interval(low: Tensor, high: Tensor) -> str:
    return f"interval {_percent(low)} to {_percent(high)}"
