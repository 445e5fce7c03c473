"""A verdict for a paper: the paragraph's numbers are the fields', and the table is LaTeX that holds together."""

import dataclasses
import re

import pytest
import torch

import tlesion
from tlesion.studies.verdict.latex import escaped

PLANTED = tlesion.toy.planted_model("causal", n_layers=2, d_mlp=40, layers=(1,))
ODD = r"a_b & 50% #1 {x} ~ ^ $ \ <y>"


@pytest.fixture(scope="module")
def said():
    masks = {ODD: PLANTED.truth.mask("causal", "him"), "her": PLANTED.truth.mask("causal", "her")}
    profile = tlesion.laminar_profile(
        PLANTED.model, masks, PLANTED.language.prompts(24, seed=1), about={ODD: "him"}, smallest=0.125, n_controls=59
    )
    return tlesion.verdict(profile)


def test_the_paragraph_is_one_and_its_numbers_are_the_fields(said):
    text = said.methods()
    assert "\n" not in text
    for part in (
        "2 neuron sets",
        f"{ODD}: {int(said.n_lesioned[0, 1])} neurons in layer 1",
        "planted-causal (HookedTransformer, float32, no revision recorded)",
        "2 × 2 lesions, of which 2 cut neurons and were tested",
        "at mlp.hook_post were replaced by zero, at the position where each prompt is read",
        f"her on 'her', {int(said.n_prompts[1])} prompts from {int(said.n_groups[1])} independent templates",
        f"{100 * said.accuracy:.1f}% of the prompts",
        "59 matched controls",
        "about equally active",
        f"held {100 * float(said.control_overlap[:, 1].max()):.0f}% of a set's own neurons",
        "corrected over 2 lesions by the maximum statistic, at α = .05",
        "10,000 drawn",
        f"0.125 logits for {ODD} (set before the run)",
        "its 90% interval",
        "Intervals are 95% ones",
        f"tlesion {tlesion.__version__}",
        f"TransformerLens {said.provenance.versions['transformer_lens']}",
        f"PyTorch {torch.__version__}",
    ):
        assert part in text, part


def test_other_settings_make_another_paragraph(said):
    settings = said.provenance.settings
    profile = {**settings["profile"], "match": None, "ablation": "mean", "position": "all"}
    others = {"measure": "drop", "correction": "none", "alpha": 0.01, "interval": "bca", "groups": "none"}
    model = {**said.provenance.model, "revision": "abc123"}
    record = dataclasses.replace(said.provenance, settings={**settings, **others, "profile": profile}, model=model)
    text = dataclasses.replace(said, provenance=record, accuracy=torch.tensor(torch.nan, dtype=torch.float64)).methods()
    for part in (
        "replaced by their mean over a reference set, at all positions",
        "takes from its word's logit",
        "not corrected for multiple tests, at α = .01",
        "its 98% interval",
        "BCa bootstraps",
        "revision abc123",
        "Every prompt counted as independent",
    ):
        assert part in text, part
    assert "equally active" not in text
    assert "gave the right answer" not in text


def test_the_controls_that_did_as_much_are_counted(said):
    """Of the specific lesions, and by the p that says so."""
    p = torch.full_like(said.control_p, torch.nan)
    p[:, 1] = torch.tensor([2 / 60, 1 / 60])
    both = (("nothing cut", "specific"),) * 2
    text = dataclasses.replace(said, control_p=p, verdicts=both).methods()
    assert "Of 4 lesions, the verdicts were: 2 'specific'; 2 'nothing cut'." in text
    assert "at most 1 of 59 controls of a specific lesion did as much" in text
    p[:, 1] = 1 / 60
    assert "none of the 59 controls" in dataclasses.replace(said, control_p=p, verdicts=both).methods()
    neither = dataclasses.replace(said, verdicts=(("nothing cut", "damage"),) * 2)
    assert "did as much" not in neither.methods()


def test_a_profile_that_recorded_little_has_a_paragraph(by_hand):
    text = tlesion.verdict(by_hand.effects(by_hand.SILENT, by_hand.drops(2.0, 0.0))).methods()
    assert "hand-made" in text
    assert "None" not in text


def body(table):
    return table[table.index(r"\midrule") : table.index(r"\bottomrule")].splitlines()[1:]


def test_the_table_is_latex_that_holds_together(said):
    table = said.to_latex()
    bare = re.sub(r"\\[\\{}%&#_$]", "", table)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    depth = 0
    for one in bare:
        depth += {"{": 1, "}": -1}.get(one, 0)
        assert depth >= 0
    assert re.findall(r"\\begin\{(\w+)\}", table) == re.findall(r"\\end\{(\w+)\}", table)[::-1]
    columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", table)
    assert columns is not None
    rows = [line for line in bare.splitlines() if line.endswith(" ") and " & " in line]
    assert len(rows) == 1 + 4
    assert {line.count("&") for line in rows} == {len(columns[1]) - 1}
    assert all(line.endswith(r" \\") for line in body(table))
    assert not re.search(r"[^\x00-\x7f]", table.replace("−", "")), "plain ASCII: no package for letters is needed"


def test_the_table_says_what_the_verdict_says(said):
    table = said.to_latex(label="tab:mine")
    assert r"\label{tab:mine}" in table
    assert "59 controls" in table
    first, second = (line for line in body(table) if " & 1 & " in line)
    assert first.startswith(escaped(ODD))
    assert f"${float(said.effect[0, 1]):.2f}$" in first
    assert f"[${float(said.low[1, 1]):.2f}$, ${float(said.high[1, 1]):.2f}$]" in second
    empty = [line for line in body(table) if "nothing cut" in line]
    assert len(empty) == 2
    assert all(line.count("--") == 6 for line in empty)


def test_p_is_written_as_apa_has_it(said):
    p = torch.tensor([[0.0004, 0.0312], [1.0, 0.05]], dtype=torch.float64)
    table = dataclasses.replace(said, p=p, verdicts=(("damage",) * 2,) * 2).to_latex()
    for text in ("$< .001$", "$.031$", "$> .999$", "$.050$"):
        assert text in table
    assert "$0.0" not in "".join(re.findall(r"\$[<>]? ?0?\.\d{3}\$", table))


def test_special_characters_are_themselves():
    assert escaped("a_b & 50%") == r"a\_b \& 50\%"
    assert escaped("\\{}") == r"\textbackslash{}\{\}"
    assert escaped("two\nlines") == "two lines"
