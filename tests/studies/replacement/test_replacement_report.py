"""Pages and commands of the replacement and context studies: every sentence agrees with the numbers."""

import json

import pytest
import torch
from typer.testing import CliRunner

import tlesion
from tlesion import plots
from tlesion.cli import app
from tlesion.studies.context import words as context_words
from tlesion.studies.context.page import context_page
from tlesion.studies.evidence.pages import page_of
from tlesion.studies.replacement import words as replacement_words
from tlesion.studies.replacement.page import replacement_page

pytestmark = pytest.mark.slow

TEXT = "The old teacher gave the boy an apple and told him to share it with the girl and the boy."
PROMPTS = [tlesion.Prompt(text, ("him", "her"), correct="him") for text in ("We saw", "The old teacher gave the boy")]


@pytest.fixture(scope="module")
def model(checkpoint_folder):
    return tlesion.load_model(checkpoint_folder("gpt2"))


@pytest.fixture(scope="module")
def scaled(model):
    return tlesion.replacement(model, PROMPTS, tlesion.scale_variants(model))


@pytest.fixture(scope="module")
def heads(model):
    return tlesion.replacement(model, PROMPTS, tlesion.head_variants(model))


@pytest.fixture(scope="module")
def context(model):
    return tlesion.context_modulation(model, TEXT)


@pytest.fixture(scope="module")
def space(model):
    return tlesion.space_modulation(model, ["t", "h", "s", "w", "b", "he", "g"])


def test_the_scaling_report_tells_what_the_numbers_are(scaled):
    said = " ".join(replacement_words.summary(scaled))
    kl = scaled.kl.mean(dim=1)
    assert f"“{scaled.variants[int(kl.argmax())]}” changes the prediction most: KL {float(kl.max()):.3g} nats" in said
    ratio = (scaled.hidden.std / scaled.hidden.clean_std).quantile(0.5, dim=2)
    begin, end = ratio[[0, 1], [0, 1]].mean(), ratio[[0, 1], 2].mean()
    assert f"× 0.1: the standard deviation of the hidden state is {begin:.2f} times the clean one" in said
    assert f"{end:.2f} times after the last (medians over prompts and 2 lesions)" in said
    assert f"{begin:.2f}" == "0.10"
    last = scaled.recovery().query("layer == 2 and start < 2")
    for verdict, n in last["verdict"].value_counts().items():
        phrase = {"compensation": "compensate", "rescaling": "only rescaled", "none": "nothing is undone"}[str(verdict)]
        assert f"in {n} " in said
        assert phrase in said


def test_pages_hold_their_figures_and_tables(scaled, heads, context, space, tmp_path):
    page = replacement_page(scaled)
    titles = [section.title for section in page.sections]
    assert titles == [
        "What becomes of the hidden state?",
        "Is it undone later?",
        "How does the prediction change?",
        "How unnatural is it?",
        "What was run",
    ]
    drawn = page.sections[0].drawings[0].figure
    assert drawn.layout.yaxis.type == "log", "factors of 0.1 and 10 span decades"
    names = {trace.name for trace in drawn.data}
    assert names == {"× 0.1", "× 10", "clean"}
    headed = replacement_page(heads).sections[2].drawings[0].figure
    assert headed.data[0].type == "heatmap"
    assert headed.data[0].z[1][2] == pytest.approx(heads.kl.mean(dim=1)[2 * 4 + 1].item())
    for results in ([scaled], [context, space], [context]):
        text = page_of(results).html()
        assert text.count("Plotly.newPlot") >= 0
        assert "nan to nan" not in text
    assert page_of([context, space]).write(tmp_path / "report.html").stat().st_size > 1_000_000


def test_the_context_report_tells_what_the_numbers_are(context, space):
    said = " ".join(context_words.summary(context, space, layer=1))
    assert f"correlate with r = {context.correlation[1].item():.2f}" in said
    r, other = space.correlation[1].item(), context.correlation[1].item()
    assert f"changes activations {'less' if r > other else 'more'} than context does" in said
    higher = int((space.correlation > context.correlation).sum())
    assert f"the higher one in {higher} of 3 layers" in said
    assert context.alone[1] in said
    assert "descriptive" in said
    with pytest.raises(ValueError, match=r"layer 9 is not in this result; it has \[0, 1, 2\]"):
        context_page(context, layer=9)


def test_figures_refuse_what_they_cannot_draw(model, scaled, context, space):
    with pytest.raises(ValueError, match="size 'variance' is unknown"):
        plots.hidden_by_layer(scaled, size="variance")
    with pytest.raises(ValueError, match="this result has no lesions of single heads"):
        plots.head_map(scaled)
    with pytest.raises(ValueError, match="layer 7 is not in this result"):
        plots.space_scatter(space, layer=7)
    bare = tlesion.context_modulation(model, TEXT, keep=0, context_lengths=[])
    with pytest.raises(ValueError, match="this result has no activations"):
        plots.context_scatter(bare, layer=1)
    with pytest.raises(ValueError, match="no correlations by length of context"):
        plots.correlation_by_length(bare)


def test_the_scatter_counts_every_pair_once(context):
    figure = plots.context_scatter(context, layer=1)
    counts = torch.as_tensor(figure.data[0].customdata).sum().item()
    outside = context.in_context[1].numel() - counts
    title = figure.layout.xaxis.title.text
    assert (f"{outside:,} of" in title) if outside else ("outside" not in title)
    diagonal = figure.data[1]
    assert list(diagonal.x) == list(diagonal.y)


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.stdout, done.stderr


def test_the_commands_write_what_they_say(checkpoint_folder, tmp_path):
    folder = str(checkpoint_folder("gpt2"))
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(
        "\n".join(json.dumps({"text": p.text, "targets": ["him", "her"], "correct": "him"}) for p in PROMPTS)
    )
    out = tmp_path / "heads"
    given: tuple[str, ...] = ("replace", "--kind", "key-head", "--heads", "0,2", "--layers=-1", "--ablation", "mean")
    code, told, error = run(*given, "--model", folder, "--prompts", str(prompts), "--out", str(out), "--json")
    assert code == 0, error
    record = json.loads(told)
    assert [row["variant"] for row in record["variants"]] == ["key head 2.0+2"]
    result = tlesion.load_result(out / "replacement")
    assert record["variants"][0]["kl"] == pytest.approx(result.kl.mean().item())
    assert (out / "report.html").is_file()
    out = tmp_path / "context"
    words = tmp_path / "words.txt"
    words.write_text("t\nh\ns\nw\nb\nhe\n")
    given = ("context", "--text", TEXT, "--words", str(words), "--model", folder, "--out", str(out), "--layer", "1")
    code, told, error = run(*given)
    assert code == 0, error
    assert "In layer 1 the activations of" in told.replace("\n", " ")
    assert tlesion.load_result(out / "space").words


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("replace", "--kind", "heads"), "kind 'heads' is unknown; allowed: 'key-head'"),
        (("replace", "--kind", "scale", "--factors", "a,b"), "--factors 'a,b' is not understood; give numbers"),
        (("replace", "--kind", "noise", "--every", "0"), "--every 0 selects no neuron"),
        (("replace", "--layers", "12"), "layers [12] do not exist"),
        (("replace", "--position", "middle"), "position 'middle' is unknown; allowed: 'all', 'readout'"),
        (("context", "--text", "a", "--opening", "b"), "--text and --opening exclude each other"),
        (("context", "--file", "/nowhere.txt"), "'/nowhere.txt' is not a file"),
        (("context", "--layer", "12"), "layers [12] do not exist"),
    ],
)
def test_usage_errors_are_one_line(checkpoint_folder, tmp_path, arguments, message):
    code, _, error = run(*arguments, "--model", str(checkpoint_folder("gpt2")), "--out", str(tmp_path / "out"))
    assert code == 2
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
