"""Decompositions of models built otherwise: Hugging Face's own, folded norms, no norm, capped logits; errors."""

from typing import Any

import numpy as np
import pytest
import torch
from transformer_lens import HookedTransformer
from transformers import AutoModelForCausalLM

from tlesion import Prompt, decompose_drop, load_model
from tlesion.anatomy.norm import scaled_norm
from tlesion.models.quiet import quiet

pytestmark = pytest.mark.slow

TEXTS = ["Robert helped Lucy with her project and she thanked", "The boy told"]
PROMPTS = [Prompt(text, ("him", "her")) for text in TEXTS]
# Float64 throughout: logits of order 1 to 10 agree to about 1e-14 after three layers.
ATOL = 1e-12


@pytest.fixture
def gpt2(checkpoint_folder):
    """Anew for every test: these change the model."""
    return load_model(checkpoint_folder("gpt2"), dtype=torch.float64)


def like(model, normalization_type) -> HookedTransformer:
    """A model of the same shape with another kind of norm, and weights that are yet to be set."""
    with quiet():
        made = HookedTransformer(type(model.cfg)(**{**model.cfg.to_dict(), "normalization_type": normalization_type}))
    made.tokenizer = model.tokenizer
    return made


@torch.no_grad()
def test_frozen_hugging_face_modules_leave_the_direct_part(checkpoint_folder):
    """GPT-2 of transformers: later attention and MLP modules are made to return their clean outputs."""
    folder = checkpoint_folder("gpt2")
    parts = decompose_drop(load_model(folder, dtype=torch.float64), None, PROMPTS, position="all", prepend_bos=False)
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
    tokenizer: Any = load_model(folder).tokenizer
    blocks = theirs.transformer.h
    targets = [tokenizer(f" {word}", add_special_tokens=False).input_ids[0] for word in ("him", "her")]

    def run(ids, hooks):
        handles = [module.register_forward_hook(hook) for module, hook in hooks]
        logits = theirs(ids).logits[0, -1, targets]
        for handle in handles:
            handle.remove()
        return logits

    def zero(module, inputs, output):
        return torch.zeros_like(output)

    clean_outputs: dict[object, object] = {}
    for index, text in enumerate(TEXTS):
        ids = torch.tensor([tokenizer(text, add_special_tokens=False).input_ids])
        modules = [module for block in blocks for module in (block.attn, block.mlp)]
        keep = [(m, lambda module, inputs, output: clean_outputs.__setitem__(module, output)) for m in modules]
        clean = run(ids, keep)
        for layer in range(3):
            later = [module for block in blocks[layer + 1 :] for module in (block.attn, block.mlp)]
            freeze = [(m, lambda module, inputs, output: clean_outputs[module]) for m in later]
            # The GELU's output is zero: what is left of the MLP is its bias.
            cut = [(blocks[layer].mlp.act, zero)]
            frozen = run(ids, cut + freeze)
            torch.testing.assert_close(parts.frozen_drop[0, layer, index], clean - frozen, atol=ATOL, rtol=0)
            torch.testing.assert_close(parts.logit_drop[0, layer, index], clean - run(ids, cut), atol=ATOL, rtol=0)
    assert (parts.frozen_drop - parts.logit_drop)[:, 0].abs().max() > 0.01


def test_the_direct_part_of_a_pre_norm_model_is_linear(gpt2):
    """By the equation in the docstring, from the MLP's output weights alone."""
    parts = decompose_drop(gpt2, None, PROMPTS)
    for index, prompt in enumerate(PROMPTS):
        tokens = gpt2.to_tokens(prompt.text)
        targets = [gpt2.tokenizer(f" {word}").input_ids[-1] for word in ("him", "her")]
        with torch.no_grad():
            _, cache = gpt2.run_with_cache(tokens)
        for layer in range(3):
            change = cache["post", layer][0, -1] @ gpt2.blocks[layer].mlp.W_out
            normed = gpt2.ln_final.w * (change - change.mean()) / cache["ln_final.hook_scale"][0, -1]
            direct = normed @ gpt2.unembed.W_U[:, targets]
            torch.testing.assert_close(parts.direct[0, layer, index], direct.detach(), atol=ATOL, rtol=0)


def test_folded_norms_give_the_same_parts(gpt2):
    """TransformerLens folds w and b of a norm into the weights that follow: the parts do not change."""
    before = decompose_drop(gpt2, None, PROMPTS)
    state = gpt2.fold_layer_norm({name: value.clone() for name, value in gpt2.state_dict().items()})
    folded = like(gpt2, "LNPre")
    folded.load_state_dict(state, strict=False)
    after = decompose_drop(folded, None, PROMPTS)
    assert type(folded.ln_final).__name__ == "LayerNormPre"
    for name in ("direct", "downstream", "direct_rescaling", "downstream_rescaling"):
        torch.testing.assert_close(getattr(after, name), getattr(before, name), atol=1e-10, rtol=0)


def test_without_a_norm_nothing_is_rescaled(gpt2):
    plain = like(gpt2, None)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.copy_(torch.from_numpy(0.15 * rng.standard_normal(tuple(parameter.shape))))
    parts = decompose_drop(plain, None, PROMPTS)
    assert not parts.rescaling.any()
    assert parts.direct.abs().max() > 0.01
    torch.testing.assert_close(parts.logit_drop, parts.measured_drop, atol=ATOL, rtol=0)


def test_a_cap_on_the_logits_is_part_of_the_way(gpt2):
    without = decompose_drop(gpt2, None, PROMPTS)
    gpt2.cfg.output_logits_soft_cap = 3.0
    parts = decompose_drop(gpt2, None, PROMPTS)
    torch.testing.assert_close(parts.logit_drop, parts.measured_drop, atol=ATOL, rtol=0)
    torch.testing.assert_close(parts.clean_logits, 3 * torch.tanh(without.clean_logits / 3), atol=ATOL, rtol=0)
    assert (parts.direct - without.direct).abs().max() > 0.01


def test_the_head_of_a_masked_model_has_the_activation_of_its_configuration(checkpoint_folder):
    model = load_model(checkpoint_folder("bert", hidden_act="relu"), dtype=torch.float64)
    parts = decompose_drop(model, None, [Prompt(f"{TEXTS[1]} [MASK].", ("him", "her"))])
    torch.testing.assert_close(parts.logit_drop, parts.measured_drop, atol=ATOL, rtol=0)
    assert parts.direct.abs().max() > 0.001


def test_a_scaled_norm_is_transformer_lens_norm(gpt2, checkpoint_folder):
    llama: Any = load_model(checkpoint_folder("llama"), dtype=torch.float64)
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 5, 32)))
    for module in (gpt2.ln_final, llama.ln_final):
        norm = scaled_norm(module, 1.0)
        with torch.no_grad():
            torch.testing.assert_close(norm(x, norm.scale(x)), module(x), atol=ATOL, rtol=0)
        doubled = norm(x, 2 * norm.scale(x))
        shift = 0 if norm.bias is None else norm.bias
        torch.testing.assert_close(2 * (doubled - shift), module(x).detach() - shift, atol=ATOL, rtol=0)


def test_hooks_after_the_stream_are_noticed(gpt2):
    """The parts are worked out from the stream; a model that changes it on the way to its logits is refused."""
    gpt2.add_hook("ln_final.hook_normalized", lambda activation, hook: 2 * activation, is_permanent=True)
    with pytest.raises(ValueError, match=r"the parts of a drop add up to another drop than the model's own, by up to"):
        decompose_drop(gpt2, None, PROMPTS)


@pytest.mark.parametrize(
    ("masks", "options", "message"),
    [
        (None, {"hook_point": "hook_attn_out"}, r"hook point 'hook_attn_out' is not inside an MLP, whose output is "
         r"what is followed to the logits; give 'mlp\.hook_pre', 'mlp\.hook_post' or 'hook_mlp_out'"),
        (None, {"hook_point": "blocks.1.hook_resid_post"}, r"is not inside an MLP"),
        ({}, {}, r"no mask was given; give a dict of named masks"),
        ({"him": torch.ones(3, 5)}, {}, r"mask 'him' has shape \(3, 5\) and dtype torch\.float32; this model needs"),
        (None, {"position": "mask"}, r"position 'mask' is unknown; allowed: 'readout', 'all'"),
        (None, {"position": 40}, r"positions \[40\] at 'blocks\.\d\.mlp\.hook_post' do not exist"),
        (None, {"ablation": "median"}, r"ablation 'median' needs reference values"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(gpt2, masks, options, message):
    with pytest.raises(ValueError, match=message):
        decompose_drop(gpt2, masks, PROMPTS, **options)
    assert not any(point.fwd_hooks for point in gpt2.hook_dict.values())


@pytest.mark.parametrize("hook_point", ["mlp.hook_pre", "hook_mlp_out", "blocks.1.mlp.hook_post"])
def test_other_points_of_the_mlp_serve(gpt2, hook_point):
    parts = decompose_drop(gpt2, None, PROMPTS, hook_point=hook_point)
    assert parts.layers == ((1,) if "blocks" in hook_point else (0, 1, 2))
    torch.testing.assert_close(parts.logit_drop, parts.measured_drop, atol=ATOL, rtol=0)
    assert parts.direct.abs().max() > 0.01
    post = decompose_drop(gpt2, None, PROMPTS)
    if "blocks" in hook_point:
        torch.testing.assert_close(parts.downstream[:, 0], post.downstream[:, 1], atol=ATOL, rtol=0)
    else:
        # GELU(0) is 0, so that both points give the same; the MLP's output also holds its bias.
        same = torch.allclose(parts.direct, post.direct, atol=ATOL, rtol=0)
        assert same == (hook_point == "mlp.hook_pre")


def test_nan_in_the_clean_run_is_refused(gpt2):
    with torch.no_grad():
        gpt2.blocks[1].mlp.b_in[3] = torch.nan
    with pytest.raises(ValueError, match=r"clean logits of 2 of 2 prompts are NaN or infinite, so no effect can be"):
        decompose_drop(gpt2, None, PROMPTS)


def test_half_precision_adds_up_within_its_rounding(checkpoint_folder):
    model = load_model(checkpoint_folder("gpt2"), dtype=torch.bfloat16)
    parts = decompose_drop(model, None, PROMPTS)
    # Eight bits: two logits of order 10, each off by up to 2 % after three layers.
    assert (parts.logit_drop - parts.measured_drop).abs().max() < 0.4
    assert parts.logit_drop.abs().max() > 0.5
