"""Matched controls, their p and their z: by hand, against scipy, and calibrated where a mask is a random one."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tlesion import matched_controls
from tlesion.inference import empirical_p, joint_controls, log_n_controls, standardised_effect
from tlesion.inference.control_maximum import control_maximum_p

N_UNITS = 40


def random_mask(sizes, n_units=N_UNITS, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.zeros(len(sizes), n_units, dtype=torch.bool)
    for row, size in enumerate(sizes):
        mask[row, torch.randperm(n_units, generator=generator)[:size]] = True
    return mask


def heavy_tailed(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_cauchy(shape)).abs()


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(0, N_UNITS), min_size=1, max_size=4),
    n_controls=st.integers(1, 6),
    seed=st.integers(0, 2**31),
    n_bins=st.none() | st.integers(1, 60),
)
def test_controls_have_the_masks_size_in_every_layer_and_bin(sizes, n_controls, seed, n_bins):
    mask, values = random_mask(sizes), heavy_tailed(len(sizes), N_UNITS, seed=1)
    options = {} if n_bins is None else {"match": values, "n_bins": n_bins}
    controls = matched_controls(mask, n_controls=n_controls, seed=seed, **options)
    assert controls.shape == (n_controls, *mask.shape)
    bins = 1 if n_bins is None else min(n_bins, N_UNITS // 20)
    if N_UNITS % bins:
        bins = 1  # quantiles by hand only where they are even
    ranked = values.argsort(dim=1) if n_bins is not None else torch.arange(N_UNITS).expand(len(sizes), -1)
    for control in controls:
        for row in range(len(sizes)):
            held, own = (one[row, ranked[row]].reshape(bins, -1).sum(dim=1) for one in (control, mask))
            assert held.equal(own)


def test_a_seed_means_its_controls_and_more_of_them_begin_with_the_fewer():
    mask = random_mask([10, 3])
    few, many = (matched_controls(mask, n_controls=n, seed=5) for n in (4, 9))
    assert few.equal(many[:4])
    assert not few.equal(matched_controls(mask, n_controls=4, seed=6))
    state = torch.random.get_rng_state()
    matched_controls(mask, n_controls=4, seed=5)
    assert torch.random.get_rng_state().equal(state), "global random state was touched"


def test_all_masks_of_the_size_are_equally_likely_the_mask_itself_among_them():
    mask = torch.tensor([[True, True, False, False, False]])
    controls = matched_controls(mask, n_controls=4000, seed=0)[:, 0]
    _, counts = controls.long().unique(dim=0, return_counts=True)
    assert len(counts) == math.comb(5, 2)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_matching_brings_the_controls_as_near_as_the_bins_are_narrow():
    """A mask of the busier neurons: its controls are as busy, unmatched ones a third."""
    values = heavy_tailed(1, 2000, seed=3).clamp(max=20)
    busy = values[0].argsort(descending=True)[:600]
    mask = torch.zeros(1, 2000, dtype=torch.bool)
    mask[0, busy[random_mask([150], 600, seed=2)[0]]] = True
    own = values[mask].mean()
    matched, free = (
        torch.stack([values[one].mean() for one in matched_controls(mask, n_controls=200, seed=0, match=match)])
        for match in (values, None)
    )
    # Within a bin the mean is free to vary: its standard error over 200 controls stays well below 2 %.
    assert abs(matched.mean() / own - 1) < 0.05
    assert free.mean() / own < 0.5
    ks = [
        stats.ks_2samp(values[mask], values[one]).statistic
        for one in matched_controls(mask, n_controls=20, seed=0, match=values)
    ]
    assert max(ks) < 0.1, (
        "quantiles of ten bins differ by 10 % of the distribution at most, and are half as far on average"
    )


def p_of_random_masks(weights, match, draw, n_studies=400, n_controls=19):
    """p of masks that are random: `draw` makes their controls."""
    p = []
    for seed in range(n_studies):
        mask = random_mask([8], seed=seed)
        controls = draw(mask, n_controls, seed + 10_000, match)
        effect, others = (weights * mask).sum(), (weights * controls[:, 0]).sum(dim=1)
        p.append(empirical_p(effect, others).item())
    return np.array(p)


def own_units_left_out(mask, n_controls, seed, match):
    rest = (~mask[0]).nonzero().flatten()
    controls = torch.zeros(n_controls, *mask.shape, dtype=torch.bool)
    generator = torch.Generator().manual_seed(seed)
    for control in controls:
        control[0, rest[torch.randperm(len(rest), generator=generator)[: int(mask.sum())]]] = True
    return controls


@pytest.mark.slow
@pytest.mark.parametrize("matched", [False, True])
def test_p_of_a_random_mask_is_uniform_though_one_neuron_outweighs_all(matched):
    weights = heavy_tailed(1, N_UNITS, seed=4)
    weights[0, 7] = 1000.0
    match = weights + heavy_tailed(1, N_UNITS, seed=5) if matched else None

    def draw(mask, n_controls, seed, match):
        return matched_controls(mask, n_controls=n_controls, seed=seed, match=match)

    p = p_of_random_masks(weights, match, draw)
    counts = np.bincount(np.round(p * 20).astype(int), minlength=21)[1:]
    assert stats.chisquare(counts).pvalue > 1e-3


def test_leaving_the_masks_own_neurons_out_would_not_be_calibrated():
    """Why they are candidates: a fifth of the random masks hold the neuron that outweighs all."""
    weights = heavy_tailed(1, N_UNITS, seed=4)
    weights[0, 7] = 1000.0
    p = p_of_random_masks(weights, None, own_units_left_out, n_studies=200)
    assert (p <= 0.05).mean() > 0.15


def folds_of_a_mask(seed):
    """Three masks of 8 units that share 6: what folds of one contrast select where nothing is to be found."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(N_UNITS, generator=generator)
    masks = torch.zeros(3, 1, N_UNITS, dtype=torch.bool)
    for fold, mask in enumerate(masks):
        mask[0, torch.cat([order[:6], order[6 + 2 * fold : 8 + 2 * fold]])] = True
    return masks


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), matched=st.booleans())
def test_joint_controls_overlap_as_their_masks_do(seed, matched):
    masks, match = folds_of_a_mask(seed), heavy_tailed(1, N_UNITS, seed=seed) if matched else None
    controls = joint_controls(masks, n_controls=5, seed=seed, match=match, n_bins=2)
    for control in controls:
        # Every pattern of membership has as many units: sizes, overlaps, and those in a bin.
        for members in ([0], [0, 1], [0, 2], [0, 1, 2]):
            assert control[members].all(dim=0).sum() == masks[members].all(dim=0).sum()
        if match is not None:
            ranked = match[0].argsort()
            assert control[:, 0, ranked].reshape(3, 2, 20).sum(2).equal(masks[:, 0, ranked].reshape(3, 2, 20).sum(2))
    alone = matched_controls(masks[0], n_controls=5, seed=seed, match=match, n_bins=2)
    assert controls[:, 0].equal(alone), "a mask's controls are those that it has by itself"


@pytest.mark.slow
def test_effects_pooled_over_folds_need_joint_controls():
    """Joint ones are calibrated; controls drawn for each fold by itself vary too little and claim too much."""
    weights = torch.from_numpy(np.random.default_rng(6).standard_normal((1, N_UNITS)))
    p: dict[str, list[float]] = {"joint": [], "apart": []}
    for seed in range(400):
        masks = folds_of_a_mask(seed)
        apart = [matched_controls(mask, n_controls=19, seed=9_999 + 3 * seed + i) for i, mask in enumerate(masks)]
        drawn = {"joint": joint_controls(masks, n_controls=19, seed=seed + 5_000), "apart": torch.stack(apart, dim=1)}
        for name, controls in drawn.items():
            p[name].append(empirical_p((weights * masks).sum(), (weights * controls).sum(dim=(1, 2, 3))).item())
    counts = np.bincount(np.round(np.array(p["joint"]) * 20).astype(int), minlength=21)[1:]
    assert stats.chisquare(counts).pvalue > 1e-3
    assert (np.array(p["apart"]) <= 0.05).mean() > 0.1


def test_a_layer_without_candidates_repeats_the_mask_and_p_is_one():
    mask = torch.tensor([[True] * 6, [False] * 6])
    controls = matched_controls(mask, n_controls=10, seed=0)
    assert (controls == mask).all()
    assert log_n_controls(mask).tolist() == [0.0, 0.0]
    assert empirical_p(torch.tensor(3.0), torch.full((10,), 3.0)).item() == 1.0


def test_the_number_of_possible_controls():
    mask = random_mask([8, 3])
    expected = [math.log(math.comb(N_UNITS, n)) for n in (8, 3)]
    np.testing.assert_allclose(log_n_controls(mask), expected, rtol=1e-12)
    halves = torch.arange(N_UNITS).double().expand(2, -1)
    expected = [math.log(math.comb(20, int(row[:20].sum())) * math.comb(20, int(row[20:].sum()))) for row in mask]
    np.testing.assert_allclose(log_n_controls(mask, match=halves, n_bins=2), expected, rtol=1e-12)


@pytest.mark.parametrize(("ours", "scipys"), [("larger", "greater"), ("smaller", "less"), ("two-sided", "two-sided")])
def test_p_equals_scipys_monte_carlo_test(ours, scipys):
    rng = np.random.default_rng(0)
    controls = np.concatenate([rng.standard_normal(90), [0.5] * 9])  # ties, too
    for effect in (-2.5, -0.3, 0.5, 1.8):
        expected = stats.monte_carlo_test(
            [effect],
            lambda size: controls.reshape(size),
            lambda x, axis: x.mean(axis=axis),
            n_resamples=99,
            alternative=scipys,
        ).pvalue
        found = empirical_p(torch.tensor(effect), torch.from_numpy(controls), alternative=ours)
        assert found.item() == pytest.approx(expected, rel=1e-12)


def test_rounding_of_one_lesion_in_two_batches_decides_no_tie():
    effect = torch.tensor(0.1)
    assert empirical_p(effect, torch.nextafter(effect, torch.tensor(0.0)).repeat(9)).item() == 1.0


def test_one_lesion_in_twenty_batches_is_no_effect_of_either_sign():
    """A mask of a whole layer: all controls are that mask, and their float32 logits differ by the last digits."""
    last_digits = torch.from_numpy(np.random.default_rng(3).uniform(-4e-6, 4e-6, (20, 50)))
    rows = 0.004 + last_digits
    for alternative in ("larger", "smaller", "two-sided"):
        assert (empirical_p(rows[0], rows[1:], alternative=alternative) == 1).all()
    assert empirical_p(rows[0], rows[1:], rounding=0).min() < 0.2, "what would come of comparing digits"
    assert standardised_effect(rows[0], rows[1:]).isnan().all()
    assert standardised_effect(rows[0] + 1, rows[1:]).isposinf().all()
    assert (control_maximum_p(rows[0], rows[1:]) == 1).all()


def test_nan_stays_nan_and_infinite_effects_are_compared():
    effect = torch.tensor([1.0, torch.nan, 1.0, torch.inf])
    controls = torch.tensor([[0.0, 0.0, torch.nan, 0.0], [2.0, 0.0, 0.0, torch.inf]])
    expected = torch.tensor([2 / 3, torch.nan, torch.nan, 2 / 3], dtype=torch.float64)
    torch.testing.assert_close(empirical_p(effect, controls), expected, equal_nan=True)


def test_standardised_effect_by_numpy_and_where_controls_do_not_vary():
    rng = np.random.default_rng(1)
    effect, controls = rng.standard_normal((2, 3)), rng.standard_normal((30, 2, 3)) + 1e6
    expected = (effect - controls.mean(axis=0)) / controls.std(axis=0, ddof=1)
    found = standardised_effect(torch.from_numpy(effect), torch.from_numpy(controls))
    np.testing.assert_allclose(found, expected, rtol=1e-9)  # 1e6 leaves 10 digits
    same = torch.full((5, 4), 0.1)
    by_hand = torch.tensor([torch.nan, torch.inf, -torch.inf, torch.nan], dtype=torch.float64)
    found = standardised_effect(torch.tensor([0.1, 0.2, 0.0, torch.nan]), same)
    torch.testing.assert_close(found, by_hand, equal_nan=True)


def test_inputs_are_not_changed():
    mask, match = random_mask([5]), heavy_tailed(1, N_UNITS)
    before = mask.clone(), match.clone()
    matched_controls(mask, n_controls=3, seed=0, match=match)
    assert mask.equal(before[0])
    assert match.equal(before[1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: matched_controls(torch.ones(2, 3), n_controls=1, seed=0), r"dtype torch.float32; a mask is a bool"),
        (lambda: matched_controls(torch.ones(3, dtype=torch.bool), n_controls=1, seed=0), r"shape \(3,\)"),
        (lambda: matched_controls(random_mask([2]), n_controls=0, seed=0), "n_controls is 0; give 1 or more"),
        (lambda: matched_controls(random_mask([2]), n_controls=1, seed=0, match=torch.ones(1, 3)), "match has shape"),
        (
            lambda: matched_controls(random_mask([2]), n_controls=1, seed=0, match=torch.full((1, N_UNITS), torch.nan)),
            "40 values that are not finite",
        ),
        (
            lambda: matched_controls(random_mask([2]), n_controls=1, seed=0, match=torch.ones(1, N_UNITS), n_bins=0),
            "n_bins is 0",
        ),
        (lambda: joint_controls(random_mask([2]), n_controls=1, seed=0), r"shape \(1, 40\); give bool \[mask"),
        (lambda: empirical_p(torch.ones(2), torch.ones(0, 2)), "1 or more controls"),
        (lambda: empirical_p(torch.ones(2), torch.ones(5, 3)), r"controls of shape \(5, 3\)"),
        (lambda: empirical_p(torch.ones(2), torch.ones(5, 2), alternative="greater"), "allowed: 'larger'"),
        (lambda: standardised_effect(torch.ones(2), torch.ones(1, 2)), "2 or more controls"),
    ],
)
def test_errors_say_what_came_and_what_is_allowed(call, message):
    with pytest.raises(ValueError, match=message):
        call()
