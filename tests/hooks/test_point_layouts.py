"""What the axes of an activation are at each hook point, in models of every build."""

import warnings
from typing import Any

import pytest
import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig

from tlesion import hooks
from tlesion import interventions as iv

N_PROMPTS, N_TOKENS = 2, 7
ROTARY = {"positional_embedding_type": "rotary", "rotary_dim": 2}
BUILDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "attention only": {"attn_only": True, "act_fn": None},
    "parallel": {"parallel_attn_mlp": True},
    "gated": {"gated_mlp": True, "act_fn": "silu", "normalization_type": "RMS"},
    "mixture": {"num_experts": 3, "experts_per_token": 2, "gated_mlp": True, "act_fn": "silu"},
    "grouped": {"n_key_value_heads": 2, **ROTARY},
    "grouped, split inputs": {"n_key_value_heads": 2, "use_split_qkv_input": True, "use_attn_result": True, **ROTARY},
    "split inputs": {"use_split_qkv_input": True, "use_attn_result": True, "use_hook_mlp_in": True},
    "attention inputs": {"use_attn_in": True, "use_hook_tokens": True},
    "normed queries": {"use_qk_norm": True, "normalization_type": "RMS", **ROTARY},
    "norms after": {
        "original_architecture": "Olmo2ForCausalLM",
        "normalization_type": "RMS",
        "use_attn_in": True,
        **ROTARY,
    },
    "norms before and after": {"normalization_type": "RMS", "use_normalization_before_and_after": True},
    "norm inside the MLP": {"act_fn": "solu_ln"},
    "norm inside a gated MLP": {"act_fn": "solu_ln", "gated_mlp": True},
    "alibi": {"positional_embedding_type": "alibi"},
    "shortformer": {"positional_embedding_type": "shortformer"},
    "no norm": {"normalization_type": None},
    "folded norms": {"normalization_type": "LNPre"},
}  # fmt: skip


def built(**settings) -> HookedTransformer:
    sizes = {"n_layers": 2, "d_model": 12, "n_ctx": 32, "d_head": 3, "n_heads": 4, "d_mlp": 20, "d_vocab": 30}
    usual = {"act_fn": "gelu_new", "normalization_type": "LN", "seed": 0, "device": "cpu"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TransformerLens' own, of its class
        return HookedTransformer(HookedTransformerConfig(**{**sizes, **usual, **settings})).eval()


@pytest.fixture(scope="module", params=BUILDS)
def model(request):
    return built(**BUILDS[request.param])


def calls_of_a_run(model) -> dict[str, list[torch.Tensor]]:
    """What every hook point is called with in one pass."""
    seen: dict[str, list[torch.Tensor]] = {}

    def note(activation, hook):
        seen.setdefault(hook.name, []).append(activation.clone())

    tokens = torch.arange(N_PROMPTS * N_TOKENS).reshape(N_PROMPTS, N_TOKENS)
    model.run_with_hooks(tokens, fwd_hooks=[(lambda name: True, note)])
    return seen


def test_the_layout_is_that_of_the_activation_and_a_point_is_accepted_where_it_is_called(model):
    seen = calls_of_a_run(model)
    for name in hooks.names(model):
        if name not in seen:
            with pytest.raises(ValueError, match="is never called in this model, because"):
                hooks.require_name(model, name)
            continue
        hooks.require_name(model, name)
        layout, shape = hooks.layout_of(model, name), tuple(seen[name][0].shape)
        assert layout.by_prompt == (shape[0] == N_PROMPTS) or name.startswith("unembed."), (name, layout, shape)
        if layout.has_units:
            heads = () if layout.heads is None else (layout.heads,)
            assert all(one.shape == (N_PROMPTS, N_TOKENS, *heads, layout.units) for one in seen[name]), (name, layout)
        else:
            with pytest.raises(ValueError, match=r"has no \[batch, pos, unit\] activation .* your own hook function"):
                hooks.width(model, name)


@pytest.mark.parametrize("typo", ["mlp.hook_psot", "attn.hook_pattrn", "attn.hook_rsult", "mlp.experts.1.hook_pst",
                                  "hook_mlp_ot", "ln1.hook_scael", "hook_q_inptu", "attn.q_norm.hook_scl"])  # fmt: skip
def test_a_suggestion_is_a_point_that_every_study_can_use(model, typo):
    with pytest.raises(ValueError, match="is not in this model") as refusal:
        hooks.in_layers(model, typo)
    _, suggested, rest = str(refusal.value).partition("did you mean '")
    if suggested:
        name = rest.split("'")[0]
        hooks.require_name(model, name, units=True)
        assert name in calls_of_a_run(model)


@pytest.mark.parametrize(
    ("build", "point", "message"),
    [
        ("attention only", "mlp.hook_post", r"has attention only, and no MLPs; give a point of attention"),
        ("attention only", "hook_mlp_out", r"is never called in this model, because it has attention only"),
        ("mixture", "mlp.hook_post", r"mixtures of experts, which see only the tokens routed to them.*'hook_mlp_out'"),
        ("alibi", "blocks.0.hook_mlp_in", r"model\.cfg\.use_hook_mlp_in is False"),
        ("norm inside a gated MLP", "mlp.hook_pre_linear", r"with the activation function 'solu_ln'"),
        ("shortformer", "attn.hook_attn_input", r"nothing in the path to its logits goes through it"),
    ],
)
def test_a_point_that_a_build_has_no_use_for_is_refused_with_the_reason(build, point, message):
    with pytest.raises(ValueError, match=message):
        hooks.in_layers(built(**BUILDS[build]), point)


ROUTED = "blocks.0.mlp.experts.1.hook_post"


@pytest.mark.parametrize("edit", [iv.zero(ROUTED, units=[3, 4]), iv.zero(ROUTED, positions=-1), iv.gaussian(ROUTED)])
def test_an_edit_of_what_an_expert_sees_is_refused_in_a_plain_run(edit):
    with pytest.raises(ValueError, match=r"tokens that a router sends to an expert.*your own hook function"):
        built(**BUILDS["mixture"]).run_with_hooks(torch.arange(6)[None], fwd_hooks=[edit])


def test_an_activation_with_a_row_for_something_else_than_prompts_is_refused():
    _, edit = iv.zero("blocks.0.hook_mlp_out", positions="readout")
    assert isinstance(edit, iv.Edit)
    with pytest.raises(ValueError, match=r"has 1 rows, and a position was given for each of 2 prompts"):
        edit.apply_(torch.ones(1, 4, 3), at=torch.tensor([1, 2]))
