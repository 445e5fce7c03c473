"""Interventions that cannot be meant are refused, in words that say what came and what is allowed."""

import numpy as np
import pytest
import torch

from tlesion import interventions as iv
from tlesion import load_model

NAME = "blocks.0.mlp.hook_post"
HEADS = "blocks.0.attn.hook_z"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: iv.zero("mlp.hook_post"), r"'mlp\.hook_post' is the short form for every layer; an intervention names "
         r"one: 'blocks\.<layer>\.mlp\.hook_post'"),
        (lambda: iv.zero("hook_resid_post"), r"'hook_resid_post' is the short .*blocks\.<layer>\.hook_resid_post'"),
        (lambda: iv.scale("hook_mlp_out", 0), r"'hook_mlp_out' is the short form"),
        (lambda: iv.scale("attn.hook_z", 0), r"'attn\.hook_z' is the short form"),
        (lambda: iv.zero("blocks.0.attn.hook_pattern"), r"has no \[batch, pos, unit\] activation .* your own hook"),
        (lambda: iv.zero(NAME, units=[0.5, 1.0]), r"units of shape \(2,\) and type torch\.float64 name no part of one "
         r"axis; give an index, a list of indices, a slice, a bool mask over the axis, or None for all"),
        (lambda: iv.zero(NAME, units=torch.rand(5)), r"units of shape \(5,\) and type torch\.float32 name no part"),
        (lambda: iv.zero(NAME, units=np.ones((2, 5), dtype=bool)), r"units of shape \(2, 5\) and type torch\.bool .*; "
         r"a mask \[layer, unit\] is given a layer at a time, mask\[layer\]"),
        (lambda: iv.zero(NAME, units=True), r"units of shape \(\) and type torch\.bool name no part"),
        (lambda: iv.zero(NAME, units=["a"]), r"units \['a'\] are not understood; give an index"),
        (lambda: iv.zero(NAME, units="readout"), r"units 'readout' are not understood; give an index"),
        (lambda: iv.zero(NAME, units=[[1], [1, 2]]), r"units \[\[1\], \[1, 2\]\] are not understood"),
        (lambda: iv.zero(NAME, units=slice(None, None, -1)), r"units slice\(None, None, -1\) have a negative step"),
        (lambda: iv.zero(NAME, positions="last"), r"positions 'last' are not understood; give 'readout', an index"),
        (lambda: iv.zero(HEADS, heads=[1.5]), r"heads of shape \(1,\) and type torch\.float64 name no part"),
        (lambda: iv.replace(NAME, torch.tensor([1.0, torch.nan])), r"hold 1 NaN or infinite entries; replacement "
         r"values are finite"),
        (lambda: iv.scale(NAME, float("inf")), r"factor inf is not finite"),
        (lambda: iv.gaussian(NAME, std=-1), r"std -1 is negative; a standard deviation is 0 or more"),
        (lambda: iv.gaussian(NAME, mean=float("nan")), r"mean nan is not finite"),
        (lambda: iv.gaussian(NAME, seed=-1), r"seed -1 is negative; seeds are 0 or more"),
        (lambda: iv.gaussian(NAME, mode="multiply"), r"mode 'multiply' is unknown; allowed: 'substitute', 'add'"),
    ],
)  # fmt: skip
def test_what_no_activation_could_take_is_refused_at_once(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("intervention", "shape", "message"),
    [
        (iv.zero(NAME, units=torch.ones(4, dtype=torch.bool)), (1, 2, 5), r"units mask of shape \(4,\) at "
         r"'blocks\.0\.mlp\.hook_post'; the activation there has 5 units, so the mask must have shape \(5,\)"),
        (iv.zero(NAME, units=[0, -6]), (1, 2, 5), r"units \[-6\] at .* do not exist; the activation there has 5 units"),
        (iv.zero(NAME, units=[5, 0]), (1, 2, 5), r"units \[5\] at .* do not exist"),
        (iv.zero(NAME, units=[5, -6]), (1, 2, 5), r"units \[5, -6\] at .* do not exist; the activation there has 5 "
         r"units, 0 to 4"),
        (iv.zero(NAME, positions=2), (1, 2, 5), r"positions \[2\] at .* do not exist; .* has 2 positions, 0 to 1"),
        (iv.zero(NAME, heads=0), (1, 2, 5), r"at 'blocks\.0\.mlp\.hook_post', whose activation has no head axis "
         r"\(shape \(1, 2, 5\)\); heads exist at attn\.hook_q, hook_k, hook_v, hook_z and hook_result"),
        (iv.zero(HEADS, heads=3), (1, 2, 3, 5), r"heads \[3\] at .* do not exist; .* has 3 heads, 0 to 2"),
        (iv.zero(NAME, positions="readout"), (1, 2, 5), r"positions='readout' .* is known only where prompts are: run "
         r"the intervention with tlesion\.sweep, or give an index"),
        (iv.replace(NAME, torch.zeros(4)), (1, 2, 5), r"values of shape \(4,\) for .* do not fit the activation's "
         r"\(5,\) at 2 edited positions; give a number, one value per unit, or one per position and unit"),
        (iv.replace(NAME, torch.zeros(2, 5)), (1, 3, 5), r"values for .* cover 2 positions, and position 2 is edited; "
         r"give values for every position of the prompt, or for none"),
        (iv.replace(NAME, torch.zeros(3, 2, 5)), (4, 2, 5), r"values of shape \(3, 2, 5\) for .* do not fit"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_activation_is_refused_when_it_runs(intervention, shape, message):
    activation = torch.ones(shape)
    with pytest.raises(ValueError, match=message):
        intervention.edit(activation)
    assert torch.equal(activation, torch.ones(shape))


def test_a_refusal_inside_a_run_leaves_no_hook(checkpoint_folder):
    model = load_model(checkpoint_folder("gpt2"))
    with pytest.raises(ValueError, match=r"units \[999\]"):
        model.run_with_hooks(torch.tensor([[5, 6]]), fwd_hooks=[iv.zero(NAME, units=[999])])
    assert not any(point.fwd_hooks for point in model.hook_dict.values())
