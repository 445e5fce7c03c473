"""The probe on loading reaches past what a model does by length; what it cannot reach the configuration settles."""

import pytest
import torch
import transformers

import tlesion

SIZES = {
    "vocab_size": 120,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 8192,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
FAMILIES = {
    "qwen2": (transformers.Qwen2ForCausalLM, transformers.Qwen2Config, {"max_window_layers": 1}),
    "qwen3": (transformers.Qwen3ForCausalLM, transformers.Qwen3Config, {"max_window_layers": 0, "head_dim": 8}),
    "mistral": (transformers.MistralForCausalLM, transformers.MistralConfig, {"head_dim": 8}),
    "mixtral": (transformers.MixtralForCausalLM, transformers.MixtralConfig, {"num_local_experts": 2}),
    "phi3": (transformers.Phi3ForCausalLM, transformers.Phi3Config, {}),
    "llama": (transformers.LlamaForCausalLM, transformers.LlamaConfig, {}),
}


@pytest.fixture
def original(checkpoints):
    """`original("qwen2", sliding_window=64)`: a small Hugging Face model with random weights."""

    def make(family, **fields):
        cls, config, own = FAMILIES[family]
        with torch.random.fork_rng(devices=[]):
            model = cls(config(**(SIZES | own | fields)))
        checkpoints.draw_weights(model, seed=0)
        return model.eval()

    return make


@torch.no_grad()
def off(model, hf_model, n_tokens):
    ids = (31 * torch.arange(n_tokens) % 120)[None]
    ours, theirs = model(ids).double(), hf_model(ids).logits.double()
    return float((ours - theirs)[:, -20:].abs().max() / theirs.square().mean().sqrt())


@pytest.mark.parametrize("window", [8, 64, 500])
@pytest.mark.parametrize("family", ["qwen2", "qwen3"])
def test_a_window_that_transformer_lens_has_not_is_found_by_the_probe(original, family, window):
    with pytest.raises(ValueError, match=f"does not compute what the original computes.*of {window + 24} tokens"):
        tlesion.load_model(hf_model=original(family, use_sliding_window=True, sliding_window=window))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_window_beyond_the_probe_is_refused_by_the_configuration(original, dtype):
    hf_model = original("qwen2", use_sliding_window=True, sliding_window=4096).to(getattr(torch, dtype))
    said = r"4096 tokens long \(in layers \[1, 2\]\).*absent in TransformerLens.*max_position_embeddings to 4096"
    with pytest.raises(ValueError, match=said):
        tlesion.load_model(hf_model=hf_model)
    # The way out that the message names.
    hf_model.config.max_position_embeddings = 4096
    assert tlesion.load_model(hf_model=hf_model).cfg.n_ctx == 4096


def test_rounding_in_half_precision_does_not_hide_a_window(original):
    hf_model = original("qwen2", use_sliding_window=True, sliding_window=600).to(torch.bfloat16)
    with pytest.raises(ValueError, match="600 tokens long"):
        tlesion.load_model(hf_model=hf_model)


@pytest.mark.parametrize("window", [8, 100, 4096, None])
@pytest.mark.parametrize("family", ["mistral", "mixtral", "phi3"])
def test_windows_that_transformer_lens_has_are_right_beyond_them(original, family, window):
    hf_model = original(family, sliding_window=window)
    assert off(tlesion.load_model(hf_model=hf_model), hf_model, 160) < 1e-3


def test_a_window_that_is_switched_off_is_none(original):
    hf_model = original("qwen2", use_sliding_window=False, sliding_window=8)
    assert off(tlesion.load_model(hf_model=hf_model), hf_model, 60) < 1e-3


def rope(kind, **fields):
    return {"rope_parameters": {"rope_theta": 10_000.0, "rope_type": kind, **fields}}


LLAMA3 = rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=2048)
LONG = rope(
    "longrope",
    factor=2.0,
    short_factor=[1.0] * 4,
    long_factor=[2.0] * 4,
    original_max_position_embeddings=4096,
)


@pytest.mark.parametrize(
    ("family", "fields"),
    [
        ("llama", rope("linear", factor=4.0)),
        ("llama", rope("yarn", factor=4.0, original_max_position_embeddings=2048)),
        ("llama", rope("dynamic", factor=4.0, original_max_position_embeddings=4096)),
        ("qwen2", rope("yarn", factor=4.0, original_max_position_embeddings=2048)),
        ("qwen2", LLAMA3),
        ("qwen3", rope("linear", factor=4.0)),
        ("mistral", LLAMA3 | {"sliding_window": None}),
        ("phi3", LONG | {"original_max_position_embeddings": 4096}),
    ],
)
def test_a_scaled_rotary_embedding_is_right_or_refused(original, family, fields):
    hf_model = original(family, **fields)
    with pytest.raises(ValueError, match=r"does not compute what the original computes|the rotary embedding of"):
        tlesion.load_model(hf_model=hf_model)


def test_a_scaled_rotary_embedding_that_transformer_lens_has(original):
    hf_model = original("llama", **LLAMA3)
    assert off(tlesion.load_model(hf_model=hf_model), hf_model, 600) < 1e-3


def test_an_embedding_that_changes_beyond_the_context_is_never_met(original):
    hf_model = original("llama", max_position_embeddings=256, **rope("dynamic", factor=4.0))
    assert off(tlesion.load_model(hf_model=hf_model), hf_model, 256) < 1e-3
