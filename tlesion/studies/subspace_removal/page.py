"""The report of a subspace study: what is removed, what that costs, how far the damage goes, and the covariance."""

from pathlib import PurePath

from tlesion.checks import row_of_layer
from tlesion.paper.page import Drawing, Page, Section
from tlesion.paper.provenance import provenance_section
from tlesion.paper.table import Table
from tlesion.studies.subspace_removal import covariance_figures, figures, words
from tlesion.studies.subspace_removal.result import SubspaceRemoval
from tlesion.studies.subspace_removal.summary import correlate_with_variance, ranks_frame

COVARIANCE_COLUMNS = {
    "covariance_change": "covariance",
    "correlation_change": "correlation",
    "effective_rank_before": "rank before",
    "effective_rank_after": "rank after",
    "unit_change": "neuron",
    "unit_change_relative": "neuron, in sd",
}


def subspace_page(result: SubspaceRemoval, *, layer: int | None = None) -> Page:
    """The page of a subspace study.

    Args:
        result: The result.
        layer: The lesioned layer whose covariance is shown; None: the one that changes the logits most.

    Raises:
        ValueError: The result has no such layer.

    Example:
        >>> import tlesion
        >>> from tlesion.studies.subspace_removal.page import subspace_page
        >>> result = tlesion.subspace_removal(tlesion.load_model("toy-gpt"), "The teacher gave the boy an apple.")
        >>> [section.title for section in subspace_page(result).sections][:2]
        ['What is removed?', 'What does it cost?']
    """
    shown = words.shown_layer(result) if layer is None else layer
    model = PurePath(result.provenance.model["name"]).name
    n_texts = result.texts.n_texts
    return Page(
        title=f"Subspace removal in {model}",
        subtitle=f"{model}, {len(result.layers)} lesioned layers of {result.hook_point}; {result.cut.label}; "
        f"{len(result.tokens)} tokens of {n_texts} text{'s' if n_texts > 1 else ''}",
        summary=words.summary(result),
        sections=[
            _removed(result),
            _cost(result),
            _damage(result),
            _covariance(result, shown),
            provenance_section({"subspace": result}),
        ],
    )


def _removed(result: SubspaceRemoval) -> Section:
    text = [
        "The activations of all tokens at the hook point are centred and decomposed, the directions named above are "
        f"set to zero, and the mean is {'added back' if _restored(result) else 'left out'}. One layer is cut at a "
        "time, at every token.",
        f"The text begins: {result.texts.beginning()}",
    ]
    drawings = [
        Drawing(
            figures.variance_by_layer(result),
            caption="Bars: the share of the activations' variance that is cut. Dots: random subspaces of equal rank.",
        ),
    ]
    columns = ["layer", "variance_ratio", "top_token", "top_token_share"]
    names = {"variance_ratio": "variance", "top_token": "top token", "top_token_share": "its share"}
    table = Table(
        result.to_frame()[columns].rename(columns=names),
        caption="Share of variance removed, the token that holds most of what is removed, and its share of that. A "
        "share near 1 means that the direction is that of a single token.",
    )
    return Section("What is removed?", text, drawings=drawings, tables=[table])


def _cost(result: SubspaceRemoval) -> Section:
    controls = "The grey band spans the random controls. " if len(result.controls) else ""
    drawings = [
        Drawing(
            figures.subspace_drop(result),
            caption=f"Mean logit drop over {result.test.over}, with its {result.level:.0%} interval. {controls}"
            "Above zero the lesion cost the token.",
        ),
        Drawing(
            figures.variance_against_drop(result),
            caption="Does a layer that loses more variance lose more of the logit?",
            half=len(result.ranks) > 0,
        ),
    ]
    if len(result.ranks):
        drawings.append(
            Drawing(
                figures.rank_sweep(result),
                caption="Means over lesioned layers; further ranks have one random control each.",
                half=True,
            )
        )
    return Section("What does it cost?", [result.caveat], drawings=drawings, tables=_cost_tables(result))


def _cost_tables(result: SubspaceRemoval) -> list[Table]:
    columns = ["layer", "mean_drop", "drop_low", "drop_high", "t", "dof", "p", "effect_size"]
    names = {"mean_drop": "drop", "drop_low": "low", "drop_high": "high", "effect_size": "d_z"}
    tables = [
        Table(
            result.to_frame()[columns].rename(columns=names),
            caption=f"Paired t-test of clean against lesioned logits. {result.caveat} p is not corrected here.",
        ),
        Table(
            correlate_with_variance(result),
            caption="Share of variance against drop, over lesioned layers. Layers of one model are no independent "
            "sample: the intervals describe.",
            digits=2,
        ),
    ]
    if len(result.ranks):
        names = {"variance_ratio": "variance", "mean_drop": "drop", "drift_at_end": "drift at the end"}
        caption = "By rank: means over lesioned layers (drift by the clean norm)."
        tables.append(Table(ranks_frame(result).rename(columns=names), caption=caption))
    return tables


def _damage(result: SubspaceRemoval) -> Section:
    text = [
        "Drift is the norm of (lesioned − clean) hidden state after a block, mean over tokens. Each row is a run in "
        "which one layer is cut; it begins at that layer, because nothing before it changes.",
    ]
    drawings = [
        Drawing(figures.drift_map(result), caption="By the norm of the clean hidden state.", half=True),
        Drawing(figures.drift_map(result, relative=False), caption="In its own units.", half=True),
    ]
    return Section("How far does the damage go?", text, drawings=drawings)


def _covariance(result: SubspaceRemoval, layer: int) -> Section:
    row = row_of_layer(layer, result.layers)
    text = [
        "C and C′ are the covariance of neurons over tokens before and after the cut, in the Frobenius norm. The "
        "effective rank is the participation ratio, the number of equal variances that a covariance amounts to.",
    ]
    drawings = []
    if int((result.covariance.sampled[row] >= 0).sum()) >= 2:
        drawings.append(
            Drawing(
                covariance_figures.covariance_pair(result, layer=layer),
                caption=f"A seeded sample of the neurons of layer {layer}, in one order: by their part in the leading "
                "direction before the cut.",
            )
        )
    drawings += [
        Drawing(
            covariance_figures.covariance_change(result),
            caption="What neurons share changes far more than any one of them where the first line lies far above the "
            "last.",
            half=True,
        ),
        Drawing(
            covariance_figures.covariance_spectrum(result, layer=layer),
            caption="The cut removes the largest.",
            half=True,
        ),
    ]
    table = Table(
        result.to_frame()[["layer", *COVARIANCE_COLUMNS]].rename(columns=COVARIANCE_COLUMNS),
        caption="Relative change of covariance and correlation, effective ranks, and the mean absolute change of one "
        "neuron's activation, in its own units and in its standard deviations.",
    )
    return Section("How does the covariance change?", text, drawings=drawings, tables=[table])


def _restored(result: SubspaceRemoval) -> bool:
    return bool(result.provenance.settings.get("restore_mean", True))
