"""The report of a replacement study: hidden states, recovery, the prediction, and how unnatural the values were."""

from pathlib import PurePath

import pandas as pd

from tlesion.paper.page import Drawing, Page, Section
from tlesion.paper.provenance import provenance_section
from tlesion.paper.table import Table
from tlesion.studies.common.effects import spread_of_change
from tlesion.studies.replacement import figures, words
from tlesion.studies.replacement.result import Replacement


def replacement_page(result: Replacement) -> Page:
    """The page of a replacement study.

    Args:
        result: The result.

    Example:
        >>> import tlesion
        >>> from tlesion.studies.replacement.page import replacement_page
        >>> model = tlesion.load_model("toy-bert")
        >>> prompt = tlesion.Prompt("Robert thanked Lucy because she helped [MASK].", ("him", "her"))
        >>> result = tlesion.replacement(model, [prompt], tlesion.scale_variants(model, factors=[0.1], layers=[4]))
        >>> [section.title for section in replacement_page(result).sections][:2]
        ['What becomes of the hidden state?', 'Is it undone later?']
    """
    kinds = sorted({str(made.get("kind", "own lesions")) for made in result.settings})
    model = PurePath(result.provenance.model["name"]).name
    sections = [_hidden(result), _recovery(result), _prediction(result), _values(result)]
    n_prompts = len(result.prompts)
    return Page(
        title=f"Replacement in {model}: {', '.join(kinds)}",
        subtitle=f"{model}, {result.n_layers} layers; {len(result.variants)} lesions; {n_prompts} "
        f"prompt{'s' if n_prompts > 1 else ''}",
        summary=[sentence for sentence in words.summary(result) if sentence],
        sections=[*sections, provenance_section({"replacement": result})],
    )


def _hidden(result: Replacement) -> Section:
    text = [
        "Each line is one lesion, from the block that it changes (large marker) to the last; medians over prompts. The "
        "thick line is the clean run. The hidden state is a block's output, before the final norm.",
    ]
    few = f"Of {len(result.variants)} lesions those that change the prediction most are drawn."
    drawings = [
        Drawing(
            figures.hidden_by_layer(result),
            caption="Standard deviation over all tokens and units of a prompt. "
            + (few if len(result.variants) > figures.MAX_LINES else ""),
        ),
        Drawing(
            figures.hidden_by_layer(result, size="cosine"),
            caption="Direction: 1 is the clean one; a factor alone leaves it as it is.",
            half=True,
        ),
        Drawing(
            figures.hidden_by_layer(result, size="drift_relative"),
            caption="Size of the deviation, by the clean norm.",
            half=True,
        ),
    ]
    return Section("What becomes of the hidden state?", text, drawings=drawings)


def _recovery(result: Replacement) -> Section:
    where = (
        "Every block of this model ends in a norm, which sets sizes anew, so that only a change of direction can be "
        "compensated: compensation means that the deviation after the norm has shrunk by a tenth at least."
        if result.post_norm
        else "Blocks of this model add to the hidden state and nothing divides it, so that a deviation shrinks in size "
        "only where a later layer writes against it: compensation means a tenth less at least. A state that grows "
        "around the deviation, or a norm that sets its size, is rescaling."
    )
    text = [
        "The recovery index is 1 − the deviation after a layer by that after the lesioned block: 0 where nothing is "
        "undone, 1 where all is, below 0 where it has grown. It is shown for the deviation's size, for its size "
        "relative to the clean state, and after the final norm (no line where the norm alone removes it at once).",
        where,
    ]
    drawing = Drawing(figures.recovery(result), caption="Values below −1 lie outside the figure; the table has them.")
    last = words.last_rows(result)
    tables = []
    if len(last):
        columns = ["variant", "start", "absolute", "relative", "normed", "removed_by_norm", "verdict"]
        named = last[columns].rename(columns={"start": "lesioned", "removed_by_norm": "removed by norm"})
        caption = (
            "After the last block: recovery indices, the share of the relative deviation that the final norm takes "
            "away there, and the verdict."
        )
        tables.append(Table(_most(result, named), caption=caption, digits=2))
    return Section("Is it undone later?", text, drawings=[drawing], tables=tables)


def _prediction(result: Replacement) -> Section:
    drawings = [
        Drawing(
            figures.prediction_change(result),
            caption="Median over prompts (line), middle half (band), single prompts (points).",
        )
    ]
    single = {(made.get("layer"), made.get("head")) for made in result.settings if "head" in made}
    if len(single) == len(result.variants) and all(str(head).isdigit() for _, head in single):
        drawings = [
            Drawing(figures.head_map(result), caption="Mean over prompts; each cell is a run in which one head is cut.")
        ]
    frame = result.effects_frame()
    drop = frame.pivot_table("logit_drop", "variant", "target", sort=False).add_prefix("logit drop of ")
    means = result.variants_frame().set_index("variant")[["kl", "global_change", "top_kept"]]
    table = means.join(drop).reset_index().rename(columns={"global_change": "all logits", "top_kept": "top kept"})
    caption = (
        "Means over prompts: KL divergence from the clean prediction (nats), change of all logits "
        f"({spread_of_change(result.provenance)}), share of the {result.prediction.clean_top.shape[1]} likeliest "
        "tokens that stay among them, and clean − lesioned logit of each target (positive: the lesion cost that word)."
    )
    return Section(
        "How does the prediction change?", drawings=drawings, tables=[Table(_most(result, table), caption=caption)]
    )


def _values(result: Replacement) -> Section:
    frame = result.variants_frame()[["variant", "z_of_mean", "outside_layer", "outside_unit", "changed"]]
    names = {"z_of_mean": "z of mean", "outside_layer": "outside layer", "outside_unit": "outside unit"}
    caption = (
        "The values that a lesion puts in, against the clean runs at the same point: z of their mean (in standard "
        "deviations over all units and tokens of the layer), share outside the range of the layer and of the very "
        "unit, and the share of the layer's values that change at all."
    )
    return Section(
        "How unnatural is it?", tables=[Table(_most(result, frame.rename(columns=names)), caption=caption, digits=2)]
    )


def _most(result: Replacement, frame: pd.DataFrame) -> pd.DataFrame:
    """All rows of a table of variants, or those that change the prediction most."""
    if len(frame) <= figures.MAX_LINES:
        return frame
    by_effect = result.kl.mean(dim=1).sort(descending=True, stable=True).indices.tolist()
    shown = {result.variants[index] for index in by_effect[: figures.MAX_LINES]}
    return frame[frame["variant"].isin(shown)]
