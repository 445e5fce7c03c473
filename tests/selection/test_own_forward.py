"""Activations are those of plain runs of each sentence, where padding or blocks by themselves would change them."""

import numpy as np
import pytest
import torch

import tlesion
from tlesion.encoding import encode_sentence
from tlesion.studies.common.controls import measure_activity
from tlesion.studies.common.walk import Walk, inference
from tlesion.sweeps.groups import Reading

pytestmark = pytest.mark.slow

CONTRAST = tlesion.Contrast.from_pairs(
    [
        ("We saw him today.", "We saw her today."),
        ("I think the old teacher gave him an apple.", "I think the old teacher gave her an apple."),
        ("She thanked him for his hard work.", "She thanked her for his hard work."),
        ("They told him.", "They told her."),
    ],
    words=("him", "her"),
)
POINT = "blocks.3.mlp.hook_pre"


@pytest.fixture
def gpt():
    return tlesion.load_model("toy-gpt")


@pytest.fixture
def bert():
    return tlesion.load_model("toy-bert")


def bidirectional(model):
    model.cfg.attention_dir = "bidirectional"


def a_hook(model):
    model.blocks[2].attn.register_forward_hook(lambda module, inputs, output: 2 * output)


def a_hook_on_the_last_token(model):
    model.blocks[2].attn.register_forward_hook(lambda module, inputs, output: output - output[:, -1:])


def a_hook_across_rows(model):
    model.blocks[2].mlp.register_forward_hook(lambda module, inputs, output: output - output.mean(0, keepdim=True) / 2)


def a_patch(model):
    usual = model.blocks[2].mlp.forward
    model.blocks[2].mlp.forward = lambda x: -usual(x)


def a_permanent_hook(model):
    model.add_perma_hook("blocks.2.hook_attn_out", lambda output, hook: output - output[:, -1:])


CHANGES = [a_hook, a_hook_on_the_last_token, a_hook_across_rows, a_patch, a_permanent_hook]


@torch.no_grad()
def plain_rows(model, sentences, position):
    """The activations at one position of each sentence, in a run of its own."""
    rows = []
    for sentence in sentences:
        encoded = encode_sentence(model, sentence, position=position)
        seen: list[torch.Tensor] = []
        model.run_with_hooks(encoded.ids[None], fwd_hooks=[(POINT, lambda one, hook, seen=seen: seen.append(one[0]))])
        rows.append(seen[0][encoded.positions[0]])
    return torch.stack(rows).double()


def welch(a, b):
    spread = a.var(dim=0) / len(a) + b.var(dim=0) / len(b)
    return (a.mean(dim=0) - b.mean(dim=0)) / spread.sqrt()


@pytest.mark.parametrize("change", [bidirectional, *CHANGES])
def test_a_selection_is_that_of_plain_runs(gpt, change):
    change(gpt)
    expected = welch(plain_rows(gpt, CONTRAST.a, "word"), plain_rows(gpt, CONTRAST.b, "word"))
    found = tlesion.select_neurons(gpt, CONTRAST, hook_point=POINT, position="word", test="welch", batch_size=5)
    torch.testing.assert_close(found.t[0], expected, atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("change", CHANGES)
def test_a_selection_in_a_masked_model(bert, change):
    change(bert)
    expected = welch(plain_rows(bert, CONTRAST.a, "word"), plain_rows(bert, CONTRAST.b, "word"))
    found = tlesion.select_neurons(bert, CONTRAST, hook_point=POINT, position="word", test="welch", batch_size=5)
    torch.testing.assert_close(found.t[0], expected, atol=2e-3, rtol=2e-3)


def test_a_later_word_counts_where_attention_looks_ahead(gpt):
    """Both sentences of a pair are the same up to the position before the word: a causal model has one row for both."""
    usual = tlesion.select_neurons(gpt, CONTRAST, hook_point=POINT, position="before", test="paired")
    assert usual.provenance.settings["identical_pairs"] == 4
    bidirectional(gpt)
    found = tlesion.select_neurons(gpt, CONTRAST, hook_point=POINT, position="before", test="paired")
    assert found.provenance.settings["identical_pairs"] == 0
    difference = plain_rows(gpt, CONTRAST.a, "before") - plain_rows(gpt, CONTRAST.b, "before")
    expected = difference.mean(dim=0) / (difference.std(dim=0) / 2)
    torch.testing.assert_close(found.t[0], expected, atol=2e-2, rtol=2e-2)


def sequences():
    rng = np.random.default_rng(2)
    return [torch.from_numpy(rng.integers(5, 200, n)) for n in (7, 11, 7, 4)]


@pytest.mark.parametrize("change", [bidirectional, *CHANGES])
def test_a_walk_sees_what_plain_runs_see(gpt, change):
    change(gpt)
    names = {1: "blocks.1.hook_resid_post", 3: POINT}
    with inference(gpt):
        walk = Walk(gpt, sequences())
        for layer in range(4):
            found: dict[int, torch.Tensor] = {}

            def take(members, activation, found=found):
                found.update(zip(members, activation, strict=True))

            walk.advance(layer, names.get(layer), take)
            if layer in names:
                for index, ids in enumerate(sequences()):
                    seen: list[torch.Tensor] = []
                    look = [(names[layer], lambda one, hook, seen=seen: seen.append(one[0]))]
                    gpt.run_with_hooks(ids[None], fwd_hooks=look)
                    torch.testing.assert_close(found[index], seen[0], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("change", [bidirectional, *CHANGES])
def test_the_activity_that_controls_are_matched_in(gpt, change):
    change(gpt)
    given = [Reading(ids, torch.tensor([len(ids) - 1]), torch.tensor([[3]])) for ids in sequences()]
    found = measure_activity(gpt, [POINT], given, position="readout")
    rows = []
    with torch.no_grad():
        for ids in sequences():
            gpt.run_with_hooks(ids[None], fwd_hooks=[(POINT, lambda one, hook: rows.append(one[0, -1].double().abs()))])
    torch.testing.assert_close(found[0], torch.stack(rows).mean(dim=0), atol=2e-5, rtol=1e-4)
