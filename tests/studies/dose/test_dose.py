"""Dose and response: doses against plain runs, controls, collapse by scipy and by hand, planted truth, errors."""

from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch

from tlesion import Contrast, DoseResponse, Prompt, dose_response, load_model, load_result, select_neurons
from tlesion.inference import matched_controls
from tlesion.studies.common.accuracy import accuracy_among_targets, accuracy_in_vocabulary, first_below
from tlesion.toy import planted_model

pytestmark = pytest.mark.slow

TEXTS = [
    "Robert helped Lucy with her project and she thanked [MASK] for his hard work.",
    "The boy told [MASK].",
    "If the nurse had called, she would have brought [MASK] the blue cup.",
]
PROMPTS = [Prompt(text, ("him", "her"), correct=word) for text, word in zip(TEXTS, ("him", None, "her"), strict=True)]
PAIRS = [("We saw him in the garden today.", "We saw her in the garden today."),
         ("The nurse called him by the river.", "The nurse called her by the river."),
         ("She gave him an apple.", "She gave her an apple."),
         ("If he saw him, they listened.", "If he saw her, they listened.")]  # fmt: skip
DOSES = (0.5, 5, 33.3, 100)
# Float32 rounding of logits of order 1 to 10, after three layers: batches of other shapes take other kernels.
ATOL = 2e-5


@pytest.fixture(scope="module", params=["bert", "gpt2"])
def model(request, checkpoint_folder):
    return load_model(checkpoint_folder(request.param))


@pytest.fixture(scope="module")
def selection(model):
    return select_neurons(model, Contrast.from_pairs(PAIRS, words=("him", "her")))


@pytest.fixture(scope="module")
def response(model, selection):
    return dose_response(model, selection, prompts_for(model), doses=DOSES, n_controls=3, seed=5)


def is_bert(model) -> bool:
    return type(model).__name__ == "HookedEncoder"


def prompts_for(model) -> list[Prompt]:
    return PROMPTS if is_bert(model) else [prompt.before_mask() for prompt in PROMPTS]


def read(model, prompt) -> tuple[torch.Tensor, int, list[int]]:
    if is_bert(model):
        tokens = torch.tensor([model.tokenizer(prompt.text).input_ids])
        place = tokens[0].tolist().index(model.tokenizer.mask_token_id)
        return tokens, place, model.tokenizer.convert_tokens_to_ids(["him", "her"])
    tokens = model.to_tokens(prompt.text)
    return tokens, tokens.shape[1] - 1, [model.tokenizer(f" {word}").input_ids[-1] for word in ("him", "her")]


@torch.no_grad()
def plain_run(model, tokens, place, layer=None, units=None) -> torch.Tensor:
    def cut(activation, hook):
        activation = activation.clone()
        activation[0, place, units] = 0
        return activation

    hooks = [] if layer is None else [(f"blocks.{layer}.mlp.hook_post", cut)]
    return model.run_with_hooks(tokens, fwd_hooks=hooks)[0, place].double()


def top(t: torch.Tensor, n: int) -> list[int]:
    """The n neurons of largest |t|, by numpy."""
    return np.argsort(-np.abs(t.numpy()), kind="stable")[:n].tolist()


def test_every_dose_and_control_is_a_plain_run(model, selection, response):
    d_mlp = model.cfg.d_mlp
    counts = [1, round(0.05 * d_mlp), round(0.333 * d_mlp), d_mlp]
    assert response.n_lesioned.tolist() == counts, "half a percent is still one neuron"
    masks = torch.zeros(len(DOSES), 3, d_mlp, dtype=torch.bool)
    for dose, count in enumerate(counts):
        for layer in range(3):
            masks[dose, layer, top(selection.t[layer], count)] = True
    seeds = [int(np.random.SeedSequence([5, dose]).generate_state(1)[0]) for dose in range(len(DOSES))]
    controls = [matched_controls(mask, n_controls=3, seed=seed) for mask, seed in zip(masks, seeds, strict=True)]
    for index, prompt in enumerate(prompts_for(model)):
        tokens, place, targets = read(model, prompt)
        clean = plain_run(model, tokens, place)
        for layer, dose in [(layer, dose) for layer in range(3) for dose in range(len(DOSES))]:
            cases: list[tuple[tuple[int, ...], str, torch.Tensor]] = [((layer, dose, index), "", masks[dose, layer])]
            cases += [((one, layer, dose, index), "control_", controls[dose][one, layer]) for one in range(3)]
            for at, prefix, units in cases:
                lesioned = plain_run(model, tokens, place, layer, units)
                expected = {
                    "logit_drop": (clean - lesioned)[targets],
                    "global_change": (lesioned - clean).std(correction=0),
                    "kl": torch.tensor(scipy.stats.entropy(clean.softmax(0), lesioned.softmax(0))),
                }
                for name, value in expected.items():
                    found = getattr(response, prefix + name)[at]
                    torch.testing.assert_close(found, value, atol=ATOL, rtol=1e-4, msg=name)
                for place_of, target in enumerate(targets):
                    # A token within rounding of the target may stand on either side of it.
                    surely, perhaps = ((lesioned > lesioned[target] + off).sum() for off in (ATOL, -ATOL))
                    assert surely <= getattr(response, prefix + "rank")[at][place_of] < perhaps
    assert response.kl.min() > 0
    assert response.kl.max() > 1000 * ATOL, "the lesions do something"


def test_at_100_percent_controls_are_the_lesion_itself(response):
    whole = response.control_kl[:, :, -1]
    assert torch.equal(whole, response.kl[:, -1].expand_as(whole))
    assert torch.equal(response.control_logit_drop[:, :, -1], response.logit_drop[:, -1].expand(3, -1, -1, -1))
    smaller = response.control_kl[:, :, 1]
    assert not torch.isclose(smaller, response.kl[:, 1].expand_as(smaller)).any()


def test_doses_of_a_direction_go_by_the_sign_of_t(model, selection):
    for direction, sign in (("him", 1), ("her", -1)):
        chosen = dose_response(
            model, selection, prompts_for(model), doses=(10, 100), direction=direction, layers=[-1, 0], n_controls=0
        )
        assert chosen.layers == (2, 0)
        n = int(chosen.n_lesioned[0])
        for row, layer in enumerate((2, 0)):
            ranked = np.sort(sign * selection.t[layer].numpy())[::-1]
            assert sign * chosen.weakest_t[row].numpy() == pytest.approx([ranked[n - 1], ranked[-1]])
        tokens, place, targets = read(model, prompts_for(model)[0])
        units = np.argsort(-sign * selection.t[2].numpy(), kind="stable")[:n].tolist()
        drop = (plain_run(model, tokens, place) - plain_run(model, tokens, place, 2, units))[targets]
        torch.testing.assert_close(chosen.logit_drop[0, 0, 0], drop, atol=ATOL, rtol=0)
        assert chosen.control_kl.shape[0] == 0
        assert chosen.summary()[["p", "control_kl", "control_accuracy"]].isna().all(axis=None)


def test_dead_neurons_come_last(model, selection):
    t = selection.t.clone()
    t[1, :3] = torch.nan
    with_dead = type(selection)(**{**vars(selection), "t": t})
    d_mlp = model.cfg.d_mlp
    doses = (100 * (d_mlp - 3) / d_mlp, 100)
    found = dose_response(model, with_dead, prompts_for(model)[:1], doses=doses, n_controls=0)
    assert found.weakest_t.isnan().tolist() == [[False, False], [False, True], [False, False]]
    tokens, place, targets = read(model, prompts_for(model)[0])
    clean, lesioned = plain_run(model, tokens, place), plain_run(model, tokens, place, 1, list(range(3, d_mlp)))
    torch.testing.assert_close(found.logit_drop[1, 0, 0], (clean - lesioned)[targets], atol=ATOL, rtol=0)


@pytest.mark.parametrize("plan", ["loop", "fanout"])
def test_plans_agree(model, selection, response, plan):
    other = dose_response(model, selection, prompts_for(model), doses=DOSES, n_controls=3, seed=5, plan=plan)
    for name in ("logit_drop", "kl", "global_change", "control_logit_drop", "control_kl", "clean_logits"):
        torch.testing.assert_close(getattr(other, name), getattr(response, name), atol=ATOL, rtol=1e-4)
    # As good as all of them: only tokens within rounding of a target can change sides.
    assert (other.rank - response.rank).abs().max() <= 1
    assert (other.rank == response.rank).double().mean() > 0.95


def test_accuracy_is_counted_strictly():
    """By hand: prompt 0 is right, 1 a tie, 2 wrong, 3 not known, 4 all NaN."""
    logits = torch.tensor([[2.0, 1], [1, 1], [0, 1], [9, 0], [torch.nan, torch.nan]], dtype=torch.float64)
    targets, correct = [("him", "her")] * 5, ["him", "him", "him", None, "him"]
    assert accuracy_among_targets(logits, targets, correct).item() == 0.25
    assert accuracy_among_targets(-logits, targets, correct).item() == 0.25
    rank = torch.tensor([[0, 1], [1, 1], [2, 0], [0, 1], [9, 9]])
    assert accuracy_in_vocabulary(rank, targets, correct).item() == 0.25
    assert accuracy_among_targets(logits, targets, [None] * 5).isnan()
    assert accuracy_in_vocabulary(rank[None], targets, ["her"] * 5).item() == 0.2
    with pytest.raises(ValueError, match=r"share 0 is out of range; give a share of the clean accuracy, above 0"):
        first_below(torch.ones(1, 1, dtype=torch.float64), 0.5, share=0)


def test_planted_neurons_go_first_and_controls_lose_less():
    planted = planted_model("causal", n_layers=2, layers=(1,), n_decoys=0, n_token=0, effect_size=6.0)
    selection = select_neurons(planted.model, planted.language.contrast(30, seed=0), position="before")
    prompts = planted.language.prompts(12, seed=1)
    share = 100 * 2 / 48
    found = dose_response(planted.model, selection, prompts, doses=(share, 100), direction="him", n_controls=39)
    him, causal = torch.tensor([p.correct == "him" for p in prompts]), planted.truth.mask("causal", "him")
    assert int(causal.sum()) == 2
    # Each of the two costs "him" 0.5 in a prompt that asks for him; noise of the sentence moves that by d/6 or so.
    assert found.logit_drop[1, 0, him, 0].mean().item() == pytest.approx(1.0, abs=0.15)
    table = found.summary().query("target == 0").set_index(["layer", "dose"])
    assert table["p"][1, share] == 0.05, "no control of 39 is as far out: 2 / 40"
    assert table["p"][1, 100] == 1, "there the controls are the lesion"
    assert table["control_logit_drop"][1, share] < 0.3
    assert found.clean_accuracy == 1
    # Two noise neurons of layer 0, each of which moves a logit by 0.05 (standard deviation).
    assert found.logit_drop[0, 0].abs().max() < 0.3


def test_tables_and_collapse(model, response):
    frame = response.to_frame()
    assert list(frame.columns) == ["layer", "dose", "n_lesioned", "weakest_t", "prompt", "text", "target",
                                   "is_correct", "clean_logit", "logit_drop", "kl", "global_change",
                                   "rank"]  # fmt: skip
    row = frame.query("layer == 2 and dose == 33.3 and prompt == 2 and target == 'her'").iloc[0]
    assert row["logit_drop"] == response.logit_drop[2, 2, 2, 1]
    assert (row["kl"], row["rank"]) == (response.kl[2, 2, 2], response.rank[2, 2, 2, 1])
    assert row["weakest_t"] == response.weakest_t[2, 2]
    assert row["is_correct"]
    summary = response.summary().query("layer == 1 and dose == 5.0 and target == 1").iloc[0]
    assert summary["logit_drop"] == pytest.approx(response.logit_drop[1, 1, :, 1].mean().item())
    assert summary["control_kl"] == pytest.approx(response.control_kl[:, 1, 1].mean().item())
    right = response.clean_logits[[0, 2], [0, 1]] - response.logit_drop[1, 1, [0, 2], [0, 1]]
    wrong = response.clean_logits[[0, 2], [1, 0]] - response.logit_drop[1, 1, [0, 2], [1, 0]]
    assert summary["accuracy"] == (right > wrong).double().mean()
    collapse = type(response)(**{**vars(response), "clean_rank": response.clean_rank * 0}).collapse()
    share = (response.rank[:, :, [0, 2], [0, 1]] == 0).double().mean(dim=-1)
    for _, row in collapse.iterrows():
        below = (share[int(row["layer"])] < 0.5).nonzero().flatten().tolist()
        assert row["dose"] == DOSES[below[0]] if below else np.isnan(row["dose"])


def test_a_response_is_saved_and_the_same_twice(model, selection, response, tmp_path):
    loaded = load_result(response.save(tmp_path / "dose"))
    assert isinstance(loaded, DoseResponse)
    assert loaded.content_hash == response.content_hash
    again = dose_response(model, selection, prompts_for(model), doses=DOSES, n_controls=3, seed=5)
    assert again.content_hash == response.content_hash
    settings = response.provenance.settings
    assert settings["selection"] == selection.content_hash
    assert (settings["n_controls"], settings["seed"], settings["match"]) == (3, 5, None)
    matched = dose_response(model, selection, prompts_for(model), doses=(20,), n_controls=2, match="activity")
    assert len(matched.provenance.settings["match"]) == 64
    assert not any(point.fwd_hooks for point in model.hook_dict.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"doses": ()}, r"doses \[\] are not understood; give ascending percentages of a layer's neurons"),
        ({"doses": (0, 5)}, r"doses \[0, 5\] are not understood"),
        ({"doses": (5, 101)}, r"above 0 and at most 100, such as \(1, 2, 5, 10, 20, 50, 100\)"),
        ({"doses": (5, 5)}, r"doses \[5, 5\] are not understood"),
        ({"direction": "hm"}, r"direction 'hm' is unknown; allowed: 'him', 'her', 'any' \(did you mean 'him'\?\)"),
        ({"layers": [3]}, r"layers \[3\] do not exist; this model has 3 layers, 0 to 2"),
        ({"hook_point": "hook_mlp_out"}, r"neurons a layer, and 'hook_mlp_out' has 32 units; give a hook point with"),
        ({"n_controls": -1}, r"n_controls is -1; give 0 \(none\) or more"),
        ({"match": "activty"}, r"match 'activty' is unknown; allowed: 'activity'"),
        ({"ablation": "mean"}, r"ablation 'mean' needs reference values of shape \(3, \d+\)"),
    ],
)
def test_what_cannot_be_meant_is_refused(model, selection, options, message):
    with pytest.raises(ValueError, match=message):
        dose_response(model, selection, prompts_for(model), **options)
    assert not any(point.fwd_hooks for point in model.hook_dict.values())


def test_a_mask_is_no_selection_and_its_own_sentences_are_no_evidence(model, selection):
    unchecked: Any = dose_response
    with pytest.raises(TypeError, match=r"the selection is a Tensor; give what tlesion\.select_neurons returned"):
        unchecked(model, selection.mask("any"), prompts_for(model))
    some = select_neurons(model, Contrast.from_pairs(PAIRS, words=("him", "her")), layers=[0, 2])
    with pytest.raises(ValueError, match=r"layers \[1\] are not in this selection; it has the layers \[0, 2\]"):
        dose_response(model, some, prompts_for(model), layers=[1])
    own = Prompt("We saw [MASK] in the garden today.", ("him", "her"))
    own = own if is_bert(model) else own.before_mask()
    with pytest.raises(ValueError, match=r"1 of 1 prompts are made from sentences that the neurons were selected on"):
        dose_response(model, selection, [own])
    allowed = dose_response(model, selection, [own], doses=(50,), n_controls=0, allow_shared=True)
    assert allowed.provenance.settings["shared_prompts"] == [0]
