"""The laminar profile: its references, its table, its independence of the batch, and every way to ask wrongly."""

import numpy as np
import pytest
import torch

from tlesion import LaminarProfile, Prompt, interventions, laminar_profile, load_model, load_result, sweep

pytestmark = pytest.mark.slow

TEXTS = [
    "Robert helped Lucy with her project and she thanked [MASK] for his hard work.",
    "We saw [MASK].",
    "The old teacher gave the boy an apple and told [MASK] to share it.",
    "We saw [MASK] in the garden.",
    "If the nurse had called, she would have brought [MASK] the blue cup.",
]
PROMPTS = [Prompt(text, ("him", "her"), correct="him" if index % 2 else None) for index, text in enumerate(TEXTS)]
# Float32 rounding of logits of order 1 to 10, after three layers: batches of other shapes take other kernels.
ATOL = 2e-5


@pytest.fixture(scope="module", params=["bert", "gpt2"])
def model(request, checkpoint_folder):
    return load_model(checkpoint_folder(request.param))


def prompts_for(model) -> list[Prompt]:
    return PROMPTS if type(model).__name__ == "HookedEncoder" else [prompt.before_mask() for prompt in PROMPTS]


def drawn_masks(model, *, seed=0, share=0.3) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    shape = (model.cfg.n_layers, model.cfg.d_mlp)
    return {name: torch.rand(shape, generator=rng) < share for name in ("him", "her")}


@pytest.fixture(scope="module")
def profile(model):
    return laminar_profile(model, drawn_masks(model), prompts_for(model), n_controls=0)


def test_the_signs_and_axes_are_those_of_plain_runs(model, profile):
    """One run_with_hooks for each mask, layer and prompt, the sign written out: clean − lesioned."""
    masks, prompts = drawn_masks(model), prompts_for(model)
    tokenizer = model.tokenizer
    for index in (0, 1, 3):
        if type(model).__name__ == "HookedEncoder":
            tokens = torch.tensor([tokenizer(prompts[index].text).input_ids])
            place = tokens[0].tolist().index(tokenizer.mask_token_id)
            targets = tokenizer.convert_tokens_to_ids(["him", "her"])
        else:
            tokens, place = model.to_tokens(prompts[index].text), -1
            targets = [tokenizer(" him").input_ids[-1], tokenizer(" her").input_ids[-1]]
        clean = model(tokens)[0, place]
        torch.testing.assert_close(profile.clean_logits[index].float(), clean[targets], atol=ATOL, rtol=0)
        for which, name in enumerate(("him", "her")):
            for layer in range(model.cfg.n_layers):

                def cut(activation, hook, units=masks[name][layer], place=place):
                    activation = activation.clone()
                    activation[0, place, units] = 0
                    return activation

                hooked = model.run_with_hooks(tokens, fwd_hooks=[(f"blocks.{layer}.mlp.hook_post", cut)])[0, place]
                drop = profile.logit_drop[which, layer, index].float()
                torch.testing.assert_close(drop, (clean - hooked)[targets], atol=ATOL, rtol=0)
                change = profile.global_change[which, layer, index].float()
                torch.testing.assert_close(change, (hooked - clean).std(correction=0), atol=ATOL, rtol=0)
                p, q = clean.double().log_softmax(dim=0), hooked.double().log_softmax(dim=0)
                diverged = torch.nn.functional.kl_div(q, p, log_target=True, reduction="sum")
                torch.testing.assert_close(profile.kl[which, layer, index], diverged, atol=1e-5, rtol=0)
    assert profile.logit_drop.abs().max() > 100 * ATOL, "the lesions do something"


def test_the_references_are_nothing_and_the_whole_mlp(model, profile):
    assert torch.equal(profile.reference_logit_drop[0], torch.zeros_like(profile.reference_logit_drop[0]))
    assert torch.equal(profile.reference_global_change[0], torch.zeros_like(profile.reference_global_change[0]))
    whole = {"all": torch.ones(model.cfg.n_layers, model.cfg.d_mlp, dtype=torch.bool)}
    alone = laminar_profile(model, whole, prompts_for(model), n_controls=0)
    torch.testing.assert_close(profile.reference_logit_drop[1], alone.logit_drop[0], atol=ATOL, rtol=0)
    torch.testing.assert_close(profile.reference_global_change[1], alone.global_change[0], atol=ATOL, rtol=0)
    assert torch.equal(profile.reference_kl[0], torch.zeros_like(profile.reference_kl[0]))
    torch.testing.assert_close(profile.reference_kl[1], alone.kl[0], atol=ATOL, rtol=0)


@pytest.mark.parametrize("plan", ["auto", "loop", "fanout", "batched"])
def test_an_empty_mask_is_bit_identical_to_the_clean_run(model, plan):
    shape = (model.cfg.n_layers, model.cfg.d_mlp)
    masks = {"nothing": torch.zeros(shape, dtype=torch.bool), "half": drawn_masks(model, share=0.5)["him"]}
    masks["nothing in layer 1"] = masks["half"].clone()
    masks["nothing in layer 1"][1] = False
    profile = laminar_profile(model, masks, prompts_for(model), plan=plan, n_controls=0)
    for effect in (profile.logit_drop, profile.global_change, profile.kl):
        assert not effect[0].any()
        assert not effect[2, 1].any()
        assert effect[1].all()
        assert effect[2, 0].all()


@pytest.mark.parametrize("plan", ["auto", "batched", "fanout"])
def test_plans_agree_with_the_loop(model, profile, plan):
    loop = laminar_profile(model, drawn_masks(model), prompts_for(model), plan="loop", n_controls=0)
    other = laminar_profile(model, drawn_masks(model), prompts_for(model), plan=plan, n_controls=0)
    measured = ("logit_drop", "global_change", "kl")
    for name in (*measured, "clean_logits", *(f"reference_{one}" for one in measured)):
        torch.testing.assert_close(getattr(other, name), getattr(loop, name), atol=ATOL, rtol=0)


@pytest.mark.parametrize("max_bytes", [None, 40_000])
def test_a_prompt_alone_gives_what_it_gives_among_others(model, profile, max_bytes):
    """Prompts of all lengths together, each alone, and in small portions."""
    prompts = prompts_for(model)
    for index, prompt in enumerate(prompts):
        alone = laminar_profile(model, drawn_masks(model), [prompt], max_bytes=max_bytes, n_controls=0)
        torch.testing.assert_close(alone.logit_drop[:, :, 0], profile.logit_drop[:, :, index], atol=ATOL, rtol=0)
        torch.testing.assert_close(alone.global_change[:, :, 0], profile.global_change[:, :, index], atol=ATOL, rtol=0)


@pytest.mark.parametrize("position", ["all", 1, -2])
@pytest.mark.parametrize("ablation", ["zero", "mean", "median", "gaussian"])
def test_positions_and_ablations_are_the_interventions_of_their_names(model, ablation, position):
    masks, prompts = drawn_masks(model), prompts_for(model)[:3]
    reference = torch.from_numpy(np.random.default_rng(1).standard_normal((3, model.cfg.d_mlp)))
    profile = laminar_profile(
        model, masks, prompts, ablation=ablation, position=position, reference=reference, seed=4, n_controls=0
    )
    where = None if position == "all" else position

    def lesion(layer, units):
        name, part = f"blocks.{layer}.mlp.hook_post", {"units": units, "positions": where}
        if ablation == "zero":
            return interventions.zero(name, **part)
        if ablation == "gaussian":
            return interventions.gaussian(name, seed=4, **part)
        return interventions.replace(name, reference[layer], **part)

    lesions = [[lesion(layer, units)] for mask in masks.values() for layer, units in enumerate(mask)]
    expected = sweep(model, prompts, lesions, plan="loop")
    drop = expected.logit_drop.reshape(profile.logit_drop.shape)
    torch.testing.assert_close(profile.logit_drop, drop, atol=ATOL, rtol=0)
    assert drop.abs().max() > 100 * ATOL
    assert profile.reference_logit_drop[0].abs().max() == 0


def test_one_layer_by_its_full_name_keeps_its_number(model, profile):
    one = {name: mask[[2]] for name, mask in drawn_masks(model).items()}
    layer_2 = laminar_profile(model, one, prompts_for(model), hook_point="blocks.2.mlp.hook_post", n_controls=0)
    assert layer_2.layers == (2,)
    torch.testing.assert_close(layer_2.logit_drop[:, 0], profile.logit_drop[:, 2], atol=ATOL, rtol=0)
    assert set(layer_2.to_frame()["layer"]) == {2}


def test_the_table_is_tidy(model, profile):
    frame = profile.to_frame()
    n_prompts, n_layers = len(TEXTS), model.cfg.n_layers
    assert list(frame.columns) == [
        "mask", "layer", "prompt", "text", "target", "is_correct", "clean_logit", "lesioned_logit", "logit_drop",
        "global_change", "kl", "n_lesioned", "about",
    ]  # fmt: skip
    assert len(frame) == 2 * n_layers * n_prompts * 2
    row = frame.query("mask == 'her' and layer == 2 and prompt == 3 and target == 'her'").iloc[0]
    assert row["logit_drop"] == profile.logit_drop[1, 2, 3, 1]
    assert row["global_change"] == profile.global_change[1, 2, 3]
    assert row["kl"] == profile.kl[1, 2, 3]
    assert row["clean_logit"] == profile.clean_logits[3, 1]
    assert row["clean_logit"] - row["lesioned_logit"] == pytest.approx(row["logit_drop"], abs=1e-12)
    assert row["text"] == prompts_for(model)[3].text
    assert row["n_lesioned"] == drawn_masks(model)["her"][2].sum()
    assert not row["is_correct"]
    assert frame.query("prompt == 3 and target == 'him'")["is_correct"].all()
    assert not frame.query("prompt == 0")["is_correct"].any(), "prompt 0 says of no target that it is right"
    references = profile.references_frame()
    assert list(references.columns) == list(frame.columns)
    assert list(references["mask"].unique()) == ["nothing", "whole MLP"]
    assert references.query("mask == 'whole MLP'")["n_lesioned"].eq(model.cfg.d_mlp).all()
    assert references.query("mask == 'nothing'")["n_lesioned"].eq(0).all()


def test_a_profile_says_where_it_came_from_and_is_the_same_twice(model, profile, tmp_path):
    again = laminar_profile(model, drawn_masks(model), prompts_for(model), n_controls=0)
    assert again.content_hash == profile.content_hash
    loaded = load_result(profile.save(tmp_path / "profile"))
    assert isinstance(loaded, LaminarProfile)
    assert loaded.content_hash == profile.content_hash
    settings = profile.provenance.settings
    assert settings["hook_point"] == "mlp.hook_post"
    assert settings["ablation"] == "zero"
    assert settings["position"] == "readout"
    masked = type(model).__name__ == "HookedEncoder"
    assert settings["prepend_bos"] is (None if masked else True), "the model's default, spelled out"
    other = laminar_profile(model, drawn_masks(model, seed=1), prompts_for(model), n_controls=0)
    assert other.provenance.settings["masks"] != settings["masks"]
    assert len(profile.provenance.stimuli) == 2 * len(TEXTS)
