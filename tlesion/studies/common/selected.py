"""What a selection found, in a sentence: its own summary, and the first that a report of its lesions says."""

from tlesion.paper.prose import percent
from tlesion.selection import NeuronSelection
from tlesion.selection.statistics import statistic_named, statistic_names

NEARLY_ALL = 0.5
"""From this share of a layer on, a set is called nearly the whole layer."""


def selected(selection: NeuronSelection) -> str:
    """How many neurons tell the conditions apart, and where."""
    a, b = selection.conditions
    counts = {name: int(selection.mask(name).sum()) for name in (a, b)}
    total, n_all = sum(counts.values()), selection.t.numel()
    what = f"{total} of {n_all} neurons ({percent(total / n_all)}) tell {a!r} from {b!r}"
    how = tested(selection)
    text = f"{what} ({how}): {counts[a]} are larger for {a!r}, {counts[b]} for {b!r}."
    if not total:
        return f"No neuron tells {a!r} from {b!r} ({how}); there is nothing to cut."
    share = selection.density()["any"].to_numpy()
    low, high = selection.layers[int(share.argmin())], selection.layers[int(share.argmax())]
    text += f" The share is smallest in layer {low} ({percent(share.min())}) and largest in layer {high} "
    text += f"({percent(share.max())})."
    if (n_wide := int((share > NEARLY_ALL).sum())) > 0:
        where = "every layer" if n_wide == len(share) else f"{n_wide} of {len(share)} layers"
        text += f" In {where} that is more than half of the neurons: so wide a set says little about {a!r} or {b!r}"
        text += " in particular."
    return text


def tested(selection: NeuronSelection) -> str:
    """With what was tested, and on how many sentences.

    A saved selection may name a test that somebody registered who is not here.
    """
    summary = statistic_named(selection.test).summary if selection.test in statistic_names() else ""
    test = summary or f"the test {selection.test!r}"
    text = f"{test}, {selection.correction}, {selection.n_a} against {selection.n_b} sentences"
    if selection.n_rows == (selection.n_a, selection.n_b):
        alike = selection.n_alike < min(selection.n_rows)
        return f"{text} that come from {selection.n_alike} templates, as their words show" if alike else text
    return f"{text} from {selection.n_templates} templates, of which each counts once"
