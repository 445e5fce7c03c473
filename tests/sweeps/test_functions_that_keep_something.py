"""Hook functions of the user's that keep something, or that put hooks on the model: other lesions do not meet it."""

from typing import Any

import pytest
import torch

from tests.sweeps.test_foreign_edits import lesions, plain, swept, tiny


def by_a_dictionary(model: Any) -> list[Any]:
    """What one function has noted, another one adds, with one dictionary for all lesions."""
    noted: dict[str, torch.Tensor] = {}

    def note(activation, hook):
        noted["it"] = activation.clone()

    def add(activation, hook):
        return 0.5 * activation + noted["it"]

    return [
        [("blocks.0.hook_mlp_out", note), ("blocks.2.hook_mlp_out", add)],
        [("blocks.1.hook_mlp_out", note), ("blocks.2.hook_mlp_out", add)],
        [("blocks.0.hook_attn_out", note), ("blocks.2.hook_attn_out", add)],
        *lesions(),
    ]


def by_the_hook_point(model: Any) -> list[Any]:
    """TransformerLens gives each hook point a place to keep things in."""

    def times(factor):
        def note(activation, hook):
            hook.ctx["it"] = factor * activation

        return note

    def add(activation, hook):
        return 0.5 * activation + model.hook_dict["blocks.0.hook_mlp_out"].ctx["it"]

    return [[("blocks.0.hook_mlp_out", times(n)), ("blocks.2.hook_mlp_out", add)] for n in (1, 2, 3)]


def by_counting(model: Any) -> list[Any]:
    """A function that does something else the second time, at two points by one filter."""

    def one(factor):
        return [(lambda name: name.endswith("hook_mlp_out"), Counting(factor, counter))]

    counter = [0]
    return [one(2.0), one(3.0)]


class Counting:
    def __init__(self, factor, counter):
        self.factor, self.counter = factor, counter

    def __call__(self, activation, hook):
        self.counter[0] += 1
        return activation * (self.factor if self.counter[0] % 3 == 2 else 1.0)


@pytest.mark.parametrize("cuts", [by_a_dictionary, by_the_hook_point, by_counting])
def test_lesions_do_not_get_what_others_have_kept(cuts):
    model = tiny()
    found, settled = swept(model, cuts=cuts(model))
    torch.testing.assert_close(found, plain(model, _expanded(model, cuts(model))), atol=2e-5, rtol=1e-4)
    assert "hook functions of the user's own may hand things to each other" in settled.reason
    for plan in ("batched", "fanout"):
        with pytest.raises(ValueError, match=r"may hand things to each other.*plan='auto'"):
            swept(model, plan, cuts=cuts(model))


def _expanded(model, cuts):
    return [
        [(name, function) for what, function in cut for name in ([what] if isinstance(what, str) else _names(model))]
        for cut in cuts
    ]


def _names(model):
    return [name for name in model.hook_dict if name.endswith("hook_mlp_out")]


def test_one_function_in_a_lesion_shares_a_batch_as_before():
    cuts = [[("blocks.1.hook_mlp_out", lambda activation, hook: 2 * activation)], *lesions()]
    model = tiny()
    found, settled = swept(model, cuts=cuts)
    torch.testing.assert_close(found, plain(model, cuts), atol=2e-5, rtol=1e-4)
    assert settled.plan == "fanout+prefix"


def hook_of_transformer_lens(model):
    model.blocks[2].hook_mlp_out.add_hook(lambda activation, hook: 2 * activation)


def hook_of_pytorch(model):
    model.blocks[2].mlp.register_forward_hook(lambda module, inputs, output: 2 * output)


def hook_before(model):
    model.blocks[2].register_forward_pre_hook(lambda module, inputs: (2 * inputs[0], *inputs[1:]))


@pytest.mark.parametrize("change", [hook_of_transformer_lens, hook_of_pytorch, hook_before])
def test_a_function_that_puts_hooks_on_the_model_is_refused_where_lesions_run_together(change):
    model = tiny()

    def function(activation, hook):
        change(model)
        return 0.5 * activation

    cuts = [[("blocks.0.hook_mlp_out", function)], *lesions()]
    with pytest.raises(ValueError, match=r"has changed the hooks at 'blocks\.2.*plan='loop'"):
        swept(model, cuts=cuts)
