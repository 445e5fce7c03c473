"""Nothing stays behind: hooks, modes, weights, inputs and random states are as before, whatever happened in between."""

from typing import Any

import numpy as np
import pytest
import torch

from tlesion import Contrast, Prompt, laminar_profile, load_model, measure_reference, select_neurons, sweep
from tlesion import interventions as iv
from tlesion.interventions import Zero
from tlesion.stats import Moments

pytestmark = pytest.mark.slow

CONTRAST = Contrast.from_pairs(
    [("We saw him in the garden.", "We saw her in the garden."), ("Ask him.", "Ask her."), ("Call him.", "Call her.")],
    ("him", "her"),
)
TEXTS = ("She thanked [MASK] for it.", "We saw [MASK].", "The boy told [MASK].")


@pytest.fixture(scope="module", params=["bert", "gpt2"])
def loaded(request, checkpoint_folder):
    return load_model(checkpoint_folder(request.param))


@pytest.fixture
def model(loaded):
    """Fresh for every test: some of them put hooks of the user's on it."""
    yield loaded
    loaded.reset_hooks(including_permanent=True)
    loaded.eval()


def prompts_for(model):
    prompts = [Prompt(text, ("him", "her")) for text in TEXTS]
    return prompts if type(model).__name__ == "HookedEncoder" else [prompt.before_mask() for prompt in prompts]


def half(model):
    return {"half": torch.rand(model.cfg.n_layers, model.cfg.d_mlp, generator=torch.Generator().manual_seed(0)) < 0.5}


def profile(**options):
    options = {"n_controls": 2} | options
    return lambda model: laminar_profile(model, half(model), prompts_for(model), **options)


def own_functions(model):
    def mine(activation, hook):
        return 2 * activation

    lesions = [[("blocks.1.mlp.hook_post", mine)], [iv.gaussian("blocks.0.mlp.hook_post", positions="readout")]]
    return sweep(model, prompts_for(model), lesions)


RUNS = {
    "select": lambda model: select_neurons(model, CONTRAST, batch_size=2),
    "select, one layer": lambda model: select_neurons(model, CONTRAST, layers=[1]),
    "select, permutation": lambda model: select_neurons(model, CONTRAST, test="permutation", n_permutations=20),
    "reference": lambda model: measure_reference(model, CONTRAST, batch_size=2),
    "reference, median": lambda model: measure_reference(model, CONTRAST, statistic="median"),
    "profile": profile(),
    "profile, loop": profile(plan="loop"),
    "profile, fanout": profile(plan="fanout"),
    "profile, batched": profile(plan="batched", ablation="gaussian"),
    "sweep": own_functions,
}
# Plans that are asked for by name refuse a model with hooks of its own, which may look at the whole batch.
BESIDE_OTHER_HOOKS = [name for name in RUNS if name not in ("profile, fanout", "profile, batched")]


def state(model):
    """Everything about a model that a run could leave changed."""
    modules = dict(model.named_modules())
    return {
        "hooks": {
            name: [(handle.user_hook, handle.is_permanent, handle.context_level) for handle in handles]
            for name, point in model.hook_dict.items()
            for handles in (point.fwd_hooks, point.bwd_hooks)
            if handles
        },
        "pytorch hooks": {
            name: [list(module._forward_hooks), list(module._forward_pre_hooks), list(module._backward_hooks)]
            for name, module in modules.items()
        },
        "contexts": {name: dict(point.ctx) for name, point in model.hook_dict.items()},
        "level": (model.context_level, model.is_caching),
        "modes": {name: module.training for name, module in modules.items()},
        "weights": {
            name: (parameter.data_ptr(), parameter.stride(), parameter.requires_grad, parameter.grad)
            for name, parameter in model.named_parameters()
        },
        "gradients": torch.is_grad_enabled(),
    }


def numbers(model):
    """Bit by bit: the heads that a checkpoint lacks are filled with NaN."""
    return {name: parameter.detach().numpy().tobytes() for name, parameter in model.named_parameters()}


def random_states():
    # Python's own generator is left out: in tests the type checker draws from it which items of a list to look at.
    numpy_state: Any = np.random.get_state()  # noqa: NPY002
    kind, key, *rest = numpy_state
    return torch.get_rng_state().tolist(), kind, key.tolist(), rest


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_run_leaves_model_modes_and_random_states_as_they_were(model, run):
    model.train()
    before, weights, rng = state(model), numbers(model), random_states()
    run(model)
    assert state(model) == before
    assert random_states() == rng, "neither read nor set"
    assert numbers(model) == weights


def with_hooks_of_the_users(model, function):
    """A permanent, a temporary and a context hook; returns the context."""
    model.add_perma_hook("blocks.1.mlp.hook_pre", function)
    model.add_hook("blocks.0.hook_resid_post", function)
    return model.hooks(fwd_hooks=[("blocks.2.attn.hook_z", function)])


@pytest.mark.parametrize("name", BESIDE_OTHER_HOOKS)
def test_the_users_own_hooks_fire_and_survive(model, name):
    calls = set()

    def note(activation, hook):
        calls.add(hook.name)

    with with_hooks_of_the_users(model, note):
        before = state(model)
        RUNS[name](model)
        assert state(model) == before
    assert {"blocks.1.mlp.hook_pre", "blocks.0.hook_resid_post"} <= calls


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("name", BESIDE_OTHER_HOOKS)
def test_after_a_break_off_in_a_hook_of_the_users(model, name, error):
    calls = []

    def break_off(activation, hook):
        calls.append(hook.name)
        if len(calls) == 2:
            raise error("in the middle")

    with with_hooks_of_the_users(model, break_off):
        before, rng = state(model), random_states()
        with pytest.raises(error, match="in the middle"):
            RUNS[name](model)
        assert state(model) == before
        assert random_states() == rng


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("name", [name for name in RUNS if name != "reference, median"])  # which streams no moments
def test_after_a_break_off_inside_a_test_or_an_edit(model, name, error, monkeypatch):
    """In the middle of streaming (the moments break) or of a lesion (the edit breaks), whatever the plan."""
    calls = []

    def breaking(original):
        def call(*args, **kwargs):
            calls.append(1)
            if len(calls) == 2:
                raise error("in the middle")
            return original(*args, **kwargs)

        return call

    monkeypatch.setattr(Moments, "update", breaking(Moments.update))
    for edit in (Zero, iv.Gaussian):
        monkeypatch.setattr(edit, "apply_", breaking(edit.apply_))
    monkeypatch.setattr(iv.Edit, "__call__", breaking(iv.Edit.__call__))
    before, rng = state(model), random_states()
    with pytest.raises(error, match="in the middle"):
        RUNS[name](model)
    assert state(model) == before
    assert random_states() == rng


def test_inputs_are_left_as_they_were(model):
    masks, prompts = half(model), prompts_for(model)
    reference = torch.from_numpy(np.random.default_rng(0).standard_normal((3, model.cfg.d_mlp), dtype=np.float32))
    copies = {name: mask.clone() for name, mask in masks.items()}, reference.clone(), list(prompts)
    laminar_profile(model, masks, prompts, ablation="mean", reference=reference, n_controls=0)
    assert all(torch.equal(masks[name], mask) for name, mask in copies[0].items())
    assert torch.equal(reference, copies[1])
    assert prompts == copies[2]


def test_results_do_not_depend_on_the_global_seeds(model):
    hashes = set()
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        hashes.add(
            (
                RUNS["select, permutation"](model).content_hash,
                RUNS["profile, batched"](model).content_hash,
                own_functions(model).content_hash,
            )
        )
    assert len(hashes) == 1


def test_a_selection_sees_what_the_users_own_hooks_make_of_the_activation(model):
    """Hooks of the user's come first: an edit of theirs is part of the model that is tested."""
    plain = select_neurons(model, CONTRAST, layers=[1])
    model.add_perma_hook("blocks.1.mlp.hook_pre", lambda activation, hook: -activation)
    turned = select_neurons(model, CONTRAST, layers=[1])
    # A model with hooks is run a sentence at a time, which rounds otherwise than a batch does.
    torch.testing.assert_close(turned.t, -plain.t, equal_nan=True, rtol=1e-3, atol=1e-4)
