"""Parts of a drop against runs in which plain TransformerLens hooks freeze what each part leaves out."""

import functools

import numpy as np
import pytest
import torch

from tlesion import DropDecomposition, Prompt, decompose_drop, laminar_profile, load_model, load_result
from tlesion.toy import planted_model

pytestmark = pytest.mark.slow

TEXTS = [
    "Robert helped Lucy with her project and she thanked [MASK] for his hard work.",
    "We saw [MASK].",
    "If the nurse had called, she would have brought [MASK] the blue cup.",
]
PROMPTS = [Prompt(text, ("him", "her"), correct="him" if index else None) for index, text in enumerate(TEXTS)]
FAMILIES = ("bert", "gpt2", "gpt-neo", "gpt-neox", "llama")
# Both sides compute in float64, where logits of order 1 to 10 agree to about 1e-14 after three layers.
ATOL = 1e-12


@pytest.fixture(scope="module")
def loaded(checkpoint_folder):
    return functools.cache(lambda family: load_model(checkpoint_folder(family), dtype=torch.float64))


def prompts_for(model) -> list[Prompt]:
    return PROMPTS if is_bert(model) else [prompt.before_mask() for prompt in PROMPTS]


def is_bert(model) -> bool:
    return type(model).__name__ == "HookedEncoder"


def drawn_masks(model, share=0.4) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    shape = (model.cfg.n_layers, model.cfg.d_mlp)
    return {name: torch.rand(shape, generator=rng) < share for name in ("him", "her")}


class Plain:
    """One prompt through plain `run_with_hooks`: a lesion of one layer, and whatever is to stay or be as given."""

    def __init__(self, model, prompt: Prompt) -> None:
        self.model, tokenizer = model, model.tokenizer
        if is_bert(model):
            self.tokens = torch.tensor([tokenizer(prompt.text).input_ids])
            self.place = self.tokens[0].tolist().index(tokenizer.mask_token_id)
            self.targets = tokenizer.convert_tokens_to_ids(["him", "her"])
        else:
            self.tokens = model.to_tokens(prompt.text)
            self.place = self.tokens.shape[1] - 1
            self.targets = [tokenizer(f" {word}").input_ids[-1] for word in ("him", "her")]
        with torch.no_grad():
            self.clean, self.cache = self.run([]), model.run_with_cache(self.tokens)[1]

    @torch.no_grad()
    def run(self, hooks) -> torch.Tensor:
        return self.model.run_with_hooks(self.tokens, fwd_hooks=hooks)[0, self.place, self.targets]

    @torch.no_grad()
    def cached(self, hooks) -> dict[str, torch.Tensor]:
        with self.model.hooks(fwd_hooks=hooks):
            return dict(self.model.run_with_cache(self.tokens)[1])

    def lesion(self, layer, units, positions, value=0.0):
        def cut(activation, hook):
            activation = activation.clone()
            rows = activation[0, positions]
            rows[..., units] = value
            activation[0, positions] = rows
            return activation

        return [(f"blocks.{layer}.mlp.hook_post", cut)]

    def answers(self, layer, cache):
        """Hooks that give every later attention and MLP the output that it has in a cache."""
        later = range(layer + 1, self.model.cfg.n_layers)
        names = [f"blocks.{block}.{point}" for block in later for point in ("hook_attn_out", "hook_mlp_out")]
        return put_back(names, cache)

    def scales(self, layer):
        """Hooks that give every norm between the lesioned MLP and the logits its clean scale."""
        names = ["ln_final.hook_scale"]
        if is_bert(self.model):
            later = range(layer + 1, self.model.cfg.n_layers)
            names = [f"blocks.{layer}.ln2.hook_scale", "mlm_head.ln.hook_scale"]
            names += [f"blocks.{block}.{norm}.hook_scale" for block in later for norm in ("ln1", "ln2")]
        return put_back(names, self.cache)


def put_back(names, cache):
    return [(name, functools.partial(lambda activation, hook, value: value, value=cache[name])) for name in names]


@pytest.mark.parametrize("position", ["readout", "all", 1])
@pytest.mark.parametrize("family", FAMILIES)
def test_each_part_is_the_difference_of_two_runs_with_the_rest_frozen(loaded, family, position):
    model = loaded(family)
    masks, prompts = drawn_masks(model), prompts_for(model)
    parts = decompose_drop(model, masks, prompts, position=position)
    for index, prompt in enumerate(prompts):
        plain = Plain(model, prompt)
        positions = {"readout": plain.place, "all": slice(None)}.get(position, position)
        for (which, mask), layer in [(pair, at) for pair in enumerate(masks.values()) for at in range(3)]:
            cut = plain.lesion(layer, mask[layer], positions)
            lesioned = plain.cached(cut)
            frozen = plain.run(cut + plain.answers(layer, plain.cache))
            frozen_fixed = plain.run(cut + plain.answers(layer, plain.cache) + plain.scales(layer))
            whole, whole_fixed = plain.run(cut), plain.run(cut + plain.answers(layer, lesioned) + plain.scales(layer))
            found = (which, layer, index)
            for name, expected in {
                "frozen_drop": plain.clean - frozen,
                "direct": plain.clean - frozen_fixed,
                "downstream": frozen_fixed - whole_fixed,
                "direct_rescaling": frozen_fixed - frozen,
                "rescaling": whole_fixed - whole,
                "logit_drop": plain.clean - whole,
                "measured_drop": plain.clean - whole,
            }.items():
                torch.testing.assert_close(getattr(parts, name)[found], expected, atol=ATOL, rtol=0, msg=name)
    # Every part is large somewhere, so that agreement on zeros is not what is seen.
    direct = [] if position == 1 and family != "gpt-neox" else [parts.direct, parts.direct_rescaling]
    for part in (*direct, parts.downstream, parts.downstream_rescaling):
        assert part.abs().max() > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_parts_add_up_to_the_profiles_drop(loaded, family):
    model = loaded(family)
    masks, prompts = drawn_masks(model), prompts_for(model)
    parts = decompose_drop(model, masks, prompts)
    profile = laminar_profile(model, masks, prompts, n_controls=0)
    total = parts.direct + parts.downstream + parts.direct_rescaling + parts.downstream_rescaling
    assert torch.equal(total, parts.logit_drop)
    torch.testing.assert_close(total, parts.measured_drop, atol=ATOL, rtol=0)
    # The profile keeps logits in float32, whose spacing at 16 is 2e-6.
    torch.testing.assert_close(total, profile.logit_drop, atol=4e-6, rtol=0)
    torch.testing.assert_close(parts.clean_logits, profile.clean_logits, atol=4e-6, rtol=0)
    assert torch.equal(parts.n_lesioned, profile.n_lesioned)


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_comes_after_the_last_layer(loaded, family):
    parts = decompose_drop(loaded(family), None, prompts_for(loaded(family)))
    assert not parts.downstream[:, -1].any()
    assert not parts.downstream_rescaling[:, -1].any()
    assert parts.downstream[:, :-1].all()
    assert parts.direct[:, -1].all()


@pytest.mark.parametrize("plan", ["auto", "loop", "fanout", "batched"])
@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_a_lesion_away_from_the_readout_has_no_direct_part_at_all(loaded, family, plan):
    model = loaded(family)
    parts = decompose_drop(model, None, prompts_for(model), position=2, plan=plan)
    at_readout = torch.tensor([Plain(model, prompt).place == 2 for prompt in prompts_for(model)])
    assert at_readout.tolist().count(True) == (0 if is_bert(model) else 1), "one prompt's readout is at 2"
    for part in (parts.direct, parts.direct_rescaling):
        assert not part[:, :, ~at_readout].any()
        assert part[:, :, at_readout].all()
    for part in (parts.logit_drop, parts.measured_drop):
        assert part[:, :-1, ~at_readout].all(), "later attention reads the lesioned position"
        # Plans other than the loop run lesioned rows in batches of another shape: rounding is all that may differ.
        assert part[:, -1, ~at_readout].abs().max() < ATOL
    assert not parts.logit_drop[:, -1, ~at_readout].any(), "the parts are zero there, to the bit"


@pytest.mark.parametrize("plan", ["auto", "loop"])
@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_an_empty_mask_has_no_part_to_the_last_bit(loaded, family, plan):
    model = loaded(family)
    masks = {"some": drawn_masks(model)["him"]}
    masks["some"][1] = False
    parts = decompose_drop(model, masks, prompts_for(model), plan=plan)
    for part in (parts.direct, parts.downstream, parts.rescaling, parts.logit_drop, parts.measured_drop):
        assert not part[:, 1].any()
    assert parts.measured_drop[:, [0, 2]].all()


@pytest.mark.parametrize("ablation", ["mean", "gaussian"])
@pytest.mark.parametrize(("family", "plan"), [("bert", "batched"), ("gpt2", "prefix"), ("llama", "fanout")])
def test_plans_agree_with_the_loop(loaded, family, plan, ablation):
    model = loaded(family)
    reference = torch.from_numpy(np.random.default_rng(1).standard_normal((3, model.cfg.d_mlp)))
    options = {"ablation": ablation, "reference": reference, "seed": 3}
    one, other = (
        decompose_drop(model, drawn_masks(model), prompts_for(model), plan=which, max_bytes=budget, **options)
        for which, budget in ((plan, 60_000), ("loop", None))
    )
    for name in ("direct", "downstream", "direct_rescaling", "downstream_rescaling", "measured_drop"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), atol=ATOL, rtol=0)
    assert one.direct.abs().max() > 0.01


@pytest.mark.parametrize("kind", ["masked", "causal"])
def test_planted_neurons_write_straight_to_the_logits(kind):
    """By hand: nothing that a planted neuron writes is read by another, and what it costs is known."""
    planted = planted_model(kind)
    causal = planted.truth.mask("causal", "him")
    prompts = planted.language.prompts(20, seed=1)
    parts = decompose_drop(planted.model, {"him": causal}, prompts)
    context = torch.tensor([("him", "her").index(prompt.correct) for prompt in prompts])
    expected = (planted.truth.logit_drop * causal[..., None, None]).sum(dim=1)[:, context]
    drop = parts.direct[0]
    # Of a prompt's drop of 1 the sentence's own noise, one part in d = 2 of the neuron's swing, varies; its mean over
    # 10 prompts of a kind does less. Truth and model agree to 1 % otherwise.
    carrying = causal.any(dim=1)
    means = torch.stack([drop[:, context == of].mean(dim=1) for of in (0, 1)], dim=1)
    known = torch.stack([expected[:, context == of].mean(dim=1) for of in (0, 1)], dim=1)
    torch.testing.assert_close(means[carrying][..., 0], known[carrying][..., 0], rtol=0.15, atol=0)
    assert not drop[~carrying].any()
    # Logits here are sums of float32 numbers around ±512: all that is not direct is their rounding and a norm's 1e-4.
    assert parts.downstream.abs().max() < 2e-3
    assert drop[carrying].abs().max() > 0.3


def test_a_result_is_saved_and_tabled(loaded, tmp_path):
    model = loaded("bert")
    parts = decompose_drop(model, drawn_masks(model), PROMPTS)
    again = load_result(parts.save(tmp_path / "parts"))
    assert isinstance(again, DropDecomposition)
    assert again.content_hash == parts.content_hash
    assert parts.post_norm
    frame = parts.to_frame()
    assert list(frame.columns) == ["mask", "layer", "prompt", "text", "target", "is_correct", "direct", "downstream",
                                   "direct_rescaling", "downstream_rescaling", "logit_drop", "measured_drop",
                                   "n_lesioned"]  # fmt: skip
    row = frame.query("mask == 'her' and layer == 1 and prompt == 2 and target == 'him'").iloc[0]
    assert row["direct"] == parts.direct[1, 1, 2, 0]
    assert row["downstream_rescaling"] == parts.downstream_rescaling[1, 1, 2, 0]
    assert row["is_correct"]
    assert row["n_lesioned"] == drawn_masks(model)["her"][1].sum()
    summary = parts.summary().query("mask == 'her' and layer == 1 and target == 0").iloc[0]
    assert summary["rescaling"] == pytest.approx(parts.rescaling[1, 1, :, 0].mean().item())
    assert summary[["direct", "downstream", "rescaling"]].sum() == pytest.approx(summary["logit_drop"], abs=1e-12)
    settings = parts.provenance.settings
    assert (settings["ablation"], settings["hook_point"], settings["position"]) == ("zero", "mlp.hook_post", "readout")
