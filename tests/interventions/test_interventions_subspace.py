"""Removing subspaces inside hooks: properties, agreement with a decomposition by hand, hygiene, errors."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tlesion
from tlesion import interventions as iv
from tlesion.interventions.edits import Edit

POINT = "blocks.1.mlp.hook_pre"
TEXT = "The old teacher gave the boy an apple and told him to share it."
# float32 activations of size 1 to 10 through one decomposition in float64: rounding of about 1e-6 of their size.
CLOSE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module")
def gpt2(checkpoint_folder):
    return tlesion.load_model(checkpoint_folder("gpt2"))


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    """Activations whose mean is far from zero, and which vary more along some axes than along others."""
    values = torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))
    return values * torch.linspace(0.5, 3, shape[-1]) + 5


def rank_of(values: torch.Tensor) -> int:
    flat = values.flatten(0, -2).double()
    singular = torch.linalg.svdvals(flat - flat.mean(dim=0))
    # Below float32's rounding of activations of size 10, summed over some tens of tokens.
    return int((singular > 1e-4).sum())


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 6), st.integers(2, 3), st.integers(4, 9), st.integers(8, 20), st.integers(0, 2**16))
def test_properties_of_removal(rank, batch, n_positions, width, seed):
    activation = drawn(batch, n_positions, width, seed=seed)
    before = activation.clone()
    subspace = tlesion.fit_subspace(activation.flatten(0, 1), rank=rank)
    _, edit = iv.remove_subspace(POINT, subspace)
    assert isinstance(edit, Edit)
    after = edit(activation)
    assert torch.equal(activation, before)
    assert (edit.is_null, after is activation) == (rank == 0, rank == 0)
    # float32 rounding of activations of size 15.
    torch.testing.assert_close(edit(after), after, rtol=0, atol=2e-5)
    torch.testing.assert_close(after.mean(dim=(0, 1)), activation.mean(dim=(0, 1)), rtol=0, atol=2e-5)
    assert rank_of(after) == rank_of(activation) - rank
    _, leading = iv.remove_leading(POINT, rank)
    torch.testing.assert_close(leading(activation), after, rtol=0, atol=2e-5)


def test_two_orthogonal_parts_one_after_the_other_equal_both_at_once():
    activation = drawn(2, 9, 12)
    whole = tlesion.fit_subspace(activation.flatten(0, 1), rank=5)
    first = tlesion.Subspace.from_directions(whole.basis[:2], whole.mean)
    second = tlesion.Subspace.from_directions(whole.basis[2:], whole.mean)
    once = iv.remove_subspace(POINT, whole).edit(activation)
    twice = iv.remove_subspace(POINT, second).edit(iv.remove_subspace(POINT, first).edit(activation))
    torch.testing.assert_close(once, twice, **CLOSE)


def test_at_full_rank_the_mean_is_left_and_the_ratios_sum_to_one():
    activation = drawn(2, 4, 12)
    subspace = tlesion.fit_subspace(activation.flatten(0, 1), rank=7)
    assert subspace.variance_ratio.sum().item() == pytest.approx(1, abs=1e-12)
    after = iv.remove_subspace(POINT, subspace).edit(activation)
    torch.testing.assert_close(after, activation.mean(dim=(0, 1)).expand_as(after), **CLOSE)


def test_without_the_mean_everything_shifts_even_at_rank_zero():
    activation = drawn(1, 6, 8)
    mean = activation.mean(dim=(0, 1))
    for make in (
        lambda: iv.remove_subspace(POINT, tlesion.fit_subspace(activation[0], rank=0), restore_mean=False),
        lambda: iv.remove_leading(POINT, 1, restore_mean=False),
    ):
        after = make().edit(activation)
        torch.testing.assert_close(after.mean(dim=(0, 1)), torch.zeros(8), rtol=0, atol=1e-5)
    shifted = iv.remove_subspace(POINT, tlesion.fit_subspace(activation[0], rank=0), restore_mean=False).edit(
        activation
    )
    torch.testing.assert_close(shifted, activation - mean, **CLOSE)


def test_rank_zero_is_the_clean_run_to_the_last_bit(gpt2):
    ids = gpt2.to_tokens(TEXT)
    values = gpt2.run_with_cache(ids, names_filter=POINT)[1][POINT][0]
    clean = gpt2(ids)
    for edit in (iv.remove_subspace(POINT, tlesion.fit_subspace(values, rank=0)), iv.remove_leading(POINT, 0)):
        assert torch.equal(gpt2.run_with_hooks(ids, fwd_hooks=[edit]), clean)
    result = tlesion.subspace_removal(gpt2, TEXT, rank=0)
    assert not bool(result.drift.any())
    assert not bool(result.logit_drop.any())
    assert bool(result.t.isnan().all())
    assert result.variance_ratio.tolist() == [0.0] * 3


def test_padding_is_neither_decomposed_nor_changed(gpt2):
    short, long = gpt2.to_tokens("We saw him today."), gpt2.to_tokens(TEXT)
    padded = torch.full((2, long.shape[1]), 7)
    padded[0, : short.shape[1]], padded[1] = short[0], long[0]
    real = torch.zeros_like(padded, dtype=torch.bool)
    real[0, : short.shape[1]], real[1] = True, True
    values = gpt2.run_with_cache(padded, names_filter=POINT)[1][POINT]
    after = iv.remove_leading(POINT, 2, real=real).edit(values)
    assert torch.equal(after[~real], values[~real])
    subspace = tlesion.fit_subspace(values[real], rank=2)
    torch.testing.assert_close(after[real], subspace.remove(values[real]), **CLOSE)
    # With the padding among the rows it is another decomposition.
    assert not torch.allclose(iv.remove_leading(POINT, 2).edit(values)[real], after[real], atol=1e-3)


def test_positions_are_what_is_decomposed_and_changed():
    values = drawn(2, 8, 10)
    mask = torch.ones(2, 8, dtype=torch.bool)
    mask[0, 3] = False
    for positions in ([2, 3, 5], slice(3, None)):
        after = iv.remove_leading(POINT, 1, positions=positions, real=mask).edit(values)
        touched = torch.zeros(2, 8, dtype=torch.bool)
        touched[:, positions] = True
        touched &= mask
        expected = tlesion.fit_subspace(values[touched]).remove(values[touched])
        torch.testing.assert_close(after[touched], expected, **CLOSE)
        assert torch.equal(after[~touched], values[~touched])
    subspace = tlesion.fit_subspace(values.flatten(0, 1))
    after = iv.remove_subspace(POINT, subspace, positions=-1).edit(values)
    assert torch.equal(after[:, :-1], values[:, :-1])
    torch.testing.assert_close(after[:, -1], subspace.remove(values[:, -1]), **CLOSE)


def test_heads_side_by_side_or_one_by_one():
    point, values = "blocks.0.attn.hook_z", drawn(2, 7, 3, 4)
    whole = tlesion.fit_subspace(values.flatten(0, 1).flatten(1), rank=2)
    expected = whole.remove(values.flatten(2)).reshape(values.shape)
    torch.testing.assert_close(iv.remove_subspace(point, whole).edit(values), expected, **CLOSE)
    torch.testing.assert_close(iv.remove_leading(point, 2).edit(values), expected, **CLOSE)
    one = tlesion.fit_subspace(values[:, :, 1].flatten(0, 1))
    after = iv.remove_subspace(point, one, heads=1).edit(values)
    assert torch.equal(after[:, :, [0, 2]], values[:, :, [0, 2]])
    torch.testing.assert_close(after[:, :, 1], one.remove(values[:, :, 1]), **CLOSE)
    torch.testing.assert_close(iv.remove_leading(point, 1, heads=[1]).edit(values), after, **CLOSE)


def test_an_oblique_eraser_is_cut_as_it_is():
    eraser = tlesion.ObliqueEraser(
        torch.tensor([[1.0, 1.0, 0.0]]),
        torch.tensor([[1.0, 0.0, 0.0]]),
        torch.zeros(3),
        variance_lost=0.5,
        method="given",
        n_rows=0,
    )
    after = iv.remove_subspace(POINT, eraser).edit(torch.tensor([[[3.0, 5.0, 7.0]]]))
    assert after.tolist() == [[[0.0, 2.0, 7.0]]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtypes_are_kept(dtype):
    values = drawn(1, 8, 6).to(dtype)
    after = iv.remove_subspace(POINT, tlesion.fit_subspace(values[0])).edit(values)
    assert after.dtype == dtype
    assert iv.remove_leading(POINT, 1).edit(values).dtype == dtype


def test_every_plan_gives_what_a_run_of_its_own_gives(gpt2):
    values = gpt2.run_with_cache(gpt2.to_tokens(TEXT), names_filter=POINT)[1][POINT][0]
    subspace = tlesion.fit_subspace(values, rank=2)
    prompt = tlesion.Prompt(TEXT, ("him", "her"))
    lesions = [
        [iv.remove_subspace(POINT, subspace)],
        [iv.remove_subspace(POINT, subspace, positions=[3, 5])],
        [iv.remove_leading(POINT, 1)],
        [iv.remove_leading(POINT, 1, positions=slice(4, None))],
        [iv.remove_subspace("blocks.1.attn.hook_z", tlesion.fit_subspace(drawn(9, 8)), heads=2)],
        [iv.remove_subspace(POINT, subspace, positions="readout")],
    ]
    reference = tlesion.sweep(gpt2, [prompt], lesions, plan="loop")
    for plan in ("auto", "batched", "fanout"):
        other = tlesion.sweep(gpt2, [prompt], lesions, plan=plan)
        # float32 logits of size 10: other batch shapes round otherwise.
        torch.testing.assert_close(other.lesioned_logits, reference.lesioned_logits, rtol=1e-4, atol=1e-4)
    assert bool((reference.logit_drop.abs() > 1e-3).any(dim=-1).all())


def test_a_sweep_of_several_prompts_refuses_what_depends_on_the_batch(gpt2):
    prompts = [tlesion.Prompt(text, ("him", "her")) for text in (TEXT, "We saw")]
    with pytest.raises(
        ValueError, match=r"<RemoveLeading at blocks.1.mlp.hook_pre> decomposes all tokens of the batch"
    ):
        tlesion.sweep(gpt2, prompts, [[iv.remove_leading(POINT, 1)]])
    null = tlesion.sweep(gpt2, prompts, [[iv.remove_leading(POINT, 0)]])
    assert not bool(null.logit_drop.any())


def test_edits_are_frozen_and_short_to_print():
    _, edit = iv.remove_leading(POINT, 1)
    assert isinstance(edit, Edit)
    assert repr(edit) == "<RemoveLeading at blocks.1.mlp.hook_pre>"
    frozen: Any = edit
    with pytest.raises(AttributeError):
        frozen.rank = 2


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: iv.remove_subspace(POINT, torch.eye(3)), TypeError, "subspace is a Tensor; fit one"),
        (lambda: iv.remove_leading(POINT, -1), ValueError, "rank is -1; give a number of directions, 0 or more"),
        (lambda: iv.remove_leading(POINT, real=[1, 1]), ValueError, r"real has shape \(2,\)"),
        (lambda: iv.remove_leading("mlp.hook_pre"), ValueError, "short form for every layer"),
    ],
)
def test_wrong_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("edit", "values", "message"),
    [
        (
            iv.remove_subspace(POINT, tlesion.Subspace.from_directions(torch.eye(5)[:1])),
            torch.zeros(1, 2, 4),
            r"width 5 does not fit 'blocks.1.mlp.hook_pre', whose activation has 4 units",
        ),
        (
            iv.remove_subspace("blocks.0.attn.hook_z", tlesion.Subspace.from_directions(torch.eye(5)[:1])),
            torch.zeros(1, 2, 3, 4),
            r"\(3 heads of 4 side by side would be 12\)",
        ),
        (iv.remove_leading(POINT, 4), drawn(1, 4, 6), "'blocks.1.mlp.hook_pre': rank"),
        (iv.remove_leading(POINT, 1), drawn(1, 1, 6), "needs at least 2 tokens, got 1"),
        (iv.remove_leading(POINT, 1), torch.ones(1, 4, 6), "constant over the 4 tokens"),
        (iv.remove_leading(POINT, 1), torch.full((1, 4, 6), torch.nan), "24 values that are not finite"),
        (
            iv.remove_leading(POINT, 1, real=torch.ones(3, 4)),
            drawn(2, 4, 6),
            r"real of shape \(3, 4\) .* whose batch has 2 rows",
        ),
    ],
)
def test_wrong_activations(edit, values, message):
    with pytest.raises(ValueError, match=message):
        edit.edit(values)
