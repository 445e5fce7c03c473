"""A subspace study refuses what it cannot measure, in words that say what came and what to do."""

import pytest
import torch

import tlesion

TEXT = "The old teacher gave the boy an apple."


@pytest.fixture(scope="module")
def gpt2(checkpoint_folder):
    return tlesion.load_model(checkpoint_folder("gpt2"))


def with_weights(checkpoint_folder, change):
    """A model of the test's own, with changed weights in layer 1."""
    model = tlesion.load_model(checkpoint_folder("gpt2"))
    with torch.no_grad():
        change(model.blocks[1].mlp)
    return model


def directions(width: int, rank: int = 1) -> tlesion.Subspace:
    return tlesion.Subspace.from_directions(torch.eye(width)[:rank])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rank": 40}, ValueError, r"'blocks\.0\.mlp\.hook_pre': rank 40 .*tokens of 128 units"),
        ({"ranks": [1, 40]}, ValueError, r"'blocks\.0\.mlp\.hook_pre': rank 40"),
        ({"components": [0, 40]}, ValueError, r"'blocks\.0\.mlp\.hook_pre': .*40"),
        ({"rank": 1, "components": [0, 2]}, ValueError, "rank 1 and 2 components were given; leave one of them out"),
        ({"components": [0], "ranks": [2]}, ValueError, "components say which directions are cut"),
        ({"rank": -1}, ValueError, "rank must be a whole number, 0 or more, got -1"),
        ({"ranks": [0]}, ValueError, r"ranks \[0\] are no numbers of directions; give 1 or more each"),
        ({"n_random": -1}, ValueError, "n_random must be a whole number, 0 or more, got -1"),
        ({"method": "pca"}, ValueError, "method 'pca' is unknown; allowed: 'svd', 'ica'"),
        ({"control": "shuffled"}, ValueError, "control 'shuffled' is unknown; allowed: 'random', 'random_in_span'"),
        ({"hook_point": "mlp.hook_mid"}, ValueError, r"hook point 'blocks\.0\.mlp\.hook_mid' is not in this model"),
        ({"layers": [7]}, ValueError, r"layers \[7\] do not exist; this model has 3 layers"),
        ({"plan": "prefix"}, ValueError, "plan 'prefix' is unknown; allowed: 'auto', 'loop'"),
        ({"level": 1.0}, ValueError, "level must lie between 0 and 1, got 1.0"),
        ({"subspaces": directions(128)}, TypeError, "subspaces are a Subspace; give a dict"),
        (
            {"subspaces": {0: directions(128)}},
            ValueError,
            r"no subspace was given for layer 1; there are some for \[0\]",
        ),
        ({"subspaces": dict.fromkeys(range(3), directions(32))}, ValueError, "has width 32, and .* has 128 units"),
        ({"subspaces": dict.fromkeys(range(3), torch.eye(3))}, TypeError, "subspace of layer 0 is a Tensor"),
        (
            {"subspaces": {0: directions(128), 1: directions(128, 2), 2: directions(128)}},
            ValueError,
            r"the subspaces have ranks \[1, 2\]; give one rank for all layers",
        ),
        (
            {"subspaces": dict.fromkeys(range(3), directions(128)), "rank": 1},
            ValueError,
            "rank=1 and subspaces were given, which say what is cut; leave it out",
        ),
    ],
)
def test_wrong_options(gpt2, options, error, message):
    with pytest.raises(error, match=message):
        tlesion.subspace_removal(gpt2, TEXT, **options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (torch.tensor([5]), "text 0 has 1 token, and a subspace needs at least 2 tokens; give a longer one"),
        ([TEXT, torch.tensor([5])], "text 1 has 1 token"),
        ("", "is empty; give at least one word"),
        ([], "no text was given"),
        (torch.tensor([5, 100_000]), r"token ids \[100000\] do not exist"),
    ],
)
def test_wrong_texts(gpt2, text, message):
    with pytest.raises(ValueError, match=message):
        tlesion.subspace_removal(gpt2, text, prepend_bos=False)


def test_constant_activations(checkpoint_folder):
    model = with_weights(checkpoint_folder, lambda mlp: mlp.W_in.zero_())
    with pytest.raises(
        ValueError, match=r"'blocks\.1\.mlp\.hook_pre': the activations are constant over the \d+ tokens"
    ):
        tlesion.subspace_removal(model, TEXT)
    assert tlesion.subspace_removal(model, TEXT, layers=[0, 2], n_random=0).layers == (0, 2)


def test_activations_that_are_not_finite(checkpoint_folder):
    model = with_weights(checkpoint_folder, lambda mlp: mlp.b_in[3].fill_(torch.inf))
    with pytest.raises(
        ValueError, match=r"'blocks\.1\.mlp\.hook_pre': activations hold \d+ values that are not finite"
    ):
        tlesion.subspace_removal(model, TEXT)


def test_a_model_without_an_output_layer(checkpoint_folder):
    model = tlesion.load_model(checkpoint_folder("bert-base-model"))
    with pytest.raises(ValueError, match="a subspace study"):
        tlesion.subspace_removal(model, TEXT)


def test_two_tokens_are_described_and_not_tested(gpt2):
    result = tlesion.subspace_removal(gpt2, torch.tensor([5, 9]), n_random=0)
    assert result.logit_drop.shape == (3, 1)
    assert bool(result.t.isnan().all() and result.p.isnan().all() and result.test.low.isnan().all())
    assert result.variance_ratio.tolist() == pytest.approx([1.0] * 3)


def test_the_model_is_left_as_it_was(checkpoint_folder):
    model = with_weights(checkpoint_folder, lambda mlp: mlp.W_in.zero_())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    with pytest.raises(ValueError, match="constant"):
        tlesion.subspace_removal(model, TEXT)
    tlesion.subspace_removal(model, TEXT, layers=[0], n_random=1)
    assert model.training
    assert tlesion.hooks.user_hooks(model) == []
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
