"""Norms and GELU as one kernel: the same numbers, where nobody looks inside, and nothing stays behind."""

import numpy as np
import pytest
import torch

import tlesion
from tlesion import interventions as iv
from tlesion.anatomy.kernels import in_one_kernel
from tlesion.sweeps.engine import run_sweep
from tlesion.sweeps.groups import Reading
from tlesion.sweeps.lesions import read_lesions
from tlesion.sweeps.sinks import TargetSink

FAMILIES = ("gpt2", "gpt-neo", "gpt-neox", "bert", "llama")


@pytest.fixture(scope="module")
def gpt2(checkpoint_folder):
    return tlesion.load_model(checkpoint_folder("gpt2"))


def replaced(block):
    """The names of a block's norms that have a forward of their own, and whether its GELU is another's."""
    norms = {name for name, module in block.named_children() if "forward" in vars(module)}
    gelu = getattr(block.mlp, "act_fn", None)
    return norms, getattr(gelu, "keywords", None) == {"approximate": "tanh"}


def hidden_states(model, dtype):
    return torch.from_numpy(3 * np.random.default_rng(0).standard_normal((3, 5, model.cfg.d_model))).to(dtype)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 5e-6), (torch.float64, 1e-13)])
def test_a_block_puts_out_the_same_numbers(checkpoint_folder, family, dtype, atol):
    model = tlesion.load_model(checkpoint_folder(family), dtype=dtype)
    for block in model.blocks:
        x = hidden_states(model, dtype)
        with torch.no_grad():
            expected = block(x)
            with in_one_kernel(block):
                found = block(x)
        torch.testing.assert_close(found, expected, atol=atol, rtol=atol)
        assert replaced(block) == (set(), False)


@pytest.mark.parametrize(
    ("family", "norms", "gelu"),
    [
        ("gpt2", {"ln1", "ln2"}, True),
        ("gpt-neo", {"ln1", "ln2"}, True),
        ("bert", {"ln1", "ln2"}, False),
        ("llama", set(), False),
    ],
)
def test_what_is_replaced_in_which_family(checkpoint_folder, family, norms, gelu):
    """BERT's GELU is one kernel in TransformerLens as well; a root-mean-square norm stays written out."""
    block = tlesion.load_model(checkpoint_folder(family)).blocks[0]
    with in_one_kernel(block):
        assert replaced(block) == (norms, gelu)


def test_half_precision_stays_as_it_is(checkpoint_folder):
    block = tlesion.load_model(checkpoint_folder("gpt2"), dtype=torch.bfloat16).blocks[0]
    with in_one_kernel(block):
        assert replaced(block) == (set(), False)


def test_a_norm_with_a_hook_inside_stays_as_it_is(gpt2):
    look = ("blocks.0.ln2.hook_scale", lambda activation, hook: None)
    with gpt2.hooks(fwd_hooks=[look]), in_one_kernel(gpt2.blocks[0]):
        assert replaced(gpt2.blocks[0]) == ({"ln1"}, True)


def test_nothing_stays_replaced_after_an_error(gpt2):
    block, before = gpt2.blocks[0], gpt2.blocks[0].mlp.act_fn
    with pytest.raises(RuntimeError, match="somebody's"), in_one_kernel(block):
        raise RuntimeError("somebody's")
    assert replaced(block) == (set(), False)
    assert block.mlp.act_fn is before


def triple(activation, hook):
    return 3 * activation


@pytest.mark.slow
@pytest.mark.parametrize("point", ["ln1.hook_scale", "ln1.hook_normalized", "ln2.hook_normalized"])
@pytest.mark.parametrize("family", ["gpt2", "bert"])
def test_a_lesion_inside_a_norm_is_the_loops(checkpoint_folder, family, point):
    model = tlesion.load_model(checkpoint_folder(family))
    lesions = [
        [(f"blocks.{layer}.{point}", triple)] if layer % 2 else [iv.zero(f"blocks.{layer}.mlp.hook_post")]
        for layer in range(model.cfg.n_layers)
    ]
    readings = [Reading(torch.arange(5, 12), torch.tensor([3]), torch.tensor([[5, 6]]))]
    drops = {}
    for plan in ("loop", "auto"):
        sink = TargetSink(readings, global_change=False)
        run_sweep(model, readings, read_lesions(model, lesions), sink, plan=plan)
        drops[plan] = sink.clean - sink.lesioned
    torch.testing.assert_close(drops["auto"], drops["loop"], atol=2e-5, rtol=1e-4)
    assert drops["loop"].abs().min() > 1e-4, "every lesion costs something"
