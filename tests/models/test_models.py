"""Loaded models compute what Hugging Face's compute: logits, every hidden state, tokens, padding, precision."""

from contextlib import ExitStack
from typing import Any

import pytest
import torch
from transformer_lens import HookedEncoder, HookedTransformer
from transformers import AutoConfig, AutoModelForCausalLM, BertForMaskedLM, BertModel

from tlesion.models import has_logits, load_model
from tlesion.models.checkpoint import CAUSAL_TYPES

pytestmark = pytest.mark.slow

FAMILIES = ("bert", "gpt2", "gpt-neo", "gpt-neox", "llama")
TEXTS = [
    "Robert helped Lucy with her project and she thanked him.",
    "We saw him.",
    "If the nurse had called her brother, he would have brought it.",
]
# Float32 rounding: hidden states reach about 17 here and differ by at most 1.3e-5; anything misread differs by > 1e-2.
ATOL = 5e-5

LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("bert", {"hidden_act": "gelu_new"}),
    ("bert", {"hidden_act": "relu"}),
    ("bert", {"layer_norm_eps": 0.1}),
    ("bert", {"type_vocab_size": 3}),
    ("bert", {"tie_word_embeddings": False}),
    ("gpt2", {"activation_function": "gelu"}),
    ("gpt2", {"n_inner": 40}),
    ("gpt2", {"scale_attn_by_inverse_layer_idx": True}),
    ("gpt2", {"scale_attn_weights": False}),
    ("gpt2", {"tie_word_embeddings": False}),
    ("gpt-neo", {"intermediate_size": 40}),
    ("gpt-neo", {"attention_types": [[["global"], 4]]}),
    ("gpt-neox", {"rotary_emb_base": 50}),
    ("gpt-neox", {"use_parallel_residual": False}),
    ("llama", {"head_dim": 16}),
    ("llama", {"num_key_value_heads": 4}),
    ("llama", {"rms_norm_eps": 0.1}),
    ("llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 50.0}}),
    ("llama", {"rope_parameters": LLAMA3_ROPE}),
]

# What these alter is there or not, or of another shape: ignored, it would not load at all.
CHANGES_SHAPES = {
    "n_inner",
    "intermediate_size",
    "head_dim",
    "num_key_value_heads",
    "type_vocab_size",
    "tie_word_embeddings",
}


def load_hugging_face(folder, family):
    loader: Any = {"bert": BertForMaskedLM, "bert-base-model": BertModel}.get(family, AutoModelForCausalLM)
    return loader.from_pretrained(folder).eval()


@torch.no_grad()
def run_hugging_face(hf_model, tokens, mask=None):
    """Every block's output, by plain hooks, and the logits: the last of `hidden_states` is after the final norm."""
    names = dict(hf_model.base_model.named_modules())
    layers = next(names[path] for path in ("h", "layers", "encoder.layer", "decoder.layers") if path in names)
    states = []
    with ExitStack() as stack:
        for layer in layers:
            handle = layer.register_forward_hook(
                lambda _module, _inputs, out: states.append(out[0] if isinstance(out, tuple) else out)
            )
            stack.callback(handle.remove)
        output = hf_model(tokens, attention_mask=mask)
    return states, getattr(output, "logits", None)


@torch.no_grad()
def run_hooked(model, tokens, mask=None):
    if isinstance(model, HookedEncoder):
        logits, cache = model.run_with_cache(tokens, one_zero_attention_mask=mask)
        point = "hook_normalized_resid_post"
    else:
        logits, cache = model.run_with_cache(tokens, attention_mask=mask)
        point = "hook_resid_post"
    return [cache[f"blocks.{layer}.{point}"] for layer in range(model.cfg.n_layers)], logits


def assert_equal_where(mask, ours, theirs):
    for mine, other in zip([*ours[0], ours[1]], [*theirs[0], theirs[1]], strict=True):
        torch.testing.assert_close(mine[mask], other[mask], atol=ATOL, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_and_hidden_states_equal_hugging_face(checkpoint_folder, family):
    folder = checkpoint_folder(family)
    model, hf_model = load_model(folder), load_hugging_face(folder, family)
    tokens = (7 * torch.arange(2 * 40).reshape(2, 40) + 5) % model.cfg.d_vocab
    everywhere = torch.ones_like(tokens, dtype=torch.bool)
    assert_equal_where(everywhere, run_hooked(model, tokens), run_hugging_face(hf_model, tokens))


@pytest.mark.parametrize(("family", "sizes"), SETTINGS)
def test_settings_that_transformer_lens_does_not_read(checkpoint_folder, family, sizes):
    folder = checkpoint_folder(family, **sizes)
    model, hf_model = load_model(folder), load_hugging_face(folder, family)
    tokens = (11 * torch.arange(50)[None] + 3) % model.cfg.d_vocab
    everywhere = torch.ones_like(tokens, dtype=torch.bool)
    assert_equal_where(everywhere, run_hooked(model, tokens), run_hugging_face(hf_model, tokens))


@pytest.mark.parametrize(
    ("family", "sizes"), [(family, sizes) for family, sizes in SETTINGS if not sizes.keys() & CHANGES_SHAPES]
)
def test_each_of_these_settings_matters(checkpoints, family, sizes):
    """Negative control: were the setting ignored, the comparison above would fail by far."""
    plain, changed = checkpoints.make_model(family, 300), checkpoints.make_model(family, 300, **sizes)
    tokens = (11 * torch.arange(50)[None] + 3) % 300
    difference = run_hugging_face(plain, tokens)[1] - run_hugging_face(changed, tokens)[1]
    assert difference.abs().max() > 20 * ATOL


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_changes_nothing(checkpoint_folder, family):
    folder = checkpoint_folder(family)
    model: Any = load_model(folder)
    hf_model = load_hugging_face(folder, family)
    batch = model.tokenizer(TEXTS, return_tensors="pt", padding=True)
    tokens, mask = batch["input_ids"], batch["attention_mask"]
    assert mask.sum(1).unique().numel() == 3, "sentences of different lengths"
    padded = run_hooked(model, tokens, mask)
    assert_equal_where(mask.bool(), padded, run_hugging_face(hf_model, tokens, mask))
    alone = run_hooked(model, tokens[1:2, : mask[1].sum()])
    torch.testing.assert_close(padded[1][1, : mask[1].sum()], alone[1][0], atol=ATOL, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_text_becomes_hugging_faces_own_tokens(checkpoint_folder, checkpoints, family):
    model: Any = load_model(checkpoint_folder(family))
    tokenizer = checkpoints.make_tokenizer(family)
    for text in [*TEXTS, " him", "him", "Zoë's  café"]:
        if family == "bert":
            ours = model.to_tokens(text)[0][0].tolist()
            assert ours[0] == tokenizer.cls_token_id
            assert ours[-1] == tokenizer.sep_token_id
        else:
            ours = model.to_tokens(text, prepend_bos=family == "llama")[0].tolist()
        assert ours == tokenizer(text)["input_ids"]
        assert all(0 <= token < model.cfg.d_vocab for token in ours)


def test_base_bert_serves_hidden_states_and_says_that_it_has_no_logits(checkpoint_folder):
    folder = checkpoint_folder("bert-base-model")
    model: Any = load_model(folder)
    hf_model = load_hugging_face(folder, "bert-base-model")
    tokens = torch.arange(30)[None]
    ours, theirs = run_hooked(model, tokens), run_hugging_face(hf_model, tokens)
    for mine, other in zip(ours[0], theirs[0], strict=True):
        torch.testing.assert_close(mine, other, atol=ATOL, rtol=0)
    assert not has_logits(model)
    assert ours[1].isnan().all(), "a head that nobody trained must not look like a result"
    with torch.no_grad():
        pooled = model.pooler(ours[0][-1])
        torch.testing.assert_close(pooled, hf_model(tokens).pooler_output, atol=ATOL, rtol=0)
    assert model.nsp_head(pooled).isnan().all()


def test_base_llama_with_its_own_output_weights_has_no_logits(checkpoints, checkpoint_folder, tmp_path):
    checkpoints.make_model("llama", 300).base_model.save_pretrained(tmp_path)
    model = load_model(tmp_path)
    assert not has_logits(model)
    assert model(torch.arange(9)[None]).isnan().all()
    assert has_logits(load_model(checkpoint_folder("llama")))


def test_base_gpt2_whose_output_weights_are_its_embedding_has_logits(checkpoints, tmp_path):
    hf_model = checkpoints.make_model("gpt2", 300)
    hf_model.base_model.save_pretrained(tmp_path)
    model, tokens = load_model(tmp_path), torch.arange(9)[None]
    assert has_logits(model)
    torch.testing.assert_close(model(tokens), hf_model(tokens).logits, atol=ATOL, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_model_is_ready_and_bare(checkpoint_folder, family):
    model = load_model(checkpoint_folder(family))
    assert isinstance(model, HookedEncoder if family == "bert" else HookedTransformer)
    assert not any(module.training for module in model.modules())
    assert not any(point.fwd_hooks or point.bwd_hooks for point in model.hook_points())
    assert model.cfg.normalization_type == ("RMS" if family == "llama" else "LN")


@pytest.mark.parametrize("family", FAMILIES)
def test_object_and_folder_give_the_same_model(checkpoint_folder, checkpoints, family):
    folder = checkpoint_folder(family)
    hf_model, tokenizer = load_hugging_face(folder, family).train(), checkpoints.make_tokenizer(family)
    before = {name: value.clone() for name, value in hf_model.state_dict().items()}
    settings = (tokenizer.pad_token, tokenizer.name_or_path, tokenizer.model_input_names)
    model, other = load_model(hf_model=hf_model, tokenizer=tokenizer), load_model(folder)
    tokens = torch.arange(40)[None]
    assert torch.equal(model(tokens), other(tokens))
    ours, theirs = (m.to_tokens(TEXTS) for m in (model, other))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    for value in model.parameters():
        value.data.zero_()
    assert all(module.training for module in hf_model.modules()), "the caller's model stays as it was"
    assert all(value.requires_grad for value in hf_model.parameters())
    assert all(torch.equal(before[name], value) for name, value in hf_model.state_dict().items())
    assert settings == (tokenizer.pad_token, tokenizer.name_or_path, tokenizer.model_input_names)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("bfloat16", 0.1), (torch.float16, 0.02), ("float64", 1e-5)])
def test_other_precisions(checkpoint_folder, family, dtype, tolerance):
    """Relative to the spread of the logits: bfloat16 has 8 bits, float16 11, and weights are rounded as well."""
    folder = checkpoint_folder(family)
    model, reference = load_model(folder, dtype=dtype), load_model(folder)
    assert str(next(model.parameters()).dtype).endswith(str(dtype).removeprefix("torch."))
    with torch.no_grad():
        tokens = torch.arange(20)[None]
        difference = model(tokens).double() - reference(tokens).double()
    assert 0 < difference.square().mean().sqrt() / reference(tokens).std() < tolerance


def test_object_keeps_its_own_precision_unless_told(checkpoint_folder):
    hf_model = load_hugging_face(checkpoint_folder("gpt2"), "gpt2").bfloat16()
    assert load_model(hf_model=hf_model).cfg.dtype == torch.bfloat16
    assert load_model(hf_model=hf_model, dtype="float32").W_E.dtype == torch.float32


def test_global_random_state_is_left_alone(checkpoint_folder):
    before = torch.get_rng_state()
    load_model(checkpoint_folder("bert-base-model"))  # Hugging Face draws the heads that it lacks.
    assert torch.equal(before, torch.get_rng_state())


def test_path_of_a_checkpoint_says_nothing_about_its_architecture(checkpoints, tmp_path):
    """TransformerLens takes any path with "llama" or "gemma" in it for one of these."""
    folder = checkpoints.make_checkpoint("gpt2", tmp_path / "llama-experiments" / "gemma-2-like" / "hubert")
    model = load_model(folder)
    assert model.cfg.original_architecture == "GPT2LMHeadModel"
    assert model.cfg.model_name == "hubert"


@pytest.mark.parametrize("stored", ["shards", "pickle"])
def test_other_ways_of_storing_weights(checkpoint_folder, checkpoints, tmp_path, stored):
    hf_model = load_hugging_face(checkpoint_folder("gpt2"), "gpt2")
    hf_model.save_pretrained(tmp_path, max_shard_size="50KB" if stored == "shards" else "5GB")
    if stored == "pickle":
        (tmp_path / "model.safetensors").unlink()
        torch.save(hf_model.state_dict(), tmp_path / "pytorch_model.bin")
    assert (len(list(tmp_path.glob("*.safetensors"))) > 1) == (stored == "shards")
    tokens = torch.arange(30)[None]
    torch.testing.assert_close(load_model(tmp_path)(tokens), hf_model(tokens).logits, atol=ATOL, rtol=0)


SMALL = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
GROUPED = {**SMALL, "num_key_value_heads": 2, "pad_token_id": 0}
OTHER_TYPES = {
    "mistral": {**GROUPED, "sliding_window": 4},
    "mixtral": {**GROUPED, "num_local_experts": 4},
    "qwen2": GROUPED,
    "qwen3": {**GROUPED, "head_dim": 16},
    "phi3": GROUPED,
    "apertus": GROUPED,
    "bloom": {"vocab_size": 100, "hidden_size": 32, "n_layer": 2, "n_head": 4},
    "gptj": {"vocab_size": 100, "n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4},
    "opt": {**SMALL, "ffn_dim": 48, "word_embed_proj_dim": 32},
}


def test_types_said_to_load_are_all_tested_here():
    assert {*OTHER_TYPES, "gpt2", "gpt_neo", "gpt_neox", "llama"} == set(CAUSAL_TYPES)


@pytest.mark.parametrize("model_type", OTHER_TYPES)
def test_other_types_said_to_load_equal_hugging_face(checkpoints, model_type):
    hf_model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **OTHER_TYPES[model_type])).eval()
    checkpoints.draw_weights(hf_model, seed=0)
    tokens = (7 * torch.arange(30)[None] + 5) % 100
    model = load_model(hf_model=hf_model)
    everywhere = torch.ones_like(tokens, dtype=torch.bool)
    assert_equal_where(everywhere, run_hooked(model, tokens), run_hugging_face(hf_model, tokens))
