"""What a sweep leaves out of a lesion's first block and a masked model's last one; the numbers stay the same."""

from typing import Any

import pytest
import torch
from transformer_lens.components import abstract_attention, grouped_query_attention

import tlesion
from tlesion import interventions as iv
from tlesion.anatomy import clean_parts
from tlesion.anatomy.model import blocks
from tlesion.sweeps.engine import run_sweep
from tlesion.sweeps.groups import Reading
from tlesion.sweeps.lesions import read_lesions
from tlesion.sweeps.plans.joining import in_joining_order, joined_by_layer
from tlesion.sweeps.sinks import TargetSink

pytestmark = pytest.mark.slow

TOLERANCE: dict[str, Any] = {"atol": 2e-5, "rtol": 1e-4}


@pytest.fixture(scope="module", params=["bert", "gpt2", "gpt-neox", "llama"])
def model(request, checkpoint_folder):
    return tlesion.load_model(checkpoint_folder(request.param))


@pytest.fixture(scope="module")
def masked(checkpoint_folder):
    return tlesion.load_model(checkpoint_folder("bert"))


def readings_of(model, n_prompts=2, n_positions=7, readout=(3,)):
    rng = torch.Generator().manual_seed(0)
    targets = torch.tensor([[5, 6]] * len(readout))
    return [
        Reading(torch.randint(5, model.cfg.d_vocab, (n_positions,), generator=rng), torch.tensor(readout), targets)
        for _ in range(n_prompts)
    ]


def swept(model, lesions, plan, **which):
    readings = readings_of(model, **which)
    sink = TargetSink(readings, global_change=True)
    run_sweep(model, readings, read_lesions(model, lesions), sink, plan=plan)
    return sink


def require_like_the_loop(model, lesions, plan="fanout", **which):
    ours, loop = swept(model, lesions, plan, **which), swept(model, lesions, "loop", **which)
    torch.testing.assert_close(ours.lesioned, loop.lesioned, **TOLERANCE)
    torch.testing.assert_close(ours.global_change, loop.global_change, **TOLERANCE)
    assert float(loop.global_change.min()) > 1e-3, "every lesion changes something"


@pytest.fixture
def queries(monkeypatch):
    """The shapes [row, pos] that the attention of every layer is asked for, in order.

    The model itself is left alone: one that is patched is swept by the loop.
    """

    def watch(model):
        swept(model, [[iv.zero("blocks.0.mlp.hook_post")]], "fanout")  # What plans rely on is measured by now.
        seen: dict[int, list[tuple[int, ...]]] = {layer: [] for layer in range(model.cfg.n_layers)}
        layers = {id(block.attn.W_Q): layer for layer, block in enumerate(model.blocks)}

        def asked(inputs, weight, bias):
            if id(weight) in layers:
                seen[layers[id(weight)]].append(tuple(inputs.shape[:2]))
            return usual(inputs, weight, bias)

        usual = getattr(abstract_attention, "simple_attn_linear")  # noqa: B009  Imported there, not exported.
        for module in (abstract_attention, grouped_query_attention):
            monkeypatch.setattr(module, "simple_attn_linear", asked)
        return seen

    return watch


def double(activation, hook):
    """A user's own hook, in place."""
    activation *= 2


def test_a_lesion_of_activations_asks_nothing_of_its_first_attention(model, queries):
    lesions = [[iv.zero(f"blocks.{layer}.mlp.hook_post", units=slice(0, 9))] for layer in range(model.cfg.n_layers)]
    seen = queries(model)
    swept(model, lesions, "fanout")
    last = model.cfg.n_layers - 1
    for layer in range(last):
        assert sum(rows for rows, _ in seen[layer]) == 2 * (1 + layer), "the clean rows and those of earlier layers"


def test_a_lesion_that_begins_before_the_activations_goes_through_the_whole_block(model, queries):
    lesions = [[iv.zero("blocks.0.mlp.hook_pre", units=slice(0, 9))], [iv.zero("blocks.0.mlp.hook_post")]]
    seen = queries(model)
    swept(model, lesions, "fanout")
    assert sum(rows for rows, _ in seen[0]) == 2 * 2, "the clean rows and the first lesion's"


@pytest.mark.parametrize(
    "edits",
    [
        lambda last: [iv.zero("blocks.0.mlp.hook_post")],
        lambda last: [iv.gaussian("blocks.1.mlp.hook_post", mean=3.0, positions=[2, 3])],
        lambda last: [(f"blocks.{last}.mlp.hook_post", double)],
        lambda last: [iv.scale("blocks.0.mlp.hook_post", 3.0), iv.zero(f"blocks.{last}.mlp.hook_post")],
        lambda last: [iv.scale("blocks.0.mlp.hook_post", 3.0), iv.zero("blocks.0.hook_mlp_out", positions=3)],
        lambda last: [iv.zero("blocks.0.mlp.hook_post"), iv.zero(f"blocks.{last}.attn.hook_q")],
    ],
)
def test_numbers_are_those_of_the_loop(model, edits):
    last = model.cfg.n_layers - 1
    beside = [iv.zero(f"blocks.{last}.attn.hook_v"), iv.zero("blocks.0.attn.hook_z")]
    require_like_the_loop(model, [edits(last), *([one] for one in beside)])
    if model.cfg.attention_dir == "causal":
        tail = [[iv.zero(f"blocks.{layer}.mlp.hook_post", positions=[3, 6])] for layer in range(last + 1)]
        require_like_the_loop(model, tail, "prefix", readout=(6,))


def test_only_changed_positions_go_through_the_output_weights(model, monkeypatch):
    """Two prompts, and lesions at one position, at all, and at none that they know of beforehand."""
    asked = []
    usual = clean_parts._through_output_weights

    def watch(mlp, activation):
        asked.append(len(activation))
        return usual(mlp, activation)

    monkeypatch.setattr(clean_parts, "_through_output_weights", watch)

    def third(activation, hook):
        activation[:, 2] *= 2

    for edit, n_changed in (
        (iv.scale("blocks.0.mlp.hook_post", 2.0, positions=3), 2 * 1),
        (iv.scale("blocks.0.mlp.hook_post", 2.0), 2 * 7),
        (("blocks.0.mlp.hook_post", third), 2 * 1),
        (("blocks.0.mlp.hook_post", lambda activation, hook: None), 0),
    ):
        asked.clear()
        ours, loop = swept(model, [[edit]], "fanout"), swept(model, [[edit]], "loop")
        assert asked == [n_changed]
        torch.testing.assert_close(ours.lesioned, loop.lesioned, **TOLERANCE)


def test_the_last_block_of_a_masked_model_is_asked_where_it_is_read(masked, queries):
    last = masked.cfg.n_layers - 1
    lesions = [[iv.zero("blocks.0.mlp.hook_post")], [iv.zero("blocks.0.attn.hook_z")]]
    require_like_the_loop(masked, lesions, readout=(2, 5))
    seen = queries(masked)
    swept(masked, lesions, "fanout", readout=(2, 5))
    assert sorted(seen[last]) == [(2, 7), (2 * 2, 2)], "the clean rows at all positions, two lesions' at two"


def test_a_lesion_in_the_last_block_is_run_in_full(masked, queries):
    last = masked.cfg.n_layers - 1
    seen = queries(masked)
    swept(masked, [[iv.zero("blocks.0.mlp.hook_post"), iv.zero(f"blocks.{last}.attn.hook_q")]], "fanout")
    assert {positions for _, positions in seen[last]} == {7}


def test_nothing_stays_replaced_when_a_hook_fails(model):
    def fail(activation, hook):
        raise RuntimeError("a hook of the user's own")

    with pytest.raises(RuntimeError, match="of the user's own"):
        swept(model, [[("blocks.0.mlp.hook_post", fail)]], "fanout")
    for block in model.blocks:
        for module in (block.attn, block.mlp, block.mlp.hook_post):
            assert "forward" not in vars(module)
            assert not module._forward_hooks


def test_those_that_join_inside_come_after_the_others_of_their_layer(model):
    lesions = read_lesions(
        model,
        [
            [iv.zero("blocks.1.mlp.hook_post")],
            [iv.zero("blocks.1.hook_resid_pre")],
            [iv.zero("blocks.0.mlp.hook_post"), iv.zero("blocks.0.hook_mlp_out")],
            [iv.zero("blocks.0.mlp.hook_post"), iv.zero("blocks.1.hook_resid_post")],
        ],
    )
    ordered = in_joining_order(lesions, blocks(model))
    assert [lesion.index for lesion in ordered] == [2, 3, 1, 0]
    assert joined_by_layer(ordered, blocks(model))[:2] == [(1, 1), (3, 1)]
