"""Whatever is done to a model, and however a call ends: the model and torch's settings are bit by bit as they were.

A state machine puts on hooks, patches and parametrizations as a user's other tools do, and then calls public functions
that succeed, are refused, or are cut off in the middle.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from torch.nn.utils import parametrize
from torch.utils._python_dispatch import TorchDispatchMode

import tlesion
from benchmarks.architectures import words
from benchmarks.architectures.table import ARCHITECTURES
from tlesion import interventions as iv
from tlesion.hooks import hidden_state, names

NAMES = ("GPT-2", "BERT", "Llama, grouped keys", "Gemma 2's parts", "attention in both directions")
SWITCHES = ("use_attn_result", "use_split_qkv_input", "use_hook_mlp_in", "use_attn_in")
# With these TransformerLens' own forward stops: BERT's block has no such input, and shared keys are fewer than heads.
NEVER_RUNS = dict.fromkeys(("BERT", "Llama, grouped keys", "Gemma 2's parts"), ("use_attn_in",))
PLANS = ("auto", "loop", "batched", "fanout", "prefix", "no such plan")
PLAIN = (bool, int, float, str, type(None), torch.dtype, torch.device)


class Planted(Exception):
    """Raised by the test itself, in the middle of a call."""


def contents(value: Any) -> Any:
    """What has to stay: plain values as they are, containers item by item, anything else as the same object."""
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, dict):
        return [(key, contents(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [contents(item) for item in value]
    return Same(value)


class Same:
    """Equal to nothing but the same object, which it keeps alive."""

    def __init__(self, what: Any) -> None:
        self.what = what

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.what is other.what

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{type(self.what).__name__} at {id(self.what)}>"


def snapshot(model: Any) -> dict[str, Any]:
    """Everything about a model, and about torch, that a call could leave changed."""
    found: dict[str, Any] = {}
    for name, module in model.named_modules():
        found[f"{name}: class"] = type(module)
        for key, value in vars(module).items():
            found[f"{name}.{key}"] = contents(value)
        for handle in [*getattr(module, "fwd_hooks", ()), *getattr(module, "bwd_hooks", ())]:
            found[f"{name}: hook {id(handle)}"] = (
                contents(handle.user_hook),
                handle.is_permanent,
                handle.context_level,
            )
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        bits = tensor.detach().contiguous().view(torch.uint8).numpy().tobytes() if tensor.ndim else tensor.item()
        found[f"{name}: tensor"] = (Same(tensor), tensor.data_ptr(), tensor.stride(), tensor.dtype, bits)
        found[f"{name}: gradient"] = (tensor.requires_grad, contents(tensor.grad))
    found["cfg"] = contents(vars(model.cfg))
    found["tokenizer"] = (Same(model.tokenizer), model.tokenizer.padding_side, str(model.tokenizer))
    found["torch"] = (
        torch.get_rng_state().tolist(),
        [torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")],
        [torch.get_default_dtype(), torch.get_default_device(), torch.get_num_threads()],
    )
    numpy_state: Any = np.random.get_state()  # noqa: NPY002
    kind, key, *rest = numpy_state
    found["numpy"] = (kind, np.asarray(key).tolist(), rest)
    return found


def difference(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Which entries differ."""
    return [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]


class _CutOff(TorchDispatchMode):
    """Raises in the middle of the n-th operation of torch, once."""

    def __init__(self, n: int, error: BaseException) -> None:
        super().__init__()
        self.left, self.error = n, error

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.left -= 1
        if self.left == 0:
            raise self.error
        return func(*args, **(kwargs or {}))


@contextmanager
def _restored() -> Iterator[None]:
    """A test may change torch's settings; the next one finds them as they were."""
    grad, dtype = torch.is_grad_enabled(), torch.get_default_dtype()
    try:
        yield
    finally:
        torch.set_grad_enabled(grad)
        torch.set_default_dtype(dtype)


def _slightly(output: Any) -> Any:
    return output * 1.25 if isinstance(output, torch.Tensor) and output.is_floating_point() else output


class _Halved(torch.nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight / 2


def _sweep(machine: "Machine", data: st.DataObject, own: Callable[..., Any]) -> object:
    model, last = machine.model, machine.model.cfg.n_layers - 1
    points = [f"blocks.{last}.mlp.hook_post", "blocks.0.attn.hook_z", hidden_state(model, 0), "hook_embed"]
    name = data.draw(st.sampled_from([*points, "blocks.9.mlp.hook_post"]), label="hook point")
    name = "embed.hook_embed" if name == "hook_embed" and "embed.hook_embed" in names(model) else name
    units = data.draw(st.sampled_from([None, [1, 2], [10**6]]), label="units")
    lesion = [iv.zero(name, units=units, positions=data.draw(st.sampled_from([None, -1, "readout"])))]
    lesions = [lesion, [], [("blocks.0.attn.hook_q", own)]][: data.draw(st.integers(1, 3), label="lesions")]
    plan = data.draw(st.sampled_from(PLANS), label="plan")
    return tlesion.sweep(model, machine.prompts, lesions, plan=plan)


def _profile(machine: "Machine", data: st.DataObject, own: Callable[..., Any]) -> object:
    width = data.draw(st.sampled_from([machine.model.cfg.d_mlp, 7]), label="width of the mask")
    mask = torch.arange(width).expand(machine.model.cfg.n_layers, -1) % 3 == 0
    position: Any = data.draw(st.sampled_from(["readout", "all", 99]), label="position")
    return tlesion.laminar_profile(machine.model, {"him": mask}, machine.prompts, position=position, n_controls=2)


def _selection(machine: "Machine", data: st.DataObject, own: Callable[..., Any]) -> object:
    position: Any = data.draw(st.sampled_from(["word", "before", "mask"]), label="position")
    return tlesion.select_neurons(machine.model, words.contrast(), position=position, test="student", batch_size=4)


def _removal(machine: "Machine", data: st.DataObject, own: Callable[..., Any]) -> object:
    rank = data.draw(st.sampled_from([1, 10**4]), label="rank")
    return tlesion.subspace_removal(machine.model, machine.text, rank=rank, n_sampled=4, n_random=1)


def _replacement(machine: "Machine", data: st.DataObject, own: Callable[..., Any]) -> object:
    factor = data.draw(st.sampled_from([0.5, float("nan")]), label="factor")
    return tlesion.replacement(machine.model, machine.prompts, tlesion.scale_variants(machine.model, factors=[factor]))


def _modulation(machine: "Machine", data: st.DataObject, own: Callable[..., Any]) -> object:
    point = data.draw(st.sampled_from(["mlp.hook_post", "attn.hook_pattern"]), label="hook point")
    return tlesion.context_modulation(machine.model, machine.text, hook_point=point, n_windows=2)


def _decomposition(machine: "Machine", data: st.DataObject, own: Callable[..., Any]) -> object:
    point = data.draw(st.sampled_from(["mlp.hook_post", "attn.hook_z"]), label="hook point")
    return tlesion.decompose_drop(machine.model, None, machine.prompts, hook_point=point)


CALLS = (_sweep, _profile, _selection, _removal, _replacement, _modulation, _decomposition)


class Machine(RuleBasedStateMachine):
    """A model in the hands of somebody who uses other tools as well."""

    @initialize(name=st.sampled_from(NAMES), dtype=st.sampled_from(["float32", "bfloat16"]))
    def begin(self, name: str, dtype: str) -> None:
        self.name, subject = name, ARCHITECTURES[name].subject(dtype)
        self.model, self.prompts = subject.model, words.prompts(masked=subject.masked)
        self.text = words.TEXTS[-1]
        self.modules = [module for _, module in self.model.named_modules()]
        self.settings = _restored()
        self.settings.__enter__()

    def teardown(self) -> None:
        if hasattr(self, "settings"):
            self.settings.__exit__(None, None, None)

    @rule(at=st.integers(0, 10**6), changes=st.booleans(), before=st.booleans(), first=st.booleans())
    def pytorch_hook(self, at: int, changes: bool, before: bool, first: bool) -> None:
        module = self.modules[at % len(self.modules)]
        if before:
            module.register_forward_pre_hook(lambda _, inputs: inputs if changes else None, prepend=first)
        else:
            module.register_forward_hook(lambda *seen: _slightly(seen[-1]) if changes else None, prepend=first)

    @rule(at=st.integers(0, 10**6), changes=st.booleans())
    def patched_forward(self, at: int, changes: bool) -> None:
        module = self.modules[at % len(self.modules)]
        plain = module.forward

        @functools.wraps(plain)
        def forward(*args: Any, **kwargs: Any) -> Any:
            return _slightly(plain(*args, **kwargs)) if changes else plain(*args, **kwargs)

        module.forward = forward

    @rule(at=st.integers(0, 10**6), permanent=st.booleans(), changes=st.booleans(), backward=st.booleans())
    def transformer_lens_hook(self, at: int, permanent: bool, changes: bool, backward: bool) -> None:
        everywhere = names(self.model)
        name = everywhere[at % len(everywhere)]
        function = (lambda activation, hook: _slightly(activation)) if changes else (lambda activation, hook: None)
        point = self.model.hook_dict[name]  # by the model itself, points that are switched off take none
        point.add_hook(function, is_permanent=permanent, dir="bwd" if backward and not changes else "fwd")
        point.ctx["mine"] = object()

    @rule(at=st.integers(0, 10**6))
    def parametrization(self, at: int) -> None:
        owners = [(module, key) for module in self.modules for key in module._parameters]
        module, key = owners[at % len(owners)]
        if not parametrize.is_parametrized(module, key):
            parametrize.register_parametrization(module, key, _Halved())

    @rule(at=st.integers(0, 10**6), training=st.booleans())
    def mode(self, at: int, training: bool) -> None:
        self.modules[at % len(self.modules)].train(training)

    @rule(at=st.integers(0, 10**6), wanted=st.booleans())
    def gradients(self, at: int, wanted: bool) -> None:
        parameters = list(self.model.parameters())
        parameter = parameters[at % len(parameters)]
        parameter.requires_grad_(wanted)
        parameter.grad = torch.zeros_like(parameter) if wanted else None

    @rule(switch=st.sampled_from(SWITCHES), on=st.booleans())
    def cfg_switch(self, switch: str, on: bool) -> None:
        if switch not in NEVER_RUNS.get(self.name, ()):
            setattr(self.model.cfg, switch, on)

    @rule(grad=st.booleans(), dtype=st.sampled_from([torch.float32, torch.float64]))
    def torch_settings(self, grad: bool, dtype: torch.dtype) -> None:
        torch.set_grad_enabled(grad)
        torch.set_default_dtype(dtype)

    @rule(data=st.data(), call=st.sampled_from(CALLS), ends=st.sampled_from(["by itself", "in a hook", "anywhere"]))
    def call(self, data: st.DataObject, call: Callable[..., object], ends: str) -> None:
        error = data.draw(st.sampled_from([KeyboardInterrupt(), Planted()]), label="error")
        left = data.draw(st.integers(1, 8 if ends == "in a hook" else 3000), label="after")

        def own(activation: torch.Tensor, hook: object) -> torch.Tensor:
            nonlocal left
            left -= 1
            if left == 0 and ends == "in a hook":
                raise error
            return -activation

        before = snapshot(self.model)
        try:
            if ends == "anywhere":
                with _CutOff(left, error):
                    call(self, data, own)
            else:
                call(self, data, own)
        except (ValueError, TypeError, KeyboardInterrupt, Planted):
            pass
        assert difference(before, snapshot(self.model)) == []


def _run(*, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=True,
            phases=[Phase.generate],  # without shrinking, which can take minutes: the history itself is short
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.slow
def test_a_few_histories_leave_everything_as_it_was():
    _run(examples=10, steps=14)


@pytest.mark.matrix
def test_many_histories_leave_everything_as_it_was():
    _run(examples=80, steps=25)
