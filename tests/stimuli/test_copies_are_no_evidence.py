"""Copies are no evidence: what the model reads twice is one observation, wherever observations are counted."""

import dataclasses

import numpy as np
import pytest
import torch

import tlesion
from tlesion import Contrast, Prompt
from tlesion.inference.folds import template_groups

pytestmark = pytest.mark.slow

WORDS = ("him", "her")
PAIRS = [("We saw him today.", "We saw her today."), ("Everybody likes him.", "Everybody likes her."),
         ("The teacher praised him.", "The teacher praised her."), ("Ask him now.", "Ask her now.")]  # fmt: skip
COPIES = pytest.mark.filterwarnings("ignore:.*are copies of others")


def spaced(pairs):
    return [(a + " ", b) for a, b in pairs]


@COPIES
@pytest.mark.parametrize("test", ["paired", "moderated_paired", "welch", "moderated", "permutation"])
@pytest.mark.parametrize("more", [PAIRS * 4, spaced(PAIRS), PAIRS[:1]])
def test_copied_pairs_select_what_the_pairs_select(toy_bert, test, more):
    once = tlesion.select_neurons(toy_bert, Contrast.from_pairs(PAIRS, WORDS), layers=[3], test=test)
    again = tlesion.select_neurons(toy_bert, Contrast.from_pairs(PAIRS + more, WORDS), layers=[3], test=test)
    assert (again.n_a, again.n_b) == (4, 4)
    assert again.n_copies == len(more) * (1 if once.is_paired else 2)
    # In other batches rows are rounded otherwise; t reaches tens.
    torch.testing.assert_close(again.t, once.t, rtol=2e-3, atol=2e-3)
    assert torch.equal(again.mask(), once.mask())


def test_copied_sentences_are_named(toy_bert):
    with pytest.warns(UserWarning, match=r"1 of 5 sentences of 'him' are copies of others \(the first: 'We saw him to"):
        tlesion.select_neurons(
            toy_bert,
            Contrast.from_sentences([a for a, _ in PAIRS] + [PAIRS[0][0]], [b for _, b in PAIRS], WORDS),
            test="welch", layers=[0],
        )  # fmt: skip


@pytest.mark.parametrize("test", ["paired", "welch"])
def test_a_single_pair_however_often_is_refused(toy_bert, test):
    with pytest.raises(ValueError, match="they are one observation, and a test needs two"):
        tlesion.select_neurons(toy_bert, Contrast.from_pairs(PAIRS[:1] * 30, WORDS), test=test)


@pytest.mark.parametrize("test", ["paired", "welch", "moderated"])
def test_rows_of_caches(test):
    rng = np.random.default_rng(0)
    a, b = (torch.from_numpy(rng.standard_normal((6, 2, 30)) + shift).float() for shift in (0.0, 0.8))
    name = "blocks.0.mlp.hook_pre"
    once = tlesion.select_from_cache({name: a}, {name: b}, 1, 1, test=test)
    nearly = torch.cat([a, a * (1 + 3e-7)])  # the same, as another batch would round it
    with pytest.warns(UserWarning, match="are copies of others"):
        again = tlesion.select_from_cache({name: nearly}, {name: torch.cat([b, b])}, 1, 1, test=test)
    torch.testing.assert_close(again.t, once.t)
    assert again.n_copies == (6 if test == "paired" else 12)
    with pytest.raises(ValueError, match="one observation"):
        tlesion.select_from_cache({name: a[:1].repeat(5, 1, 1)}, {name: b[:5]}, 1, 1, test="welch")


PROMPTS = [Prompt(f"{who} thanked {whom} because she helped [MASK].", WORDS, correct="him")
           for who, whom in (("Robert", "Lucy"), ("The boy", "the girl"), ("John", "Mary"))]  # fmt: skip
COPIES_OF_PROMPTS = (
    PROMPTS[1],
    dataclasses.replace(PROMPTS[1], text=PROMPTS[1].text + "  "),
    dataclasses.replace(PROMPTS[1], targets=("her", "him"), group="another template"),
)


@pytest.mark.filterwarnings("ignore:the controls of mask")
def test_copies_of_prompts_are_measured_and_count_once(toy_bert):
    mask = torch.zeros(toy_bert.cfg.n_layers, toy_bert.cfg.d_mlp, dtype=torch.bool)
    mask[9:, ::2] = True
    once = tlesion.laminar_profile(toy_bert, {"him": mask}, PROMPTS, n_controls=19)
    again = tlesion.laminar_profile(toy_bert, {"him": mask}, [*PROMPTS, *COPIES_OF_PROMPTS], n_controls=19)
    assert again.logit_drop.shape[2] == 6
    judged, other = tlesion.verdict(once), tlesion.verdict(again)
    assert other.n_prompts.tolist() == judged.n_prompts.tolist() == [3]
    for name in ("effect", "p", "control_p", "low", "high"):
        torch.testing.assert_close(getattr(other, name), getattr(judged, name), equal_nan=True, rtol=1e-3, atol=1e-4)


def test_a_text_given_twice_is_refused_where_texts_are_tested(toy_gpt):
    texts = ["We saw the boy and the girl by the river.", "The teacher gave him an apple."]
    with pytest.raises(ValueError, match="text 2 is a copy of text 0, and the test is over texts"):
        tlesion.subspace_removal(toy_gpt, [*texts, texts[0]])


def test_words_given_twice_count_once(toy_gpt):
    once = tlesion.space_modulation(toy_gpt, ["apple", "boy", "river"], layers=[2])
    again = tlesion.space_modulation(toy_gpt, ["apple", "boy", " apple", "river", "boy"], layers=[2])
    assert again.words == once.words
    assert torch.equal(again.by_neuron.t.nan_to_num(), once.by_neuron.t.nan_to_num())


@COPIES
def test_copies_stay_on_one_side_of_a_fold(toy_bert):
    contrast = Contrast.from_pairs([*PAIRS, *spaced(PAIRS)], WORDS)
    groups = template_groups(contrast)
    assert groups[:4].tolist() == groups[4:].tolist()
    found = tlesion.cross_fit(toy_bert, Contrast.from_pairs(PAIRS * 2, WORDS), 2, test="paired", correction="none")
    assert len(set(found.prompts)) == len(found.prompts)
