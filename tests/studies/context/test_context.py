"""Context modulation: what alone means, special tokens, windows, intervals, neurons, generated texts, refusals."""

import numpy as np
import pytest
import torch

import tlesion
from tlesion.studies.context.sums import IdentityShare, Strongest

TEXT = "We saw him in the garden today, and we saw her by the river yesterday."
OTHER = "The old teacher gave the boy an apple and told him to share it with the girl."


@pytest.fixture(scope="module")
def model(checkpoint_folder):
    return tlesion.load_model(checkpoint_folder("gpt2"))


@pytest.fixture(scope="module")
def masked(checkpoint_folder):
    return tlesion.load_model(checkpoint_folder("bert"))


@pytest.mark.slow
def test_with_and_without_the_beginning_token_and_both_are_told(model):
    with_bos = tlesion.context_modulation(model, TEXT, context_lengths=[1])
    assert with_bos.alone == ("after <|endoftext|>", "by itself, without any other token")
    assert with_bos.texts.position[0] == 1, "the special token is read and not compared"
    bare = tlesion.context_modulation(model, TEXT, alone="bare", context_lengths=[1])
    assert bare.alone[0] == "by itself, without any other token"
    assert torch.equal(bare.in_context, with_bos.in_context)
    assert not torch.allclose(bare.isolated, with_bos.isolated)
    torch.testing.assert_close(bare.correlation, with_bos.correlation_by_alone[1])
    torch.testing.assert_close(with_bos.correlation, bare.correlation_by_alone[1])
    without = tlesion.context_modulation(model, TEXT, prepend_bos=False, context_lengths=[1])
    assert without.alone[0] == bare.alone[0]
    assert without.texts.position[0] == 0
    assert without.tokens == with_bos.tokens


def test_the_first_token_without_anything_before_it_is_alone_in_its_text(model):
    result = tlesion.context_modulation(model, TEXT, prepend_bos=False)
    # The same row through the same blocks, in batches of other sizes.
    torch.testing.assert_close(result.in_context[:, 0], result.isolated[:, 0], rtol=1e-4, atol=1e-5)
    assert (result.correlation_by_token[:, 0] > 1 - 1e-6).all()
    assert (result.correlation_by_token[:, 5:] < 0.999).all()


@pytest.mark.slow
def test_texts_token_ids_and_lists_of_both_are_the_same(model):
    ids = model.to_tokens(TEXT)[0]
    reference = tlesion.context_modulation(model, TEXT)
    for given in (ids, ids[None], ids.tolist(), [ids], [TEXT]):
        assert torch.equal(tlesion.context_modulation(model, given).in_context, reference.in_context)
    both = tlesion.context_modulation(model, [OTHER, TEXT])
    assert both.texts.text.unique().tolist() == [0, 1]
    mine = both.texts.text == 1
    assert tuple(np.array(both.tokens)[mine.numpy()]) == reference.tokens
    torch.testing.assert_close(both.in_context[:, mine], reference.in_context, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(both.isolated[:, mine], reference.isolated, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_some_layers_or_one_full_name(model):
    reference = tlesion.context_modulation(model, TEXT)
    some = tlesion.context_modulation(model, TEXT, layers=[2, 0])
    assert some.layers == (2, 0)
    assert torch.equal(some.correlation, reference.correlation[[2, 0]])
    one = tlesion.context_modulation(model, TEXT, hook_point="blocks.1.mlp.hook_post")
    assert (one.layers, one.hook_point) == ((1,), "mlp.hook_post")
    assert torch.equal(one.in_context[0], reference.in_context[1])
    heads = tlesion.context_modulation(model, TEXT, hook_point="attn.hook_z", layers=[1])
    _, cache = model.run_with_cache(TEXT)
    torch.testing.assert_close(heads.in_context[0], cache["blocks.1.attn.hook_z"][0, 1:].flatten(1))


@pytest.mark.slow
def test_windows_are_the_same_tokens_for_every_length_and_seeded(model):
    result = tlesion.context_modulation(model, [TEXT, OTHER], n_windows=6, seed=1)
    assert result.by_length.lengths == (1, 2, 4, 8)
    assert result.by_length.n_tokens == 6
    again = tlesion.context_modulation(model, [TEXT, OTHER], n_windows=6, seed=1)
    assert torch.equal(result.by_length.correlation, again.by_length.correlation)
    other = tlesion.context_modulation(model, [TEXT, OTHER], n_windows=6, seed=2)
    assert not torch.equal(result.by_length.correlation, other.by_length.correlation)
    frame = result.lengths_frame()
    assert len(frame) == 5 * 3
    assert frame[frame["whole_text"]]["correlation"].tolist() == result.by_length.whole.tolist()
    none = tlesion.context_modulation(model, TEXT, context_lengths=[])
    assert none.by_length.lengths == ()
    assert none.by_length.correlation.shape == (0, 3)
    assert none.by_length.whole.isnan().all()


@pytest.mark.slow
def test_intervals_are_over_texts_where_there_are_enough(model):
    few = tlesion.context_modulation(model, [TEXT, OTHER])
    assert few.interval_over == "tokens"
    many = tlesion.context_modulation(model, [TEXT, OTHER, TEXT[:30], OTHER[:30], OTHER[20:60]])
    assert many.interval_over == "texts"
    for result in (few, many):
        assert (result.correlation_low < result.correlation).all()
        assert (result.correlation < result.correlation_high).all()


def test_notable_neurons_and_the_tokens_that_drive_them(model):
    result = tlesion.context_modulation(model, TEXT)
    change = (result.in_context - result.isolated)[1].double()
    sensitive = result.notable_neurons(1, n=4)
    expected = change.square().mean(dim=0).sqrt().sort(descending=True).indices[:4].tolist()
    assert sensitive["neuron"].tolist() == expected
    strongest = int(change[:, expected[0]].abs().argmax())
    assert int(result.by_neuron.changed_tokens[1, expected[0], 0]) == strongest
    # Kept activations are float32, and so rounded; the change was taken before.
    measured = result.by_neuron.token_change[1, expected[0], 0].item()
    assert measured == pytest.approx(change[strongest, expected[0]].abs().item(), rel=1e-6)
    assert sensitive["changed_at"].iloc[0].startswith(repr(result.tokens[strongest]))
    peak = int(result.in_context[1, :, expected[0]].argmax())
    assert int(result.by_neuron.peak_tokens[1, expected[0], 0]) == peak
    stable = result.notable_neurons(1, "stable", n=4)
    frame = result.neurons_frame(1)
    loud = frame[frame["deviation"] >= frame["deviation"].median()]
    assert stable["correlation"].tolist() == sorted(loud["correlation"], reverse=True)[:4]
    with pytest.raises(ValueError, match="kind 'noisy' is unknown; allowed: 'context-sensitive', 'stable'"):
        result.notable_neurons(1, "noisy")
    with pytest.raises(ValueError, match=r"layer 3 is not in this result; it has \[0, 1, 2\]"):
        result.neurons_frame(3)


def test_strongest_keeps_the_first_of_equal_values():
    strongest = Strongest.none(1, 2)
    for row, value in enumerate([1.0, 3.0, 3.0, 2.0]):
        strongest.take(torch.tensor([row]), torch.tensor([[value]], dtype=torch.float64))
    assert strongest.rows.tolist() == [[1, 2]]


def test_identity_share_is_one_zero_or_undefined():
    ids = torch.tensor([1, 2, 1, 2, 1, 2, 7])
    token = IdentityShare(ids, 3)
    values = torch.stack([(ids == 1).double(), torch.tensor([1.0, 2, 2, 1, 3, 3, 9]), torch.ones(7)], dim=1).double()
    for start in (0, 4):
        token.take(torch.arange(start, min(start + 4, 7)), values[start : start + 4])
    assert token.n_tokens == 6
    assert token.share[0] == 1
    assert token.share[1] <= 0, "the token explains no more than chance"
    assert token.share[2].isnan()
    assert IdentityShare(torch.arange(5), 2).share.isnan().all()


def test_a_masked_model_compares_what_stands_between_its_special_tokens(masked):
    result = tlesion.context_modulation(masked, [TEXT, OTHER])
    assert result.alone == ("between [CLS] and [SEP]", "by itself, without any other token")
    assert "[CLS]" not in result.tokens
    assert result.tokens[0] == "we"


def test_generation_is_seeded_greedy_at_zero_and_leaves_the_global_random_state_alone(model):
    before = torch.random.get_rng_state()
    first = tlesion.generate_tokens(model, "We saw", 12, seed=3)
    assert torch.equal(first, tlesion.generate_tokens(model, "We saw", 12, seed=3))
    assert not torch.equal(first, tlesion.generate_tokens(model, "We saw", 12, seed=4))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert model.tokenizer.eos_token_id not in first[1:].tolist()
    greedy = tlesion.generate_tokens(model, "We saw", 5, temperature=0, prepend_bos=False)
    ids = model.to_tokens("We saw", prepend_bos=False)
    for _ in range(5):
        logits = model(ids)[0, -1]
        logits[model.tokenizer.eos_token_id] = -torch.inf
        ids = torch.cat([ids, logits.argmax()[None, None]], dim=1)
    assert greedy.tolist() == ids[0].tolist()
    assert tlesion.context_modulation(model, first).tokens[0] == "We"


def test_saved_and_read_back(model, tmp_path):
    result = tlesion.context_modulation(model, TEXT)
    assert tlesion.load_result(result.save(tmp_path / "context")).content_hash == result.content_hash
    assert list(result.to_frame()["correlation"]) == result.correlation.tolist()


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        ("  ", {}, ValueError, "text '  ' is empty"),
        ([], {}, ValueError, "no text was given; give a text, a list of texts, or token ids"),
        (torch.tensor([], dtype=torch.long), {}, ValueError, "the text is empty: it holds no token"),
        (torch.tensor([0]), {}, ValueError, "has only special tokens"),
        (" we saw" * 70, {}, ValueError, "is longer than this model's context of 64"),
        (torch.full((65,), 5), {}, ValueError, "text of 65 tokens is longer than this model's context of 64; cut it"),
        (torch.tensor([5, 10**6]), {}, ValueError, r"token ids \[1000000\] do not exist; this model's vocabulary has"),
        (
            torch.tensor([0.5]),
            {},
            TypeError,
            r"token ids are integers \[pos\], got shape \(1,\) and dtype torch.float32",
        ),
        (7, {}, TypeError, "the text is a int; give a text, a list of texts, or token ids"),
        (
            [torch.tensor([0, 5, 6]), torch.tensor([5, 6])],
            {},
            ValueError,
            "give all of them with, or all of them without",
        ),
        (TEXT, {"layers": [3]}, ValueError, r"layers \[3\] do not exist; this model has 3 layers"),
        (TEXT, {"hook_point": "mlp.hook_pots"}, ValueError, "did you mean 'blocks.0.mlp.hook_post'"),
        (TEXT, {"hook_point": "attn.hook_pattern"}, ValueError, r"has no \[batch, pos, unit\] activation"),
        (TEXT, {"alone": "lonely"}, ValueError, "alone 'lonely' is unknown; allowed: 'as_text', 'special', 'bare'"),
        (TEXT, {"context_lengths": [40]}, ValueError, r"context lengths \[40\] do not fit these texts"),
        (TEXT, {"context_lengths": [0, 1]}, ValueError, "lengths run from 1 to that"),
        (TEXT, {"keep": -1}, ValueError, "keep is -1; give 0 or more tokens"),
    ],
)
def test_what_cannot_be_compared(model, text, options, error, message):
    with pytest.raises(error, match=message):
        tlesion.context_modulation(model, text, **options)


def test_what_cannot_be_generated(model, masked):
    with pytest.raises(ValueError, match="a masked model does not continue texts; give a causal model"):
        tlesion.generate_tokens(masked, "We saw")
    with pytest.raises(ValueError, match="are longer than this model's context of 64; generate at most 61"):
        tlesion.generate_tokens(model, "We saw", 62)
    with pytest.raises(ValueError, match="is empty"):
        tlesion.generate_tokens(model, " ")
    with pytest.raises(ValueError, match="temperature and seed are 0 or more"):
        tlesion.generate_tokens(model, "We saw", 3, temperature=-1.0)


def test_a_text_of_one_token_has_no_spread_over_tokens(model):
    result = tlesion.context_modulation(model, torch.tensor([9]), alone="special")
    assert result.correlation.isfinite().all()
    assert result.correlation_low.isnan().all()
    assert result.by_neuron.correlation.isnan().all()
    assert result.by_length.lengths == ()
