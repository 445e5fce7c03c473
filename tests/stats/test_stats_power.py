"""Power against statsmodels at the same level, and against simulated studies with a correction."""

import numpy as np
import pytest
import torch
from statsmodels.stats.power import TTestIndPower, TTestPower

from tlesion.stats import Moments, adjust, corrected_level, moderated_paired, paired, power_curve, reject, welch


def statsmodels_power(test, effect, n, level):
    """Two-sided power; the upper tail alone where statsmodels gets NaN for the (then tiny) lower one."""
    solver = TTestPower() if test == "paired" else TTestIndPower()
    both = solver.power(effect, n, level)
    return solver.power(effect, n, level / 2, alternative="larger") if np.isnan(both) else both


@pytest.mark.parametrize("test", ["paired", "student"])
@pytest.mark.parametrize("correction", ["none", "bonferroni", "sidak", "fdr_bh", "fdr_by"])
@pytest.mark.parametrize("power", [0.5, 0.8, 0.99])
def test_smallest_effects_have_the_power_asked_for(test, correction, power):
    curve = power_curve([4, 8, 20, 54], test=test, power=power, correction=correction, n_tests=512)
    for n, effect in zip(curve.n.tolist(), curve.effect.tolist(), strict=True):
        got = statsmodels_power(test, effect, n, curve.level)
        assert got == pytest.approx(power, rel=1e-8)
    assert (curve.effect.diff() < 0).all()


def test_n_needed_is_the_first_that_suffices():
    curve = power_curve(n_tests=4096, correction="bonferroni")
    for effect in (0.3, 0.8, -0.8, 2.0):
        n = curve.n_needed(effect)
        assert statsmodels_power("paired", abs(effect), n, curve.level) >= 0.8
        assert statsmodels_power("paired", abs(effect), n - 1, curve.level) < 0.8
    assert curve.n_needed(1e6) == 2
    # It is the inverse of the curve: an effect that n can just find needs n.
    wide = power_curve([8, 20, 54], n_tests=4096)
    assert [wide.n_needed(effect * (1 + 1e-9)) for effect in wide.effect.tolist()] == [8, 20, 54]


def test_levels_by_hand():
    assert corrected_level(0.05, correction="none", n_tests=100) == 0.05
    for correction in ("bonferroni", "holm", "hommel", "simes-hochberg"):
        assert corrected_level(0.05, correction=correction, n_tests=100) == pytest.approx(0.0005)
    assert corrected_level(0.05, correction="sidak", n_tests=100) == pytest.approx(1 - 0.95**0.01)
    level = corrected_level(0.05, n_tests=1000, share_true=0.2, power=0.9)
    rejected = 0.8 * level + 0.2 * 0.9  # the share of tests that BH rejects, and its own threshold
    assert level == pytest.approx(0.05 * rejected)
    assert corrected_level(0.05, n_tests=1000, share_true=0.0) == pytest.approx(0.05 / 1000)
    assert corrected_level(0.05, n_tests=1000, share_true=1.0, power=1.0) == pytest.approx(0.05)
    harmonic = sum(1 / i for i in range(1, 1001))
    assert corrected_level(0.05, correction="fdr_by", n_tests=1000, share_true=1.0, power=1.0) == pytest.approx(
        0.05 / harmonic
    )


def recovery(kind, correction, effects, n, *, units=1000, share=0.2, n_studies=60, seed=0):
    """Share of the true effects found, per effect size, over simulated studies."""
    generator = np.random.default_rng(seed)
    n_true = int(units * share)
    truth = torch.zeros(units, dtype=torch.float64)
    truth[:n_true] = torch.tensor(effects, dtype=torch.float64).repeat(n_true // len(effects))
    found = torch.zeros(units, dtype=torch.float64)
    for _ in range(n_studies):
        noise = torch.from_numpy(generator.standard_normal((2, n, units)))
        a, b = noise[0] + truth, noise[1]
        test = welch(Moments.of(a), Moments.of(b)) if kind is welch else kind(Moments.of(a))
        found += reject(adjust(test.p[None], method=correction)[0])
    return (found[:n_true] / n_studies).reshape(-1, len(effects)).mean(0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "n", "correction"),
    [(paired, 12, "fdr_bh"), (paired, 30, "bonferroni"), (paired, 20, "fdr_by"), (welch, 25, "fdr_bh")],
)
def test_power_at_predicts_simulated_studies(kind, n, correction):
    effects = [0.4, 0.8, 1.2, 1.6]
    curve = power_curve([n], test=kind.__name__, correction=correction, n_tests=1000, share_true=0.2)
    found = recovery(kind, correction, effects, n)
    # 3000 true effects per size: three standard errors of 0.009. The goal for a real study is 0.03, too.
    assert (found - curve.power_at(effects, n)).abs().max() < 0.03


@pytest.mark.slow
def test_an_infinite_prior_is_what_moderation_can_gain():
    # Equal variances: the prior's degrees of freedom are found to be very many.
    effects = [0.8, 1.2, 1.6, 2.0]
    curve = power_curve([8], test="moderated_paired", n_tests=1000, share_true=0.2, prior_dof=float("inf"))
    found = recovery(moderated_paired, "fdr_bh", effects, 8)
    assert (found - curve.power_at(effects, 8)).abs().max() < 0.03  # as above
    plain = power_curve([8], n_tests=1000, share_true=0.2)
    assert (curve.power_at(effects, 8) > plain.power_at(effects, 8)).all()
    assert curve.effect.item() < plain.effect.item()


def test_power_at_the_smallest_effect_is_the_power_asked_for():
    curve = power_curve([8, 20, 54], n_tests=4096)
    for n, effect in zip(curve.n.tolist(), curve.effect.tolist(), strict=True):
        assert curve.power_at([effect], n).item() == pytest.approx(0.8, rel=1e-9)
    assert power_curve([20], n_tests=100, correction="none").power_at([0.0], 20).item() == pytest.approx(0.05)


def test_table_is_tidy_and_complete():
    frame = power_curve([5, 10], n_tests=64, correction="holm").to_frame()
    assert list(frame["n"]) == [5, 10]
    assert set(frame["correction"]) == {"holm"}
    assert frame["level"].iloc[0] == pytest.approx(0.05 / 64)
    assert {"effect", "test", "power", "alpha", "n_tests", "share_true", "prior_dof"} <= set(frame.columns)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": []}, r"n must list numbers of pairs, each 2 or more, got \[\]"),
        ({"n": [5, 1]}, r"each 2 or more, got \[5, 1\]"),
        ({"test": "anova"}, "unknown test 'anova'; allowed are paired, moderated_paired, student"),
        ({"power": 1.0}, "power must lie between 0 and 1, got 1.0"),
        ({"power": 0.01, "correction": "none"}, "power must exceed the level of a single test"),
        ({"alpha": 0.0}, "alpha must lie between 0 and 1"),
        ({"n_tests": 0}, "n_tests must be 1 or more, got 0"),
        ({"share_true": 1.5}, "shares from 0 to 1, got 1.5"),
        ({"prior_dof": 4.0}, "0 unless the test is moderated, got 4.0 for 'paired'"),
        ({"prior_dof": -1.0, "test": "moderated"}, "prior_dof must be 0 or more"),
        ({"correction": "fdr_tsbky"}, "level of correction 'fdr_tsbky' is not known in advance; allowed are none"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        power_curve(**options)


def test_effects_that_cannot_be_found():
    curve = power_curve([10])
    for effect in (0.0, float("nan")):
        with pytest.raises(ValueError, match="no number of pairs finds an effect of"):
            curve.n_needed(effect)
    with pytest.raises(ValueError, match="needs more than 10000000 pairs"):
        curve.n_needed(1e-6)
