"""The replacement study: null lesions, plans, recovery worked out by hand, values out of distribution, files."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

import tlesion
from tlesion import interventions as iv
from tlesion.anatomy.norm import final_norm
from tlesion.studies.replacement.recovery import recovery_frame, verdict_of

pytestmark = pytest.mark.slow

TEXTS = ("The old teacher gave the boy an apple and told", "We saw", "If the nurse had called her brother")
PROMPTS = [tlesion.Prompt(text, ("him", "her"), correct="him") for text in TEXTS]
MASKED = [tlesion.Prompt(f"{text} [MASK].", ("him", "her")) for text in TEXTS]


@pytest.fixture(scope="module")
def model(checkpoint_folder):
    return tlesion.load_model(checkpoint_folder("gpt2"))


def test_a_null_lesion_is_exactly_the_clean_run(model):
    nothing = tlesion.Variant("nothing", ())
    once = tlesion.scale_variants(model, factors=[1], layers=[1])
    result = tlesion.replacement(model, PROMPTS, [nothing, *once])
    hidden = result.hidden
    for name in ("std", "std_token", "norm"):
        assert torch.equal(getattr(hidden, name), getattr(hidden, f"clean_{name}").expand(2, -1, -1))
    for name in ("drift", "drift_relative", "drift_normed"):
        assert (getattr(hidden, name) == 0).all(), name
    for name in ("kl", "global_change", "logit_drop"):
        assert (getattr(result, name) == 0).all(), name
    # Cosines are quotients: 1 up to the rounding of float64.
    torch.testing.assert_close(hidden.cosine, torch.ones_like(hidden.cosine), rtol=0, atol=1e-12)
    assert (result.top_kept == 1).all()
    assert result.outlying.z_of_mean.isnan().all()
    assert set(result.recovery()["verdict"]) == {"", "no deviation"}


def test_before_the_lesioned_block_everything_is_clean(model):
    result = tlesion.replacement(model, PROMPTS, tlesion.scale_variants(model, factors=[0.1], layers=[2]))
    assert torch.equal(result.hidden.std[0, :2], result.hidden.clean_std[:2])
    assert torch.equal(result.by_token.std[0, :2], result.by_token.clean_std[:2])
    assert (result.hidden.drift[0, :2] == 0).all()
    assert (result.hidden.drift[0, 2] > 0).all()
    torch.testing.assert_close(result.hidden.std[0, 2], 0.1 * result.hidden.clean_std[2])
    torch.testing.assert_close(result.hidden.drift_relative[0, 2], torch.full((3,), 0.9, dtype=torch.float64))


@pytest.mark.parametrize("family", ["gpt2", "gpt-neo", "bert", "llama"])
def test_every_plan_agrees(checkpoint_folder, family):
    model = tlesion.load_model(checkpoint_folder(family))
    prompts = MASKED if family == "bert" else PROMPTS
    variants = [
        *tlesion.scale_variants(model, factors=[0.1], layers=[0, 2], positions="readout"),
        *tlesion.noise_variants(model, layers=[1], mean=3),
        *tlesion.head_variants(model, heads=1, layers=[1], part="value"),
        tlesion.Variant("two", (iv.zero("blocks.0.mlp.hook_post"), iv.scale("blocks.2.hook_mlp_out", 2.0))),
        tlesion.Variant("mine", (("blocks.1.hook_attn_out", lambda activation, hook: activation * 0.5),)),
    ]
    reference = tlesion.replacement(model, prompts, variants, plan="loop")
    assert reference.starts == (0, 2, 1, 1, 2, 1)
    for plan in ("auto", "batched", "fanout"):
        result = tlesion.replacement(model, prompts, variants, plan=plan)
        asked = "fanout: hidden states of all positions are needed" if plan == "auto" else f"{plan}: asked for"
        assert result.plan == asked
        for part, expected, names in (
            (result.hidden, reference.hidden, ("std", "std_token", "norm", "cosine", "drift", "drift_relative")),
            (result.prediction, reference.prediction, ("kl", "global_change", "logit_drop")),
        ):
            for name in names:
                # Float32 sums in another order, of numbers up to a hundred.
                torch.testing.assert_close(getattr(part, name), getattr(expected, name), rtol=1e-3, atol=1e-4, msg=name)
        assert torch.equal(result.prediction.lesioned_top, reference.prediction.lesioned_top)


def test_the_users_own_hooks_are_seen_and_stay(model):
    seen = []
    point = model.hook_dict["blocks.0.mlp.hook_post"]
    handle = point.register_forward_hook(lambda *_: seen.append(1))
    try:
        before = tlesion.replacement(model, PROMPTS, tlesion.scale_variants(model, layers=[1]))
        assert seen
        hooks = {name: len(point._forward_hooks) for name, point in model.hook_dict.items()}
        with pytest.raises(ZeroDivisionError):
            tlesion.replacement(model, PROMPTS, [tlesion.Variant("bad", (("blocks.1.mlp.hook_post", divide_by_zero),))])
        assert hooks == {name: len(point._forward_hooks) for name, point in model.hook_dict.items()}
    finally:
        handle.remove()
    after = tlesion.replacement(model, PROMPTS, tlesion.scale_variants(model, layers=[1]))
    torch.testing.assert_close(before.kl, after.kl, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("mean", [10, -10, 0])
def test_how_far_out_of_distribution_noise_is(model, mean):
    everywhere = tlesion.noise_variants(model, mean=mean, std=1, layers=[1], seed=3)
    once = tlesion.noise_variants(model, mean=mean, std=1, layers=[1], seed=3, positions="readout", units=[5])
    variants = [*everywhere, dataclasses.replace(once[0], label="one unit at the readout")]
    prompts = PROMPTS[:1]
    result = tlesion.replacement(model, prompts, variants, prepend_bos=False)
    _, cache = model.run_with_cache(TEXTS[0], prepend_bos=False)
    clean = cache["blocks.1.mlp.hook_post"][0].double().numpy()
    drawn = iv.gaussian("blocks.1.mlp.hook_post", mean=mean, std=1, seed=3).edit(torch.zeros(1, *clean.shape))
    noise = drawn[0].double().numpy()
    even, last = noise[:, ::2], noise[-1:, 5:6]
    for index, values, own in ((0, even, clean[:, ::2]), (1, last, clean[:, 5:6])):
        z = (values.mean() - clean.mean()) / clean.std()
        assert result.outlying.z_of_mean[index].item() == pytest.approx(z, rel=1e-5)
        outside = ((values < clean.min()) | (values > clean.max())).mean()
        assert result.outlying.outside_layer[index].item() == pytest.approx(outside)
        outside = ((values < own.min(0)) | (values > own.max(0))).mean()
        assert result.outlying.outside_unit[index].item() == pytest.approx(outside)
        assert result.outlying.changed[index].item() == pytest.approx(values.size / clean.size)


def test_recovery_worked_out_by_hand():
    drift = torch.tensor([[0.0, 8.0, 6.0, 8.0]], dtype=torch.float64)
    norm = torch.tensor([[1.0, 8.0, 12.0, 32.0]], dtype=torch.float64)
    normed = torch.tensor([[0.0, 0.5, 0.25, 0.5]], dtype=torch.float64)
    frame = recovery_frame(drift, drift / norm, normed, [1], ["one"], post_norm=False)
    assert frame["layer"].tolist() == [1, 2, 3]
    assert frame["absolute"].tolist() == [0.0, 0.25, 0.0]
    assert frame["relative"].tolist() == [0.0, 0.5, 0.75]
    assert frame["normed"].tolist() == [0.0, 0.5, 0.0]
    assert frame["removed_by_norm"].tolist() == [0.5, 0.5, -1.0]
    # A quarter of the size is gone: later layers wrote against it. Then it is back, in a state that has grown.
    assert frame["verdict"].tolist() == ["", "compensation", "rescaling"]


@pytest.mark.parametrize(
    ("indices", "post_norm", "expected"),
    [
        ((0.5, 0.5, 0.5), False, "compensation"),
        ((0.05, 0.5, 0.5), False, "rescaling"),
        ((0.05, 0.05, 0.5), False, "rescaling"),
        ((-2.0, 0.0, -1.0), False, "none"),
        ((0.9, 0.9, 0.05), True, "rescaling"),
        ((0.9, 0.9, np.nan), True, "rescaling"),
        ((0.0, 0.0, 0.2), True, "compensation"),
        ((0.05, 0.0, 0.0), True, "none"),
        ((np.nan, np.nan, np.nan), False, "no deviation"),
    ],
)
def test_the_rule_of_the_verdict(indices, post_norm, expected):
    assert verdict_of(*indices, post_norm=post_norm) == expected


def test_a_lesion_that_the_next_layer_undoes_is_compensated(model):
    """A second edit that subtracts what the first added plays the part of a compensating layer."""
    _, cache = model.run_with_cache(TEXTS[0])
    clean = cache["blocks.1.hook_resid_post"][0]
    add = ("blocks.0.hook_resid_post", lambda activation, hook: activation + 1.0)
    undo = ("blocks.1.hook_resid_post", lambda activation, hook: 0.75 * clean + 0.25 * activation)
    result = tlesion.replacement(model, PROMPTS[:1], [tlesion.Variant("pair", (add, undo))])
    alone = tlesion.replacement(model, PROMPTS[:1], [tlesion.Variant("alone", (add,))])
    torch.testing.assert_close(result.hidden.drift[0, 1], 0.25 * alone.hidden.drift[0, 1], rtol=1e-3, atol=1e-4)
    assert result.starts == (1,), "the deviation counts as whole after the last lesioned block"


def divide_by_zero(activation, hook):
    return 1 / 0


def refuse(activation: torch.Tensor, hook: object) -> None:
    raise AssertionError("a hook fired")


def test_the_final_norm_is_the_models_own_and_fires_no_hook(checkpoint_folder):
    for family in ("gpt2", "gpt-neox", "llama"):
        model: Any = tlesion.load_model(checkpoint_folder(family))
        hidden = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 32), dtype=np.float32))
        torch.testing.assert_close(final_norm(model)(hidden), model.ln_final(hidden))
        with model.hooks(fwd_hooks=[("ln_final.hook_normalized", refuse)]):
            final_norm(model)(hidden)
    masked = final_norm(tlesion.load_model(checkpoint_folder("bert")))(hidden)
    torch.testing.assert_close(masked.std(dim=-1, correction=0), torch.ones(2, 3), rtol=1e-4, atol=1e-4)


def test_saved_read_back_and_told(model, tmp_path):
    result = tlesion.replacement(model, PROMPTS, tlesion.scale_variants(model), top_k=5)
    again = tlesion.load_result(result.save(tmp_path / "result"))
    assert again.content_hash == result.content_hash
    assert again.settings == result.settings
    frame = again.to_frame()
    assert len(frame) == 6 * 3 * 3
    row = frame[(frame["variant"] == "layer 1 × 10") & (frame["layer"] == 2) & (frame["prompt"] == 1)].iloc[0]
    assert row["std"] == result.hidden.std[4, 2, 1].item()
    effects = again.effects_frame()
    assert effects["logit_drop"].iloc[3] == result.logit_drop.flatten()[3].item()
    assert effects["is_correct"].tolist() == [True, False] * 18
    assert set(effects["clean_first"]) <= set(result.prediction.vocabulary)
    assert again.variants_frame()["factor"].tolist() == [0.1] * 3 + [10.0] * 3
    assert result.select(kind="scale", factor=10.0) == [3, 4, 5]
    by_token = result.by_token
    assert by_token.prompt.tolist() == sorted(by_token.prompt.tolist())
    assert len(by_token.words) == by_token.std.shape[2] == len(by_token.prompt)
