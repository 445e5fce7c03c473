"""Rows that can differ by the batch alone: whatever the test, the batch size and the dtype, no neuron is selected."""

import numpy as np
import pytest
import torch

import tlesion

pytestmark = pytest.mark.slow

TESTS = ("student", "welch", "moderated", "permutation")
OTHERS = ("The girl saw", "The boy by the river told", "People called")
ENDS_A = (".", " today.", " again.", " here.", " now.")
ENDS_B = (
    " for the apple and the cup in the garden.",
    " in the garden by the river today with the boy.",
    " for the cup.",
)


def continued(beginnings, word, ends):
    return [f"{beginning} {word}{end}" for beginning in beginnings for end in ends]


def options(test):
    return {"test": test, "n_permutations": 199, "correction": "max_t" if test == "permutation" else "fdr_bh"}


@pytest.mark.parametrize("test", TESTS)
def test_where_all_sentences_begin_alike_there_is_one_observation(toy_gpt, test):
    a, b = continued(["The teacher thanked"], "him", ENDS_A), continued(["The teacher thanked"], "her", ENDS_B)
    contrast = tlesion.Contrast.from_sentences(a, b, words=("him", "her"))
    with pytest.raises(ValueError, match=r"all 5 sentences of 'him' are the same to the model .* one observation"):
        tlesion.select_neurons(toy_gpt, contrast, position="before", **options(test))


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize("batch_size", [1, 32])
def test_where_both_conditions_have_read_the_same_their_rows_are_the_same(toy_gpt, test, batch_size):
    a, b = continued(OTHERS, "him", ENDS_A), continued(OTHERS[::-1], "her", ENDS_B)
    contrast = tlesion.Contrast.from_sentences(a, b, words=("him", "her"))
    found = tlesion.select_neurons(toy_gpt, contrast, position="before", batch_size=batch_size, **options(test))
    assert not found.mask().any()
    torch.testing.assert_close(found.mean_a, found.mean_b, rtol=0, atol=1e-12)  # float64 means of the same rows
    assert (found.n_a, found.n_b, found.n_copies) == (3, 3, 12 + 6)


def same_token_at_many_places(n=24):
    """One word, a noun in one condition and in the other: its first layer's values see no context."""
    rng = np.random.default_rng(0)
    before = ["the boy saw", "we gave her", "people told the girl of", "the old teacher of the boy has", "he likes"]
    texts = [f"{before[rng.integers(5)]} the apple{end}" for end in ("", " today", " and the cup", " now and again")]
    texts += [f"{start} the apple {rest}" for start in before for rest in ("is here", "was in the garden of the boy")]
    texts = list(dict.fromkeys(texts))
    return tlesion.Contrast.from_sentences(texts[0::2], texts[1::2], words=("apple", "apple"), conditions=("x", "y"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("test", ["welch", "permutation"])
@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_a_point_that_cannot_see_the_context_tells_nothing_apart(dtype, test, batch_size):
    """Values in the first layer of a model without positions: they depend on the token alone, and on the batch."""
    model = without_positions(dtype)
    contrast = same_token_at_many_places()
    found = tlesion.select_neurons(
        model, contrast, hook_point="attn.hook_v", layers=[0], batch_size=batch_size, **options(test)
    )
    assert not found.mask().any()
    assert found.dead.all(), "nothing varies there"


def without_positions(dtype):
    model = tlesion.load_model("toy-gpt", dtype=dtype)
    weights = dict(model.named_parameters())
    weights["pos_embed.W_pos"].data.zero_()
    # A large common part makes rounding visible, as outlying dimensions do in trained models.
    weights["embed.W_E"].data[:, 3] += 50.0
    return model


@pytest.mark.parametrize("name", ["toy-bert", "toy-gpt"])
@pytest.mark.parametrize(
    ("dtype", "test"), [(torch.float32, "welch"), (torch.float32, "paired"), (torch.bfloat16, "paired")]
)
def test_real_differences_stay(name, dtype, test, monkeypatch):
    """The same masks as without looking for rounding at all."""
    model = tlesion.load_model(name, dtype=dtype)
    contrast = tlesion.contrasts.him_her()
    found = tlesion.select_neurons(model, contrast, test=test)
    monkeypatch.setattr("tlesion.selection.select.flatten_rounding", lambda *_, **__: 0)
    plain = tlesion.select_neurons(model, contrast, test=test)
    lost = int((found.mask() != plain.mask()).sum())
    assert plain.mask().sum() > 1000
    # In half precision a real difference may be as small as rounding: a neuron in a thousand.
    assert lost <= (0 if dtype == torch.float32 else 0.001 * plain.mask().sum())


@pytest.mark.parametrize("test", ["welch", "student", "moderated", "paired"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_caches_of_rows_that_differ_by_rounding(test, dtype):
    """Fixed values, each row with an error of a few units in the last place, and one neuron that really differs."""
    rng = np.random.default_rng(0)
    fixed = rng.standard_normal((1, 1, 40))
    eps = torch.finfo(dtype).eps
    a, b = (
        {"blocks.0.mlp.hook_pre": torch.from_numpy(fixed + eps * rng.uniform(-2, 2, (12, 1, 40)) * offset).to(dtype)}
        for offset in (1.0, 1.5)
    )
    b["blocks.0.mlp.hook_pre"][:, 0, 7] += torch.from_numpy(rng.uniform(4, 5, 12)).to(dtype)
    a["blocks.0.mlp.hook_pre"][:, 0, 7] += torch.from_numpy(rng.uniform(-1, 1, 12)).to(dtype)
    found = tlesion.select_from_cache(a, b, 0, 0, test=test)
    assert found.mask().nonzero().tolist() == [[0, 7]]
    assert found.n_rounding >= 38
