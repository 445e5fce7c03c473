"""How far all logits move: a shift of all of them alike, which changes no probability, is no change."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tlesion
from tests.sweeps.tiny_models import plain_logits, readings_of, tiny
from tlesion import interventions as iv
from tlesion.studies.common.collapse import CollapseSink
from tlesion.studies.replacement.downstream import DownstreamSink
from tlesion.sweeps.engine import run_sweep
from tlesion.sweeps.lesions import read_lesions
from tlesion.sweeps.sinks import TargetSink, global_change

PLANS = ("loop", "batched", "fanout", "prefix", "auto")
SHIFT = 500.0
# Logits of about 500 are multiples of 2**-15 in float32, and each is rounded once or twice.
ROUNDING = 2e-4


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape)).to(dtype)


@pytest.fixture(scope="module")
def shifting():
    """A model without norms, in which the last unit of the hidden state is added to every logit."""
    model = tiny(normalization_type=None)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.4)  # logits of order 1
        model.W_U[-1] = 1.0
    return model


def test_it_is_the_standard_deviation_over_the_vocabulary():
    clean, lesioned = drawn(3, 1, 50), drawn(4, 3, 1, 50, seed=1)
    expected = np.std(lesioned.numpy() - clean.numpy(), axis=-1, ddof=0)
    np.testing.assert_allclose(global_change(lesioned, clean).numpy(), expected, rtol=1e-12)


def test_half_precision_is_computed_in_float32():
    clean, lesioned = drawn(2, 1, 400).bfloat16(), drawn(3, 2, 1, 400, seed=1).bfloat16()
    found = global_change(lesioned, clean)
    assert found.dtype == torch.float32
    expected = np.std(lesioned.double().numpy() - clean.double().numpy(), axis=-1)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), shift=st.floats(-1e6, 1e6))
def test_a_shift_of_all_logits_counts_for_nothing(seed, shift):
    clean, lesioned = drawn(2, 1, 30, seed=seed), drawn(2, 1, 30, seed=seed + 1)
    assert (global_change(clean + shift, clean) < 1e-9).all()
    torch.testing.assert_close(
        global_change(lesioned + shift, clean), global_change(lesioned, clean), atol=1e-9, rtol=1e-9
    )


def test_a_large_shift_hides_no_small_change_and_inputs_stay():
    """Subtracted first, then centred: a mean of squares less a squared mean would leave nothing of 0.01 beside 4096."""
    clean = torch.zeros(1, 1, 1000)
    small = 0.01 * drawn(1, 1, 1000, seed=2, dtype=torch.float32)
    lesioned = clean + 4096.0 + small
    before = lesioned.clone()
    # Numbers at 4096 are multiples of 2**-11.
    torch.testing.assert_close(global_change(lesioned, clean), small.std(dim=-1, correction=0), atol=2e-4, rtol=0)
    assert torch.equal(lesioned, before)
    assert not clean.any()


@pytest.mark.parametrize("plan", PLANS)
def test_a_lesion_that_adds_a_constant_to_all_logits_changes_no_prediction(shifting, plan):
    readings = readings_of((5, 8, 5))
    lesions = read_lesions(shifting, [[iv.replace("blocks.2.hook_resid_post", SHIFT, units=[-1], positions=-1)]])
    targets, collapse = TargetSink(readings, global_change=True), CollapseSink(readings)
    for sink in (targets, collapse):
        run_sweep(shifting, readings, lesions, sink, plan=plan)
        assert sink.global_change.max() < ROUNDING
    assert collapse.kl.max() < 1e-6
    assert ((targets.lesioned - targets.clean) > 0.9 * SHIFT).all(), "every logit has moved, and far"


@pytest.mark.parametrize("name", ["toy_bert", "toy_gpt"])
def test_a_hook_on_the_logits_themselves(name, request):
    model = request.getfixturevalue(name)
    prompts = [tlesion.Prompt("We saw [MASK] today.", ("him", "her"))]
    prompts = prompts if name == "toy_bert" else [prompt.before_mask() for prompt in prompts]
    swept = tlesion.sweep(model, prompts, [[("unembed.hook_out", lambda logits, hook: logits + SHIFT)]])
    assert swept.global_change.max() < ROUNDING
    torch.testing.assert_close(swept.logit_drop, torch.full_like(swept.logit_drop, -SHIFT), atol=ROUNDING, rtol=0)


@pytest.mark.parametrize("plan", ["loop", "batched", "fanout"])
def test_a_hook_that_adds_a_constant_to_all_logits_changes_no_prediction(shifting, plan):
    def shift(activation, hook):
        activation[:, -1, -1] += SHIFT

    readings = readings_of((5, 8, 5))
    lesions = read_lesions(shifting, [[], [("blocks.2.hook_resid_post", shift)]])
    downstream = DownstreamSink(readings, norm=lambda hidden: hidden, k=3, n_detailed=1)
    run_sweep(shifting, readings, lesions, downstream, plan=plan)
    assert downstream.global_change.max() < ROUNDING
    assert downstream.kl.max() < 1e-6
    assert (downstream.lesioned[1] - downstream.clean > 0.9 * SHIFT).all()


@pytest.mark.parametrize("plan", PLANS)
def test_every_plan_equals_plain_runs(plan):
    model, readings = tiny(), readings_of((5, 8, 5))
    cuts = [[iv.zero(f"blocks.{layer}.mlp.hook_post", positions=-1)] for layer in range(3)]
    lesioned, clean = plain_logits(model, readings, cuts), plain_logits(model, readings, [[]])
    expected = np.std((lesioned - clean).double().numpy(), axis=-1)
    for sink in (TargetSink(readings, global_change=True), CollapseSink(readings)):
        run_sweep(model, readings, read_lesions(model, cuts), sink, plan=plan)
        found = sink.global_change.reshape(expected.shape)
        # Float32 rounding of logits of order 1 to 10, after three layers.
        np.testing.assert_allclose(found.numpy(), expected, atol=2e-5, rtol=1e-4)
    assert expected.min() > 1e-2, "the lesions do something"
