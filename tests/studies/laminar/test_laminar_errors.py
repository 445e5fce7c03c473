"""What cannot be profiled is refused before anything runs, in words; and nothing stays behind after a break-off."""

from typing import Any

import pytest
import torch

from tlesion import Prompt, laminar_profile, load_model

MASKED = [Prompt("She thanked [MASK] for it.", ("him", "her")), Prompt("We saw [MASK].", ("him", "her"))]


@pytest.fixture(scope="module")
def bert(checkpoint_folder):
    return load_model(checkpoint_folder("bert"))


@pytest.fixture(scope="module")
def gpt2(checkpoint_folder):
    return load_model(checkpoint_folder("gpt2"))


def ones(*shape: int) -> torch.Tensor:
    return torch.ones(shape, dtype=torch.bool)


ALL = {"him": ones(3, 48)}


@pytest.mark.parametrize(
    ("masks", "prompts", "options", "message"),
    [
        ({}, MASKED, {}, r"no mask was given; give a dict of named masks"),
        ({"him": ones(3, 47)}, MASKED, {}, r"mask 'him' has shape \(3, 47\) and dtype torch\.bool; this model needs "
         r"a bool mask of shape \(3, 48\), \[layer, unit\]"),
        ({"him": ones(48)}, MASKED, {}, r"mask 'him' has shape \(48,\)"),
        ({"a": ones(3, 48), "b": ones(2, 48)}, MASKED, {}, r"mask 'b' has shape \(2, 48\)"),
        ({"him": ones(3, 48).float()}, MASKED, {}, r"mask 'him' has shape \(3, 48\) and dtype torch\.float32"),
        (ALL, [], {}, r"no prompt was given; give a list with at least one tlesion\.Prompt"),
        (ALL, [Prompt("She left.", ("him", "her"))], {}, r"holds 0 mask tokens"),
        (ALL, [Prompt("[MASK] saw [MASK].", ("him", "her"))], {}, r"holds 2 mask tokens"),
        (ALL, [Prompt("Ask [MASK].", ("him", "crocodile"))], {}, r"target 'crocodile' is \d tokens"),
        (ALL, [Prompt("the " * 70 + "[MASK]", ("him", "her"))], {}, r"text of 73 tokens is longer than "
         r"this model's context of 64"),
        (ALL, [*MASKED, Prompt("Ask [MASK].", ("him",))], {}, r"prompts have \[1, 2\] targets; give "
         r"every prompt of a list equally many"),
        (ALL, MASKED, {"ablation": "nought"}, r"ablation 'nought' is unknown; allowed: 'zero', 'mean', "
         r"'median', 'resample', 'gaussian'"),
        (ALL, MASKED, {"ablation": "mean"}, r"ablation 'mean' needs reference values of shape \(3, 48\), "
         r"\[layer, unit\], and got none; measure them on a reference set: reference=tlesion\.measure_reference"),
        (ALL, MASKED, {"ablation": "median", "reference": torch.zeros(3, 47)}, r"and got shape \(3, 47\)"),
        (ALL, MASKED, {"ablation": "mean", "reference": torch.full((3, 48), torch.nan)},
         r"values for 'blocks\.0\.mlp\.hook_post' hold 48 NaN or infinite entries"),
        (ALL, MASKED, {"ablation": "gaussian", "seed": -1}, r"seed -1 is negative"),
        (ALL, MASKED, {"position": "mask"}, r"position 'mask' is unknown; allowed: 'readout', 'all'"),
        (ALL, MASKED, {"position": 30}, r"positions \[30\] at 'blocks\.\d\.mlp\.hook_post' do not exist"),
        (ALL, MASKED, {"hook_point": "mlp.hook_nought"}, r"'blocks\.0\.mlp\.hook_nought' is not in this "
         r"model \(3 layers, 0 to 2\)"),
        (ALL, MASKED, {"hook_point": "attn.hook_pattern"}, r"has no \[batch, pos, unit\] activation"),
        (ALL, MASKED, {"plan": "fast"}, r"plan 'fast' is unknown"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(bert, masks, prompts, options, message):
    with pytest.raises(ValueError, match=message):
        laminar_profile(bert, masks, prompts, **{"n_controls": 0} | options)
    assert not any(point.fwd_hooks for point in bert.hook_dict.values())


def test_a_causal_model_refuses_masks_in_the_text_and_words_of_several_tokens(gpt2):
    masks = {"all": ones(3, 128)}
    with pytest.raises(ValueError, match=r"this is a causal model.*before_mask\(\)"):
        laminar_profile(gpt2, masks, MASKED, n_controls=0)
    with pytest.raises(ValueError, match=r"target 'crocodile' is \d+ tokens"):
        laminar_profile(gpt2, masks, [Prompt("We saw", ("crocodile",))], n_controls=0)


def test_a_model_without_logits_is_refused(checkpoint_folder):
    bare = load_model(checkpoint_folder("bert-base-model"))
    with pytest.raises(
        ValueError, match=r"the laminar profile needs logits, and the checkpoint .* has no language-model"
    ):
        laminar_profile(bare, {"all": ones(3, 48)}, MASKED, n_controls=0)


def test_nan_in_the_clean_run_is_refused(checkpoint_folder):
    model: Any = load_model(checkpoint_folder("gpt2"))
    with torch.no_grad():
        model.blocks[1].mlp.b_in[3] = torch.nan
    with pytest.raises(ValueError, match=r"clean logits of 1 of 1 prompts are NaN or infinite, so no effect can be"):
        laminar_profile(model, {"all": ones(3, 128)}, [Prompt("We saw", ("him", "her"))], n_controls=0)


def test_a_mask_without_a_name_is_refused(bert):
    # __wrapped__: the tests' type checker would speak first.
    unchecked: Any = laminar_profile
    with pytest.raises(TypeError, match=r"masks are a Tensor; give a dict of named masks, \{'him': mask\} for one"):
        unchecked.__wrapped__(bert, ones(3, 48), MASKED)
