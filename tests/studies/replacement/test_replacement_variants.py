"""The makers of variants: what they lesion, mean and resampled values, and every refusal."""

from typing import Any

import numpy as np
import pytest
import torch

import tlesion
from tlesion import interventions as iv
from tlesion.hooks import hidden_state

TEXTS = ["The old teacher gave the boy an apple.", "We saw him in the garden today, and we saw her."]
PROMPT = tlesion.Prompt("The old teacher gave the boy an apple and told", ("him", "her"))


@pytest.fixture(scope="module")
def model(checkpoint_folder):
    return tlesion.load_model(checkpoint_folder("gpt2"))


@pytest.fixture(scope="module")
def grouped(checkpoint_folder):
    return tlesion.load_model(checkpoint_folder("llama"))


def cut(variant: tlesion.Variant) -> tuple[str, Any]:
    """The one hook name of a variant, and its edit."""
    return variant.interventions[0]


def test_heads_each_together_and_in_every_layer(model):
    each = tlesion.head_variants(model)
    assert len(each) == 3 * 4
    assert [variant.settings["head"] for variant in each[:4]] == ["0", "1", "2", "3"]
    both = tlesion.head_variants(model, heads=[0, -1], layers=[-1])
    assert [(variant.label, variant.layer) for variant in both] == [("key head 2.0+3", 2)]
    activation = torch.ones(1, 2, 4, 8)
    assert cut(both[0])[1](activation)[0, 0, :, 0].tolist() == [0, 1, 1, 0]
    assert {name for variant in tlesion.head_variants(model, part="query") for name, _ in variant.interventions} == {
        f"blocks.{layer}.attn.hook_q" for layer in range(3)
    }


def test_the_mean_is_over_all_tokens_of_the_reference(model):
    variants = tlesion.head_variants(model, heads=2, layers=[1], ablation="mean", reference=TEXTS)
    name, edit = cut(variants[0])
    keys = [model.run_with_cache(text)[1][name][0] for text in TEXTS]
    expected = torch.cat(keys).mean(dim=0)
    edited = edit(torch.zeros(1, 5, 4, 8))
    # Float32 activations of size 1, from runs of other shapes.
    torch.testing.assert_close(edited[0, :, 2], expected[2].expand(5, -1), rtol=1e-5, atol=1e-6)
    assert (edited[0, :, [0, 1, 3]] == 0).all()


def test_resampled_values_are_tokens_of_the_reference_and_seeded(model):
    options: dict[str, Any] = {"heads": [1, 2], "layers": [0, 2], "ablation": "resample", "reference": TEXTS}
    variants = tlesion.head_variants(model, **options, seed=4)
    drawn_tokens = []
    for variant in variants:
        name, edit = cut(variant)
        keys = torch.cat([model.run_with_cache(text)[1][name][0] for text in TEXTS])
        values = edit(torch.zeros(1, 9, 4, 8))[0]
        distance = (values[:, None, 1:3] - keys[None, :, 1:3]).abs().amax(dim=(2, 3))
        assert (distance.amin(dim=1) < 1e-5).all(), (
            "every drawn key is one of the reference's, of the same token in both heads"
        )
        drawn_tokens.append(distance.argmin(dim=1).tolist())
    assert drawn_tokens[0] == drawn_tokens[1], "the same tokens in every layer"
    again, other = (cut(tlesion.head_variants(model, **options, seed=seed)[0])[1] for seed in (4, 5))
    zeros = torch.zeros(1, 9, 4, 8)
    assert torch.equal(again(zeros), cut(variants[0])[1](zeros))
    assert not torch.equal(again(zeros), other(zeros))


def test_any_registered_ablation_is_made_at_heads(model):
    options: dict[str, Any] = {"heads": 2, "layers": [1], "reference": TEXTS}
    name, median = cut(tlesion.head_variants(model, **options, ablation="median")[0])
    keys = torch.cat([model.run_with_cache(text)[1][name][0] for text in TEXTS])
    edited = median(torch.zeros(1, 5, 4, 8))
    # Float32 activations of size 1, from runs of other shapes.
    expected = torch.from_numpy(np.median(keys.numpy(), axis=0))[2].expand(5, -1)
    torch.testing.assert_close(edited[0, :, 2], expected, rtol=1e-5, atol=1e-6)
    assert (edited[0, :, [0, 1, 3]] == 0).all()

    @iv.ablations.register("half of a key", summary="half of what they are")
    def halve(hook_name, *, units, positions, values, seed):
        assert values is None
        return iv.scale(hook_name, 0.5, units=units, positions=positions)

    own = tlesion.head_variants(model, heads=[0, 3], layers=[1], ablation="half of a key")[0]
    assert own.settings["ablation"] == "half of a key"
    assert cut(own)[1](torch.ones(1, 1, 4, 8))[0, 0, :, 0].tolist() == [0.5, 1, 1, 0.5]


def test_in_a_grouped_model_the_index_counts_key_value_heads(grouped):
    assert len(tlesion.head_variants(grouped, layers=[0])) == 2
    assert len(tlesion.head_variants(grouped, part="query", layers=[0])) == 4
    message = (
        r"key heads \[2\] do not exist; 'blocks.0.attn.hook_k' has 2 heads, 0 to 1; in this grouped-query model keys "
        r"and values have 2 heads, each shared by 2 of the 4 query heads: query head h reads key/value head h // 2"
    )
    with pytest.raises(ValueError, match=message):
        tlesion.head_variants(grouped, heads=2)


def test_the_blocks_output_has_its_own_hook_point_in_bert(checkpoint_folder, model):
    masked = tlesion.load_model(checkpoint_folder("bert"))
    assert tlesion.scale_variants(masked, layers=[1])[0].interventions[0][0] == "blocks.1.hook_normalized_resid_post"
    assert tlesion.scale_variants(model, layers=[1])[0].interventions[0][0] == "blocks.1.hook_resid_post"
    assert hidden_state(masked, 1) == "blocks.1.hook_normalized_resid_post"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 4}, r"key heads \[4\] do not exist; 'blocks.0.attn.hook_k' has 4 heads, 0 to 3$"),
        ({"heads": []}, "no head was given"),
        ({"heads": "all"}, "heads 'all' is unknown; allowed: 'each'"),
        ({"part": "output"}, "part 'output' is unknown; allowed: 'key', 'query', 'value'"),
        (
            {"ablation": "noise"},
            "ablation 'noise' is unknown; allowed: 'zero', 'mean', 'median', 'resample', 'gaussian'",
        ),
        ({"ablation": "mean"}, "ablation 'mean' takes its values from reference texts, and none were given"),
        ({"ablation": "resample", "reference": "one text"}, "give a list of texts"),
        ({"layers": [7]}, r"layers \[7\] do not exist; this model has 3 layers, 0 to 2"),
    ],
)
def test_heads_that_cannot_be(model, options, message):
    with pytest.raises(ValueError, match=message):
        tlesion.head_variants(model, **options)


def test_noise_and_scale_that_cannot_be(model):
    with pytest.raises(ValueError, match=r"std -1\.0 is negative"):
        tlesion.noise_variants(model, std=-1.0)
    with pytest.raises(ValueError, match="mode 'multiply' is unknown"):
        tlesion.noise_variants(model, mode="multiply")
    with pytest.raises(ValueError, match=r"hook point 'blocks\.0\.mlp\.hook_pots' is not in this model"):
        tlesion.noise_variants(model, hook_point="mlp.hook_pots")
    with pytest.raises(ValueError, match="no factor was given"):
        tlesion.scale_variants(model, factors=[])
    with pytest.raises(ValueError, match="factor inf"):
        tlesion.scale_variants(model, factors=[float("inf")])
    with pytest.raises(ValueError, match=r"layers \[-4\] do not exist"):
        tlesion.scale_variants(model, layers=[-4])


def test_studies_that_cannot_be(model, checkpoint_folder):
    variants = tlesion.scale_variants(model, factors=[0.1], layers=[0])
    with pytest.raises(ValueError, match=r"no variant was given; make some with tlesion\.scale_variants"):
        tlesion.replacement(model, [PROMPT], [])
    with pytest.raises(TypeError, match=r"is not a Variant; make some with tlesion\.scale_variants"):
        tlesion.replacement(model, [PROMPT], [variants[0].interventions])
    with pytest.raises(ValueError, match=r"variants \['layer 0 × 0.1'\] occur twice; give each a label of its own"):
        tlesion.replacement(model, [PROMPT], [*variants, *variants])
    with pytest.raises(ValueError, match="no prompt was given"):
        tlesion.replacement(model, [], variants)
    with pytest.raises(ValueError, match="plan 'prefix' is unknown; allowed: 'auto', 'loop', 'batched', 'fanout'"):
        tlesion.replacement(model, [PROMPT], variants, plan="prefix")
    with pytest.raises(ValueError, match="top_k is 0; give 1 to"):
        tlesion.replacement(model, [PROMPT], variants, top_k=0)
    bare = tlesion.load_model(checkpoint_folder("bert-base-model"))
    with pytest.raises(ValueError, match="a replacement study needs logits"):
        tlesion.replacement(bare, [PROMPT], tlesion.scale_variants(bare))
