"""What a plan relies on is measured on the model at hand: its class and its settings' names are not asked."""

from typing import Any

import pytest
import torch
from transformer_lens import HookedEncoder, HookedTransformer

import tlesion
from tests.sweeps import tiny_models
from tlesion import interventions as iv
from tlesion.anatomy import assumptions, measuring
from tlesion.anatomy.assumptions import assumptions_of
from tlesion.anatomy.settings import settings_hash
from tlesion.sweeps.engine import run_sweep
from tlesion.sweeps.groups import Reading
from tlesion.sweeps.lesions import read_lesions
from tlesion.sweeps.sinks import TargetSink

pytestmark = pytest.mark.slow

ROTARY: dict[str, Any] = {"positional_embedding_type": "rotary", "rotary_dim": 8}


def tiny(cls: Any = HookedTransformer, **settings: Any) -> Any:
    return tiny_models.tiny(cls, n_layers=2, **settings)


def readings(lengths=(9, 12, 9)):
    return tiny_models.readings_of(lengths)


def lesions(model):
    mlp = "attn.hook_z" if model.cfg.attn_only else "mlp.hook_post"
    return [
        [iv.zero(f"blocks.0.{mlp}", units=[0, 1, 2, 3], positions=-1)],
        [iv.scale("blocks.1.attn.hook_v", 3.0, heads=1, positions=-2)],
        [iv.scale("blocks.0.hook_resid_pre", 2.0, positions=4)],
    ]


def swept(model, plan="auto", lengths=(9, 12, 9)):
    return tiny_models.swept_over(model, readings(lengths), lesions(model), plan)


def plain(model, lengths=(9, 12, 9)):
    return tiny_models.plain_runs(model, readings(lengths), lesions(model))


SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "plain": ({}, "prefix"),
    "bidirectional": ({"attention_dir": "bidirectional"}, "fanout"),
    "bidirectional, rotary": ({"attention_dir": "bidirectional", **ROTARY}, "fanout"),
    "rotary": (ROTARY, "prefix"),
    "alibi": ({"positional_embedding_type": "alibi"}, "prefix"),
    "shortformer": ({"positional_embedding_type": "shortformer"}, "prefix"),
    "window": ({"use_local_attn": True, "window_size": 4, "attn_types": ["local", "global"]}, "prefix"),
    "grouped": ({"n_key_value_heads": 2}, "prefix"),
    "ungrouped": ({"n_key_value_heads": 2, "ungroup_grouped_query_attention": True}, "prefix"),
    "ungrouped, rotary": ({"n_key_value_heads": 2, "ungroup_grouped_query_attention": True, **ROTARY}, "prefix"),
    "ungrouped, ALiBi": (
        {"n_key_value_heads": 2, "ungroup_grouped_query_attention": True, "positional_embedding_type": "alibi"},
        "prefix",
    ),
    "split inputs": ({"use_split_qkv_input": True}, "prefix"),
    "attention input": ({"use_attn_in": True}, "prefix"),
    "attention result": ({"use_attn_result": True}, "prefix"),
    "MLP input": ({"use_hook_mlp_in": True}, "prefix"),
    "tokens": ({"use_hook_tokens": True}, "prefix"),
    "parallel": ({"parallel_attn_mlp": True}, "prefix"),
    "no MLP": ({"attn_only": True}, "prefix"),
    "no norm": ({"normalization_type": None}, "prefix"),
    "caps": ({"attn_scores_soft_cap": 2.0, "output_logits_soft_cap": 3.0}, "prefix"),
    "dynamic NTK": ({**ROTARY, "use_dynamic_ntk_rope": True, "train_seq_length": 10}, "fanout"),
    "dynamic NTK, far": ({**ROTARY, "use_dynamic_ntk_rope": True, "train_seq_length": 30}, "prefix"),
    "log n": ({**ROTARY, "use_logn_attn": True, "train_seq_length": 10}, "prefix"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_plan_that_is_allowed_gives_plain_numbers(name):
    settings, chosen = SETTINGS[name]
    model = tiny(**settings)
    expected = plain(model)
    found, settled = swept(model)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)
    assert settled.plan == chosen
    for plan in ("loop", "batched", "fanout", *(["prefix"] if chosen == "prefix" else [])):
        torch.testing.assert_close(swept(model, plan)[0], expected, atol=2e-5, rtol=1e-4)
    if chosen == "fanout":
        assert "what comes later in a text changes what is before it" in settled.reason
        with pytest.raises(ValueError, match=r"plan 'prefix' would not be exact.*what comes later.*plan='auto'"):
            swept(model, "prefix")


@pytest.mark.parametrize("settings", [{"attention_dir": "causal"}, ROTARY, {"positional_embedding_type": "alibi"}])
def test_a_masked_model_with_settings_of_a_causal_one(settings):
    model = tiny(HookedEncoder, **({"attention_dir": "bidirectional"} | settings))
    found, settled = swept(model)
    torch.testing.assert_close(found, plain(model), atol=2e-5, rtol=1e-4)
    assert settled.plan == "fanout"


def test_settings_changed_between_two_sweeps():
    model = tiny()
    assert swept(model)[1].plan == "prefix"
    model.cfg.attention_dir = "bidirectional"
    found, settled = swept(model)
    torch.testing.assert_close(found, plain(model), atol=2e-5, rtol=1e-4)
    assert settled.plan == "fanout"
    model.cfg.attention_dir = "causal"
    model.blocks[1].attn.attn_type, model.cfg.window_size = "local", 3
    found, settled = swept(model)
    torch.testing.assert_close(found, plain(model), atol=2e-5, rtol=1e-4)
    assert settled.plan == "prefix"


def test_a_mask_that_hides_nothing():
    """A causal model whose masked scores are zero, not minus infinity, sees what comes later."""
    model = tiny()
    for block in model.blocks:
        block.attn.IGNORE = torch.tensor(0.0)
    found, settled = swept(model)
    torch.testing.assert_close(found, plain(model), atol=2e-5, rtol=1e-4)
    assert settled.plan == "fanout"


def test_a_model_in_train_mode_stays_in_it():
    model = tiny(**ROTARY, use_dynamic_ntk_rope=True, train_seq_length=10)
    expected = plain(model)
    model.train()
    torch.testing.assert_close(swept(model)[0], expected, atol=2e-5, rtol=1e-4)
    assert all(module.training for module in model.modules())


def test_measured_once_for_each_state(monkeypatch):
    model, usual = tiny(), measuring.measured
    counted: list[int] = []

    def measured(*given, **rest):
        counted.append(1)
        return usual(*given, **rest)

    monkeypatch.setattr(assumptions, "measured", measured)
    for _ in range(3):
        swept(model)
    assert len(counted) == 1
    model.set_use_split_qkv_input(True)
    swept(model)
    model.set_use_split_qkv_input(False)
    swept(model)
    assert len(counted) == 2
    swept(model, "loop")
    assert len(counted) == 2


def test_blocks_that_cannot_be_run_by_themselves_are_left_to_the_model():
    model = tiny()
    model.blocks[1].attn.attn_scale = torch.nn.Identity()  # Whatever is divided by it fails.
    holds = assumptions_of(tiny(), [readings()[0].ids])
    assert (holds.chain, holds.prefix) == ("", "")
    with pytest.raises(TypeError):  # The model's own forward pass fails first, with its own error.
        assumptions_of(model, [readings()[0].ids])


def test_a_tokenizer_that_pads_on_the_left(toy_gpt):
    """TransformerLens leaves out a padding token at the beginning, wherever it comes from."""
    tokenizer = toy_gpt.tokenizer
    before = tokenizer.padding_side
    pad = tokenizer.pad_token_id
    ids = torch.tensor([pad, pad, 9, 12, 17, 20])
    given = [Reading(ids, torch.tensor([5]), torch.tensor([[3, 4]]))]
    cut = [iv.zero("blocks.3.mlp.hook_post", positions=-1)]
    try:
        tokenizer.padding_side = "left"
        sink = TargetSink(given, global_change=True)
        settled = run_sweep(toy_gpt, given, read_lesions(toy_gpt, [cut]), sink)
        with torch.no_grad():
            expected = toy_gpt.run_with_hooks(ids[None], fwd_hooks=cut)[0, -1, [3, 4]]
    finally:
        tokenizer.padding_side = before
    torch.testing.assert_close(sink.lesioned[0, 0, 0].float(), expected, atol=2e-5, rtol=1e-4)
    assert "pads on the left" in settled.reason


def test_a_generated_text_is_what_whole_passes_give(toy_gpt):
    opening = "The old teacher"
    expected = tlesion.generate_tokens(toy_gpt, opening, 6, temperature=0)
    handle = toy_gpt.blocks[2].mlp.register_forward_hook(lambda module, inputs, output: output)
    try:
        torch.testing.assert_close(tlesion.generate_tokens(toy_gpt, opening, 6, temperature=0), expected)
    finally:
        handle.remove()


def test_what_a_settings_hash_sees():
    model = tiny()
    usual = settings_hash(model)
    assert settings_hash(tiny()) == usual, "another model with the same settings"
    model.run_with_hooks(readings()[0].ids[None])
    assert settings_hash(model) == usual, "a run changes no setting"
    for change in (
        lambda model: setattr(model.cfg, "output_logits_soft_cap", 5.0),
        lambda model: setattr(model.blocks[0].ln1, "eps", 0.1),
        lambda model: setattr(model.blocks[1].mlp, "act_fn", torch.relu),
        lambda model: setattr(model.blocks[1].mlp, "act_fn", lambda x: 2 * x),
        lambda model: setattr(model.blocks[1].attn, "attn_scale", 2.0),
    ):
        changed = tiny()
        change(changed)
        assert settings_hash(changed) != usual


def test_weights_loaded_between_two_sweeps():
    """While output weights are zero, as training may begin, attention in both directions leaves no trace."""
    trained = tiny(attention_dir="bidirectional")
    model = tiny(attention_dir="bidirectional")
    with torch.no_grad():
        for block in model.blocks:
            block.attn.W_O.zero_()
    assert swept(model)[1].plan == "prefix"
    model.load_state_dict(trained.state_dict())
    found, settled = swept(model)
    torch.testing.assert_close(found, plain(model), atol=2e-5, rtol=1e-4)
    assert settled.plan == "fanout"


def test_a_settings_hash_sees_a_rotary_table_of_the_users_and_not_one_that_grew():
    model = tiny(**ROTARY)
    usual = settings_hash(model)
    for attention in (block.attn for block in model.blocks):
        attention.rotary_sin, attention.rotary_cos = attention.calculate_sin_cos_rotary(8, 128)
    assert settings_hash(model) == usual, "TransformerLens makes tables longer for longer texts"
    model.blocks[0].attn.rotary_cos.mul_(2.0)
    assert settings_hash(model) != usual
    model = tiny(**ROTARY, use_dynamic_ntk_rope=True, train_seq_length=10)
    usual = settings_hash(model)
    model.run_with_hooks(readings()[1].ids[None])
    assert settings_hash(model) == usual, "a table that is made anew for every length"


@pytest.mark.parametrize("cls", [HookedTransformer, HookedEncoder])
@pytest.mark.parametrize("plan", ["auto", "loop"])
def test_weights_in_another_dtype_than_the_norms_give(cls, plan):
    """``half()`` goes past TransformerLens, whose norms then give what its own settings say."""
    model = tiny(cls, **({"attention_dir": "bidirectional"} if cls is HookedEncoder else {}))
    with pytest.raises(ValueError, match=r"weights are torch\.float16 .* cfg\.dtype is torch\.float32.*model\.to"):
        swept(model.half(), plan)
    swept(model.to(torch.float16), plan)
    with pytest.raises(ValueError, match=r"weights are torch\.float32 .* cfg\.dtype is torch\.float16"):
        swept(model.float(), plan)


def test_weights_in_double_precision_past_transformer_lens():
    model = tiny().double()
    found, settled = swept(model)
    torch.testing.assert_close(found.double(), plain(model).double(), atol=2e-5, rtol=1e-4)
    assert settled.plan == "prefix"
