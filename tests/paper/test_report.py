"""Pages: self-contained, plotly once, everything that was run stated, words that follow from the numbers."""

import json
import re
from html.parser import HTMLParser

import pandas as pd
import plotly.graph_objects as go
import pytest
import torch

import tlesion
from tlesion.drawing import style
from tlesion.drawing.embed import figure_json, plotly_js
from tlesion.keep.writing import check_file, check_folder, write_whole
from tlesion.paper import Drawing, Page, Section, Table
from tlesion.paper.provenance import provenance_section
from tlesion.selection import statistics
from tlesion.studies.common.selected import selected
from tlesion.studies.evidence.page import laminar_page
from tlesion.studies.evidence.pages import page_of
from tlesion.studies.evidence.words import silenced
from tlesion.studies.laminar import words
from tlesion.studies.laminar.summary import summarise_profile

pytestmark = pytest.mark.slow


class Reader(HTMLParser):
    """What a browser would see: attributes that load something, scripts, text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.scripts: list[str] = []
        self.text = ""
        self._in_script = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")
        self.loads += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data", "action"}]

    def handle_endtag(self, tag):
        self._in_script = False

    def handle_data(self, data):
        if self._in_script:
            self.scripts[-1] += data
        else:
            self.text += data


@pytest.fixture(scope="module")
def page(by_hand) -> Page:
    return laminar_page(by_hand.profile(), selection=by_hand.selection(), histogram=by_hand.histogram())


@pytest.fixture(scope="module")
def html(page) -> str:
    return page.html()


@pytest.fixture(scope="module")
def seen(html) -> Reader:
    return Reader(html)


# ---- one file


def test_a_page_loads_nothing_from_elsewhere(html, seen):
    inside = [address for address in seen.loads if not address.startswith("#") and address != "data:,"]
    assert inside == []
    assert "link" in seen.tags  # the empty icon: without it a browser asks the server for one
    without_plotly = html.replace(plotly_js(), "")
    assert not re.search(r"https?://|@import|url\(", without_plotly)


def test_plotly_is_in_a_page_with_figures_once_and_in_one_without_not_at_all(html):
    assert html.count(plotly_js()) == 1
    without = Page("No figures", ["Nothing."], [Section("Data", ["None."])]).html()
    assert "plotly" not in without.lower()
    assert len(without) < 10_000


def test_every_figure_is_there_as_json_without_its_template(page, seen):
    drawings = [drawing for section in page.sections for drawing in section.drawings]
    records = [json.loads(text) for text in seen.scripts if text.startswith("{")]
    assert len(records) == len(drawings) == 9
    for record, drawing in zip(records, drawings, strict=True):
        assert len(record["data"]) == len(drawing.figure.data)
        assert record["themed"]
        assert "template" not in record["layout"]
        assert drawing.figure.layout.template == style.template(), "the figure itself stays as it was"
    assert all(Drawing(d.figure).title in seen.text for d in drawings)


def test_a_figure_with_a_template_of_its_own_keeps_it():
    own = json.loads(figure_json(go.Figure(layout={"template": "plotly_dark"})))
    assert "themed" not in own
    assert own["layout"]["template"]["layout"]["paper_bgcolor"]


def test_text_from_outside_cannot_break_out_of_the_page(by_hand, html):
    # The hand-made prompts hold "<b>", "&" and "</script>": they stand in hover texts.
    assert html.count("</script>") == html.count("<script")
    assert "<b> & </script> says" not in html
    evil = Page("<script>alert(1)</script>", ["<img src=x>"], [Section("<h1>", ["&"], facts={"<i>": "<u>"})]).html()
    assert Reader(evil).scripts == []
    assert not {"img", "i", "u"} & set(Reader(evil).tags)


def test_light_dark_and_narrow_screens_are_provided_for(html):
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport" content="width=device-width, initial-scale=1"' in html
    assert "@media (max-width" in html
    assert re.search(r"const TEMPLATES = \{ light: \{.*\}, dark: \{", html)


def test_the_page_is_well_formed(html, seen):
    written = html.replace(plotly_js(), "")
    for tag in ("section", "figure", "table", "tr", "td", "dl", "div", "ul", "main", "body"):
        assert seen.tags.count(tag) == written.count(f"</{tag}>"), tag
    anchors = re.findall(r'<section id="([^"]+)"', html)
    assert len(set(anchors)) == len(anchors) == 5
    assert all(f'href="#{anchor}"' in html for anchor in anchors)


# ---- what it says


def test_the_page_states_model_data_settings_and_versions(by_hand, seen):
    text = seen.text
    for part in ("hand-made", "2 sentences, hash abcdef", "mlp.hook_post", "2.13.0", "float32", "f" * 64):
        assert part in text
    for result in (by_hand.profile(), by_hand.selection(), by_hand.histogram()):
        assert result.content_hash in text


def test_models_and_versions_are_stated_once_where_results_share_them(by_hand):
    facts = provenance_section({"selection": by_hand.selection(), "profile": by_hand.profile()}).facts
    assert [name for name in facts if name.startswith("model: name")] == ["model: name"]
    assert facts["profile: ablation"] == "zero"
    assert "model: revision" not in facts  # unknown


def test_the_words_follow_from_the_numbers(by_hand):
    # By hand: the median prompt of five is number 2, (l + 1) · 0.1, doubled for a mask's own target.
    profile = by_hand.profile()
    said = words.cost(profile, summarise_profile(profile), "him")
    assert said == (
        "Zeroing the him-neurons of one layer costs 'him' most in layer 2: a median logit drop of +0.60 (middle half "
        "of the prompts 0 to +1.20; 3 neurons), against −0.30 for 'her' there. Ablating that layer's whole MLP gives "
        "+3.00 for 'him'."
    )
    assert words.clean(profile) == (
        "Before any lesion the model's largest target logit is the right one in 0 of 5 prompts (0 %)."
    )
    assert "none of them names a right target" in words.clean(by_hand.profile(known=False))
    assert words.largest_layer(profile) == 2


def with_drop(profile, drop):
    object.__setattr__(profile, "logit_drop", drop)
    return profile


def test_a_lesion_that_helps_is_said_to_help(by_hand):
    profile = by_hand.profile()
    drop = -profile.logit_drop.abs()
    said = words.cost(with_drop(profile, drop), summarise_profile(profile), "her")
    assert said.startswith(
        "Zeroing the her-neurons of one layer does not cost but helps 'her' most in layer 2: a median"
    )
    assert said.endswith("In no layer does it cost the median prompt.")
    drop[:, 0] = 0.1
    said = words.cost(with_drop(profile, drop), summarise_profile(profile), "her")
    assert said.endswith("The largest cost is +0.10, in layer 0.")


def test_a_lesion_that_changes_nothing_is_said_to_change_nothing(by_hand):
    profile = with_drop(by_hand.profile(), torch.zeros(2, 3, 5, 2, dtype=torch.float64))
    assert words.cost(profile, summarise_profile(profile), "him") == (
        "Zeroing the him-neurons of one layer leaves the logit of 'him' as it was in the median prompt, whatever the "
        "layer."
    )


def test_a_set_without_neurons_is_not_said_to_have_no_effect(by_hand):
    profile = with_drop(by_hand.profile(), torch.zeros(2, 3, 5, 2, dtype=torch.float64))
    profile.n_lesioned[profile.masks.index("her")] = 0
    table = summarise_profile(profile)
    assert words.cost(profile, table, "her") == "There are no her-neurons in any layer: nothing was cut."
    assert words.cost(profile, table, "him").endswith("as it was in the median prompt, whatever the layer.")


def test_the_selection_in_words(by_hand):
    selection = by_hand.selection()
    said = selected(selection)
    assert said.startswith(
        "8 of 24 neurons (33 %) tell 'him' from 'her' (Welch's t-test, fdr_bh, 6 against 6 sentences): 3 are larger "
        "for 'him', 5 for 'her'. The share is smallest in layer 2 (25 %) and largest in layer 0 (38 %)."
    )
    assert "more than half" not in said
    object.__setattr__(selection, "p_adjusted", torch.zeros_like(selection.p_adjusted))
    assert "In every layer that is more than half of the neurons" in selected(selection)
    object.__setattr__(selection, "p_adjusted", torch.ones_like(selection.p_adjusted))
    assert selected(selection).startswith("No neuron tells 'him' from 'her'")


def test_a_test_of_somebody_elses_is_called_by_what_is_known_of_it(by_hand, monkeypatch):
    """Its summary where it is registered; its name where a saved selection is read without it. Never a t-test."""
    monkeypatch.setattr(statistics._STATISTICS, "_entries", dict(statistics._STATISTICS._entries))
    tlesion.register_statistic("ranksum", takes="rows", summary="Wilcoxon's rank-sum test")(lambda a, b: {})
    tlesion.register_statistic("unsaid")(lambda a, b: {})
    assert "(Wilcoxon's rank-sum test, fdr_bh, 6 against" in selected(by_hand.selection(test="ranksum"))
    assert "(the test 'unsaid', fdr_bh, 6 against" in selected(by_hand.selection(test="unsaid"))
    assert "(the test 'elsewhere', fdr_bh, 6 against" in selected(by_hand.selection(test="elsewhere"))


@pytest.mark.parametrize(
    ("hook_point", "ceiling", "said"),
    [
        ("mlp.hook_pre", "whole MLP", "the layer's whole MLP"),
        ("attn.hook_z", "all heads", "all heads in the layer"),
        ("hook_attn_out", "whole attention", "the layer's whole attention"),
        ("hook_resid_mid", "all of hook_resid_mid", "all of hook_resid_mid in the layer"),
    ],
)
def test_the_ceiling_is_called_by_what_is_cut(by_hand, hook_point, ceiling, said):
    profile = by_hand.profile()
    profile.provenance.settings["hook_point"] = hook_point
    assert profile.references == ("nothing", ceiling)
    page = laminar_page(profile)
    table = page.sections[0].tables[0].frame
    assert list(table[f"{ceiling} ablated", "him"]) == [3.0] * 3
    assert f"Dashes show the same for {said}:" in page.sections[0].text[1]
    assert f"Ablating {said.replace('the layer', 'that layer')} gives" in " ".join(page.summary)
    if ceiling != "whole MLP":
        assert "MLP" not in page.html()


def test_what_the_activation_function_silences_in_words(by_hand):
    assert silenced(by_hand.histogram()) == (
        "29 % of the values that reach the activation function are silenced (at most 10 % of them is left): from 12 % "
        "in layer 0 to 50 % in layer 1."
    )


def test_a_null_lesion_that_changes_something_is_called_out(by_hand):
    profile = by_hand.profile()
    assert "changes the logits by 0, exactly zero" in laminar_page(profile).sections[-1].text[0]
    broken = profile.reference_logit_drop.clone()
    broken[0, 1, 2, 0] = 1e-6
    object.__setattr__(profile, "reference_logit_drop", broken)
    assert "NOT zero: do not trust this profile" in laminar_page(profile).sections[-1].text[0]


def test_the_table_of_the_profile_holds_its_medians(by_hand):
    profile = by_hand.profile()
    table = laminar_page(profile).sections[0].tables[0]
    median = profile.logit_drop.median(dim=2).values
    for m, mask in enumerate(profile.masks):
        for j, target in enumerate(("him", "her")):
            assert list(table.frame[f"{mask}-neurons ablated", target]) == median[m, :, j].tolist()
    assert list(table.frame["whole MLP ablated", "him"]) == [3.0] * 3


def test_a_page_without_a_selection_or_with_one_prompt(by_hand):
    titles = [section.title for section in laminar_page(by_hand.profile()).sections]
    assert titles == ["What does each lesion cost?", "What was run"]
    assert "selected" not in " ".join(laminar_page(by_hand.profile()).summary)


def test_the_layer_that_is_shown_can_be_chosen(by_hand):
    chosen = laminar_page(by_hand.profile(), selection=by_hand.selection(), layer=1)
    assert chosen.sections[1].drawings[1].title == "Every neuron of layer 1"
    with pytest.raises(ValueError, match="layer 7 is not in this selection"):
        laminar_page(by_hand.profile(), selection=by_hand.selection(), layer=7)


def test_a_page_is_found_for_a_runs_results(by_hand):
    page = page_of([by_hand.selection(), by_hand.histogram(), by_hand.profile()])
    assert len(page.sections) == 5
    with pytest.raises(
        ValueError, match=r"no report is made of NeuronSelection alone; a report needs one of .*Laminar"
    ):
        page_of([by_hand.selection()])


# ---- tables and files


def test_cells_have_their_digits_true_minus_signs_and_no_negative_zero():
    table = Table(pd.DataFrame({"name": ["a"], "n": [3], "x": [-1.5], "z": [-0.0004], "nan": [float("nan")]}))
    assert table.rows == [["a", "3", "−1.500", "0.000", "nan"]]
    assert [column.style for column in table.columns] == ["", "number", "number", "number", "number"]
    assert table.groups == []


def test_two_rows_of_headings_become_groups():
    frame = pd.DataFrame({("", "layer"): [0], ("him", "a"): [1.0], ("him", "b"): [2.0], ("her", "a"): [3.0]})
    table = Table(frame, digits=1)
    assert table.groups == [("", 1), ("him", 2), ("her", 1)]
    assert [column.style for column in table.columns] == ["number", "number first", "number", "number first"]


def test_a_page_is_written_whole_or_not_at_all(page, html, tmp_path, monkeypatch):
    path = page.write(tmp_path / "new" / "report.html")
    assert path.read_text(encoding="utf-8") == html
    assert path.stat().st_mode & 0o777 == 0o644

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("tlesion.keep.writing.Path.replace", full)
    with pytest.raises(OSError, match="no space left"):
        write_whole(path, "half")
    assert path.read_text(encoding="utf-8") == html
    assert [one.name for one in path.parent.iterdir()] == ["report.html"]


def test_files_and_folders_that_are_mixed_up(page, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match=r"cannot write the file '.*': it is a folder; give the name of a file"):
        page.write(tmp_path)
    with pytest.raises(ValueError, match=r"cannot write into '.*file': it is a file; give the name of a folder"):
        page.write(tmp_path / "file" / "report.html")
    with pytest.raises(ValueError, match=r"cannot write into '.*deep': '.*file' is a file"):
        check_folder(tmp_path / "file" / "more" / "deep")
    with pytest.raises(ValueError, match="it is a folder"):
        check_file(tmp_path)
    assert (tmp_path / "file").read_text() == "mine"
