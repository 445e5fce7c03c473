"""Figures: what is drawn equals the result's numbers, axes say units and sign, and nothing global changes."""

import inspect
import re
import subprocess
import sys
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from tlesion import plots
from tlesion.drawing import style
from tlesion.drawing.targets import target_words
from tlesion.studies.evidence import figures as histogram_figures


def named(figure: go.Figure, name: str) -> list:
    return [trace for trace in figure.data if trace.name == name]


def points(figure: go.Figure, group: str) -> list:
    return [t for t in figure.data if t.legendgroup == group and t.mode == "markers"]


# ---- laminar profile


@pytest.mark.slow
def test_each_mask_has_a_panel_and_all_share_one_y_axis(by_hand):
    figure = plots.laminar_profile(by_hand.profile())
    assert [a.text for a in figure.layout.annotations] == ["him-neurons lesioned", "her-neurons lesioned"]
    assert {trace.yaxis for trace in figure.data} == {"y", "y2"}
    assert figure.layout.yaxis2.matches == "y"
    # Single panels, as the report shows them beside each other, have that same axis too.
    alone = [plots.laminar_profile(by_hand.profile(), masks=[mask]) for mask in ("him", "her")]
    assert alone[0].layout.yaxis.range == alone[1].layout.yaxis.range == figure.layout.yaxis.range


def test_lines_are_medians_bands_quartiles_and_points_prompts(by_hand):
    profile = by_hand.profile()
    figure = plots.laminar_profile(profile, masks=["her"])
    drop = profile.logit_drop[1].numpy()
    for j, target in enumerate(("him", "her")):
        (line,) = named(figure, target)
        np.testing.assert_array_equal(line.y, np.median(drop[..., j], axis=1))
        np.testing.assert_array_equal(line.customdata, np.quantile(drop[..., j], [0.25, 0.75], axis=1).T)
        (faint,) = points(figure, target)
        # Points are rounded to five decimals to keep the page small.
        np.testing.assert_allclose(faint.y, drop[..., j].ravel(), atol=5e-6)
        assert list(faint.text) == list(profile.prompts) * 3
        assert list(faint.customdata) == [layer for layer in range(3) for _ in range(5)]
        np.testing.assert_allclose(faint.x, faint.customdata, atol=0.3)
        (dashes,) = named(figure, f"{target}, whole MLP")
        assert list(dashes.y) == [3.0, 3.0, 3.0]
        assert dashes.line.dash == "dash"


def test_axes_of_the_profile_say_what_is_measured_and_its_sign(by_hand):
    layout = plots.laminar_profile(by_hand.profile()).layout
    assert layout.yaxis.title.text == "logit drop (clean − lesioned)<br>positive: the lesion cost this token"
    assert layout.xaxis.title.text == "lesioned layer"
    assert layout.yaxis.range[0] < -0.3
    assert layout.yaxis.range[1] > 3.0


def test_parts_of_the_profile_can_be_left_out(by_hand):
    figure = plots.laminar_profile(by_hand.profile(), show_prompts=False, show_whole=False)
    assert not [t for t in figure.data if t.mode == "markers" or (t.line and t.line.dash == "dash")]
    assert len([t for t in figure.data if t.mode == "lines+markers"]) == 4
    with pytest.raises(ValueError, match=r"mask 'hm' is unknown; allowed: 'him', 'her' \(did you mean 'him'\?\)"):
        plots.laminar_profile(by_hand.profile(), masks=["hm"])


def test_him_and_her_keep_their_colours_in_every_figure(by_hand):
    profile = plots.laminar_profile(by_hand.profile())
    reordered = plots.laminar_profile(by_hand.profile(masks=("any", "her", "him")))
    for figure in (profile, reordered):
        lines = {trace.name: trace.line.color for trace in figure.data if trace.mode == "lines+markers"}
        if figure is profile:
            assert lines == {"him": style.A, "her": style.B}
    share = plots.selective_share(by_hand.selection())
    assert {bar.name: bar.marker.color for bar in share.data} == {"larger for him": style.A, "larger for her": style.B}
    volcano = plots.volcano(by_hand.selection(), layer=0)
    assert [trace.marker.color for trace in volcano.data] == [style.NEUTRAL, style.A, style.B]
    change = plots.global_change(by_hand.profile())
    assert [named(change, f"{mask}-neurons")[0].line.color for mask in ("him", "her")] == [style.A, style.B]
    density = plots.activation_histogram(by_hand.histogram(), layer=0)
    assert [trace.line.color for trace in density.data] == [style.A, style.B] * 2


def test_a_mask_that_is_no_condition_never_takes_a_conditions_colour():
    assert style.colour_map(("him", "her"), ("any",))["any"] not in (style.A, style.B)
    assert style.colour_map((), ("any",))["any"] not in (style.A, style.B)
    assert len(set(style.colour_map(("a", "b"), ("c", "d", "e")).values())) == 5


def test_targets_that_differ_between_prompts_are_called_by_their_place(by_hand):
    same = by_hand.profile()
    assert target_words(same.targets) == ["him", "her"]
    object.__setattr__(same, "targets", (("dog", "dogs"),) * 4 + (("cat", "cats"),))
    assert target_words(same.targets) == ["target 1", "target 2"]


def test_global_change_shows_medians_and_the_whole_mlp(by_hand):
    profile = by_hand.profile()
    figure = plots.global_change(profile)
    for m, mask in enumerate(profile.masks):
        (line,) = named(figure, f"{mask}-neurons")
        np.testing.assert_array_equal(line.y, np.median(profile.global_change[m].numpy(), axis=1))
    assert list(named(figure, "whole MLP")[0].y) == [1.5, 1.5, 1.5]
    assert not named(plots.global_change(profile, show_whole=False), "whole MLP")
    assert figure.layout.yaxis.title.text == "global change (logits)"
    assert "standard deviation over the vocabulary" in figure.layout.title.text


# ---- selection


def test_the_share_is_that_of_the_density(by_hand):
    selection = by_hand.selection()
    figure = plots.selective_share(selection)
    assert figure.layout.barmode == "stack"
    for condition, bar in zip(selection.conditions, figure.data, strict=True):
        np.testing.assert_allclose(bar.y, 100 * selection.density()[condition])
    # By hand: t = 3 is him's only one; -4 and -3 are her's, of which -4 is dead in layer 2.
    assert list(figure.data[0].y) == [12.5, 12.5, 12.5]
    assert list(figure.data[1].y) == [25.0, 25.0, 12.5]
    assert figure.layout.yaxis.title.text == "selected neurons (% of the layer)"


def test_every_living_neuron_is_a_point_of_the_volcano(by_hand):
    selection = by_hand.selection()
    figure = plots.volcano(selection, layer=2)
    neither, him, her = figure.data
    assert [name.split(" (")[0] for name in (neither.name, him.name, her.name)] == [
        "not selected",
        "larger for him",
        "larger for her",
    ]
    assert [len(trace.x) for trace in figure.data] == [5, 1, 1]
    assert him.customdata[0][0] == 7
    assert him.x[0] == 1.5
    assert him.y[0] == pytest.approx(9 / np.log(10), abs=5e-6)  # −log10 of exp(−9), rounded to five decimals
    assert "effect size d " in figure.layout.xaxis.title.text
    assert "d_z" in plots.volcano(by_hand.selection(test="paired"), layer=2).layout.xaxis.title.text
    with pytest.raises(ValueError, match=r"layer 3 is not in this selection; it has the layers \[0, 1, 2\]"):
        plots.volcano(selection, layer=3)


def test_hovering_tells_layer_neuron_value_and_prompt(by_hand):
    (faint,) = points(plots.laminar_profile(by_hand.profile(), masks=["him"]), "him")
    assert all(part in faint.hovertemplate for part in ("layer", "logit drop %{y", "%{text}"))
    neuron = plots.volcano(by_hand.selection(), layer=1).data[1].hovertemplate
    assert all(part in neuron for part in ("layer 1", "neuron %{customdata[0]", "effect size %{x"))


# ---- activations


def test_densities_before_and_after_add_up_to_one(by_hand):
    figure = plots.activation_histogram(by_hand.histogram(), layer=1)
    assert [a.text for a in figure.layout.annotations] == [
        "before the activation function",
        "after the activation function",
    ]
    for trace, width in zip(figure.data, (1, 1, 0.5, 0.5), strict=True):
        assert np.nansum(trace.y) * width == pytest.approx(1)
    before_him = figure.data[0]
    assert before_him.name == "him (50.0 % silenced)"
    assert list(before_him.x) == [-1.5, -0.5, 0.5, 1.5]
    np.testing.assert_array_equal(before_him.y, [0.25, 0.25, 0.5, np.nan])
    assert figure.layout.yaxis.type == "log"
    with pytest.raises(ValueError, match="layer 9 is not in this histogram"):
        plots.activation_histogram(by_hand.histogram(), layer=9)
    with pytest.raises(ValueError, match="point 'pre' is unknown; allowed: 'before', 'after'"):
        plots.activation_histogram(by_hand.histogram(), layer=0, point="pre")


def test_bins_are_joined_until_they_can_be_drawn():
    counts = np.ones((2, 256), dtype=int)
    joined, width = histogram_figures._joined(counts, 0.25)
    assert joined.shape == (2, 64)
    assert width == 1.0
    assert (joined == 4).all()
    few = np.zeros((2, 256), dtype=int)
    few[:, 100:150] = 1
    assert histogram_figures._joined(few, 0.25)[1] == 0.25


def test_silenced_shares_are_those_of_the_result(by_hand):
    histogram = by_hand.histogram()
    figure = plots.silenced_share(histogram)
    for i, condition in enumerate(histogram.conditions):
        np.testing.assert_array_equal(named(figure, f"silenced, {condition}")[0].y, 100 * histogram.silenced[i])
        np.testing.assert_array_equal(named(figure, f"negative, {condition}")[0].y, 100 * histogram.negative[i])


# ---- all of them


def all_figures(by_hand, **options) -> dict[str, go.Figure]:
    return {
        "laminar_profile": plots.laminar_profile(by_hand.profile(), **options),
        "global_change": plots.global_change(by_hand.profile(), **options),
        "selective_share": plots.selective_share(by_hand.selection(), **options),
        "volcano": plots.volcano(by_hand.selection(), layer=0, **options),
        "activation_histogram": plots.activation_histogram(by_hand.histogram(), layer=0, **options),
        "silenced_share": plots.silenced_share(by_hand.histogram(), **options),
    }


def test_every_figure_has_a_title_axes_and_a_template_of_the_callers_choice(by_hand):
    own, dark = all_figures(by_hand), all_figures(by_hand, template="plotly_dark")
    for name, figure in own.items():
        assert figure.layout.title.text, name
        assert figure.layout.xaxis.title.text, name
        assert figure.layout.yaxis.title.text, name
        assert figure.layout.template == style.template(), name
        assert dark[name].layout.template.layout.paper_bgcolor != figure.layout.template.layout.paper_bgcolor, name
        if not re.search("share|histogram", name):
            assert all(t.hovertemplate or t.hoverinfo == "skip" for t in figure.data), name


def test_the_public_face_holds_figures_and_nothing_else():
    names = dir(plots)
    assert {"verdict", "volcano", "drift_map", "context_scatter"} <= set(names)
    for name in names:
        figure = getattr(plots, name)
        assert inspect.isfunction(figure), name
        assert figure.__name__ == name
        assert "template" in inspect.signature(figure).parameters
    assert names == plots.__all__
    misspelt: Any = plots
    with pytest.raises(AttributeError, match=r"figure 'vulcano' is unknown; .*did you mean 'volcano'"):
        misspelt.vulcano  # noqa: B018


@pytest.mark.slow
def test_a_figure_is_imported_when_it_is_asked_for():
    script = """
import sys
import tlesion.plots
assert "plotly" not in sys.modules
tlesion.plots.volcano
rooms = {name.split(".")[2] for name in sys.modules if name.startswith("tlesion.studies.") and "figures" in name}
assert rooms == {"selecting"}, rooms
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_importing_and_plotting_changes_nothing_global_and_shows_nothing():
    script = """
import plotly.io as pio, plotly.graph_objects as go
before = (pio.templates.default, pio.renderers.default, sorted(pio.templates), go.Figure().to_json())
import tlesion.plots
from tlesion.drawing import style
figure = style.finish(go.Figure(), None, title="x")
assert before == (pio.templates.default, pio.renderers.default, sorted(pio.templates), go.Figure().to_json())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def contrast_ratio(colour: str, ground: str) -> float:
    """WCAG 2's ratio of two #RRGGBB colours, 1 to 21."""

    def luminance(text: str) -> float:
        channels = [int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    high, low = sorted((luminance(colour), luminance(ground)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colour", [style.A, style.B, style.NEUTRAL])
def test_colours_of_conditions_stand_out_on_light_and_dark_pages(colour):
    # WCAG asks 3:1 of graphics.
    assert contrast_ratio(colour, "#FFFFFF") >= 3
    assert contrast_ratio(colour, "#15181C") >= 3


def test_a_diverging_scale_is_centred_on_zero():
    axis = style.centred(2.5)
    assert (axis["cmin"], axis["cmid"], axis["cmax"]) == (-2.5, 0.0, 2.5)
    assert axis["colorscale"][2] == [0.5, "#F4F4F2"]
