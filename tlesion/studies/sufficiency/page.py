"""The reports of sufficiency and minimality: what was found, the figure, the numbers, what was run."""

from pathlib import PurePath

from tlesion.keep.results import Result
from tlesion.paper.page import Drawing, Page, Section
from tlesion.paper.provenance import provenance_section
from tlesion.paper.table import Table
from tlesion.studies.sufficiency import figures, words
from tlesion.studies.sufficiency.halves_result import Minimality
from tlesion.studies.sufficiency.result import Sufficiency


def sufficiency_page(result: Sufficiency) -> Page:
    """The page of `sufficiency`."""
    whole = words.the_whole(result)
    section = Section(
        "What does each set keep?",
        [
            "A lesion shows what is lost without a set of neurons. Here the set alone is left, and all other units of "
            f"its layer are cut. The share is 1 minus that effect over the effect of cutting {whole}, both as means "
            "over prompts. Above 100 % the rest of the layer works against the set; below 0 % the set works against "
            "the layer.",
            "Random sets keep something, too: a share means something where it is larger than theirs. Where cutting "
            f"{whole} has no effect that is shown to differ from zero, there is nothing to have a share of.",
        ],
        drawings=[
            Drawing(
                figures.sufficiency(result),
                caption="Above: shares, with intervals over prompts. Below: the effects that they come from, means "
                "over prompts; positive: the lesion cost the set's word.",
            )
        ],
        tables=[Table(result.summary(), caption=_CAPTION.format(what="all but the set cut"), digits=2)],
    )
    return _page("Sufficiency", result, words.sufficiency(result), section)


def minimality_page(result: Minimality) -> Page:
    """The page of `minimality`."""
    section = Section(
        "Does half of a set do as much?",
        [
            "Random halves of each set are cut, in pairs that hold the set between them. A half's share is its effect "
            "divided by that of the whole set, both as means over prompts.",
            "50 % on average: the effects of two halves add up. More: both halves take away some of the same, and a "
            "smaller lesion would have done. Less: the half that is left makes up for some of what is cut. Where "
            "single halves lie far apart, few neurons have most of the effect, or some work against others. That "
            "every neuron has some of it does not follow from any share.",
        ],
        drawings=[
            Drawing(
                figures.minimality(result),
                caption="Above: mean shares of the halves, with intervals over prompts; faint: single halves. Below: "
                "the effects that they come from, means over prompts; positive: the lesion cost the set's word.",
            )
        ],
        tables=[Table(result.summary(), caption=_CAPTION.format(what="half of the set cut"), digits=2)],
    )
    return _page("Minimality", result, words.minimality(result), section)


_CAPTION = "By set and layer: effects in logits, with {what} and with all of it; shares; and why there is none."


def _page(title: str, result: Result, summary: list[str], section: Section) -> Page:
    model = PurePath(result.provenance.model["name"]).name
    return Page(
        title=f"{title} in {model}",
        subtitle=f"{model}, {result.provenance.settings['hook_point']}; {len(result.provenance.stimuli)} prompts",
        summary=summary,
        sections=[section, provenance_section({title.lower(): result})],
    )
