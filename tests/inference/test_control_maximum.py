"""Controls over many layers: by hand, against the single-layer p, its error rate, and its limit."""

import math

import numpy as np
import pytest
import torch

from tlesion.inference import empirical_p
from tlesion.inference.control_maximum import control_limit, control_maximum_p, monte_carlo_error


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def test_every_number_by_plain_loops():
    effect, controls = drawn(4, seed=1), drawn(30, 4, seed=2) * torch.tensor([1.0, 10.0, 0.1, 1.0])
    effect[2] = 5.0
    z = []
    for layer in range(4):
        column = [float(effect[layer]), *controls[:, layer].tolist()]
        mean = sum(column) / 31
        spread = math.sqrt(sum((x - mean) ** 2 for x in column) / 31)
        z.append([(x - mean) / spread for x in column])
    largest = [max(z[layer][1 + c] for layer in range(4)) for c in range(30)]
    expected = [(1 + sum(one >= z[layer][0] for one in largest)) / 31 for layer in range(4)]
    assert control_maximum_p(effect, controls).tolist() == pytest.approx(expected)
    assert expected[2] == pytest.approx(1 / 31)


def test_one_layer_is_the_plain_p_and_more_layers_never_make_it_smaller():
    for seed in range(20):
        effect, controls = drawn(3, seed=seed), drawn(25, 3, seed=100 + seed)
        alone = torch.cat([control_maximum_p(effect[[i]], controls[:, [i]]) for i in range(3)])
        torch.testing.assert_close(alone, empirical_p(effect, controls), atol=0, rtol=0)
        assert (control_maximum_p(effect, controls) >= alone).all()


def test_scale_and_place_of_a_layer_do_not_matter():
    effect, controls = drawn(3), drawn(40, 3, seed=1)
    scale, place = torch.tensor([1.0, 1e3, 0.1]).double(), torch.tensor([0.0, 5.0, 1.0]).double()
    moved = control_maximum_p(effect * scale + place, controls * scale + place)
    assert torch.equal(moved, control_maximum_p(effect, controls))


@pytest.mark.slow
def test_the_family_wise_error_is_kept_where_the_mask_is_one_more_draw():
    """Skewed, heavy-tailed effects in 12 layers, 2000 studies; four standard errors of 0.05 are 0.0195."""
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(2000):
        rows = torch.from_numpy(rng.standard_normal((40, 12))).exp() * (1 + torch.arange(12.0).double())
        hits += bool((control_maximum_p(rows[0], rows[1:]) <= 0.05).any())
    assert 0.02 < hits / 2000 < 0.05 + 0.0195


def test_a_layer_whose_controls_are_the_mask_is_in_no_maximum():
    """A whole layer cut: the controls are the same lesion, run in other batches."""
    effect, controls = drawn(2, seed=3), drawn(30, 2, seed=4)
    effect[0] = 2.0
    controls[:, 0] = 2.0 + 1e-8 * drawn(30, seed=6)
    p = control_maximum_p(effect, controls)
    assert p[0] == 1
    assert p[1] == empirical_p(effect[1], controls[:, 1])
    assert control_limit(controls, 0.05)[0].item() == pytest.approx(2.0)


def test_the_limit_is_about_what_has_to_be_exceeded():
    controls = drawn(99, 5, seed=7)
    limit = control_limit(controls, 0.05)
    for layer in range(5):
        for factor, small in ((0.85, False), (1.15, True)):
            effect = torch.zeros(5, dtype=torch.float64)
            effect[layer] = factor * limit[layer]
            assert bool(control_maximum_p(effect, controls)[layer] <= 0.05) is small
    assert control_limit(drawn(18, 2), 0.05).isinf().all(), "18 controls cannot make p 0.05"
    assert control_limit(drawn(19, 2), 0.05).isfinite().all()


def test_shapes_are_named():
    with pytest.raises(ValueError, match=r"give \[\*family\] and \[control, \*family\], with one control or more"):
        control_maximum_p(torch.zeros(2), torch.zeros(3, 4))
    with pytest.raises(ValueError, match=r"controls of shape \(0, 2\)"):
        control_maximum_p(torch.zeros(2), torch.zeros(0, 2))


def test_a_family_of_masks_and_layers_is_one_row_of_lesions():
    effect, controls = drawn(2, 3, seed=8) + 1, drawn(40, 2, 3, seed=9)
    for alternative in ("larger", "smaller", "two-sided"):
        flat = control_maximum_p(effect.flatten(), controls.flatten(1), alternative=alternative)
        assert torch.equal(control_maximum_p(effect, controls, alternative=alternative).flatten(), flat)
    limit = control_limit(controls, 0.05, alternative="two-sided")
    assert limit.shape == (2, 3)
    assert (limit >= control_limit(controls, 0.05)).all()


def test_both_sides_by_plain_loops_and_turned_round():
    effect, controls = drawn(4, seed=1) * 2, drawn(30, 4, seed=2)
    rows = torch.cat([effect[None], controls])
    z = ((rows - rows.mean(dim=0)) / rows.std(dim=0, correction=0)).abs()
    expected = (1 + (z[1:].amax(dim=1, keepdim=True) >= z[0]).sum(dim=0)) / 31
    torch.testing.assert_close(control_maximum_p(effect, controls, alternative="two-sided"), expected.double())
    turned = control_maximum_p(-effect, -controls, alternative="two-sided")
    assert torch.equal(turned, control_maximum_p(effect, controls, alternative="two-sided"))
    assert torch.equal(
        control_maximum_p(effect, controls, alternative="smaller"), control_maximum_p(-effect, -controls)
    )
    with pytest.raises(ValueError, match="alternative 'greater' is unknown"):
        control_maximum_p(effect, controls, alternative="greater")


def test_the_monte_carlo_error_is_that_of_a_share():
    p = torch.tensor([0.05, 1.0]).double()
    assert monte_carlo_error(p, 99).tolist() == pytest.approx([(0.05 * 0.95 / 99) ** 0.5, 0.0])
