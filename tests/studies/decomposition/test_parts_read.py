"""The parts of a drop add up to it in every build: norms, heads, caps and biases are read off the model."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from transformer_lens import HookedTransformer, HookedTransformerConfig
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM, BertTokenizer, PreTrainedTokenizerFast

import tlesion

pytestmark = pytest.mark.slow

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] we saw him her today the garden in .".split()
ROTARY = {"positional_embedding_type": "rotary", "rotary_dim": 2}
SINGLE = {"dtype": torch.float32}
RMS = {"normalization_type": "RMS"}
BUILDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no norm": {"normalization_type": None},
    "folded layer norms": {"normalization_type": "LNPre"},
    "folded root-mean-square norms": {"normalization_type": "RMSPre"},
    "another norm at the end": {"final_rms": True},
    "norms before and after": {"use_normalization_before_and_after": True, **RMS},
    "norms after": {"original_architecture": "Olmo2ForCausalLM", **RMS, **ROTARY},
    "norm inside the MLP": {"act_fn": "solu_ln"},
    "norm of the embedding": {"post_embedding_ln": True},
    "parallel": {"parallel_attn_mlp": True},
    "gated": {"gated_mlp": True, "act_fn": "silu", **RMS},
    "mixture": {"num_experts": 3, "experts_per_token": 2, "gated_mlp": True, "act_fn": "silu", **RMS, **SINGLE},
    "capped": {"output_logits_soft_cap": 2.0, "attn_scores_soft_cap": 3.0},
    "alibi": {"positional_embedding_type": "alibi"},
    "shortformer": {"positional_embedding_type": "shortformer"},
    "grouped, normed queries": {"n_key_value_heads": 2, "use_qk_norm": True, **RMS, **ROTARY},
    "split inputs": {"use_split_qkv_input": True, "use_attn_result": True, "use_hook_mlp_in": True},
}  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    core = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    folder = tmp_path_factory.mktemp("tokenizer")
    PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="[UNK]", bos_token="[CLS]", eos_token="[SEP]", pad_token="[PAD]"
    ).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def drawn(model, seed=0):
    """The model with weights and biases that all count."""
    rng = np.random.default_rng(seed)
    for name, parameter in model.named_parameters():
        noise = torch.from_numpy(rng.standard_normal(tuple(parameter.shape))).to(parameter.dtype)
        parameter.data = 0.3 * noise + (1.0 if name.endswith((".w", "LayerNorm.weight")) else 0.0)
    return model.eval()


def built(tokenizer, **settings):
    sizes = {"n_layers": 3, "d_model": 12, "n_ctx": 32, "d_head": 3, "n_heads": 4, "d_mlp": 20, "d_vocab": len(WORDS)}
    usual = {"act_fn": "gelu_new", "normalization_type": "LN", "seed": 0, "device": "cpu", "dtype": torch.float64}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TransformerLens' own, of its class
        return drawn(HookedTransformer(HookedTransformerConfig(**{**sizes, **usual, **settings}), tokenizer=tokenizer))


def gap(parts) -> float:
    total = parts.direct + parts.downstream + parts.direct_rescaling + parts.downstream_rescaling
    assert float(parts.measured_drop.abs().min(dim=-1).values.max()) > 1e-2, "the lesions do something"
    return float((total - parts.measured_drop).abs().max())


@pytest.mark.parametrize("build", BUILDS)
def test_parts_add_up_in_every_build(tokenizer, build):
    """Float64 weights, but for the mixture, whose experts TransformerLens makes in float32."""
    model = built(tokenizer, **BUILDS[build])
    prompts = [tlesion.Prompt(text, ("him", "her")) for text in ("we saw the garden in", "today we")]
    for point in ("hook_mlp_out",) if build == "mixture" else ("mlp.hook_post", "hook_mlp_out"):
        for position in ("readout", "all"):
            assert gap(tlesion.decompose_drop(model, None, prompts, hook_point=point, position=position)) < 1e-5


@pytest.mark.parametrize("study", [tlesion.decompose_drop, tlesion.cumulative_lesion, tlesion.laminar_profile])
@pytest.mark.parametrize(
    ("build", "point"),
    [("attention only", "hook_mlp_out")]  # The output of a mixture is one.
    + [(build, f"mlp.hook_{one}") for build in ("attention only", "mixture") for one in ("post", "pre", "gate")],
)
def test_a_build_without_such_neurons_is_refused_with_the_reason(tokenizer, study, point, build):
    settings: dict[str, dict[str, Any]] = {"attention only": {"attn_only": True, "act_fn": None}} | BUILDS
    masks = {"him": torch.ones(3, 20, dtype=torch.bool)}
    with pytest.raises(ValueError, match=r"attention only, and no MLPs|mixtures of experts"):
        study(built(tokenizer, **settings[build]), masks, [tlesion.Prompt("we saw", ("him", "her"))], hook_point=point)


@pytest.mark.parametrize("act", ["gelu", "gelu_new", "relu", "silu"])
@pytest.mark.parametrize("tied", [True, False])
def test_the_head_of_a_masked_model_is_read_or_its_model_is_refused_on_loading(act, tied):
    """BERT's head has an activation function, a norm and a bias of its own, and its weights may be its own, too."""
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=32,
        hidden_act=act,
        layer_norm_eps=1e-3,
        tie_word_embeddings=tied,
    )
    theirs = drawn(BertForMaskedLM(config))
    words = BertTokenizer(vocab={word: i for i, word in enumerate(WORDS)})
    model = tlesion.load_model(hf_model=theirs, tokenizer=words)
    parts = tlesion.decompose_drop(model, None, [tlesion.Prompt("we saw [MASK] in the garden", ("him", "her"))])
    assert gap(parts) < 1e-4
