"""Pairs of which a model has read the same tokens: no neuron can differ, and rounding must not look as if one did."""

import pytest
import torch

import tlesion

# Lengths differ, so that batches are padded; up to the word both sentences of a pair are the same.
FRAMES = [
    "We saw {}.",
    "The teacher gave {} an apple and told the boy to share it.",
    "The boy asked {} now.",
    "If people told {} to.",
]
WORDS = ("him", "her")
SAME = tlesion.Contrast.from_pairs([[frame.format(word) for word in WORDS] for frame in FRAMES], words=WORDS)
TESTS = ("student", "welch", "paired", "moderated", "moderated_paired", "permutation")


@pytest.fixture
def gpt(toy_gpt):
    """The model as one whose rounding depends on a row's place in its batch, as it does on some devices and sizes."""

    def rounded(activation, hook):
        place = torch.arange(1, len(activation) + 1, device=activation.device)[:, None, None]
        return activation * (1 + 1e-6 * place)

    with toy_gpt.hooks(fwd_hooks=[("blocks.0.hook_resid_pre", rounded)]):
        yield toy_gpt


def some_differ() -> tlesion.Contrast:
    """Two pairs that begin alike, and four whose context differs."""
    pairs = [("We saw him.", "We saw her."), ("Ask him now.", "Ask her now.")]
    for verb in ("saw", "told", "gave", "asked"):
        pairs.append((f"The boy {verb} him.", f"The girl {verb} her."))
    return tlesion.Contrast.from_pairs(pairs, words=WORDS)


@pytest.mark.slow
@pytest.mark.parametrize("position", ["before", tlesion.Offset(-1), tlesion.Offset(-2)])
@pytest.mark.parametrize("test", TESTS)
def test_nothing_is_selected_where_nothing_can_differ(gpt, test, position):
    options = {"correction": "none", "alpha": 0.9} if test != "permutation" else {"alpha": 0.9, "n_permutations": 50}
    selection = tlesion.select_neurons(gpt, SAME, position=position, test=test, batch_size=3, **options)
    assert not selection.mask().any()
    assert torch.equal(selection.mean_a, selection.mean_b), "the rows are the same to the last bit"
    assert selection.n_identical_pairs == len(FRAMES)


def test_at_the_word_itself_they_differ(gpt):
    selection = tlesion.select_neurons(gpt, SAME, position="word", test="paired", correction="none")
    assert selection.mask().any()
    assert selection.n_identical_pairs == 0


@pytest.mark.slow
def test_a_masked_model_has_read_the_same_only_where_the_whole_sentence_is(toy_bert):
    masked = tlesion.select_neurons(toy_bert, SAME, position="mask", test="paired", correction="none", alpha=0.9)
    assert masked.n_identical_pairs == len(FRAMES)
    assert not masked.mask().any()
    before = tlesion.select_neurons(toy_bert, SAME, position=tlesion.Offset(-1), test="paired", correction="none")
    assert before.n_identical_pairs == 0, "a masked model sees the word from before it"
    assert before.mask().any()


def test_identical_pairs_among_others_count_as_zero_differences(gpt):
    contrast = some_differ()
    selection = tlesion.select_neurons(gpt, contrast, position="before", test="paired", layers=[5], batch_size=4)
    assert selection.n_identical_pairs == 2
    rows = []
    for one, other in zip(contrast.a, contrast.b, strict=True):
        pair = []
        for sentence in (one, other):
            tokens = gpt.to_tokens(sentence.text[: sentence.span[0]].rstrip())
            _, cache = gpt.run_with_cache(tokens, names_filter="blocks.5.mlp.hook_pre")
            pair.append(cache["blocks.5.mlp.hook_pre"][0, -1].double())
        rows.append(pair[0] - pair[1])
    difference = torch.stack(rows)
    assert difference[:2].abs().max() < 1e-4
    difference[:2] = 0
    t = difference.mean(0) / (difference.std(0) / 6**0.5)
    # The four differences that are left, of order 1, are rounded by up to 1e-5 here.
    torch.testing.assert_close(selection.t[0], t, atol=1e-3, rtol=1e-3)


def test_pairs_that_stand_at_other_positions_are_not_identical(gpt):
    pairs = [("We saw him.", "And we saw her."), ("Ask him now.", "Now ask her."), ("Tell him.", "So tell her.")]
    contrast = tlesion.Contrast.from_pairs(pairs, words=WORDS)
    assert tlesion.select_neurons(gpt, contrast, position="before").n_identical_pairs == 0
