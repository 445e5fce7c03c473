"""p-values and their logarithms against mpmath, far beyond where float64 ends."""

import mpmath as mp
import numpy as np
import pytest
import torch
from scipy import stats

from tlesion.stats.noncentral import lower_tail, upper_tail
from tlesion.stats.tails import log_tail, p_and_log_p

mp.mp.dps = 40


def exact_log_p(t: float, dof: float) -> mp.mpf:
    """Logarithm of the two-sided p-value, by the regularised incomplete beta function."""
    t, dof = mp.mpf(t), mp.mpf(dof)
    return mp.log(mp.betainc(dof / 2, mp.mpf(1) / 2, 0, dof / (dof + t * t), regularized=True))


def exact_noncentral_log_p(t: float, dof: float, nc: float, peak: float, width: float) -> mp.mpf:
    """The same for a noncentral t, by 40-digit quadrature over log w around a given peak."""
    t, dof, nc = mp.mpf(t), mp.mpf(dof), mp.mpf(nc)
    norm = mp.log(2) + dof / 2 * mp.log(dof / 2) - mp.loggamma(dof / 2)

    def density(y):
        w = mp.exp(y)
        both = mp.ncdf(nc - t * w) + mp.ncdf(-nc - t * w)
        return mp.exp(norm + dof * y - dof * w * w / 2) * both

    n = 600
    step = mp.mpf(2) * width / n
    return mp.log(step * mp.fsum(density(peak - width + i * step) for i in range(n + 1)))


def p_of(t: float, dof: float, nc: float = 0.0) -> tuple[float, float]:
    p, log_p = p_and_log_p(*(torch.tensor([x], dtype=torch.float64) for x in (t, dof, nc)))
    return p.item(), log_p.item()


@pytest.mark.parametrize("dof", [1.0, 2.5, 7.3, 53.0, 106.0, 999.7, 1e5])
def test_central_p_and_log_p(dof):
    for t in (1e-3, 0.5, 1.9, 5.0, 12.0, 40.0, 300.0, 1e4, 1e8, 1e30):
        if t > 1000 and dof > 1000:
            continue  # mpmath's series does not end there
        expected = exact_log_p(t, dof)
        p, log_p = p_of(t, dof)
        # A few rounding errors, each as large as eps times log p.
        assert abs(log_p - expected) <= 1e-12 * max(1, abs(expected))
        if expected > -667:  # p > 1e-290
            assert p == pytest.approx(float(mp.exp(expected)), rel=1e-11)


@pytest.mark.parametrize(("exponent", "dof"), [(-40, 53.0), (-300, 106.0), (-400, 106.0), (-5000, 200.0)])
def test_far_tail_by_powers_of_ten(exponent, dof):
    t = float(mp.findroot(lambda x: exact_log_p(mp.exp(x), dof) - exponent * mp.log(10), 3.0).real)
    p, log_p = p_of(float(mp.exp(t)), dof)
    assert log_p == pytest.approx(exponent * np.log(10), rel=1e-12)
    assert (p > 0) == (exponent > -308)


# Rough peak (log of √dof / t) and half width of the integrand over log w. The quadrature ignores what lies
# outside, so bad ones would make the test fail, not pass.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("t", "dof", "nc", "peak", "width"),
    [
        (6.0, 53.0, 1.5, -0.25, 1.2),
        (40.0, 53.0, 5.0, -1.6, 1.5),
        (300.0, 107.5, 1.5, -3.36, 1.0),
        (1e5, 107.5, 5.0, -9.1, 1.0),
        (1e5, 107.5, 30.0, -8.0, 1.0),
        (1e8, 300.0, 2.0, -15.5, 0.8),
    ],
)
def test_noncentral_log_p(t, dof, nc, peak, width):
    expected = exact_noncentral_log_p(t, dof, nc, peak, width)
    p, log_p = p_of(t, dof, nc)
    assert abs(log_p - expected) <= 1e-12 * abs(expected)
    assert log_tail(np.array([t]), np.array([dof]), np.array([nc]))[0] == pytest.approx(float(expected), rel=1e-12)
    if expected > -667:
        assert p == pytest.approx(float(mp.exp(expected)), rel=1e-10)


@pytest.mark.parametrize("dof", [1.0, 5.0, 53.0, 1000.0])
def test_large_noncentralities_go_on_where_scipy_ends(dof):
    nc = np.full(5, 2000.0)
    t, dof = nc * [0.5, 0.95, 1.0, 1.05, 3.0], np.full(5, dof)
    for function in (upper_tail, lower_tail):
        scipys, ours = function(t, dof, nc), function(t, dof, np.nextafter(nc, np.inf))
        # Both are good to 1e-13 in the middle; scipy's own error far out is 1e-11.
        np.testing.assert_allclose(ours, scipys, rtol=1e-10, atol=1e-300)
    # Both are the chi distribution of nc / t but for the normal part, of relative size √dof / nc: 1.6e-2 at most.
    np.testing.assert_allclose(upper_tail(t * 1e6, dof, nc * 1e6), upper_tail(t, dof, nc), rtol=0, atol=1e-3)


@pytest.mark.slow
def test_the_lower_tail_is_a_number_where_scipy_has_none():
    t, dof, nc = np.meshgrid(np.arange(0, 20, 0.25), [1.0, 5.0, 53.0, 106.0, 1000.0], np.arange(30, 60, 0.5))
    lower = lower_tail(t, dof, nc)
    assert np.isnan(stats.nct.cdf(t, dof, nc)).any()  # while this holds, it is needed
    np.testing.assert_allclose(lower, 1 - upper_tail(t, dof, nc), rtol=0, atol=1e-12)
    assert np.isnan(lower_tail(np.array([np.nan]), np.array([5.0]), np.array([1.0]))).all()


def test_infinite_dof_is_the_normal_distribution():
    for t in (0.3, 2.0, 30.0, 60.0):
        p, log_p = p_of(t, np.inf)
        assert log_p == pytest.approx(np.log(2) + stats.norm.logsf(t), rel=1e-14)
        # exp(-t²/2) turns a rounding of t² into a relative error of t² eps / 2: 2e-13 at t = 30.
        assert p == pytest.approx(2 * stats.norm.sf(t), rel=1e-12, abs=0)
    _, log_p = p_of(60.0, np.inf, 1.0)
    assert log_p == pytest.approx(stats.norm.logsf(59.0), rel=1e-14)  # the other side adds e^-1800
    # A huge finite dof comes close to it from above.
    assert p_of(50.0, 1e9)[1] == pytest.approx(p_of(50.0, np.inf)[1], rel=1e-5)


def test_edges():
    assert p_of(0.0, 5.0) == (1.0, 0.0)
    assert p_of(np.inf, 5.0) == (0.0, -np.inf)
    assert p_of(-3.0, 5.0) == p_of(3.0, 5.0)
    assert all(np.isnan(p_of(np.nan, 5.0)))
    assert all(np.isnan(p_of(np.nan, np.nan, np.nan)))
    assert p_of(0.0, 5.0, 2.0) == (1.0, 0.0)


def test_log_p_is_continuous_where_the_method_changes():
    t = torch.linspace(200, 5000, 400, dtype=torch.float64)  # dof 150: p passes 1e-290 on the way
    dof = torch.full_like(t, 150.0)
    p, log_p = p_and_log_p(t, dof, torch.zeros_like(t))
    assert p[0] > 1e-290 > p[-1]
    slope = log_p.diff() / t.log().diff()  # close to -dof in the tail, and smooth
    assert (slope.diff().abs() < 0.2).all()
    assert (slope < 0).all()
