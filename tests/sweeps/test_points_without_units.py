"""Points whose activation is not [batch, pos, unit]: a plain run's number from every plan, or one refusal from all."""

import warnings

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from transformer_lens import HookedTransformer, HookedTransformerConfig
from transformers import AutoTokenizer, PreTrainedTokenizerFast

import tlesion
from tlesion import hooks
from tlesion import interventions as iv

pytestmark = pytest.mark.slow

WORDS = [f"w{i}" for i in range(30)] + ["<s>", "</s>", "[UNK]"]
TEXTS = ["w3 w8 w1 w9 w2", "w5 w7 w7 w4 w6", "w2 w11 w20 w3 w1 w8 w9"]
PROMPTS = [tlesion.Prompt(text, ("w1", "w2")) for text in TEXTS]
PLANS = ("loop", "auto", "fanout", "batched", "prefix")
ATOL = 2e-5  # float32 logits of order 1, over three layers


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A mixture of experts with normed queries and rotary positions, whose token ids are a hook point, too."""
    core = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    folder = tmp_path_factory.mktemp("tokenizer")
    made = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="[UNK]", bos_token="<s>", eos_token="</s>")
    made.save_pretrained(folder)
    config = HookedTransformerConfig(
        n_layers=3, d_model=12, n_ctx=32, d_head=3, n_heads=4, d_vocab=len(WORDS), d_mlp=20, act_fn="silu",
        gated_mlp=True, num_experts=3, experts_per_token=2, normalization_type="RMS", use_qk_norm=True,
        positional_embedding_type="rotary", rotary_dim=2, use_hook_tokens=True, device="cpu", init_weights=False,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TransformerLens' own, of its class
        model = HookedTransformer(config, tokenizer=AutoTokenizer.from_pretrained(folder))
    rng = np.random.default_rng(0)
    for name, parameter in model.named_parameters():
        noise = torch.from_numpy(rng.standard_normal(tuple(parameter.shape), dtype=np.float32))
        parameter.data = 0.4 * noise + (1.0 if name.endswith(".w") else 0.0)
    return model.eval()


def plain(model, hook) -> torch.Tensor:
    """The drops by one plain run for each prompt."""
    found = []
    for prompt in PROMPTS:
        ids = model.to_tokens(prompt.text)
        targets = [model.to_single_token(word) for word in prompt.targets]
        with torch.no_grad():
            found.append((model(ids) - model.run_with_hooks(ids, fwd_hooks=[hook]))[0, -1, targets])
    return torch.stack(found).double()


def of_every_plan(model, hook) -> dict[str, torch.Tensor | str]:
    found: dict[str, torch.Tensor | str] = {}
    for plan in PLANS:
        try:
            found[plan] = tlesion.sweep(
                model, PROMPTS, [[hook], [iv.zero("blocks.0.attn.hook_z")]], plan=plan
            ).logit_drop[0]
        except ValueError as refusal:
            found[plan] = str(refusal)
    return found


EXPERT = "mlp.experts.1.hook_post"
WITHOUT_UNITS = (
    EXPERT, "mlp.experts.0.hook_gate", "mlp.experts.2.hook_pre", "mlp.hook_expert_weights", "attn.hook_pattern",
    "attn.hook_attn_scores", "attn.q_norm.hook_normalized", "attn.k_norm.hook_scale", "ln1.hook_scale",
)  # fmt: skip


def halve(activation, hook):
    return activation * 0.5


def cut_two(activation, hook):
    activation[..., :2] = 0  # in place, and nothing returned


@pytest.mark.parametrize(
    ("point", "function"),
    # A scale of zero would be divided by.
    [(point, function) for point in WITHOUT_UNITS for function in (halve, cut_two)
     if function is halve or not point.endswith("hook_scale")],
)  # fmt: skip
def test_a_function_of_ones_own_gives_what_a_plain_run_gives(model, point, function):
    hook = (f"blocks.1.{point}", function)
    expected, found = plain(model, hook), of_every_plan(model, hook)
    assert isinstance(found["loop"], torch.Tensor)
    assert isinstance(found["auto"], torch.Tensor)
    assert float(expected.abs().max()) > 1e-3
    for plan, drop in found.items():
        if isinstance(drop, str):
            assert f"plan {plan!r} would not be exact" in drop
        else:
            torch.testing.assert_close(drop, expected, atol=ATOL, rtol=1e-4, msg=plan)


def test_a_function_at_a_pattern_sees_the_rows_of_its_own_lesion_only(model):
    seen: list[torch.Size] = []
    tlesion.sweep(
        model, PROMPTS[:2], [[("blocks.1.attn.hook_pattern", lambda a, hook: seen.append(a.shape))]] * 3, plan="fanout"
    )
    assert set(seen) == {torch.Size([2, 4, 6, 6])}


MAKERS = {
    "zero": lambda name: iv.zero(name),
    "units": lambda name: iv.zero(name, units=[1]),
    "readout": lambda name: iv.scale(name, 3.0, positions="readout"),
    "positions": lambda name: iv.replace(name, 1.0, positions=[1]),
    "noise": lambda name: iv.gaussian(name, seed=1),
    "added noise": lambda name: iv.gaussian(name, seed=1, mode="add"),
    "directions": lambda name: iv.remove_leading(name, 1),
}  # fmt: skip


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("name", [*(f"blocks.1.{point}" for point in WITHOUT_UNITS), "hook_tokens"])
def test_an_edit_is_refused_by_every_plan_in_the_same_words(model, name, maker):
    try:
        hook = MAKERS[maker](name)
    except ValueError as refusal:
        message = str(refusal)
    else:
        found = of_every_plan(model, hook)
        message = str(found["loop"])
        assert all(one == message for one in found.values() if isinstance(one, str))
        assert all(isinstance(one, str) for one in found.values())
    assert f"hook point {name!r} has no [batch, pos, unit] activation that an edit could address" in message
    assert "pass your own hook function as (name, function) instead" in message


CONTRAST = tlesion.Contrast.from_pairs(
    [("w3 w8 w1 w9", "w3 w8 w2 w9"), ("w4 w1 w5", "w4 w2 w5"), ("w6 w7 w1 w3", "w6 w7 w2 w3")], words=("w1", "w2")
)
STUDIES = {
    "laminar_profile": lambda model, point: tlesion.laminar_profile(
        model, {"a": torch.ones(3, 20, dtype=torch.bool)}, PROMPTS, hook_point=point, n_controls=0),
    "cumulative_lesion": lambda model, point: tlesion.cumulative_lesion(model, None, PROMPTS, hook_point=point),
    "select_neurons": lambda model, point: tlesion.select_neurons(model, CONTRAST, hook_point=point, position="word"),
    "measure_reference": lambda model, point: tlesion.measure_reference(model, CONTRAST, hook_point=point),
    "subspace_removal": lambda model, point: tlesion.subspace_removal(model, TEXTS[2], hook_point=point),
    "context_modulation": lambda model, point: tlesion.context_modulation(model, TEXTS[2], hook_point=point),
    "space_modulation": lambda model, point: tlesion.space_modulation(model, ["w1"], hook_point=point),
    "noise_variants": lambda model, point: tlesion.replacement(
        model, PROMPTS, tlesion.noise_variants(model, hook_point=point)
    ),
}  # fmt: skip


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("point", WITHOUT_UNITS)
def test_every_study_refuses_such_a_point(model, study, point):
    with pytest.raises(ValueError, match=r"has no \[batch, pos, unit\] activation that an edit could address"):
        STUDIES[study](model, point)


def replaced(model, *functions):
    variants = [tlesion.Variant(name, ((name, function),), {}) for name, function in functions]
    return tlesion.replacement(model, PROMPTS, variants)


@pytest.mark.parametrize("point", [EXPERT, "attn.hook_pattern", "attn.hook_attn_scores", "ln1.hook_scale"])
def test_a_replacement_by_ones_own_function_says_how_far_out_its_values_are(model, point):
    name = f"blocks.1.{point}"
    result = replaced(model, (name, halve))
    torch.testing.assert_close(
        result.prediction.logit_drop[0].double(), plain(model, (name, halve)), atol=ATOL, rtol=1e-4
    )
    assert 0 < float(result.outlying.changed[0]) <= 1


def test_a_norm_that_is_called_for_queries_keys_and_values_counts_once(model):
    """Each sentence is one row of a test, not three."""
    selection = tlesion.select_neurons(model, CONTRAST, hook_point="ln1.hook_normalized", position="word", test="welch")
    assert (selection.n_a, selection.n_b) == (3, 3)
    profile = tlesion.laminar_profile(
        model,
        {"a": torch.ones(3, 12, dtype=torch.bool)},
        PROMPTS,
        hook_point="ln1.hook_normalized",
        position="all",
        n_controls=0,
    )
    torch.testing.assert_close(
        profile.logit_drop[0, 1].double(), plain(model, iv.zero("blocks.1.ln1.hook_normalized")), atol=ATOL, rtol=1e-4
    )
    context = tlesion.context_modulation(model, TEXTS[2], hook_point="ln1.hook_normalized")
    _, cache = model.run_with_cache(model.to_tokens(TEXTS[2]))
    torch.testing.assert_close(
        context.in_context[1], cache["blocks.1.ln1.hook_normalized"][0, 1:].cpu(), atol=ATOL, rtol=1e-4
    )


def test_a_cache_without_its_sentences_is_refused(model):
    tokens = model.to_tokens(TEXTS[:2])
    _, cache = model.run_with_cache(tokens[:1], remove_batch_dim=True, names_filter=lambda name: "hook_z" in name)
    for held in (cache, dict(cache.items())):
        with pytest.raises(ValueError, match=r"run_with_cache\(remove_batch_dim=False\)"):
            tlesion.select_from_cache(held, held, 1, 1, hook_point="attn.hook_z")
    _, whole = model.run_with_cache(tokens)
    for point in ("attn.hook_pattern", "ln1.hook_scale", EXPERT):
        with pytest.raises(ValueError, match=r"a test needs \[sentence, pos, unit\] there"):
            tlesion.select_from_cache(whole, whole, 1, 1, hook_point=point)


def test_an_edit_at_a_point_that_is_not_transformer_lens_own_is_checked_when_it_meets_the_activation(model):
    """Nothing is known of it: the loop runs it alone, and refuses where its rows are no prompts."""
    assert hooks.layout_of(model, "blocks.1.hook_resid_pre.hook_sae_acts_post").axes == ()
