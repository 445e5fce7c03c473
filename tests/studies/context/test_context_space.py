"""Leading spaces and repeated selections: which words are used, intervals, power, refusals."""

import numpy as np
import pytest
import torch
from scipy import stats

import tlesion
from tlesion.studies.selecting.stability import _given_selection

pytestmark = pytest.mark.slow

WORDS = ("t", "h", "s", "w", "b", "he", "g")


@pytest.fixture(scope="module")
def model(checkpoint_folder):
    return tlesion.load_model(checkpoint_folder("gpt2"))


@pytest.fixture(scope="module")
def result(model):
    return tlesion.space_modulation(model, [*WORDS, "xylophone", " t "])


def test_words_that_are_not_one_token_both_ways_are_told(result):
    assert len(set(result.words)) == len(result.words)
    assert dict(result.skipped)["xylophone"].endswith("without")
    assert set(result.words) | {word for word, _ in result.skipped} == {*WORDS, "xylophone"}
    assert result.alone == "after <|endoftext|>"
    assert result.with_space.shape == (3, len(result.words), 128)


def test_the_beginning_token_matters_and_is_told(model, result):
    bare = tlesion.space_modulation(model, WORDS, prepend_bos=False)
    assert bare.alone == "by itself, without any other token"
    assert not torch.allclose(bare.with_space, result.with_space)


def test_intervals_hold_the_estimate_and_come_from_leaving_words_out(result):
    for name in ("correlation", "spearman"):
        ends = ("low", "high") if name == "correlation" else (f"{name}_low", f"{name}_high")
        r, low, high = (getattr(result.overall, one) for one in (name, *ends))
        assert ((low < r) & (r < high)).all()
    x, y = result.with_space[1].double().numpy(), result.without_space[1].double().numpy()
    n = len(x)
    without = [stats.pearsonr(np.delete(x, i, 0).ravel(), np.delete(y, i, 0).ravel())[0] for i in range(n)]
    z = np.arctanh(without)
    half = stats.t.ppf(0.975, n - 1) * np.sqrt((n - 1) / n * np.square(z - z.mean()).sum())
    expected = np.tanh(np.arctanh(result.correlation[1].item()) - half)
    assert result.overall.low[1].item() == pytest.approx(expected, abs=1e-9)


def test_tables_by_word_and_neuron(result, tmp_path):
    words, neurons = result.words_frame(1), result.neurons_frame(1)
    assert words["correlation"].tolist() == result.by_word.correlation[1].tolist()
    assert (words["low"] < words["correlation"]).all()
    expected = stats.pearsonr(result.with_space[1, 0], result.without_space[1, 0]).confidence_interval()
    # The values are float32 in scipy's hands, float64 in ours.
    assert words["low"][0] == pytest.approx(expected.low, abs=1e-5)
    assert words["high"][0] == pytest.approx(expected.high, abs=1e-5)
    strongest = result.sensitive_neurons(1, n=3)
    assert strongest["effect_size"].abs().tolist() == sorted(neurons["effect_size"].abs(), reverse=True)[:3]
    assert neurons["t"].tolist() == result.by_neuron.t[1].tolist()
    assert tlesion.load_result(result.save(tmp_path / "space")).content_hash == result.content_hash
    with pytest.raises(ValueError, match=r"layer 5 is not in this result; it has \[0, 1, 2\]"):
        result.words_frame(5)


def test_what_has_no_leading_space(model, checkpoint_folder):
    masked = tlesion.load_model(checkpoint_folder("bert"))
    with pytest.raises(ValueError, match="space modulation needs a causal model whose tokenizer keeps spaces"):
        tlesion.space_modulation(masked, ["apple", "boy"])
    with pytest.raises(ValueError, match="0 of 2 words are one token both with and without a leading space"):
        tlesion.space_modulation(model, ["xylophone", "zebra"])
    with pytest.raises(ValueError, match="0 of 0 words are one token"):
        tlesion.space_modulation(model, [])
    with pytest.raises(ValueError, match=r"layers \[3\] do not exist"):
        tlesion.space_modulation(model, WORDS, layers=[3])
    with pytest.raises(ValueError, match="unknown correction 'bonferoni'"):
        tlesion.space_modulation(model, WORDS, correction="bonferoni")


def test_100_nouns_and_openings_ship():
    nouns = tlesion.common_nouns()
    assert len(nouns) == len(set(nouns)) == 100
    assert all(noun.isalpha() for noun in nouns)
    assert "I think the world could be better if" in tlesion.openings()


SENTENCES = (
    "We saw {} in the garden today.",
    "The old teacher gave {} an apple.",
    "If the nurse had called {} today, we would have brought the cup.",
    "The boy saw {} by the river.",
    "People listened to {} in the garden.",
    "She thanked {} for the project.",
    "The girl gave {} the blue cup.",
    "We would have brought {} today.",
    "The nurse called {} yesterday.",
    "The old teacher told {} to share it.",
)


def him_her(sentences) -> tlesion.Contrast:
    pairs = [(text.format("him"), text.format("her")) for text in sentences]
    return tlesion.Contrast.from_pairs(pairs, words=("him", "her"))


@pytest.mark.parametrize("test", ["paired", "welch"])
def test_a_selection_repeated_on_other_sentences(model, test, tmp_path):
    first = tlesion.select_neurons(model, him_her(SENTENCES[:5]), test=test, correction="none")
    contrast = him_her(SENTENCES[5:])
    result = tlesion.selection_stability(model, first, contrast)
    second = tlesion.select_neurons(model, contrast, test=test, correction="none")
    assert torch.equal(result.t_second, second.t)
    a, b = first.mask("any"), second.mask("any")
    assert a.sum() > 10, "the comparison needs something to compare"
    for layer in range(3):
        same = (first.t[layer].sign() == second.t[layer].sign()) & b[layer]
        assert result.replicated[layer].item() == pytest.approx(same[a[layer]].double().mean().item(), nan_ok=True)
        assert result.correlation[layer].item() == pytest.approx(stats.pearsonr(first.t[layer], second.t[layer])[0])
        assert result.spearman[layer].item() == pytest.approx(stats.spearmanr(first.t[layer], second.t[layer])[0])
        both = (a[layer] & b[layer]).sum().item() / (a[layer] | b[layer]).sum().item()
        assert result.jaccard[layer].item() == pytest.approx(both)
    assert (result.predicted_shrunken <= result.predicted).all()
    assert result.shared_stimuli == 0
    assert tlesion.load_result(result.save(tmp_path / "stability")).content_hash == result.content_hash
    assert result.to_frame()["n_selected"].tolist() == a.sum(dim=1).tolist()


def test_the_prediction_is_the_power_of_the_observed_effects(model):
    first = tlesion.select_neurons(model, him_her(SENTENCES[:5]), test="paired", alpha=0.2)
    second = tlesion.select_neurons(model, him_her(SENTENCES[5:]), test="paired", alpha=0.2)
    result = tlesion.selection_stability(model, first, him_her(SENTENCES[5:]))
    layer = 1
    t = first.t[layer, first.mask("any")[layer]].abs().numpy()
    critical = second.t[layer, second.mask("any")[layer]].abs().min().item()
    # The far side as the upper tail of -T: scipy's lower tail is NaN here and there where it is very small.
    power = np.asarray(stats.nct.sf(critical, 4, t) + stats.nct.sf(critical, 4, -t))
    assert result.predicted[layer].item() == pytest.approx(power.mean(), rel=1e-6)


def test_the_same_sentences_again_replicate_wholly_and_are_told(model):
    contrast = him_her(SENTENCES)
    first = tlesion.select_neurons(model, contrast, test="paired")
    result = tlesion.selection_stability(model, first, contrast)
    assert (result.replicated[result.n_selected > 0] == 1).all()
    assert result.shared_stimuli == 1
    torch.testing.assert_close(result.correlation, torch.ones(3, dtype=torch.float64))


def test_shrinking_takes_back_what_selection_added():
    """Effects of 2 standard errors, seen only where |t| exceeds 2.5: what is left of the bias after shrinking."""
    t = 2 + np.random.default_rng(0).standard_normal(20_000)
    seen = np.abs(t[np.abs(t) > 2.5])
    shrunken = _given_selection(seen, 2.5)
    assert seen.mean() - 2 > 1
    # Conditional maximum likelihood is not unbiased either, but within a third of a standard error here.
    assert abs(shrunken.mean() - 2) < 0.35
    np.testing.assert_allclose(_given_selection(np.array([12.0]), 2.5), 12, rtol=1e-2)


def test_selections_that_cannot_be_repeated(model, checkpoint_folder):
    contrast = him_her(SENTENCES)
    first = tlesion.select_neurons(model, contrast)
    other = tlesion.load_model(checkpoint_folder("gpt2", seed=9))
    with pytest.raises(ValueError, match="with other weights; repeat it with the model that it was made with"):
        tlesion.selection_stability(other, first, contrast)
    swapped = tlesion.Contrast.from_pairs([("We saw her.", "We saw him.")] * 2, words=("her", "him"))
    with pytest.raises(ValueError, match="give a contrast with the same conditions in the same order"):
        tlesion.selection_stability(model, first, swapped)
    rows = {"blocks.0.mlp.hook_pre": torch.from_numpy(np.random.default_rng(0).standard_normal((4, 2, 8)))}
    from_cache = tlesion.select_from_cache(rows, rows, 0, 1, conditions=("him", "her"))
    with pytest.raises(ValueError, match="was not made by select_neurons"):
        tlesion.selection_stability(model, from_cache, contrast)
