"""Sentences of one template are one row of a test: numbers by hand, and what nothing selects."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.stats import permutation_test

import tlesion
from tlesion import Contrast, load_result
from tlesion.selection.stream import Kept, Streamed
from tlesion.selection.templates import TemplateMeans
from tlesion.stats import Moments, moderated, moderated_paired
from tlesion.studies.common import selected
from tlesion.studies.selecting.page import power_of
from tlesion.studies.selecting.words import rows_behind

TESTS = ("student", "welch", "paired", "moderated", "moderated_paired")
LABELS = [0, 0, 1, 2, 2, 2, 3, 3, 4, 4, 5, 5]
NOUNS = ("ladder", "violin", "map", "lamp", "fence", "piano")


@pytest.fixture(scope="module")
def planted():
    return tlesion.toy.planted_model("masked", n_layers=2, d_mlp=12, layers=(1,), n_causal=2, n_decoys=2, n_token=2)


@pytest.fixture(scope="module")
def contrast(planted):
    return dataclasses.replace(planted.language.contrast(12, seed=1, n_shared=4), groups=LABELS)


def rows(planted, sentences):
    """hook_pre at the mask, by TransformerLens alone: [sentence, layer, neuron]."""
    tokenizer = planted.model.tokenizer
    tokens = torch.tensor([tokenizer(one.masked).input_ids for one in sentences])
    place = int((tokens[0] == tokenizer.mask_token_id).nonzero())
    _, cache = planted.model.run_with_cache(tokens)
    return torch.stack([cache[f"blocks.{layer}.mlp.hook_pre"][:, place] for layer in (0, 1)], dim=1).double()


def means(values, labels):
    places = [[i for i, one in enumerate(labels) if one == label] for label in dict.fromkeys(labels)]
    return torch.stack([values[few].mean(0) for few in places])


def select(planted, contrast, **options):
    given: dict[str, Any] = {"position": "mask", "batch_size": 6, "correction": "none", "groups": "detect"} | options
    return tlesion.select_neurons(planted.model, contrast, **given)


@pytest.mark.parametrize("test", TESTS)
def test_the_test_is_of_template_means(planted, contrast, test):
    selection = select(planted, contrast, test=test)
    a, b = (means(rows(planted, side), LABELS) for side in (contrast.a, contrast.b))
    oracle: Any = {
        "student": lambda: stats.ttest_ind(a, b),
        "welch": lambda: stats.ttest_ind(a, b, equal_var=False),
        "paired": lambda: stats.ttest_rel(a, b),
        "moderated": lambda: moderated(Moments.of(a), Moments.of(b)),
        "moderated_paired": lambda: moderated_paired(Moments.of(a - b)),
    }[test]()
    ours = "moderated" in test  # It agrees with limma, as the tests of statistics show.
    expected = (oracle.t, oracle.p, oracle.dof) if ours else (oracle.statistic, oracle.pvalue, oracle.df)
    for found, value in zip((selection.t, selection.p, selection.dof), expected, strict=True):
        # float32 activations in other batches.
        np.testing.assert_allclose(found, np.broadcast_to(value, found.shape), rtol=1e-5, atol=1e-12)
    if not ours:
        assert selection.dof.max() <= {"paired": 5}.get(test, 10)
    spread = (a - b).std(0) if "paired" in test else ((a.var(0) + b.var(0)) / 2).sqrt()
    np.testing.assert_allclose(selection.effect_size, (a.mean(0) - b.mean(0)) / spread, rtol=1e-5)
    np.testing.assert_allclose(selection.mean_a, a.mean(0), rtol=1e-5, atol=1e-6)
    assert (selection.n_a, selection.n_b, selection.n_rows, selection.n_templates) == (12, 12, (6, 6), 6)


def test_a_permutation_moves_whole_templates(planted, contrast):
    a, b = (means(rows(planted, side), LABELS).numpy() for side in (contrast.a, contrast.b))

    def t(x, y, axis):
        return np.abs(stats.ttest_rel(x, y, axis=axis).statistic)

    oracle = permutation_test((a, b), t, permutation_type="samples", alternative="greater", vectorized=True, axis=0)
    selection = select(planted, contrast, test="permutation", correction=None)
    np.testing.assert_array_equal(selection.p.numpy(), oracle.pvalue)  # 2^6 relabellings: all of them
    assert selection.p.min() >= 2 / 2**6


def test_batches_do_not_matter(planted, contrast):
    one, other = (select(planted, contrast, test="paired", batch_size=size) for size in (2, 64))
    np.testing.assert_allclose(one.t, other.t, rtol=1e-5)


@pytest.mark.parametrize("test", [*TESTS, "permutation"])
def test_a_template_for_each_pair_changes_no_bit(planted, contrast, test):
    labelled = dataclasses.replace(contrast, groups=range(12))
    alone = select(planted, labelled, groups="given", test=test, correction=None)
    none = select(planted, contrast, groups=None, test=test, correction=None)
    detected = select(planted, dataclasses.replace(contrast, groups=()), test=test, correction=None)
    for other in (none, detected, select(planted, contrast, groups="none", test=test, correction=None)):
        for name in ("t", "p", "dof", "effect_size", "mean_a", "p_adjusted"):
            assert torch.equal(getattr(alone, name).nan_to_num(), getattr(other, name).nan_to_num())
    assert [one.provenance.settings["groups"] for one in (alone, none, detected)] == ["given", "none", "detect"]
    assert detected.n_templates == 12


@pytest.mark.slow
@pytest.mark.parametrize("name", ["him_her", "him_her_in_context", "singular_plural", "noun_verb"])
def test_the_shipped_contrasts_have_a_template_for_each_pair(name, toy_bert):
    contrast = getattr(tlesion.contrasts, name)()
    one, other = (tlesion.select_neurons(toy_bert, contrast, layers=[3], groups=how) for how in ("detect", "none"))
    assert torch.equal(one.t, other.t)
    assert torch.equal(one.p_adjusted, other.p_adjusted)
    assert (one.n_templates, one.n_rows) == (54, (54, 54))


def templated(noun_pairs):
    texts = [f"The nurse gave {{}} the {noun} in the {place} and was glad." for noun, place in noun_pairs]
    texts += ["We saw {} today.", "Nobody in the old village knew {}.", "Do you know {}?"]
    return Contrast.from_pairs([(one.format("him"), one.format("her")) for one in texts], ("him", "her"))


def test_templates_are_found_in_the_words_and_recorded(toy_bert, recwarn, tmp_path):
    contrast = templated([("map", "school"), ("lamp", "school"), ("map", "park"), ("letter", "office")])
    selection = tlesion.select_neurons(toy_bert, contrast, test="paired", layers=[0, 1], groups="detect")
    assert (selection.n_templates, selection.n_a, selection.n_rows) == (4, 7, (4, 4))
    assert set(selection.dof.flatten().tolist()) == {3.0}
    assert "templates=4" in repr(selection)
    assert selection.provenance.settings["groups"] == "detect"
    assert not recwarn.list
    again = load_result(selection.save(tmp_path / "kept"))
    assert (again.n_templates, again.n_rows) == (4, (4, 4))
    given = tlesion.select_neurons(toy_bert, contrast, test="paired", layers=[0, 1], groups=[1, 1, 1, 1, 2, 3, 4])
    assert torch.equal(given.t, selection.t)
    by_itself = tlesion.select_neurons(toy_bert, contrast, test="paired", layers=[0, 1], groups=None)
    assert set(by_itself.dof.flatten().tolist()) == {6.0}


def test_the_summary_says_how_many_templates_there_are(toy_bert):
    contrast = templated([("map", "school"), ("lamp", "school"), ("map", "park")])
    selection = tlesion.select_neurons(toy_bert, contrast, test="paired", layers=[0], groups="detect")
    assert selected.tested(selection) == (
        "a paired t-test, fdr_bh, 6 against 6 sentences from 4 templates, of which each counts once"
    )
    assert rows_behind(selection) == [
        "The sentences are made from 4 templates. The test is of the mean over each template's sentences: 4 rows of "
        "each condition, not 6."
    ]
    assert power_of(selection).n.tolist().count(4) == 1, "power is that of templates"


def test_without_pairs_each_condition_has_its_templates(planted, contrast):
    unpaired = Contrast(a=contrast.a, b=contrast.b[:9], conditions=contrast.conditions, paired=False)
    labels = [*LABELS, *(9, 9, 8, 8, 8, 7, 6, 6, 5)]
    selection = select(planted, unpaired, test="student", groups=labels)
    a, b = means(rows(planted, unpaired.a), LABELS), means(rows(planted, unpaired.b), labels[12:])
    np.testing.assert_allclose(selection.t, stats.ttest_ind(a, b).statistic, rtol=1e-5)
    assert selection.n_rows == (6, 5)
    assert selection.n_templates == 10


def test_caches_have_templates_where_labels_say_so(planted, contrast):
    tokenizer = planted.model.tokenizer
    tokens = [torch.tensor([tokenizer(one.masked).input_ids for one in side]) for side in (contrast.a, contrast.b)]
    place = int((tokens[0][0] == tokenizer.mask_token_id).nonzero())
    caches = (*(planted.model.run_with_cache(side)[1] for side in tokens), place, place)
    given: dict[str, Any] = {"conditions": contrast.conditions, "correction": "none"}
    for test, labels in (("paired", LABELS), ("welch", [*LABELS, *LABELS])):
        one = tlesion.select_from_cache(*caches, test=test, groups=labels, **given)
        np.testing.assert_allclose(one.t, select(planted, contrast, test=test).t, rtol=1e-5)
        assert (one.n_templates, one.n_rows) == (6, (6, 6))
    assert tlesion.select_from_cache(*caches, test="paired", **given).n_rows == (12, 12)
    with pytest.raises(ValueError, match="12 group labels for 24 sentences; give one for each sentence, a's first"):
        tlesion.select_from_cache(*caches, test="welch", groups=LABELS, **given)
    with pytest.raises(ValueError, match="activations hold no words to detect templates by; give labels, or None"):
        tlesion.select_from_cache(*caches, groups="detect", **given)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([1, 2], "2 group labels for 12 pairs; give one for each pair"),
        ([1] * 12, "all 12 sentences of 'him' are made from one template, .*add sentences .*groups='none'"),
        ("found", "groups 'found'.*'detect'"),
    ],
)
def test_errors_say_what_came_and_the_way_out(planted, contrast, groups, message):
    with pytest.raises(ValueError, match=message):
        select(planted, contrast, groups=groups)
    with pytest.raises(TypeError, match=r"groups is 3 \(int\); give 'detect', 'none', or a label for each pair"):
        select(planted, contrast, groups=3)


@pytest.mark.parametrize("seed", [0, 1])
def test_means_are_given_out_when_the_last_row_has_come_and_equal_rows_stay_equal(seed):
    rng = np.random.default_rng(seed)
    values = torch.from_numpy(rng.standard_normal((20, 3)).astype("float32"))
    values[:, 1] = 0.1  # a dead unit: whatever the sizes of templates, their means are all the same
    order = rng.permutation(np.repeat(range(7), [1, 1, 2, 3, 3, 4, 6])).tolist()
    streamed, kept = Streamed(paired=True), Kept()
    takers = [TemplateMeans(sink, order, order) for sink in (streamed, kept)]
    for start in range(0, 20, 6):
        for one in takers:
            one.take(values[start : start + 6], values[start : start + 6] + 1)
    expected = torch.stack([values[[place == one for place in order]].double().mean(0) for one in range(7)])
    found = torch.cat(kept.rows_a)
    torch.testing.assert_close(found.sort(0).values, expected.sort(0).values, rtol=1e-12, atol=1e-12)
    assert streamed.a.n == 7
    assert streamed.a.constant.tolist() == [False, True, False]
    torch.testing.assert_close(streamed.a.mean, expected.mean(0), rtol=1e-12, atol=1e-12)
    assert not any(one._sums for taker in takers for one in taker._waiting), "nothing is kept that is done"


def test_pairs_that_are_the_same_differ_by_exactly_nothing():
    values = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    sink = Streamed(paired=True)
    taker = TemplateMeans(sink, [0, 1, 2] * 3, [0, 1, 2] * 3)
    for start in (0, 4):
        taker.take(values[start : start + (4 if start == 0 else 5)], values[start : start + (4 if start == 0 else 5)])
    assert sink.difference.constant.all()
    assert torch.equal(sink.difference.mean, torch.zeros(4, dtype=torch.float64))


@pytest.mark.parametrize("test", ["paired", "moderated_paired", "welch", "student"])
def test_null_neurons_are_selected_as_often_as_alpha_says(test):
    """Six templates of nine pairs, and half of the variance between templates: nothing differs between conditions."""
    rng = torch.Generator().manual_seed(0)
    n_units, name = 4000, "blocks.0.mlp.hook_pre"
    labels = [i // 9 for i in range(54)]
    if "paired" not in test:
        labels += [6 + one for one in labels]  # Other templates in the other condition.
    shared = torch.randn(12, n_units, generator=rng)
    a, b = ({name: torch.randn(54, 1, n_units, generator=rng)} for _ in range(2))
    a[name] += shared[:6].repeat_interleave(9, 0)[:, None] * (2**0.5 if "paired" in test else 1)
    b[name] += shared[6:].repeat_interleave(9, 0)[:, None] * (0 if "paired" in test else 1)

    def share(groups):
        selection = tlesion.select_from_cache(a, b, -1, -1, test=test, correction="none", groups=groups)
        return float(selection.mask().double().mean())

    assert share(None) > 0.3, "each sentence by itself: what varies between templates is taken for an effect"
    assert abs(share(labels) - 0.05) < 4 * (0.05 * 0.95 / n_units) ** 0.5


def test_by_default_labels_are_taken_and_what_the_words_show_is_said(toy_bert):
    """Two templates of three pairs each, told by nobody: tested as they stand, and said to be two."""
    texts = [f"{name} helped Lucy with the {noun}, so she thanked {{}}." for name, noun in
             (("Robert", "ladder"), ("Karl", "map"), ("Otto", "horse"))]  # fmt: skip
    texts += [f"In the {place} nobody in the village knew {{}} by name." for place in ("morning", "evening", "winter")]
    pairs = [(text.format("him"), text.format("her")) for text in texts]
    contrast = tlesion.Contrast.from_pairs(pairs, words=("him", "her"))
    found = tlesion.select_neurons(toy_bert, contrast, test="paired", layers=[0])
    assert (found.n_rows, found.n_templates, found.n_alike) == ((6, 6), 6, 2)
    assert "come from 2 templates, as their words show" in selected.tested(found)
    labelled = tlesion.Contrast.from_pairs(pairs, words=("him", "her"), groups=["a", "a", "a", "b", "b", "b"])
    given, detected = (
        tlesion.select_neurons(toy_bert, one, test="paired", layers=[0], groups=how)
        for one, how in ((labelled, "given"), (contrast, "detect"))
    )
    assert given.n_rows == detected.n_rows == (2, 2)
    torch.testing.assert_close(given.t, detected.t, equal_nan=True)
