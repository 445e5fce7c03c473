"""Sufficiency and minimality against plain runs with hooks: complements, halves, whole layers, random sets."""

from typing import Any

import pytest
import torch

import tlesion
from tlesion.inference import matched_controls
from tlesion.studies.sufficiency.halves import draw_halves

pytestmark = pytest.mark.slow

TEXTS = [
    "Robert helped Lucy with her project and she thanked [MASK] for his hard work.",
    "We saw [MASK].",
    "If the nurse had called, she would have brought [MASK] the blue cup.",
]
PROMPTS = [
    tlesion.Prompt(text, ("him", "her"), correct=word) for text, word in zip(TEXTS, ("him", "her", "him"), strict=True)
]
# Float32 rounding of logits of order 1, after three layers: batches of other shapes take other kernels.
ATOL = 1e-5
POINTS = ("mlp.hook_post", "attn.hook_z")


@pytest.fixture(scope="module", params=["bert", "gpt2", "llama"])
def model(request, checkpoint_folder):
    return tlesion.load_model(checkpoint_folder(request.param))


def prompts_for(model) -> list[tlesion.Prompt]:
    return PROMPTS if tlesion.tokens.is_masked(model) else [prompt.before_mask() for prompt in PROMPTS]


def masks_for(model, point: str) -> dict[str, torch.Tensor]:
    """Two sets; "her" has no neuron in layer 1, and all of layer 2."""
    heads, units = tlesion.hooks.width(model, f"blocks.0.{point}")
    rng = torch.Generator().manual_seed(0)
    shape = (model.cfg.n_layers, (heads or 1) * units)
    masks = {name: torch.rand(shape, generator=rng) < 0.3 for name in ("him", "her")}
    masks["her"][1], masks["her"][2] = False, True
    return masks


@torch.no_grad()
def plain_drop(model, prompt, name: str, cut: torch.Tensor) -> torch.Tensor:
    """Clean − lesioned logits of both targets, with units of one hook point zeroed at the readout position."""
    encoded = tlesion.encoding.encode_prompt(model, prompt)
    at, ids = encoded.readout, encoded.ids[None]

    def zero(activation, hook):
        activation = activation.clone()
        activation[0, at] = torch.where(cut.view(activation.shape[2:]), 0.0, activation[0, at])
        return activation

    lesioned = model.run_with_hooks(ids, fwd_hooks=[(name, zero)])
    return (model(ids)[0, at] - lesioned[0, at])[encoded.targets].double()


def drops(model, name: str, cut: torch.Tensor) -> torch.Tensor:
    return torch.stack([plain_drop(model, prompt, name, cut) for prompt in prompts_for(model)])


@pytest.mark.parametrize("point", POINTS)
def test_what_is_kept_is_what_plain_runs_of_the_complement_leave(model, point):
    masks = masks_for(model, point)
    options: dict[str, Any] = {"hook_point": point, "n_controls": 2, "match": None, "seed": 3}
    found = tlesion.sufficiency(model, masks, prompts_for(model), **options)
    for layer in range(model.cfg.n_layers):
        name = f"blocks.{layer}.{point}"
        whole = drops(model, name, torch.ones_like(masks["him"][layer]))
        torch.testing.assert_close(found.whole_logit_drop[layer], whole, atol=ATOL, rtol=0)
        for row, (word, mask) in enumerate(masks.items()):
            rest = drops(model, name, ~mask[layer])
            torch.testing.assert_close(found.logit_drop[row, layer], rest, atol=ATOL, rtol=0)
            own = [i for i, prompt in enumerate(PROMPTS) if prompt.correct == word]
            margin = (whole - rest)[own, row] - (whole - rest)[own, 1 - row]
            torch.testing.assert_close(found.kept[row, layer, own], margin, atol=4 * ATOL, rtol=0)
            others = [i for i in range(3) if i not in own]
            assert found.kept[row, layer, others].isnan().all()
    assert found.logit_drop.abs().max() > 100 * ATOL
    assert found.n_kept.tolist() == [mask.sum(dim=1).tolist() for mask in masks.values()]
    assert not any(hook.fwd_hooks for hook in model.hook_dict.values())


@pytest.mark.parametrize("point", POINTS)
def test_controls_keep_random_sets_drawn_together(model, point):
    """Both sets' controls come from one shuffle, so that they overlap as the sets do."""
    masks = masks_for(model, point)
    options: dict[str, Any] = {"hook_point": point, "n_controls": 2, "match": None, "seed": 3}
    found = tlesion.sufficiency(model, masks, prompts_for(model), **options)
    drawn = [matched_controls(mask, n_controls=2, seed=3) for mask in masks.values()]
    for layer in range(model.cfg.n_layers):
        both = [int((a[layer] & b[layer]).sum()) for a, b in zip(*drawn, strict=True)]
        assert both == [int((masks["him"] & masks["her"])[layer].sum())] * 2
        for row in range(2):
            for control in range(2):
                rest = drops(model, f"blocks.{layer}.{point}", ~drawn[row][control, layer])
                torch.testing.assert_close(found.control_logit_drop[row, control, layer], rest, atol=ATOL, rtol=0)
    alone = tlesion.sufficiency(model, {"her": masks["her"]}, prompts_for(model), **options)
    torch.testing.assert_close(alone.control_logit_drop[0], found.control_logit_drop[1], atol=ATOL, rtol=0)


@pytest.mark.parametrize("point", POINTS)
def test_halves_are_plain_runs_and_each_pair_holds_the_set(model, point):
    masks = masks_for(model, point)
    found = tlesion.minimality(model, masks, prompts_for(model), hook_point=point, n_halves=4, seed=3)
    for row, (word, mask) in enumerate(masks.items()):
        halves = draw_halves(mask, 4, seed=3, name=word)
        assert torch.equal(halves[0] | halves[1], mask)
        assert not (halves[2] & halves[3]).any()
        assert torch.equal(halves[:2].sum(dim=2), torch.stack([mask.sum(dim=1) // 2, (mask.sum(dim=1) + 1) // 2]))
        own = [i for i, prompt in enumerate(PROMPTS) if prompt.correct == word]
        for layer in range(model.cfg.n_layers):
            name = f"blocks.{layer}.{point}"
            torch.testing.assert_close(found.logit_drop[row, layer], drops(model, name, mask[layer]), atol=ATOL, rtol=0)
            if not mask[layer].any():
                assert not found.logit_drop[row, layer].any()
                assert found.half_logit_drop[row, :, layer].isnan().all()
                assert found.reasons[row][layer] == "nothing cut"
                continue
            for half in range(4):
                drop = drops(model, name, halves[half, layer])
                torch.testing.assert_close(found.half_logit_drop[row, half, layer], drop, atol=ATOL, rtol=0)
                margin = drop[own, row] - drop[own, 1 - row]
                torch.testing.assert_close(found.half_effect[row, half, layer, own], margin, atol=4 * ATOL, rtol=0)
    assert not any(hook.fwd_hooks for hook in model.hook_dict.values())


def test_nothing_kept_is_the_whole_lesion_and_all_kept_is_no_lesion_to_the_bit(model):
    masks = masks_for(model, "mlp.hook_post")
    found = tlesion.sufficiency(model, masks, prompts_for(model), n_controls=3)
    assert torch.equal(found.logit_drop[1, 1], found.whole_logit_drop[1])
    assert not found.logit_drop[1, 2].any()
    own = ~found.kept[1, 2].isnan()
    assert torch.equal(found.kept[1, 2, own], found.whole_effect[1, 2, own])
    assert not found.kept[1, 1, own].any()


@pytest.mark.parametrize("plan", ["loop", "fanout"])
def test_every_plan_agrees(model, plan):
    masks, prompts = masks_for(model, "mlp.hook_post"), prompts_for(model)
    one, other = (tlesion.sufficiency(model, masks, prompts, n_controls=2, plan=p) for p in ("auto", plan))
    torch.testing.assert_close(one.logit_drop, other.logit_drop, atol=ATOL, rtol=0)
    torch.testing.assert_close(one.control_logit_drop, other.control_logit_drop, atol=ATOL, rtol=0)
    one_half, other_half = (tlesion.minimality(model, masks, prompts, n_halves=2, plan=p) for p in ("auto", plan))
    torch.testing.assert_close(one_half.half_logit_drop, other_half.half_logit_drop, atol=ATOL, rtol=0, equal_nan=True)


@pytest.mark.parametrize("study", [tlesion.sufficiency, tlesion.minimality])
def test_a_run_that_is_interrupted_leaves_no_hook(model, study, monkeypatch):
    def interrupted(self, *args, **kwargs):
        raise KeyboardInterrupt

    last = model.blocks[-1]
    monkeypatch.setattr(type(last), "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study(model, masks_for(model, "mlp.hook_post"), prompts_for(model), plan="loop")
    assert not any(hook.fwd_hooks for hook in model.hook_dict.values())
