"""Regions that would mean something else than they say, or nothing: refused. Empty ones that say so change nothing."""

import numpy as np
import pytest
import torch

import tlesion
from tlesion import interventions as iv

pytestmark = pytest.mark.slow

NEURONS, HEADS, STATE = "blocks.3.mlp.hook_post", "blocks.3.attn.hook_k", "blocks.3.hook_resid_post"
PROMPTS = [
    tlesion.Prompt("Robert thanked Lucy because she helped [MASK].", ("him", "her")),
    tlesion.Prompt("We saw [MASK].", ("him", "her")),
]
MASK = np.zeros(512, dtype=int)
MASK[[5, 100, 300]] = 1


def drop(model, *edits, plan="auto"):
    return tlesion.sweep(model, PROMPTS, [list(edits)], plan=plan).logit_drop[0]


@pytest.mark.parametrize(
    "units",
    [MASK, MASK.tolist(), MASK.astype(np.int8), MASK.astype(np.uint64), torch.tensor(MASK), torch.tensor(MASK).byte(),
     np.ones(512, dtype=int), np.zeros(512, dtype=int), [0, 1, 1], (1, 1)],
    ids=lambda units: f"{type(units).__name__}, {len(units)}, {getattr(units, 'dtype', '')}",
)  # fmt: skip
@pytest.mark.parametrize("part", ["units", "heads", "positions"])
def test_a_mask_of_zeros_and_ones_is_not_taken_for_indices(part, units):
    with pytest.raises(
        ValueError, match=rf"{part} are \d+ whole numbers, all 0 or 1: they look like a mask.*mask\.bool"
    ):
        iv.zero(HEADS, **{part: units})


@pytest.mark.parametrize(
    ("indices", "named"),
    [
        ([0, 1], {0, 1}),
        ([1, 0], {0, 1}),
        ([0], {0}),
        (1, {1}),
        (np.int64(1), {1}),
        (torch.tensor(0), {0}),
        (range(2), {0, 1}),
        (np.arange(2), {0, 1}),
    ],
)
def test_zero_and_one_once_each_are_indices(indices, named):
    ones = torch.ones(1, 1, 3)
    assert iv.zero(NEURONS, units=indices).edit(ones)[0, 0].tolist() == [float(unit not in named) for unit in range(3)]


@pytest.mark.parametrize(
    "wrong",
    [[True, 2], [0, False], {1, 2}, {1: True}, [1.0, 2.0], 1.5, True, np.bool_(True), "1", ["1"], [None], object(),
     slice(0.5, 3), slice("a", None), slice(None, None, 0), slice(5, None, -1), np.zeros((2, 3), dtype=bool),
     (one for one in [1, 2]), np.array([1 + 2j]), [[1], [2, 3]]],
    ids=lambda wrong: repr(wrong).split(" at 0x")[0],  # An address differs between processes.
)  # fmt: skip
@pytest.mark.parametrize("part", ["units", "heads", "positions"])
def test_what_names_no_part_of_an_axis_is_refused_at_once(part, wrong):
    with pytest.raises(ValueError, match=rf"^{part} "):
        iv.zero(HEADS, **{part: wrong})


@pytest.mark.parametrize("plan", ["loop", "auto"])
@pytest.mark.parametrize(
    ("point", "region"),
    [
        (NEURONS, {"units": slice(512, 1024)}),
        (NEURONS, {"units": slice(500, 513)}),
        (NEURONS, {"units": slice(512, None)}),
        (NEURONS, {"units": slice(-513, None)}),
        (NEURONS, {"units": slice(-3, 2)}),
        (NEURONS, {"units": slice(-3, 0)}),
        (NEURONS, {"units": [0, 512]}),
        (NEURONS, {"units": -513}),
        (NEURONS, {"units": torch.ones(511, dtype=torch.bool)}),
        (NEURONS, {"heads": [0]}),
        (HEADS, {"heads": slice(4, 8)}),
        (HEADS, {"heads": slice(3, 8)}),
        (HEADS, {"heads": [1, 4]}),
        (HEADS, {"units": slice(32, 64)}),
        (HEADS, {"heads": 1, "units": 32}),
        (HEADS, {"heads": 1, "units": np.ones(128, dtype=bool)}),
        (NEURONS, {"positions": slice(40, 50)}),
        (NEURONS, {"positions": slice(2, 8)}),
        (STATE, {"positions": slice(-8, None)}),
        (STATE, {"positions": [7]}),
        (STATE, {"positions": -8}),
        (STATE, {"positions": np.ones(7, dtype=bool)}),
    ],
    ids=str,
)  # fmt: skip
def test_what_lies_outside_is_refused_by_every_plan_before_anything_is_run(toy_bert, point, region, plan):
    """The second prompt has 6 tokens: what the first has and it has not is outside, too."""
    calls = []
    with pytest.raises(ValueError, match=r"go outside|do not exist|name none of|must have shape|has no head axis"):
        drop(toy_bert, ("blocks.0.hook_resid_pre", lambda activation, hook: calls.append(1)), iv.zero(point, **region), plan=plan)  # fmt: skip  # noqa: E501
    assert not calls


@pytest.mark.parametrize(
    ("region", "same"),
    [
        ({"units": slice(500, 512)}, {"units": list(range(500, 512))}),
        ({"units": slice(-2, None)}, {"units": [510, -1]}),
        ({"units": [7, 7, -505]}, {"units": 7}),
        ({"units": slice(np.int64(3), np.int64(9), np.int64(3))}, {"units": [3, 6]}),
        ({"units": MASK.astype(bool)}, {"units": [5, 100, 300]}),
        ({"units": MASK.astype(bool).tolist()}, {"units": [300, 100, 5]}),
        ({"positions": slice(4, None)}, {"positions": slice(4, None, 1)}),
        ({"positions": range(2, 5)}, {"positions": (2, 3, 4)}),
    ],
    ids=str,
)
def test_two_ways_to_name_the_same_part(toy_bert, region, same):
    ours, theirs = (drop(toy_bert, iv.zero(NEURONS, **given)) for given in (region, same))
    assert torch.equal(ours, theirs)
    assert float(ours.abs().max()) > 0


@pytest.mark.parametrize(
    "region",
    [{"units": []}, {"units": np.zeros(512, dtype=bool)}, {"positions": []}, {"units": slice(3, 3)}, {"positions": ()},
     {"units": torch.zeros(0, dtype=torch.long)}],
    ids=str,
)  # fmt: skip
def test_an_empty_region_that_says_so_changes_nothing_to_the_last_bit(toy_bert, region):
    for plan in ("loop", "auto"):
        result = tlesion.sweep(toy_bert, PROMPTS, [[iv.zero(NEURONS, **region)]], plan=plan)
        assert torch.equal(result.lesioned_logits[0], result.clean_logits)


NOTHING = torch.zeros(12, 512, dtype=torch.bool)
SOME = NOTHING.index_fill(1, torch.tensor([5, 100, 300]), True)


@pytest.mark.parametrize("study", [tlesion.laminar_profile, tlesion.cumulative_lesion, tlesion.decompose_drop])
@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (SOME.int(), ValueError, r"needs a bool mask of shape \(12, 512\), \[layer, unit\]; mask\.bool\(\) makes one"),
        (SOME.byte().numpy(), ValueError, r"mask\.bool\(\) makes one of zeros and ones"),
        (SOME[:11], ValueError, r"has shape \(11, 512\)"),
        (SOME[3], ValueError, r"has shape \(512,\)"),
        ([5, 100, 300], ValueError, r"has shape \(3,\) and dtype torch\.int64"),
        ({3: SOME[3]}, TypeError, r"mask 'him' is a dict.*give a bool tensor \[layer, unit\]"),
        ([[True], [True, False]], TypeError, r"mask 'him' is a list"),
        (None, TypeError, r"mask 'him' is a NoneType"),
    ],
)
def test_masks_of_a_study_are_bool_and_as_wide_as_the_model(toy_bert, study, mask, error, message):
    with pytest.raises(error, match=message):
        study(toy_bert, {"him": mask}, PROMPTS)


def test_masks_as_arrays_and_lists_are_masks(toy_bert):
    found = [tlesion.laminar_profile(toy_bert, {"him": mask}, PROMPTS[:1], n_controls=0).logit_drop
             for mask in (SOME, SOME.numpy(), SOME.tolist())]  # fmt: skip
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize("position", [12, -13, 6, -7])
def test_a_position_that_one_of_the_prompts_lacks_is_refused_before_controls_are_matched(toy_bert, position):
    with pytest.raises(ValueError, match=rf"positions \[{position}\] at .* do not exist: prompt \d has \d+ tokens"):
        tlesion.laminar_profile(toy_bert, {"him": SOME}, PROMPTS, position=position, n_controls=2, match="activity")


LAYER_TAKERS = {
    "select_neurons": lambda model, layers: tlesion.select_neurons(model, tlesion.contrasts.him_her(), layers=layers),
    "measure_reference": lambda model, layers: tlesion.measure_reference(
        model, tlesion.contrasts.him_her(), layers=layers
    ),
    "subspace_removal": lambda model, layers: tlesion.subspace_removal(model, "We saw him.", layers=layers),
    "context_modulation": lambda model, layers: tlesion.context_modulation(model, "We saw him.", layers=layers),
    "space_modulation": lambda model, layers: tlesion.space_modulation(model, ["apple"], layers=layers),
    "noise_variants": lambda model, layers: tlesion.noise_variants(model, layers=layers),
    "scale_variants": lambda model, layers: tlesion.scale_variants(model, layers=layers),
    "head_variants": lambda model, layers: tlesion.head_variants(model, layers=layers),
}  # fmt: skip


@pytest.mark.parametrize("taker", LAYER_TAKERS)
@pytest.mark.parametrize(
    "layers", [[], [12], [-13], [1, 1], [1, -11], [1.0], [True, False], np.ones(12, dtype=bool), 3, None, slice(0, 3),
               np.array([0.5]), ["1"], "first", np.eye(12, dtype=int)[3]],
    ids=repr,
)  # fmt: skip
def test_layers_that_are_no_layers_are_refused_by_every_study(toy_gpt, toy_bert, taker, layers):
    model = toy_bert if taker in ("select_neurons", "measure_reference") else toy_gpt
    with pytest.raises((ValueError, TypeError), match=r"^layers |^no layer was given"):
        LAYER_TAKERS[taker](model, layers)


@pytest.mark.parametrize(
    "layers", [[np.int64(3), -1], np.array([3, 11]), torch.tensor([3, 11]), (3, 11), range(3, 12, 8)]
)
def test_layers_may_be_any_whole_numbers(toy_gpt, layers, tmp_path):
    assert tlesion.hooks.layer_indices(toy_gpt, layers) == [3, 11]
    result = tlesion.context_modulation(toy_gpt, "We saw him.", layers=layers)
    assert result.layers == (3, 11)
    result.save(tmp_path / "kept")


@pytest.mark.parametrize("heads", [[True], [1.5], [4], -5, [], np.array([True, False, True, False]), {"a": 1}, None])
def test_heads_that_are_no_heads_are_refused(toy_gpt, heads):
    with pytest.raises((ValueError, TypeError), match="head"):
        tlesion.head_variants(toy_gpt, heads=heads)


def test_heads_may_be_an_array(toy_gpt):
    labels = [variant.label for variant in tlesion.head_variants(toy_gpt, heads=np.array([1, -1]), layers=[3])]
    assert labels == ["key head 3.1+3"]
