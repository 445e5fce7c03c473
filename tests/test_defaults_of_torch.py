"""Torch's defaults and modes of a user's session change no number, and are left as they were."""

import contextlib

import numpy as np
import pytest
import torch

import tlesion
from tlesion import Contrast, Prompt
from tlesion import interventions as iv
from tlesion.undisturbed import undisturbed

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:the controls of mask")]

WORDS = ("him", "her")
CONTRAST = Contrast.from_pairs(
    [(f"{who} {verb} him.", f"{other} {verb} her.")
     for who, other in (("The boy", "The girl"), ("Robert", "Lucy")) for verb in ("saw", "told", "helped")], WORDS
)  # fmt: skip
PROMPTS = [Prompt(f"{who} thanked {whom} because she helped [MASK].", WORDS, correct="him")
           for who, whom in (("Robert", "Lucy"), ("The old teacher", "the girl"))]  # fmt: skip


@contextlib.contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def default_device(device):
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextlib.contextmanager
def harmless():
    """Settings that change nothing anyway; the user's own have to be there again afterwards."""
    torch.use_deterministic_algorithms(True)
    try:
        with torch.no_grad(), default_device("cpu"):
            yield
    finally:
        torch.use_deterministic_algorithms(False)


SURROUNDINGS = {
    "float64": lambda: default_dtype(torch.float64),
    "meta": lambda: default_device("meta"),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "inference mode": torch.inference_mode,
    "no_grad, the CPU, deterministic": harmless,
}


def prompts_for(model):
    masked = type(model).__name__ == "HookedEncoder"
    return [prompt if masked else prompt.before_mask() for prompt in PROMPTS]


def numbers(model):
    """A number of everything that runs a model, as one list."""
    prompts = prompts_for(model)
    selection = tlesion.select_neurons(model, CONTRAST, test="moderated_paired")
    shuffled = tlesion.select_neurons(model, CONTRAST, test="permutation", layers=[2], n_permutations=50)
    masks = {"him": selection.t > 2, "her": selection.t < -2}
    profile = tlesion.laminar_profile(model, masks, prompts, ablation="gaussian", n_controls=19, match="activity")
    verdict = tlesion.verdict(profile, n_resamples=50, n_permutations=50)
    swept = tlesion.sweep(model, prompts, [[iv.zero("blocks.1.mlp.hook_post", positions="readout")]])
    parts = tlesion.decompose_drop(model, masks, prompts)
    dose = tlesion.dose_response(model, selection, prompts, layers=[1], doses=(10,), n_controls=2)
    removal = tlesion.subspace_removal(model, "The teacher gave the boy an apple.", layers=[1], n_random=1)
    context = tlesion.context_modulation(model, "The teacher gave the boy an apple and a cup.", layers=[1])
    scaled = tlesion.replacement(model, prompts, tlesion.noise_variants(model, layers=[1]))
    reference = tlesion.measure_reference(model, CONTRAST, statistic="median")
    found = [selection.t, shuffled.p, profile.logit_drop, profile.control_logit_drop, verdict.p, swept.lesioned_logits]
    found += [parts.direct, dose.kl, removal.drift, removal.logit_drop]
    return [*found, context.correlation, scaled.prediction.kl, reference]


@pytest.fixture(scope="module", params=["bert", "gpt2"])
def model(request, checkpoint_folder):
    return tlesion.load_model(checkpoint_folder(request.param))


@pytest.fixture(scope="module")
def usual(model):
    return numbers(model)


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_no_number_changes_and_all_is_left_as_it_was(model, usual, name):
    rng = torch.get_rng_state()
    with SURROUNDINGS[name]():
        before = state()
        found = numbers(model)
        assert state() == before
    assert torch.equal(torch.get_rng_state(), rng)
    for one, other in zip(found, usual, strict=True):
        assert one.dtype == other.dtype
        assert one.device == other.device
        assert not one.is_inference()
        assert torch.equal(one.nan_to_num(), other.nan_to_num())


def state():
    modes = (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu"))
    kinds = (torch.get_default_dtype(), torch.get_default_device(), torch.are_deterministic_algorithms_enabled())
    return (*modes, *kinds)


def test_the_state_of_random_numbers_enters_nothing(model, usual):
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    for one, other in zip(numbers(model), usual, strict=True):
        assert torch.equal(one.nan_to_num(), other.nan_to_num())


@pytest.mark.parametrize("surroundings", ["float64", "meta"])
def test_a_model_is_loaded_as_ever(checkpoint_folder, surroundings):
    usual = tlesion.load_model(checkpoint_folder("gpt2"))
    with SURROUNDINGS[surroundings]():
        model = tlesion.load_model(checkpoint_folder("gpt2"))
    assert model.cfg.dtype == torch.float32
    for one, other in zip(model.parameters(), usual.parameters(), strict=True):
        assert one.device == other.device
        assert torch.equal(one, other)


def profile_shape(model):
    return model.cfg.n_layers, model.cfg.d_mlp


@pytest.mark.parametrize("family", ["bert", "gpt2"])
@pytest.mark.parametrize("plan", ["loop", "fanout"])
def test_float64_stays_float64(checkpoint_folder, family, plan):
    """Logits and effects of a float64 model carry its digits: a lesion of 1e-9 has an effect of that size."""
    model = tlesion.load_model(checkpoint_folder(family), dtype="float64")
    prompts = prompts_for(model)
    lesions = [[iv.scale("blocks.1.hook_resid_pre" if family == "gpt2" else "blocks.1.hook_mlp_out", 1 + 1e-9)]]
    found = tlesion.sweep(model, prompts, lesions, plan=plan)
    ids = [tlesion.encoding.encode_prompt(model, one) for one in prompts]
    for row, one in enumerate(ids):
        clean = model(one.ids[None])[0, one.readout, one.targets]
        lesioned = model.run_with_hooks(one.ids[None], fwd_hooks=[*lesions[0]])[0, one.readout, one.targets]
        assert (clean - lesioned).abs().max() > 0
        torch.testing.assert_close(found.clean_logits[row], clean.detach(), rtol=1e-12, atol=1e-13)
        # The drop is a difference of logits of order 1, each rounded to 1e-16.
        torch.testing.assert_close(found.logit_drop[0, row], (clean - lesioned).detach(), rtol=1e-3, atol=1e-14)
    profile = tlesion.laminar_profile(
        model, {"him": torch.ones(profile_shape(model), dtype=torch.bool)}, prompts, n_controls=1
    )
    torch.testing.assert_close(profile.clean_logits, found.clean_logits, rtol=1e-12, atol=1e-13)
    assert not torch.equal(profile.logit_drop, profile.logit_drop.float().double())


def test_calls_within_calls_and_errors_put_the_default_back():
    @undisturbed
    def inner():
        assert torch.get_default_dtype() == torch.float32
        raise ValueError("no")

    @undisturbed
    def outer():
        with pytest.raises(ValueError, match="no"):
            inner()
        assert torch.get_default_dtype() == torch.float32

    with default_dtype(torch.float64):
        outer()
        with pytest.raises(ValueError, match="no"):
            inner()
        assert torch.get_default_dtype() == torch.float64
