"""A model of attention alone, as toy studies of induction use it: its blocks have no MLP to look into."""

import numpy as np
import pytest
import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig

from tlesion import interventions as iv
from tlesion.models.quiet import quiet
from tlesion.sweeps.engine import run_sweep
from tlesion.sweeps.groups import Reading
from tlesion.sweeps.lesions import read_lesions
from tlesion.sweeps.sinks import TargetSink


@pytest.fixture(scope="module")
def model():
    config = HookedTransformerConfig(
        n_layers=2,
        d_model=16,
        d_head=8,
        n_heads=2,
        n_ctx=16,
        d_vocab=20,
        attn_only=True,
        init_weights=False,
        device="cpu",
    )
    with quiet():
        made = HookedTransformer(config)
    rng = np.random.default_rng(0)
    for parameter in made.parameters():
        parameter.data = torch.from_numpy(0.3 * rng.standard_normal(tuple(parameter.shape), dtype=np.float32))
    return made.eval()


def swept(model, plan):
    readings = [Reading(torch.arange(n, n + 7), torch.tensor([6]), torch.tensor([[3, 4]])) for n in (2, 5)]
    lesions = [[iv.zero(f"blocks.{layer}.attn.hook_z", heads=1, positions=-1)] for layer in range(2)]
    sink = TargetSink(readings, global_change=True)
    run_sweep(model, readings, read_lesions(model, lesions), sink, plan=plan)
    return sink


@pytest.mark.parametrize("plan", ["auto", "fanout", "batched"])
def test_every_plan_equals_the_loop(model, plan):
    ours, loop = swept(model, plan), swept(model, "loop")
    torch.testing.assert_close(ours.lesioned, loop.lesioned, atol=2e-5, rtol=1e-4)
    assert float(loop.global_change.min()) > 1e-3, "every lesion changes something"
