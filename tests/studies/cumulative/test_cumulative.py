"""Lesions of many layers at once: against plain runs, the laminar profile at its ends, and Hugging Face hooks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from transformers import AutoTokenizer, BertForMaskedLM

from tlesion import CumulativeLesion, Prompt, cumulative_lesion, laminar_profile, load_model, load_result
from tlesion.inference import matched_controls
from tlesion.studies.cumulative.result import DIRECTIONS

pytestmark = pytest.mark.slow

TEXTS = [
    "Robert helped Lucy with her project and she thanked [MASK] for his hard work.",
    "We saw [MASK].",
    "If the nurse had called, she would have brought [MASK] the blue cup.",
]
PROMPTS = [Prompt(text, ("him", "her"), correct=word) for text, word in zip(TEXTS, ("him", None, "her"), strict=True)]
SPANS = ([range(1), range(2), range(3)], [range(3), range(1, 3), range(2, 3)])
# Float32 rounding of logits of order 1 to 10, after three layers: batches of other shapes take other kernels.
ATOL = 2e-5


@pytest.fixture(scope="module", params=["bert", "gpt2", "llama"])
def model(request, checkpoint_folder):
    return load_model(checkpoint_folder(request.param))


@pytest.fixture(scope="module")
def result(model):
    return cumulative_lesion(model, drawn_masks(model), prompts_for(model), n_controls=2, seed=3)


def is_bert(model) -> bool:
    return type(model).__name__ == "HookedEncoder"


def prompts_for(model) -> list[Prompt]:
    return PROMPTS if is_bert(model) else [prompt.before_mask() for prompt in PROMPTS]


def drawn_masks(model, share=0.3) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    shape = (model.cfg.n_layers, model.cfg.d_mlp)
    return {name: torch.rand(shape, generator=rng) < share for name in ("him", "her")}


def read(model, prompt) -> tuple[torch.Tensor, int, list[int]]:
    if is_bert(model):
        tokens = torch.tensor([model.tokenizer(prompt.text).input_ids])
        place = tokens[0].tolist().index(model.tokenizer.mask_token_id)
        return tokens, place, model.tokenizer.convert_tokens_to_ids(["him", "her"])
    tokens = model.to_tokens(prompt.text)
    words = [model.tokenizer(f" {word}", add_special_tokens=False).input_ids[0] for word in ("him", "her")]
    return tokens, tokens.shape[1] - 1, words


@torch.no_grad()
def plain_run(model, tokens, place, mask=None, span=()) -> torch.Tensor:
    def cut(activation, hook):
        activation = activation.clone()
        activation[0, place, mask[hook.layer()]] = 0
        return activation

    hooks = [(f"blocks.{layer}.mlp.hook_post", cut) for layer in span]
    return model.run_with_hooks(tokens, fwd_hooks=hooks)[0, place].double()


def test_every_span_of_layers_is_a_plain_run(model, result):
    masks = drawn_masks(model)
    seeds = [int(np.random.SeedSequence([3, *name.encode()]).generate_state(1)[0]) for name in masks]
    controls = [
        matched_controls(mask, n_controls=2, seed=seed) for mask, seed in zip(masks.values(), seeds, strict=True)
    ]
    for index, prompt in enumerate(prompts_for(model)):
        tokens, place, targets = read(model, prompt)
        clean = plain_run(model, tokens, place)
        for m, d, at in [(m, d, at) for m in range(2) for d in range(2) for at in range(3)]:
            cases: list[tuple[tuple[int, ...], str, torch.Tensor]] = [((m, d, at, index), "", list(masks.values())[m])]
            cases += [((one, m, d, at, index), "control_", controls[m][one]) for one in range(2)]
            for place_of, prefix, mask in cases:
                lesioned = plain_run(model, tokens, place, mask, SPANS[d][at])
                kl = torch.tensor(scipy.stats.entropy(clean.softmax(0), lesioned.softmax(0)))
                drop = getattr(result, f"{prefix}logit_drop")[place_of]
                torch.testing.assert_close(drop, (clean - lesioned)[targets], atol=ATOL, rtol=0)
                torch.testing.assert_close(getattr(result, f"{prefix}kl")[place_of], kl, atol=ATOL, rtol=1e-4)
                for column, target in enumerate(targets):
                    # A token within rounding of the target may stand on either side of it.
                    surely, perhaps = ((lesioned > lesioned[target] + off).sum() for off in (ATOL, -ATOL))
                    assert surely <= getattr(result, f"{prefix}rank")[place_of][column] < perhaps
    assert result.kl.max() > 1000 * ATOL, "the lesions do something"


def test_the_ends_are_the_laminar_profile_and_the_whole_is_the_same_from_both(model, result):
    profile = laminar_profile(model, drawn_masks(model), prompts_for(model), n_controls=0)
    torch.testing.assert_close(result.logit_drop[:, 0, 0], profile.logit_drop[:, 0], atol=ATOL, rtol=0)
    torch.testing.assert_close(result.logit_drop[:, 1, -1], profile.logit_drop[:, -1], atol=ATOL, rtol=0)
    torch.testing.assert_close(result.global_change[:, 1, -1], profile.global_change[:, -1], atol=ATOL, rtol=0)
    for name in ("logit_drop", "kl", "rank"):
        values = getattr(result, name)
        assert torch.equal(values[:, 0, -1], values[:, 1, 0])
    counts = profile.n_lesioned
    assert result.n_lesioned[:, 0, -1].tolist() == counts.sum(dim=1).tolist()
    assert torch.equal(result.n_lesioned[:, 0, 1], counts[:, :2].sum(dim=1))
    assert torch.equal(result.n_lesioned[:, 1, 1], counts[:, 1:].sum(dim=1))


@pytest.mark.parametrize("plan", ["auto", "loop", "fanout"])
def test_layers_without_units_change_nothing_to_the_last_bit(model, plan):
    mask = drawn_masks(model)["him"]
    mask[:2] = False
    found = cumulative_lesion(model, {"late": mask}, prompts_for(model), plan=plan)
    assert not found.logit_drop[0, 0, :2].any()
    assert not found.kl[0, 0, :2].any()
    assert not found.global_change[0, 0, :2].any()
    assert torch.equal(found.rank[0, 0, :2], found.clean_rank.expand(2, -1, -1))
    assert found.accuracy[0, 0, 0] == found.clean_accuracy
    assert found.vocabulary_accuracy[0, 0, 0] == found.clean_vocabulary_accuracy
    assert torch.equal(found.kl[0, 1], found.kl[0, 0, [2, 2, 2]]), "all of these are the last layer's lesion"
    assert found.kl[0, 0, 2].all()


def test_whole_mlps_are_masks_of_all_units(model):
    whole = torch.ones(model.cfg.n_layers, model.cfg.d_mlp, dtype=torch.bool)
    one = cumulative_lesion(model, None, prompts_for(model))
    other = cumulative_lesion(model, {"all": whole}, prompts_for(model), n_controls=1)
    assert one.masks == ("whole MLP",)
    assert torch.equal(one.kl, other.kl)
    assert torch.equal(other.control_kl[0], other.kl), "a control of everything is everything"


@torch.no_grad()
def test_accumulation_in_berts_gelus_equals_hugging_faces(checkpoint_folder):
    folder: Path = checkpoint_folder("bert")
    model = load_model(folder, dtype=torch.float64)
    theirs = BertForMaskedLM.from_pretrained(folder, dtype=torch.float64).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    masks = drawn_masks(model)
    found = cumulative_lesion(model, masks, PROMPTS, position="all")
    targets = tokenizer.convert_tokens_to_ids(["him", "her"])

    def zero(module, inputs, output, *, units):
        return output.masked_fill(units, 0)

    for index, prompt in enumerate(PROMPTS):
        ids = torch.tensor([tokenizer(prompt.text).input_ids])
        place = ids[0].tolist().index(tokenizer.mask_token_id)
        clean = theirs(ids).logits[0, place]
        for m, d, at in [(m, d, at) for m in range(2) for d in range(2) for at in range(3)]:
            mask = list(masks.values())[m]
            handles = [
                theirs.bert.encoder.layer[layer].intermediate.register_forward_hook(
                    lambda module, inputs, output, units=mask[layer]: zero(module, inputs, output, units=units)
                )
                for layer in SPANS[d][at]
            ]
            lesioned = theirs(ids).logits[0, place]
            for handle in handles:
                handle.remove()
            # Both are float64 throughout: logits of order 10 after three layers.
            drop = found.logit_drop[m, d, at, index]
            torch.testing.assert_close(drop, (clean - lesioned)[targets], atol=1e-11, rtol=0)
            kl = scipy.stats.entropy(clean.softmax(0), lesioned.softmax(0))
            assert found.kl[m, d, at, index].item() == pytest.approx(kl, abs=1e-11)


def test_tables_collapse_and_saving(model, result, tmp_path):
    frame = result.to_frame()
    assert list(frame.columns) == ["mask", "direction", "layer", "n_lesioned", "prompt", "text", "target",
                                   "is_correct", "clean_logit", "logit_drop", "kl", "global_change",
                                   "rank"]  # fmt: skip
    query = "mask == 'her' and direction == 'to the last layer' and layer == 1"
    row = frame.query(f"{query} and prompt == 2 and target == 'him'").iloc[0]
    assert row["logit_drop"] == result.logit_drop[1, 1, 1, 2, 0]
    assert (row["kl"], row["n_lesioned"]) == (result.kl[1, 1, 1, 2], result.n_lesioned[1, 1, 1])
    assert not row["is_correct"]
    summary = result.summary().query(query).iloc[0]
    kl, controls = result.kl[1, 1, 1].mean(), result.control_kl[:, 1, 1, 1].mean(dim=1)
    assert summary["kl"] == pytest.approx(kl.item())
    assert summary["p"] == pytest.approx((1 + int((controls >= kl).sum())) / 3)
    assert summary["vocabulary_accuracy"] == (result.rank[1, 1, 1, [0, 2], [0, 1]] == 0).double().mean()
    loaded = load_result(result.save(tmp_path / "cumulative"))
    assert isinstance(loaded, CumulativeLesion)
    assert loaded.content_hash == result.content_hash
    again = cumulative_lesion(model, drawn_masks(model), prompts_for(model), n_controls=2, seed=3)
    assert again.content_hash == result.content_hash
    assert cumulative_lesion(model, drawn_masks(model), prompts_for(model), plan="loop").kl.shape == result.kl.shape


def test_collapse_is_counted_as_layers_are_added(result):
    """By hand: right everywhere but where these ranks say; of the two directions one collapses at its second layer."""
    rank = torch.zeros_like(result.rank)
    rank[0, 0, 1:] = 1
    rank[1, 1, 0] = 1
    made = type(result)(**{**vars(result), "rank": rank, "clean_rank": torch.zeros_like(result.clean_rank)})
    table = made.collapse().set_index(["mask", "direction"])
    assert table.loc[("him", DIRECTIONS[0]), ["layer", "n_layers"]].tolist() == [1, 2]
    assert table.loc[("her", DIRECTIONS[1]), ["layer", "n_layers"]].tolist() == [0, 3]
    assert table.loc[("her", DIRECTIONS[1]), "kl"] == pytest.approx(result.kl[1, 1, 0].mean().item())
    assert table.loc[("him", DIRECTIONS[1])].isna().all()
    assert table.loc[("her", DIRECTIONS[0])].isna().all()


@pytest.mark.parametrize(
    ("masks", "options", "message"),
    [
        ({}, {}, r"no mask was given; give a dict of named masks, such as .* or None for all units"),
        ({"him": torch.ones(3, 5, dtype=torch.bool)}, {}, r"mask 'him' has shape \(3, 5\) and dtype torch\.bool; this"),
        (None, {"n_controls": -2}, r"n_controls is -2; give 0 \(none\) or more"),
        (None, {"position": "mask"}, r"position 'mask' is unknown; allowed: 'readout', 'all'"),
        (None, {"ablation": "nought"}, r"ablation 'nought' is unknown"),
        (None, {"plan": "fast"}, r"plan 'fast' is unknown"),
    ],
)
def test_what_cannot_be_meant_is_refused(model, masks, options, message):
    with pytest.raises(ValueError, match=message):
        cumulative_lesion(model, masks, prompts_for(model), **options)


def test_a_mask_without_a_name_is_refused(model):
    # __wrapped__: the tests' type checker would speak first.
    unchecked: Any = getattr(cumulative_lesion, "__wrapped__", cumulative_lesion)
    with pytest.raises(TypeError, match=r"masks are a Tensor; give a dict of named masks, .* or None for all units"):
        unchecked(model, torch.ones(3, 48, dtype=torch.bool), prompts_for(model))


def test_nan_in_the_clean_run_is_refused(checkpoint_folder):
    model: Any = load_model(checkpoint_folder("gpt2"))
    with torch.no_grad():
        model.blocks[1].mlp.b_in[3] = torch.nan
    with pytest.raises(ValueError, match=r"clean logits of 1 of 1 prompts are NaN or infinite, so no effect can be"):
        cumulative_lesion(model, None, prompts_for(model)[:1])
