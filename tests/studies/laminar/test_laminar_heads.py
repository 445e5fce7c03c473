"""Masks of a selection inside attention: heads side by side, unit head * d_head + i, in every study that cuts them."""

from typing import Any

import numpy as np
import pytest
import torch

import tlesion
from tlesion import interventions as iv

pytestmark = pytest.mark.slow

PROMPTS = [tlesion.Prompt(text, ("him", "her")) for text in ("Robert helped Lucy and she thanked", "Lucy thanked")]
POINTS = ("attn.hook_z", "attn.hook_q", "attn.hook_k", "attn.hook_v")
# Float32 rounding of logits of order 1 to 10: batches of other shapes take other kernels.
ATOL = 2e-5


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def model(request, checkpoint_folder):
    """GPT-2, and Llama with fewer key/value heads than query heads."""
    return tlesion.load_model(checkpoint_folder(request.param))


def drawn(model, point: str) -> torch.Tensor:
    heads, units = tlesion.hooks.width(model, f"blocks.0.{point}")
    assert heads is not None
    return torch.rand(model.cfg.n_layers, heads * units, generator=torch.Generator().manual_seed(3)) < 0.3


@pytest.mark.parametrize("point", POINTS)
def test_a_mask_over_heads_is_what_plain_hooks_cut(model, point):
    mask = drawn(model, point)
    profile = tlesion.laminar_profile(model, {"some": mask}, PROMPTS, hook_point=point, position=-1, n_controls=0)
    assert profile.reference_logit_drop[0].abs().max() == 0, "an edit without units changes nothing"
    assert profile.n_lesioned.tolist() == [mask.sum(dim=1).tolist()]
    for which, prompt in enumerate(PROMPTS):
        tokens = model.to_tokens(prompt.text)
        targets = [model.tokenizer(f" {word}").input_ids[-1] for word in prompt.targets]
        with torch.no_grad():
            clean = model(tokens)[0, -1, targets]
            for layer in range(model.cfg.n_layers):

                def cut(activation, hook, layer=layer):
                    activation = activation.clone()
                    for unit in mask[layer].nonzero().flatten().tolist():
                        head, index = divmod(unit, activation.shape[3])
                        activation[:, -1, head, index] = 0
                    return activation

                lesioned = model.run_with_hooks(tokens, fwd_hooks=[(f"blocks.{layer}.{point}", cut)])[0, -1, targets]
                drop = profile.logit_drop[0, layer, which].float()
                torch.testing.assert_close(drop, clean - lesioned, atol=ATOL, rtol=0)
    assert profile.logit_drop.abs().max() > 10 * ATOL


@pytest.mark.parametrize("plan", ["loop", "fanout", "prefix"])
@pytest.mark.parametrize("ablation", ["mean", "gaussian"])
def test_every_ablation_and_plan_takes_them(model, ablation, plan):
    mask = drawn(model, "attn.hook_z")
    reference = None
    if ablation == "mean":
        reference = torch.from_numpy(np.random.default_rng(1).standard_normal(tuple(mask.shape), dtype=np.float32))
    options: dict[str, Any] = {
        "hook_point": "attn.hook_z",
        "ablation": ablation,
        "reference": reference,
        "n_controls": 2,
    }
    profile = tlesion.laminar_profile(model, {"some": mask}, PROMPTS, plan=plan, match="activity", **options)
    layer, tokens = 1, model.to_tokens(PROMPTS[1].text)
    name, (heads, units) = f"blocks.{layer}.attn.hook_z", tlesion.hooks.width(model, "blocks.0.attn.hook_z")
    assert heads is not None
    square = mask[layer].view(heads, units)
    noise = iv.gaussian(name, seed=0).edit(torch.zeros(1, tokens.shape[1], heads, units))[0, -1]
    values = noise if reference is None else reference[layer].view(heads, units)

    def put(activation, hook):
        activation = activation.clone()
        activation[0, -1] = torch.where(square, values, activation[0, -1])
        return activation

    targets = [model.tokenizer(f" {word}").input_ids[-1] for word in PROMPTS[1].targets]
    with torch.no_grad():
        drop = (model(tokens) - model.run_with_hooks(tokens, fwd_hooks=[(name, put)]))[0, -1, targets]
    torch.testing.assert_close(profile.logit_drop[0, layer, 1].float(), drop, atol=ATOL, rtol=0)


def test_a_selection_there_can_be_lesioned(model):
    pairs = [("We saw him today.", "We saw her today."), ("Ask him now.", "Ask her now."), ("Tell him.", "Tell her.")]
    contrast = tlesion.Contrast.from_pairs(pairs, words=("him", "her"))
    selection = tlesion.select_neurons(model, contrast, hook_point="attn.hook_z", correction="none", alpha=0.5)
    profile = tlesion.laminar_profile(
        model, {"him": selection.mask("him")}, PROMPTS, hook_point="attn.hook_z", n_controls=0
    )
    assert torch.equal(profile.n_lesioned[0], selection.mask("him").sum(dim=1))
    assert int(profile.n_lesioned.sum()) > 0


def test_masks_of_one_head_still_cut_every_head(model):
    heads, units = tlesion.hooks.width(model, "blocks.0.attn.hook_z")
    assert heads is not None
    activation = torch.ones(1, 2, heads, units)
    first = torch.arange(units) == 0
    cut = iv.zero("blocks.0.attn.hook_z", units=first).edit(activation)
    assert int((cut == 0).sum()) == 2 * heads
    side_by_side = torch.arange(heads * units) == units
    cut = iv.zero("blocks.0.attn.hook_z", units=side_by_side).edit(activation)
    assert (cut == 0).nonzero().tolist() == [[0, 0, 1, 0], [0, 1, 1, 0]]
    with pytest.raises(ValueError, match=rf"units mask of shape \({units + 1},\).*has {units} units"):
        iv.zero("blocks.0.attn.hook_z", units=torch.ones(units + 1, dtype=torch.bool)).edit(activation)
