"""A `forward` or an activation function is swapped for a while; whatever was there before is there again afterwards."""

import sys
from typing import Any

import pytest
import torch
from torch import nn

import tlesion
from tlesion import interventions as iv
from tlesion.anatomy.attention import attending_to, attending_to_prefix
from tlesion.anatomy.clean_parts import answering_as_clean, noting_clean
from tlesion.anatomy.kernels import streamlined
from tlesion.anatomy.model import blocks
from tlesion.anatomy.swapping import swapped, swapped_attributes, swapped_forwards

PARTS = ("ln1", "attn", "mlp", "ln2")


@pytest.fixture(scope="module", params=["bert", "gpt2", "llama"])
def loaded(request, checkpoint_folder):
    return tlesion.load_model(checkpoint_folder(request.param))


@pytest.fixture
def model(loaded):
    """Fresh for every test, which may patch its blocks."""
    yield loaded
    for block in loaded.blocks:
        for part in PARTS:
            vars(getattr(block, part)).pop("forward", None)


def passing_on(usual):
    """A `forward` of the user's own, which computes the same."""
    return lambda *args, **kwargs: usual(*args, **kwargs)


def patched(model):
    """Every part of every block gets a `forward` of its own; returns them by name."""
    own = {}
    for layer, block in enumerate(model.blocks):
        for part in PARTS:
            module = getattr(block, part)
            module.forward = own[f"blocks.{layer}.{part}"] = passing_on(module.forward)
    return own


def own_forwards(model):
    return {name: vars(module)["forward"] for name, module in model.named_modules() if "forward" in vars(module)}


def prompts_for(model):
    prompt = tlesion.Prompt("She thanked [MASK].", ("him", "her"))
    return [prompt if type(model).__name__ == "HookedEncoder" else prompt.before_mask()]


def lesions_of(last):
    """One that joins inside its first block, one that goes through all of it, one that leaves the last block alone."""
    return [
        [iv.zero(f"blocks.{last}.mlp.hook_post", positions=-1)],
        [iv.zero("blocks.0.attn.hook_z", positions=-1)],
        [iv.zero("blocks.0.mlp.hook_post", positions=-1)],
    ]


def fail(activation, hook):
    raise RuntimeError("in the middle")


@pytest.mark.slow
def test_a_forward_of_the_users_own_survives_a_sweep(model):
    own = patched(model)
    tlesion.sweep(model, prompts_for(model), lesions_of(model.cfg.n_layers - 1))
    assert own_forwards(model) == own


@pytest.mark.parametrize("point", ["mlp.hook_post", "attn.hook_z"])
def test_a_forward_of_the_users_own_survives_a_sweep_that_breaks_off(model, point):
    own = patched(model)
    lesions = [*lesions_of(model.cfg.n_layers - 1), [(f"blocks.1.{point}", fail)]]
    with pytest.raises(RuntimeError, match="in the middle"):
        tlesion.sweep(model, prompts_for(model), lesions)
    assert own_forwards(model) == own


def test_a_model_that_nobody_patched_has_no_forward_of_its_own_afterwards(model):
    tlesion.sweep(model, prompts_for(model), lesions_of(model.cfg.n_layers - 1))
    assert own_forwards(model) == {}


class Doubling(nn.Module):
    def forward(self, x):
        return 2 * x


def doubling() -> Any:
    """Of any type, because a type checker rightly refuses what these tests do with it."""
    return Doubling()


def tenfold(x):
    return 10 * x


def hundredfold(x):
    return 100 * x


def test_a_forward_is_swapped_and_the_classs_own_comes_back():
    module, x = doubling(), torch.ones(2)
    with swapped(module, tenfold):
        assert torch.equal(module(x), 10 * x)
    assert "forward" not in vars(module)
    assert torch.equal(module(x), 2 * x)


def test_a_forward_that_the_module_had_itself_comes_back_as_the_same_object():
    module, x = doubling(), torch.ones(2)
    module.forward = tenfold
    with swapped(module, hundredfold):
        assert torch.equal(module(x), 100 * x)
    assert vars(module)["forward"] is tenfold


def test_swaps_within_swaps_come_back_one_by_one():
    module, x = doubling(), torch.ones(2)
    with swapped(module, tenfold):
        with swapped(module, hundredfold):
            assert torch.equal(module(x), 100 * x)
        assert torch.equal(module(x), 10 * x)
    assert torch.equal(module(x), 2 * x)


def test_hooks_of_a_swapped_module_fire_as_usual():
    module, x = doubling(), torch.ones(2)
    module.register_forward_hook(lambda module, args, output: output + 1)
    with swapped(module, tenfold):
        assert torch.equal(module(x), 10 * x + 1)
    assert torch.equal(module(x), 2 * x + 1)


def test_several_modules_of_which_one_had_its_own():
    one, other, x = doubling(), doubling(), torch.ones(2)
    one.forward = tenfold
    with swapped_forwards((one, hundredfold), (other, hundredfold)):
        assert torch.equal(one(x) + other(x), 200 * x)
    assert vars(one)["forward"] is tenfold
    assert "forward" not in vars(other)


def test_other_attributes_and_submodules_are_covered_and_come_to_light_again():
    """An activation function may be a plain function or a module, which PyTorch keeps among the submodules."""
    module: Any = nn.Module()
    module.plain, module.act_fn = tenfold, nn.ReLU()
    relu = module.act_fn
    with swapped_attributes((module, "plain", hundredfold), (module, "act_fn", tenfold), (module, "new", 3)):
        assert module.plain is hundredfold
        assert module.act_fn is tenfold
        assert module.new == 3
    assert module.plain is tenfold
    assert module.act_fn is relu
    assert "act_fn" not in vars(module)
    assert not hasattr(module, "new")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_what_was_there_comes_back_after_an_error(error):
    one, other = doubling(), doubling()
    one.forward = tenfold
    with pytest.raises(error), swapped_forwards((one, hundredfold), (other, hundredfold)):
        raise error
    assert vars(one)["forward"] is tenfold
    assert "forward" not in vars(other)


def test_ctrl_c_at_any_line_on_the_way_in_leaves_nothing_behind():
    """Interrupted at the first line, at the second, and so on until the block is reached."""
    reached = False
    for stop_at in range(1, 100):
        one, other, seen = doubling(), doubling(), 0
        one.forward = tenfold

        def interrupt(frame, event, argument, stop_at=stop_at):
            nonlocal seen
            if not frame.f_code.co_filename.endswith("swapping.py") or frame.f_code.co_name.startswith("test"):
                return interrupt if event == "call" else None
            if event == "line":
                seen += 1
                if seen == stop_at:
                    raise KeyboardInterrupt
            return interrupt

        before = sys.gettrace()
        sys.settrace(interrupt)
        try:
            with swapped_attributes((one, "forward", hundredfold), (other, "forward", hundredfold)):
                reached = True
                sys.settrace(before)
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        assert vars(one)["forward"] is tenfold
        assert "forward" not in vars(other)
        if reached:
            break
    assert reached
    assert stop_at > 4, "several lines were interrupted before"


def noted(block, x):
    with torch.no_grad(), noting_clean(block, len(x)) as parts:
        block(x)
    return parts


# Everything that swaps something in a block, as a function of block and hidden states.
SWAPS = {
    "streamlined": lambda block, x: streamlined(block),
    "attending to": lambda block, x: attending_to(block, x),
    "answering as clean": lambda block, x: answering_as_clean(block, noted(block, x)),
    "attending to a prefix": lambda block, x: attending_to_prefix(block, *prefix_of(block, x)),
}


def prefix_of(block, x):
    cfg = block.cfg
    keys = torch.zeros(len(x), 2, cfg.n_key_value_heads or cfg.n_heads, cfg.d_head)
    return keys, keys


@pytest.mark.parametrize("swap", SWAPS.values(), ids=SWAPS)
@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_every_swap_in_a_block_puts_back_what_the_user_had_put_there(model, swap, error):
    own, block = patched(model), blocks(model)[1]
    x = torch.randn(2, 3, model.cfg.d_model, generator=torch.Generator().manual_seed(0))
    block.mlp.act_fn, act_fn = tenfold, block.mlp.act_fn
    try:
        if error is None:
            with swap(block, x):
                pass
        else:
            with pytest.raises(error), swap(block, x):
                raise error
        assert own_forwards(model) == own
        assert block.mlp.act_fn is tenfold
        assert not block.attn._forward_hooks
    finally:
        block.mlp.act_fn = act_fn
