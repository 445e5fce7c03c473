"""Figures of dose, accumulation and decomposed drops: what is drawn equals the result's numbers, made by hand."""

from typing import Any

import numpy as np
import pytest
import torch

from tlesion import plots
from tlesion.drawing import style
from tlesion.studies.cumulative.result import CumulativeLesion
from tlesion.studies.decomposition.result import DropDecomposition
from tlesion.studies.dose.result import DoseResponse

DOSES = (1.0, 10.0, 100.0)
LAYERS = (2, 5, 7, 8, 9)
N_PROMPTS, N_CONTROLS = 4, 3
CONTROLS = "3 matched controls: mean and range"


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def measured(*shape: int, n_controls: int = N_CONTROLS) -> dict[str, Any]:
    """Numbers of every field that dose responses and cumulative lesions share."""
    controls = (n_controls, *shape)
    return {
        "logit_drop": drawn(*shape, N_PROMPTS, 2),
        "kl": drawn(*shape, N_PROMPTS, seed=1).abs(),
        "global_change": drawn(*shape, N_PROMPTS, seed=2).abs(),
        "rank": (3 * drawn(*shape, N_PROMPTS, 2, seed=3).abs()).long(),
        "control_logit_drop": drawn(*controls, N_PROMPTS, 2, seed=4),
        "control_kl": drawn(*controls, N_PROMPTS, seed=5).abs(),
        "control_global_change": drawn(*controls, N_PROMPTS, seed=6).abs(),
        "control_rank": (3 * drawn(*controls, N_PROMPTS, 2, seed=7).abs()).long(),
        "clean_logits": drawn(N_PROMPTS, 2, seed=8),
        "clean_rank": torch.zeros(N_PROMPTS, 2, dtype=torch.long),
    }


def about_prompts(by_hand, *, known: bool = True) -> dict[str, Any]:
    return {
        "prompts": tuple(f"Prompt {i} says [MASK]." for i in range(N_PROMPTS)),
        "targets": (("him", "her"),) * N_PROMPTS,
        "correct": ("him", "her", None, "her") if known else (None,) * N_PROMPTS,
        "plan": "by hand",
        "provenance": by_hand.provenance(),
    }


def dose(by_hand, *, known: bool = True, n_controls: int = N_CONTROLS, layers=LAYERS) -> DoseResponse:
    return DoseResponse(
        **measured(len(layers), len(DOSES), n_controls=n_controls),
        n_lesioned=torch.tensor([1, 5, 48]),
        weakest_t=drawn(len(layers), len(DOSES), seed=9),
        doses=DOSES,
        layers=layers,
        direction="him",
        **about_prompts(by_hand, known=known),
    )


def cumulative(by_hand, *, known: bool = True, masks=("any", "her", "him")) -> CumulativeLesion:
    return CumulativeLesion(
        **measured(len(masks), 2, len(LAYERS)),
        n_lesioned=torch.ones(len(masks), 2, len(LAYERS), dtype=torch.long),
        masks=masks,
        layers=LAYERS,
        **about_prompts(by_hand, known=known),
    )


def parts(by_hand, *, masks=("her", "him")) -> DropDecomposition:
    shape = (len(masks), len(LAYERS), N_PROMPTS, 2)
    names = ("direct", "downstream", "direct_rescaling", "downstream_rescaling", "measured_drop")
    drops: dict[str, Any] = {name: drawn(*shape, seed=seed) for seed, name in enumerate(names)}
    return DropDecomposition(
        **drops,
        clean_logits=drawn(N_PROMPTS, 2),
        n_lesioned=torch.ones(len(masks), len(LAYERS), dtype=torch.long),
        masks=masks,
        layers=LAYERS,
        post_norm=False,
        **about_prompts(by_hand),
    )


def on(figure, axis: str, name: str) -> list:
    """The traces of one panel and name."""
    return [trace for trace in figure.data if trace.xaxis == axis and trace.name == name]


def panel(place: int) -> str:
    return "x" if place == 0 else f"x{place + 1}"


# ---- dose


def test_every_layer_has_a_panel_with_means_and_the_controls_range(by_hand):
    result = dose(by_hand)
    figure = plots.dose_response(result)
    assert [a.text for a in figure.layout.annotations] == [f"layer {layer}" for layer in LAYERS]
    for place in range(len(LAYERS)):
        for j, word in enumerate(("him", "her")):
            (line,) = on(figure, panel(place), word)
            assert list(line.x) == list(DOSES)
            np.testing.assert_array_equal(line.y, result.logit_drop[place, :, :, j].mean(dim=1))
            assert line.line.color == (style.A, style.B)[j]
            (dots,) = on(figure, panel(place), f"controls of {word}")
            controls = result.control_logit_drop[:, place, :, :, j].mean(dim=2).numpy()
            np.testing.assert_allclose(dots.y, controls.mean(axis=0))
            np.testing.assert_array_equal(dots.customdata, np.stack([controls.min(axis=0), controls.max(axis=0)], 1))
            group = [t for t in figure.data if t.xaxis == panel(place) and t.legendgroup == word]
            low, high = (t for t in group if t.hoverinfo == "skip")
            np.testing.assert_array_equal([low.y, high.y], dots.customdata.T)
            assert high.fill == "tonexty"
    assert {axis.type for axis in figure.select_xaxes()} == {"log"}
    axes = list(figure.select_yaxes())
    assert len(axes) == len(LAYERS), "nothing is drawn where there is no layer"
    assert len({axis.matches for axis in axes} - {None}) == 1, "panels share one y axis"
    assert sum(axis.matches is None for axis in axes) == 1
    legend = [trace.name for trace in figure.data if trace.showlegend is not False]
    assert sorted(legend) == [CONTROLS, "her", "him"]


def test_kl_and_accuracy_are_those_of_the_result(by_hand):
    result = dose(by_hand, layers=LAYERS[:2])
    (line,) = on(plots.dose_response(result, measure="kl", layers=[5]), "x", "KL")
    np.testing.assert_array_equal(line.y, result.kl[1].mean(dim=1))
    figure = plots.dose_response(result, measure="accuracy")
    for name, own, controls, dash in (
        ("right among the targets", result.accuracy, result.control_accuracy, "solid"),
        ("right in the whole vocabulary", result.vocabulary_accuracy, result.control_vocabulary_accuracy, "dash"),
    ):
        (line,) = on(figure, "x2", name)
        np.testing.assert_array_equal(line.y, own[1])
        assert line.line.dash == dash
        (dots,) = on(figure, "x2", f"controls of {name}")
        np.testing.assert_allclose(dots.y, controls[:, 1].mean(dim=0))
    assert figure.layout.yaxis.tickformat == ".0%"
    assert list(figure.layout.xaxis.ticktext) == ["1", "10", "100"]


def test_without_controls_there_is_no_band(by_hand):
    figure = plots.dose_response(dose(by_hand, n_controls=0), layers=[7])
    assert [trace.name for trace in figure.data] == ["him", "her"]


def test_what_a_dose_figure_cannot_show_is_refused(by_hand):
    with pytest.raises(ValueError, match=r"measure 'kll' is unknown; allowed: 'logit_drop', 'kl', 'accuracy'"):
        plots.dose_response(dose(by_hand), measure="kll")
    with pytest.raises(ValueError, match=r"layers \[3\] are not in this result; it has the layers \[2, 5, 7, 8, 9\]"):
        plots.dose_response(dose(by_hand), layers=[2, 3])
    with pytest.raises(ValueError, match=r"no prompt has a right target, so there is no accuracy; give"):
        plots.dose_response(dose(by_hand, known=False), measure="accuracy")


# ---- accumulation


def test_both_directions_show_kl_and_both_accuracies(by_hand):
    result = cumulative(by_hand)
    figure = plots.cumulative_lesion(result)
    for at, mask in enumerate(result.masks):
        for direction in range(2):
            (line,) = on(figure, panel(direction), f"{mask}-neurons")
            assert list(line.x) == list(LAYERS)
            np.testing.assert_array_equal(line.y, result.kl[at, direction].mean(dim=1))
            for what, values in (
                ("among the targets", result.accuracy),
                ("in the whole vocabulary", result.vocabulary_accuracy),
            ):
                (line,) = on(figure, panel(2 + direction), f"{mask}-neurons: right {what}")
                np.testing.assert_array_equal(line.y, values[at, direction])
            (dots,) = on(figure, panel(direction), f"controls of {mask}-neurons")
            np.testing.assert_allclose(dots.y, result.control_kl[:, at, direction].mean(dim=(0, 2)))
    colours = {mask: on(figure, "x", f"{mask}-neurons")[0].line.color for mask in result.masks}
    assert len(set(colours.values())) == 3
    assert colours["any"] not in (style.A, style.B)
    assert [a.text for a in figure.layout.annotations] == [
        "layers 0 to l lesioned at once",
        "layers l to 9 lesioned at once",
    ]


def test_without_right_targets_only_kl_is_shown(by_hand):
    figure = plots.cumulative_lesion(cumulative(by_hand, known=False), masks=["him"])
    assert {trace.xaxis for trace in figure.data} == {"x", "x2"}
    assert {trace.legendgroup for trace in figure.data if trace.name != CONTROLS} == {"him-neurons"}
    with pytest.raises(ValueError, match=r"mask 'hm' is unknown; allowed: 'any', 'her', 'him'"):
        plots.cumulative_lesion(cumulative(by_hand), masks=["hm"])


# ---- decomposition


def test_bars_are_means_of_the_parts_and_the_line_is_their_sum(by_hand):
    result = parts(by_hand)
    figure = plots.direct_downstream(result)
    assert figure.layout.barmode == "relative"
    for at, mask in enumerate(result.masks):
        for j, word in enumerate(("him", "her")):
            axis = panel(2 * at + j)
            bars = [t for t in figure.data if t.xaxis == axis and t.type == "bar"]
            assert [bar.name for bar in bars] == ["direct", "through later layers", "rescaling by norms"]
            for bar, part in zip(bars, (result.direct, result.downstream, result.rescaling), strict=True):
                np.testing.assert_allclose(bar.y, part[at, :, :, j].mean(dim=1))
            (total,) = [t for t in figure.data if t.xaxis == axis and t.type == "scatter"]
            np.testing.assert_allclose(total.y, np.sum([bar.y for bar in bars], axis=0))
            assert figure.layout.annotations[2 * at + j].text == f"{mask}-neurons lesioned: {word}"
            assert total.line.color == {"him": style.A, "her": style.B}[word]


def test_a_single_mask_stands_in_the_title(by_hand):
    figure = plots.direct_downstream(parts(by_hand), masks=["him"])
    assert figure.layout.title.text == "The paths of a logit drop: him-neurons lesioned"
    assert [a.text for a in figure.layout.annotations] == ["him", "her"]
    whole = plots.direct_downstream(parts(by_hand, masks=("whole MLP",)))
    assert whole.layout.title.text.endswith("whole MLP lesioned")
    with pytest.raises(ValueError, match=r"mask 'hm' is unknown; allowed: 'her', 'him'"):
        plots.direct_downstream(parts(by_hand), masks=["hm"])


@pytest.mark.slow
def test_all_have_titles_axes_hover_texts_and_the_callers_template(by_hand):
    results: dict[Any, Any] = {
        plots.dose_response: dose(by_hand),
        plots.cumulative_lesion: cumulative(by_hand),
        plots.direct_downstream: parts(by_hand),
    }
    for make, result in results.items():
        figure, dark = make(result), make(result, template="plotly_dark")
        assert figure.layout.title.text
        assert any(axis.title.text for axis in figure.select_xaxes())
        assert any(axis.title.text for axis in figure.select_yaxes())
        assert figure.layout.template == style.template()
        assert dark.layout.template.layout.paper_bgcolor != figure.layout.template.layout.paper_bgcolor
        assert all(t.hovertemplate or t.hoverinfo == "skip" for t in figure.data)
