"""Edits by hand and against plain loops, on small tensors: which part they touch, and what it becomes."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tlesion import interventions as iv
from tlesion import load_model

NAME = "blocks.0.mlp.hook_post"
HEADS = "blocks.0.attn.hook_z"
N_POS, N_HEADS, N_UNITS = 4, 3, 5


def three_axes(batch: int = 2) -> torch.Tensor:
    return torch.arange(1.0, 1 + batch * N_POS * N_UNITS).reshape(batch, N_POS, N_UNITS)


def four_axes(batch: int = 2) -> torch.Tensor:
    return torch.arange(1.0, 1 + batch * N_POS * N_HEADS * N_UNITS).reshape(batch, N_POS, N_HEADS, N_UNITS)


def named(part: Any, size: int) -> set[int]:
    """The indices that a part of an axis names, worked out by plain Python."""
    if part is None:
        return set(range(size))
    if isinstance(part, int | np.integer):
        return {range(size)[part]}
    if isinstance(part, slice):
        return set(range(size)[part])
    values = part.tolist() if isinstance(part, torch.Tensor | np.ndarray) else list(part)
    if values and isinstance(values[0], bool):
        return {index for index, chosen in enumerate(values) if chosen}
    return {range(size)[index] for index in values}


def by_loop(activation, units, heads, positions, new):
    """The edit as four nested loops; `new(old, pos, head, unit)` gives the new value."""
    edited = activation.clone()
    heads_here = named(heads, N_HEADS) if activation.ndim == 4 else {None}
    for row, pos, head, unit in itertools.product(
        range(len(activation)), named(positions, N_POS), heads_here, named(units, N_UNITS)
    ):
        place = (row, pos, unit) if head is None else (row, pos, head, unit)
        edited[place] = new(activation[place], pos, head, unit)
    return edited


PARTS = {
    "all": lambda size: None,
    "index": lambda size: 1,
    "last": lambda size: -1,
    "list": lambda size: [0, -1],
    "tuple": lambda size: (2, 1),
    "numpy": lambda size: np.array([0, 2]),
    "tensor": lambda size: torch.tensor([2, 0, 2]),
    "slice": lambda size: slice(None, None, 2),
    "tail": lambda size: slice(-2, None),
    "mask": lambda size: torch.arange(size) % 2 == 1,
    "bool list": lambda size: [index == 1 for index in range(size)],
    "numpy mask": lambda size: np.arange(size) > 0,
    "nothing": lambda size: [],
}


@pytest.mark.slow
@pytest.mark.parametrize("heads", [None, *PARTS])
def test_every_way_to_name_a_part_names_it(heads):
    activation = three_axes() if heads is None else four_axes()
    chosen = None if heads is None else PARTS[heads](N_HEADS)
    before = activation.clone()
    values = torch.linspace(-1, 1, activation[0].numel()).reshape(activation.shape[1:])

    def value_at(old, pos, head, unit):
        return values[pos, unit] if head is None else values[pos, head, unit]

    for units, positions in itertools.product(PARTS, PARTS):
        part = {"units": PARTS[units](N_UNITS), "heads": chosen, "positions": PARTS[positions](N_POS)}
        made = {
            "zero": (iv.zero(NAME, **part), lambda old, *_: 0.0),
            "scale": (iv.scale(NAME, -2.0, **part), lambda old, *_: -2.0 * old),
            "replace": (iv.replace(NAME, values, **part), value_at),
        }
        for kind, (intervention, new) in made.items():
            expected = by_loop(before, part["units"], chosen, part["positions"], new)
            edited = intervention.edit(activation)
            assert torch.equal(edited, expected), (kind, units, positions)
            assert torch.equal(activation, before), f"{kind} changed its input"
            if torch.equal(expected, before):
                assert edited is activation, "an edit of nothing returns the very same tensor"


def test_by_hand():
    ones = torch.ones(1, 2, 3)
    assert iv.zero(NAME, units=[1], positions=-1).edit(ones).tolist() == [[[1, 1, 1], [1, 0, 1]]]
    assert iv.scale(NAME, 0.5, units=slice(1, None)).edit(ones).tolist() == [[[1, 0.5, 0.5], [1, 0.5, 0.5]]]
    assert iv.replace(NAME, 7, positions=0).edit(ones).tolist() == [[[7, 7, 7], [1, 1, 1]]]
    per_unit = iv.replace(NAME, [4.0, 5.0, 6.0], units=torch.tensor([True, False, True]))
    assert per_unit.edit(ones).tolist() == [[[4, 1, 6], [4, 1, 6]]]
    two_heads = torch.ones(1, 1, 2, 2)
    assert iv.zero(HEADS, heads=1, units=0).edit(two_heads).tolist() == [[[[1, 1], [0, 1]]]]
    assert iv.gaussian(NAME, mean=3.0, std=0.0, units=2).edit(ones).tolist() == [[[1, 1, 3], [1, 1, 3]]]
    assert iv.gaussian(NAME, mean=3.0, std=0.0, units=2, mode="add").edit(ones).tolist() == [[[1, 1, 4], [1, 1, 4]]]


def test_replacement_values_of_every_shape():
    activation = torch.zeros(2, N_POS, N_UNITS)
    whole = torch.from_numpy(np.random.default_rng(0).standard_normal((2, N_POS, N_UNITS), dtype=np.float32))
    for values in (torch.tensor(2.0), whole[0, 0], whole[0], whole[:1], whole, whole[0, :1]):
        edited = iv.replace(NAME, values, positions=slice(1, 3)).edit(activation)
        assert torch.equal(edited[:, 1:3], values.expand(2, N_POS, N_UNITS)[:, 1:3])
        assert not edited[:, [0, 3]].any()


@pytest.mark.parametrize("activation", [three_axes(), four_axes()], ids=["no heads", "heads"])
@pytest.mark.parametrize(
    "make",
    [
        lambda **part: iv.zero(NAME, **part),
        lambda **part: iv.scale(NAME, 3.0, **part),
        lambda **part: iv.replace(NAME, torch.arange(float(N_POS))[:, None].expand(N_POS, N_UNITS), **part),
        lambda **part: iv.gaussian(NAME, seed=3, **part),
        lambda **part: iv.gaussian(NAME, seed=3, mode="add", **part),
    ],
    ids=["zero", "scale", "replace", "gaussian", "add"],
)
@pytest.mark.parametrize("positions", [None, -1, [1, 3], slice(2, None), torch.tensor([True, False, False, True])])
def test_a_tail_of_the_positions_is_edited_as_the_whole_is(activation, make, positions):
    """A sweep that carries only the positions from `offset` on gets the numbers of the full tensor there."""
    if activation.ndim == 4 and isinstance(make(units=0).edit, iv.Replace):
        make = lambda **part: iv.replace(NAME, torch.arange(float(N_POS))[:, None, None], **part)  # noqa: E731
    intervention = make(units=[0, -1], positions=positions)
    whole = intervention.edit(activation)
    for offset in range(N_POS):
        tail = activation[:, offset:].clone()
        intervention.edit.apply_(tail, offset=offset)
        assert torch.equal(tail, whole[:, offset:])
    # One position for each row: rows 0 and 1 at positions 1 and 3.
    at = torch.tensor([1, 3])
    edited = activation[:, 1:].clone()
    intervention.edit.apply_(edited, at=at, offset=1)
    everywhere = make(units=[0, -1]).edit(activation)
    expected = activation.clone()
    expected[[0, 1], at] = everywhere[[0, 1], at]
    assert torch.equal(edited, expected[:, 1:])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    batch=st.integers(1, 3),
    n_positions=st.integers(1, 6),
    mode=st.sampled_from(["substitute", "add"]),
)
def test_noise_depends_on_seed_point_position_and_unit_alone(seed, batch, n_positions, mode):
    edit = iv.gaussian(NAME, mean=1.0, std=2.0, seed=seed, mode=mode).edit
    longest = edit(torch.zeros(1, 8, N_UNITS))
    assert torch.equal(edit(torch.zeros(batch, n_positions, N_UNITS)), longest[:, :n_positions].expand(batch, -1, -1))
    part = iv.gaussian(NAME, mean=1.0, std=2.0, seed=seed, mode=mode, units=[1], positions=[0]).edit
    assert part(torch.zeros(1, n_positions, N_UNITS))[0, 0, 1] == longest[0, 0, 1]


def test_noise_is_gaussian_and_differs_between_points_and_seeds():
    def draw(name=NAME, seed=0):
        return iv.gaussian(name, mean=10.0, std=3.0, seed=seed).edit(torch.zeros(1, 20, 1000)).flatten()

    noise = draw()
    # 20,000 draws: the mean's standard error is 0.021, the standard deviation's 0.015; five of each are allowed.
    assert abs(noise.mean() - 10) < 0.106
    assert abs(noise.std() - 3) < 0.075
    for other in (draw(seed=1), draw("blocks.1.mlp.hook_post")):
        # Independent draws: correlation 0 ± 1 / √20,000 = 0.007.
        assert abs(torch.corrcoef(torch.stack([noise, other]))[0, 1]) < 0.036


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_the_activations_dtype_is_kept(dtype):
    activation = three_axes().to(dtype)
    for intervention in (
        iv.zero(NAME, units=0),
        iv.scale(NAME, 0.1, units=0),
        iv.replace(NAME, torch.ones(N_UNITS, dtype=torch.float64), units=0),
        iv.gaussian(NAME, units=0),
        iv.gaussian(NAME, units=0, mode="add"),
    ):
        edited = intervention.edit(activation)
        assert edited.dtype == dtype
        assert torch.equal(edited[..., 1:], activation[..., 1:])
    # Noise is drawn in float64 and rounded once: the same numbers whatever the model's precision.
    assert torch.equal(iv.gaussian(NAME).edit(activation), iv.gaussian(NAME).edit(activation.double()).to(dtype))


@pytest.mark.parametrize(
    "intervention",
    [
        iv.zero(NAME, units=torch.zeros(N_UNITS, dtype=torch.bool)),
        iv.zero(NAME, positions=[]),
        iv.zero(NAME, heads=()),
        iv.zero(NAME, units=slice(0, 0)),
        iv.zero(NAME, units=slice(3, 2)),
        iv.scale(NAME, 1),
        iv.gaussian(NAME, mean=0, std=0, mode="add"),
        iv.replace(NAME, 3.0, units=[]),
    ],
)
def test_null_edits_know_that_they_are(intervention):
    activation = three_axes()
    assert intervention.edit.is_null
    assert intervention.edit(activation) is activation


@pytest.mark.parametrize(
    "intervention",
    [iv.zero(NAME, units=[0]), iv.scale(NAME, 0), iv.gaussian(NAME, mean=0, std=0), iv.zero(NAME, units=slice(-3, 2))],
)
def test_edits_that_may_change_something_are_not_called_null(intervention):
    assert not intervention.edit.is_null


def test_what_was_given_is_copied():
    """A loop that reuses one mask for many lesions gets the lesions that it asked for."""
    mask, values = torch.zeros(N_UNITS, dtype=torch.bool), torch.ones(N_UNITS)
    made = []
    for unit in range(2):
        mask.zero_()
        mask[unit] = True
        values.fill_(unit)
        made.append((iv.zero(NAME, units=mask), iv.replace(NAME, values, units=mask)))
    for unit, (zero, replace) in enumerate(made):
        expected = torch.full((1, 1, N_UNITS), 9.0)
        expected[..., unit] = 0
        assert torch.equal(zero.edit(torch.full((1, 1, N_UNITS), 9.0)), expected)
        expected[..., unit] = unit
        assert torch.equal(replace.edit(torch.full((1, 1, N_UNITS), 9.0)), expected)


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_null_lesions_leave_the_logits_bit_identical(family, checkpoint_folder):
    """Each alone and all together, at residuals, MLPs and single heads, in a plain run of TransformerLens."""
    model: Any = load_model(checkpoint_folder(family))
    tokens = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12]])
    clean = model(tokens)
    null = [
        iv.zero("blocks.1.mlp.hook_post", units=torch.zeros(model.cfg.d_mlp, dtype=torch.bool)),
        iv.zero("blocks.0.attn.hook_z", heads=[]),
        iv.scale("blocks.0.hook_resid_post", 1),
        iv.gaussian("blocks.2.mlp.hook_pre", mean=0, std=0, mode="add"),
        iv.replace("blocks.1.hook_mlp_out", 7.0, positions=slice(3, 3)),
    ]
    for lesion in (*([one] for one in null), null):
        assert torch.equal(model.run_with_hooks(tokens, fwd_hooks=lesion), clean)
    live = iv.zero("blocks.1.mlp.hook_post", units=[3])
    assert not torch.equal(model.run_with_hooks(tokens, fwd_hooks=[*null, live]), clean)


def test_an_intervention_is_an_entry_of_fwd_hooks(checkpoint_folder):
    """Beside a hook function of the user's own, in plain TransformerLens calls."""
    model = load_model(checkpoint_folder("gpt2"))
    tokens = torch.tensor([[5, 6, 7, 8]])
    name, edit = cut = iv.zero("blocks.1.mlp.hook_post", units=[3, 4], positions=-1)
    assert name == cut.hook_name
    assert edit is cut.edit
    assert isinstance(cut, tuple)
    seen = []

    def mine(activation, hook):
        seen.append(activation.clone())

    def by_hand(activation, hook):
        activation = activation.clone()
        activation[:, -1, [3, 4]] = 0
        return activation

    lesioned = model.run_with_hooks(tokens, fwd_hooks=[cut, ("blocks.1.mlp.hook_post", mine)])
    assert torch.equal(lesioned, model.run_with_hooks(tokens, fwd_hooks=[("blocks.1.mlp.hook_post", by_hand)]))
    assert not seen[0][:, -1, [3, 4]].any()
    assert not torch.equal(lesioned, model(tokens))
    _, cache = model.run_with_cache(tokens)
    clean = model(tokens)
    with model.hooks(fwd_hooks=[iv.replace("blocks.1.mlp.hook_post", cache["blocks.1.mlp.hook_post"])]):
        assert torch.equal(model(tokens), clean)
    assert "Zero" in repr(edit)
    assert len(repr(edit)) < 80, "TransformerLens asks for it at every registration: no tensors in it"
