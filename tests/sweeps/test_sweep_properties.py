"""Any small model, any lesion: the fast plans equal the loop."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformer_lens import HookedTransformer, HookedTransformerConfig

from tlesion import interventions as iv
from tlesion.models.quiet import quiet
from tlesion.sweeps.engine import run_sweep
from tlesion.sweeps.groups import Reading
from tlesion.sweeps.lesions import read_lesions
from tlesion.sweeps.sinks import TargetSink

pytestmark = pytest.mark.slow

D_VOCAB = 23


SHAPES = st.fixed_dictionaries(
    {
        "n_heads": st.sampled_from([1, 2, 4]),
        "n_layers": st.integers(1, 4),
        "rotary": st.booleans(),
        "local": st.booleans(),
        "act_fn": st.sampled_from(["gelu", "gelu_new", "silu", "relu"]),
        "normalization_type": st.sampled_from(["LN", "RMS", None]),
        "grouped": st.booleans(),
        "gated_mlp": st.booleans(),
        "parallel_attn_mlp": st.booleans(),
        "seed": st.integers(0, 10**6),
    }
)
EDITS = st.fixed_dictionaries(
    {
        "layer": st.integers(0, 3),
        "point": st.sampled_from(
            ["mlp.hook_pre", "mlp.hook_post", "attn.hook_k", "attn.hook_v", "attn.hook_z", "hook_resid_post"]
        ),
        "positions": st.sampled_from([None, -1, [-1], [2, 3], slice(1, None), "readout", slice(-2, None)]),
        "units": st.sampled_from([None, [0], slice(0, None, 3), [1, 5]]),
        "heads": st.sampled_from([None, 0]),
        "kind": st.sampled_from(["zero", "scale", "replace", "gaussian"]),
    }
)


def model_of(shape):
    local, n_heads = shape["local"], shape["n_heads"]
    cfg = HookedTransformerConfig(
        n_layers=shape["n_layers"],
        d_model=8 * n_heads,
        d_head=8,
        n_heads=n_heads,
        n_ctx=16,
        d_vocab=D_VOCAB,
        d_mlp=24,
        act_fn=shape["act_fn"],
        normalization_type=shape["normalization_type"],
        positional_embedding_type="rotary" if shape["rotary"] else "standard",
        rotary_dim=4 if shape["rotary"] else None,
        n_key_value_heads=1 if shape["grouped"] else None,
        gated_mlp=shape["gated_mlp"],
        parallel_attn_mlp=shape["parallel_attn_mlp"],
        use_local_attn=local,
        window_size=3 if local else None,
        attn_types=(["global", "local"] * 2)[: shape["n_layers"]] if local else None,
    )
    with quiet():
        model = HookedTransformer(cfg, move_to_device=False).eval()
    rng = np.random.default_rng(shape["seed"])
    for parameter in model.parameters():
        drawn = torch.from_numpy(rng.standard_normal(tuple(parameter.shape), dtype=np.float32))
        parameter.requires_grad_(False).copy_(drawn * 0.2)
    return model


def intervention_of(model, edit):
    name = f"blocks.{edit['layer'] % model.cfg.n_layers}.{edit['point']}"
    heads = edit["heads"] if "attn" in edit["point"] else None
    where = {"units": edit["units"], "heads": heads, "positions": edit["positions"]}
    make = {
        "zero": lambda: iv.zero(name, **where),
        "scale": lambda: iv.scale(name, -1.5, **where),
        "replace": lambda: iv.replace(name, 0.7, **where),
        "gaussian": lambda: iv.gaussian(name, mean=0.5, seed=3, mode="add", **where),
    }
    return make[edit["kind"]]()


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    shape=SHAPES,
    drawn=st.lists(st.lists(EDITS, min_size=1, max_size=3), min_size=1, max_size=5),
    lengths=st.lists(st.integers(4, 9), min_size=1, max_size=3),
)
def test_fast_plans_equal_the_loop_for_any_model_and_lesion(shape, drawn, lengths):
    model = model_of(shape)
    lesions = [[intervention_of(model, edit) for edit in lesion] for lesion in drawn]
    rng = torch.Generator().manual_seed(1)
    readings = [
        Reading(torch.randint(D_VOCAB, (n,), generator=rng), torch.tensor([n - 1]), torch.tensor([[1, 2]]))
        for n in lengths
    ]
    results = {}
    for plan in ("loop", "batched", "fanout", "auto"):
        sink = TargetSink(readings, global_change=True)
        run_sweep(model, readings, read_lesions(model, lesions), sink, plan=plan)
        results[plan] = sink
    # Weights of size 0.2 keep activations near 1; without a norm they grow with depth, so that the scale is relative.
    scale = max(1.0, float(results["loop"].lesioned.abs().max()))
    for plan in ("batched", "fanout", "auto"):
        error = (results[plan].lesioned - results["loop"].lesioned).abs().max()
        assert error <= 2e-5 * scale, (plan, float(error), scale)
        moved = (results[plan].global_change - results["loop"].global_change).abs().max()
        assert moved <= 2e-5 * scale
