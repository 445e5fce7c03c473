"""Replacement against plain Hugging Face hooks: fused and grouped keys, block outputs, noise; all sizes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from scipy import stats
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

import tlesion

pytestmark = pytest.mark.slow

TEXT = "The old teacher gave the boy an apple and told"
# Float32 activations of size 1 to 30 through four blocks: two implementations agree to about 1e-5 of their size.
CLOSE: dict[str, Any] = {"rtol": 2e-4, "atol": 2e-4}


def hugging_face(folder, family):
    kind = AutoModelForMaskedLM if family == "bert" else AutoModelForCausalLM
    return kind.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


def blocks_of(model, family):
    if family == "bert":
        return list(model.bert.encoder.layer)
    return list(model.model.layers if family == "llama" else model.transformer.h)


@contextmanager
def hooked(module: torch.nn.Module, change: Callable) -> Iterator[None]:
    handle = module.register_forward_hook(lambda _, inputs, output: change(output))
    try:
        yield
    finally:
        handle.remove()


def first(output):
    """A block returns its hidden state, or a tuple that begins with it."""
    return output[0] if isinstance(output, tuple) else output


def with_first(output, hidden):
    return (hidden, *output[1:]) if isinstance(output, tuple) else hidden


def run(model, family, ids) -> tuple[list[torch.Tensor], torch.Tensor]:
    """The hidden state after every block, and the logits."""
    states: list[torch.Tensor] = []
    handles = [
        block.register_forward_hook(lambda _, inputs, output: states.append(first(output)[0].double()))
        for block in blocks_of(model, family)
    ]
    with torch.no_grad():
        logits = model(ids[None]).logits[0].double()
    for handle in handles:
        handle.remove()
    return states, logits


def prompt_for(family: str) -> tlesion.Prompt:
    return tlesion.Prompt(f"{TEXT} [MASK]." if family == "bert" else TEXT, ("him", "her"))


def check(result, variant: int, model, family, tokenizer, lesion) -> None:
    """Compare everything that a result says of a variant with a run in which Hugging Face's model is hooked."""
    text = result.prompts[0].replace("[MASK]", tokenizer.mask_token or "")
    ids = torch.tensor(tokenizer(text).input_ids)
    clean_states, clean = run(model, family, ids)
    with lesion:
        states, lesioned = run(model, family, ids)
    read = ids.tolist().index(tokenizer.mask_token_id) if family == "bert" else -1
    targets = torch.tensor(
        [
            tokenizer((" " if family != "bert" else "") + w, add_special_tokens=False).input_ids[0]
            for w in ("him", "her")
        ]
    )
    for layer, (state, base) in enumerate(zip(states, clean_states, strict=True)):
        drift = (state - base).norm(dim=-1)
        expected = {
            "std": state.std(),
            "std_token": state.std(dim=-1).mean(),
            "norm": state.norm(dim=-1).mean(),
            "cosine": torch.cosine_similarity(state, base, dim=-1).mean(),
            "drift": drift.mean(),
            "drift_relative": (drift / base.norm(dim=-1)).mean(),
        }
        for name, value in expected.items():
            torch.testing.assert_close(
                getattr(result.hidden, name)[variant, layer, 0], value, msg=f"{name} at {layer}", **CLOSE
            )
        torch.testing.assert_close(result.hidden.clean_std[layer, 0], base.std(), **CLOSE)
        by_token = result.by_token.std[variant, layer].double()
        torch.testing.assert_close(by_token, state.std(dim=-1), **CLOSE)
    p, q = clean[read].softmax(-1), lesioned[read].softmax(-1)
    torch.testing.assert_close(result.kl[variant, 0].item(), float(stats.entropy(p, q)), **CLOSE)
    torch.testing.assert_close(result.logit_drop[variant, 0], (clean - lesioned)[read, targets], **CLOSE)
    change = (lesioned - clean)[read].std(correction=0)
    torch.testing.assert_close(result.global_change[variant, 0], change, **CLOSE)
    top = [set(logits[read].topk(10).indices.tolist()) for logits in (clean, lesioned)]
    assert result.top_kept[variant, 0].item() == len(top[0] & top[1]) / 10
    assert result.prediction.vocabulary[int(result.prediction.lesioned_top[variant, 0, 0])] == tokenizer.decode(
        [int(lesioned[read].argmax())]
    )


@pytest.mark.parametrize("part", ["key", "query", "value"])
@pytest.mark.parametrize("head", [0, 2, 11])
def test_a_head_of_gpt2_is_its_columns_in_the_fused_projection(checkpoint_folder, part, head):
    folder = checkpoint_folder("gpt2", n_embd=768, n_head=12, n_layer=2)
    model, tokenizer = hugging_face(folder, "gpt2")
    variants = tlesion.head_variants(tlesion.load_model(folder), part=part, heads=head, layers=[0, 1])
    result = tlesion.replacement(tlesion.load_model(folder), [prompt_for("gpt2")], variants, prepend_bos=False)

    def cut(output: torch.Tensor) -> torch.Tensor:
        # c_attn lays queries, keys and values side by side, n_embd = 768 columns each; a head has 64 of them.
        parts = dict(
            zip(("query", "key", "value"), (piece.clone() for piece in output.split(768, dim=-1)), strict=True)
        )
        parts[part][..., 64 * head : 64 * (head + 1)] = 0
        return torch.cat([parts["query"], parts["key"], parts["value"]], dim=-1)

    for layer in (0, 1):
        lesion = hooked(model.transformer.h[layer].attn.c_attn, cut)
        check(result, layer, model, "gpt2", tokenizer, lesion)
    assert result.kl[0].item() > 1e-4, "the lesion has to do something for the comparison to mean something"


@pytest.mark.parametrize("head", [0, 1])
def test_a_grouped_key_head_of_llama_is_its_rows_of_k_proj(checkpoint_folder, head):
    folder = checkpoint_folder("llama")
    model, tokenizer = hugging_face(folder, "llama")
    hooked_model = tlesion.load_model(folder)
    variants = tlesion.head_variants(hooked_model, heads=head, layers=[1])
    # prepend_bos=None and the tokenizer's own <s> are the same tokens here.
    result = tlesion.replacement(hooked_model, [prompt_for("llama")], variants)

    def cut(output: torch.Tensor) -> torch.Tensor:
        output = output.clone()
        output[..., 8 * head : 8 * (head + 1)] = 0
        return output

    check(result, 0, model, "llama", tokenizer, hooked(model.model.layers[1].self_attn.k_proj, cut))


@pytest.mark.parametrize("family", ["gpt2", "gpt-neo", "bert", "llama"])
@pytest.mark.parametrize("factor", [0.1, 10.0])
def test_scaling_a_block_is_scaling_what_its_module_returns(checkpoint_folder, family, factor):
    folder = checkpoint_folder(family)
    model, tokenizer = hugging_face(folder, family)
    hooked_model = tlesion.load_model(folder)
    variants = tlesion.scale_variants(hooked_model, factors=[factor], layers=[0, 1])
    bos = None if family == "llama" else False
    result = tlesion.replacement(hooked_model, [prompt_for(family)], variants, prepend_bos=bos)
    for layer in (0, 1):
        block = blocks_of(model, family)[layer]
        lesion = hooked(block, lambda output: with_first(output, first(output) * factor))
        check(result, layer, model, family, tokenizer, lesion)


@pytest.mark.parametrize("family", ["gpt2", "gpt-neo", "bert"])
@pytest.mark.parametrize("mode", ["substitute", "add"])
def test_noise_in_every_even_neuron_is_noise_in_the_activation_function(checkpoint_folder, family, mode):
    folder = checkpoint_folder(family)
    model, tokenizer = hugging_face(folder, family)
    hooked_model = tlesion.load_model(folder)
    variants = tlesion.noise_variants(hooked_model, mean=2.0, std=0.5, seed=7, mode=mode, layers=[1])
    result = tlesion.replacement(hooked_model, [prompt_for(family)], variants, prepend_bos=False)
    edit: Any = variants[0].interventions[0][1]

    def put_in(output: torch.Tensor) -> torch.Tensor:
        noise = edit(torch.zeros_like(output))
        changed = output.clone()
        changed[..., ::2] = noise[..., ::2] + (output[..., ::2] if mode == "add" else 0)
        return changed

    block = blocks_of(model, family)[1]
    lesion = hooked(block.intermediate if family == "bert" else block.mlp.act, put_in)
    check(result, 0, model, family, tokenizer, lesion)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_normed_drift_is_that_after_the_models_own_final_norm(checkpoint_folder, family):
    folder = checkpoint_folder(family)
    model, tokenizer = hugging_face(folder, family)
    hooked_model = tlesion.load_model(folder)
    variants = tlesion.scale_variants(hooked_model, factors=[3.0], layers=[0])
    bos = None if family == "llama" else False
    result = tlesion.replacement(hooked_model, [prompt_for(family)], variants, prepend_bos=bos)
    ids = torch.tensor(tokenizer(TEXT).input_ids)
    norm = model.model.norm if family == "llama" else model.transformer.ln_f
    clean, _ = run(model, family, ids)
    block = blocks_of(model, family)[0]
    with hooked(block, lambda output: with_first(output, first(output) * 3.0)):
        lesioned, _ = run(model, family, ids)
    for layer in range(hooked_model.cfg.n_layers):
        with torch.no_grad():
            a, b = (norm(states[layer].float()).double() for states in (lesioned, clean))
        expected = ((a - b).norm(dim=-1) / b.norm(dim=-1)).mean()
        torch.testing.assert_close(result.hidden.drift_normed[0, layer, 0], expected, rtol=1e-3, atol=1e-5)
