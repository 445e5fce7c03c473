"""Subspace removal equals plain Hugging Face hooks, layer by layer and token by token."""

from contextlib import contextmanager
from typing import Any

import pytest
import torch
from scipy import stats
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

import tlesion
from tlesion import interventions as iv
from tlesion.models.names import SHIPPED
from tlesion.studies.subspace_removal.summary import compare_cuts, correlate_with_variance, ranks_frame

pytestmark = pytest.mark.slow

TEXT = "The old teacher gave the boy an apple and told him to share it with the girl by the river."
SECOND = "I think the world could be better if people listened to each other."
# Two implementations of the same model. In float64, because a direction of activations whose leading singular values
# lie close together turns far with rounding, in float32 by more than any tolerance worth having. Not closer than 1e-4:
# Hugging Face's GPT-Neo attends in float32 whatever its weights are.
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture(scope="module", params=["gpt2", "gpt-neo", "toy-gpt"])
def pair(request, checkpoint_folder):
    """The same causal weights in tlesion and in Hugging Face, and the module that makes the MLP's hidden layer."""
    toy = request.param == "toy-gpt"
    folder = SHIPPED["toy-gpt"] if toy else checkpoint_folder(request.param)
    model = tlesion.load_model("toy-gpt" if toy else folder, dtype=torch.float64)
    return model, AutoModelForCausalLM.from_pretrained(folder).double().eval()


@pytest.fixture(scope="module")
def exact_gpt():
    return tlesion.load_model("toy-gpt", dtype=torch.float64)


@contextmanager
def hooked(module, change):
    handle = module.register_forward_hook(lambda _, inputs, output: change(output))
    try:
        yield
    finally:
        handle.remove()


def without_leading(activation: torch.Tensor, rank: int = 1) -> torch.Tensor:
    """The recipe in numbers of its own: centre, decompose, set σ₁ to zero, multiply out, add the mean back."""
    a = activation[0]
    mean = a.mean(dim=0)
    u, s, vh = torch.linalg.svd(a - mean, full_matrices=False)
    s = s.clone()
    s[:rank] = 0
    return (u @ torch.diag(s) @ vh + mean)[None]


def run(model, ids):
    """Hidden state after every block, before the final norm, and the logits."""
    states: list[torch.Tensor] = []
    handles = [
        block.register_forward_hook(
            lambda _, inputs, output: states.append((output[0] if isinstance(output, tuple) else output)[0])
        )
        for block in model.transformer.h
    ]
    with torch.no_grad():
        logits = model(ids[None]).logits[0]
    for handle in handles:
        handle.remove()
    return torch.stack(states).double(), logits.double()


def with_states(model, ids, edit):
    """Logits and hidden states of a plain run with one edit."""
    kept: list[torch.Tensor] = []
    names = [tlesion.hooks.hidden_state(model, layer) for layer in range(model.cfg.n_layers)]
    keep = [(name, lambda value, hook: kept.append(value[0])) for name in names]
    logits = model.run_with_hooks(ids[None], fwd_hooks=[edit, *keep])
    return logits[0], torch.stack(kept)


def test_equals_hooks_on_hugging_face(pair):
    model, reference = pair
    result = tlesion.subspace_removal(model, TEXT, rank=1, n_random=0, prepend_bos=False)
    ids = result.texts.ids
    clean_states, clean = run(reference, ids)
    following = torch.arange(len(ids) - 1), ids[1:]
    assert result.layers == tuple(range(len(reference.transformer.h)))
    for layer, block in enumerate(reference.transformer.h):
        with hooked(block.mlp.c_fc, without_leading):
            states, lesioned = run(reference, ids)
        drift = (states - clean_states).norm(dim=-1)
        torch.testing.assert_close(result.drift[layer], drift, **CLOSE)
        torch.testing.assert_close(result.drift_relative[layer], drift / clean_states.norm(dim=-1), **CLOSE)
        torch.testing.assert_close(result.logit_drop[layer], (clean - lesioned)[following], **CLOSE)
    torch.testing.assert_close(result.clean_logit, clean[following], **CLOSE)


def test_the_edits_give_the_same_logits_and_hidden_states(pair):
    model, reference = pair
    ids = model.to_tokens(TEXT, prepend_bos=False)[0]
    for layer in (0, model.cfg.n_layers - 1):
        point = f"blocks.{layer}.mlp.hook_pre"
        activations = model.run_with_cache(ids[None], names_filter=point)[1][point][0]
        with hooked(reference.transformer.h[layer].mlp.c_fc, lambda output: without_leading(output, rank=2)):
            states, logits = run(reference, ids)
        for edit in (
            iv.remove_leading(point, 2),
            iv.remove_subspace(point, tlesion.fit_subspace(activations, rank=2)),
        ):
            found, kept = with_states(model, ids, edit)
            torch.testing.assert_close(found.double(), logits, **CLOSE)
            torch.testing.assert_close(kept.double(), states, **CLOSE)


def test_the_test_is_scipys(toy_gpt):
    result = tlesion.subspace_removal(toy_gpt, TEXT, n_random=2, ranks=[1, 3])
    expected = stats.ttest_1samp(result.logit_drop.numpy(), 0, axis=1)
    # float64 on both sides: rounding of sums over a few tens of values.
    torch.testing.assert_close(result.t, torch.tensor(expected.statistic), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(result.p, torch.tensor(expected.pvalue), rtol=1e-9, atol=1e-12)
    interval = expected.confidence_interval(0.95)
    torch.testing.assert_close(result.test.low, torch.tensor(interval.low), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(result.test.high, torch.tensor(interval.high), rtol=1e-9, atol=1e-12)
    assert result.test.over == "tokens"
    assert "Descriptive" in result.caveat
    frame: Any = correlate_with_variance(result)
    drop, share = result.logit_drop.mean(dim=1).numpy(), result.variance_ratio.numpy()
    pearson, spearman = stats.pearsonr(share, drop), stats.spearmanr(share, drop)
    interval = pearson.confidence_interval(0.95)
    assert frame["r"][:2].tolist() == pytest.approx([pearson.statistic, spearman.statistic], rel=1e-9)
    assert frame.loc[0, ["low", "high"]].tolist() == pytest.approx(list(interval), rel=1e-9)


def test_several_texts_are_the_rows(exact_gpt):
    result = tlesion.subspace_removal(exact_gpt, [TEXT, SECOND], n_random=0)
    text = result.texts.text[result.predicted]
    rows = torch.stack([result.logit_drop[:, text == one].mean(dim=1) for one in (0, 1)])
    expected = stats.ttest_1samp(rows.numpy(), 0)
    torch.testing.assert_close(result.t, torch.tensor(expected.statistic), rtol=1e-9, atol=1e-12)
    assert (result.test.over, result.test.n_rows) == ("texts", 2)
    assert "texts" in result.caveat
    assert "Descriptive" not in result.caveat
    # One subspace for all texts: each text run alone with it drops by the same.
    point = "blocks.2.mlp.hook_pre"
    ids = [exact_gpt.to_tokens(one) for one in (TEXT, SECOND)]
    values = [exact_gpt.run_with_cache(one, names_filter=point)[1][point][0] for one in ids]
    edit = iv.remove_subspace(point, tlesion.fit_subspace(torch.cat(values)))
    for index, one in enumerate(ids):
        change = (exact_gpt(one) - exact_gpt.run_with_hooks(one, fwd_hooks=[edit]))[0]
        expected = change[torch.arange(one.shape[1] - 1), one[0, 1:]]
        torch.testing.assert_close(result.logit_drop[2, text == index], expected, **CLOSE)


@pytest.mark.parametrize(("plan", "max_bytes"), [("loop", None), ("batched", None), ("fanout", 2_000_000)])
def test_plans_and_memory_change_nothing(exact_gpt, plan, max_bytes):
    options: dict[str, Any] = {"layers": [1, 4, 9], "ranks": [2], "n_random": 1}
    texts = [TEXT, SECOND, "The girl saw the boy in the garden."]
    one = tlesion.subspace_removal(exact_gpt, texts, **options)
    other = tlesion.subspace_removal(exact_gpt, texts, plan=plan, max_bytes=max_bytes, **options)
    for name in ("drift", "logit_drop", "clean_norm"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), **CLOSE)
    for mine, theirs in ((one.controls, other.controls), (one.ranks, other.ranks)):
        for name in ("logit_drop", "drift", "drift_relative"):
            torch.testing.assert_close(getattr(mine, name), getattr(theirs, name), **CLOSE)
    torch.testing.assert_close(one.variance_ratio, other.variance_ratio, **CLOSE)


def test_controls_and_ranks_are_what_a_run_of_their_own_gives(toy_gpt):
    result = tlesion.subspace_removal(toy_gpt, TEXT, n_random=2, ranks=[1, 2, 4], layers=[0, 3])
    controls, ranks = result.controls, result.ranks
    assert list(zip(controls.kinds, controls.ranks, controls.draws, strict=True)) == [
        ("random", 1, 0),
        ("random", 1, 1),
    ]
    assert list(zip(ranks.kinds, ranks.ranks, ranks.draws, strict=True)) == [
        ("svd", 2, None),
        ("random", 2, 0),
        ("svd", 4, None),
        ("random", 4, 0),
    ]
    for place, rank in ((0, 2), (2, 4)):
        alone = tlesion.subspace_removal(toy_gpt, TEXT, rank=rank, n_random=0, layers=[0, 3])
        torch.testing.assert_close(ranks.logit_drop[place], alone.logit_drop, **CLOSE)
        torch.testing.assert_close(ranks.drift[place], alone.drift.mean(dim=2), **CLOSE)
        torch.testing.assert_close(ranks.drift_relative[place], alone.drift_relative.mean(dim=2), **CLOSE)
        torch.testing.assert_close(ranks.variance_ratio[place], alone.variance_ratio)
    # A random direction of 512 holds little of what the leading one holds.
    assert bool((controls.variance_ratio < result.variance_ratio / 5).all())
    assert not torch.equal(controls.logit_drop[0], controls.logit_drop[1])
    frame = compare_cuts(result)
    assert len(frame) == 7 * 2
    assert frame.query("cut == 'svd, rank 4' and layer == 3")["mean_drop"].item() == pytest.approx(
        ranks.logit_drop[2, 1].mean().item()
    )
    by_rank = ranks_frame(result)
    assert by_rank["rank"].tolist() == [1, 1, 2, 2, 4, 4]
    fitted = by_rank.query("kind == 'fitted'")["variance_ratio"]
    assert fitted.is_monotonic_increasing


def test_a_masked_model_is_read_at_its_own_tokens(checkpoint_folder):
    folder = checkpoint_folder("bert")
    model = tlesion.load_model(folder, dtype=torch.float64)
    reference = AutoModelForMaskedLM.from_pretrained(folder).double().eval()
    result = tlesion.subspace_removal(model, SECOND, n_random=0)
    ids = result.texts.ids
    inner = torch.arange(1, len(ids) - 1)
    assert result.reads == "own"
    assert torch.equal(result.predicted, inner)
    with torch.no_grad():
        clean = reference(ids[None], output_hidden_states=True)
    for layer, block in enumerate(reference.bert.encoder.layer):
        with hooked(block.intermediate.dense, without_leading), torch.no_grad():
            lesioned = reference(ids[None], output_hidden_states=True)
        drift = (torch.stack(lesioned.hidden_states) - torch.stack(clean.hidden_states)).norm(dim=-1)[1:, 0]
        torch.testing.assert_close(result.drift[layer], drift, **CLOSE)
        drop = (clean.logits - lesioned.logits)[0, inner, ids[inner]]
        torch.testing.assert_close(result.logit_drop[layer], drop, **CLOSE)
