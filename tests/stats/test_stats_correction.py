"""Corrections: each family is exactly what statsmodels makes of its valid p-values."""

import numpy as np
import pytest
import torch
from statsmodels.stats.multitest import multipletests

from tlesion.stats import adjust, reject
from tlesion.stats.correction import METHODS


def p_values(seed=0, layers=3, units=40):
    """A mixture of true effects and noise, with dead units."""
    generator = torch.Generator().manual_seed(seed)
    p = torch.rand(layers, units, generator=generator, dtype=torch.float64)
    p[:, :10] **= 8
    p[0, 3] = p[2, 20] = torch.nan
    return p


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("family", ["layer", "model"])
@pytest.mark.parametrize("method", [method for method in METHODS if method != "none"])
def test_equals_statsmodels(method, family, alpha):
    p = p_values()
    adjusted = adjust(p, method=method, family=family, alpha=alpha)
    families = p.reshape(1, -1) if family == "model" else p
    for row, got in zip(families.numpy(), adjusted.reshape(families.shape).numpy(), strict=True):
        valid = ~np.isnan(row)
        rejected, expected = multipletests(row[valid], alpha=alpha, method=method)[:2]
        np.testing.assert_array_equal(got[valid], expected)
        assert np.isnan(got[~valid]).all()
        np.testing.assert_array_equal(reject(torch.from_numpy(got[valid]), alpha).numpy(), rejected)


def test_bh_by_hand():
    p = torch.tensor([[0.01, torch.nan, 0.04, 0.02]], dtype=torch.float64)
    expected = torch.tensor([[0.03, torch.nan, 0.04, 0.03]], dtype=torch.float64)
    torch.testing.assert_close(adjust(p), expected, equal_nan=True)


def test_none_leaves_p_as_it_is_and_nothing_changes_the_input():
    p = p_values()
    before = p.clone()
    assert torch.equal(adjust(p, method="none").nan_to_num(2), p.nan_to_num(2))
    for method in METHODS:
        adjust(p, method=method, family="model")
    assert torch.equal(p.nan_to_num(2), before.nan_to_num(2))


def test_two_stage_methods_depend_on_alpha():
    p = p_values(seed=1)
    assert not torch.equal(
        adjust(p, method="fdr_tsbky", alpha=0.01).nan_to_num(2),
        adjust(p, method="fdr_tsbky", alpha=0.2).nan_to_num(2),
    )


def test_families_of_one_of_none_and_of_dead_units():
    assert adjust(torch.tensor([[0.03]])).item() == pytest.approx(0.03)
    dead = torch.full((2, 3), torch.nan)
    for method in METHODS:
        assert adjust(dead, method=method).isnan().all()
        assert adjust(torch.empty(0, 4), method=method).shape == (0, 4)
        assert adjust(torch.empty(2, 0), method=method, family="model").shape == (2, 0)
    assert not reject(dead).any()
    p = torch.rand(7, dtype=torch.float64)
    assert torch.equal(adjust(p), adjust(p[None])[0])


def test_far_tail_stays_in_order():
    p = torch.tensor([[0.0, 1e-300, 1e-40, 0.5]], dtype=torch.float64)
    adjusted = adjust(p)[0]
    np.testing.assert_allclose(adjusted, [0.0, 2e-300, 4e-40 / 3, 0.5], rtol=1e-14)
    assert reject(adjusted, 0.05).tolist() == [True, True, True, False]


def test_reject_includes_alpha_itself():
    p = torch.tensor([0.05, 0.0500001, torch.nan], dtype=torch.float64)
    assert reject(p, 0.05).tolist() == [True, False, False]


def test_errors_say_what_is_allowed():
    p = p_values()
    with pytest.raises(
        ValueError, match=r"unknown correction 'bonferoni' \(did you mean 'bonferroni'\?\); allowed are "
    ):
        adjust(p, method="bonferoni")
    with pytest.raises(ValueError, match="unknown correction 'xyz'; allowed are none, bonferroni"):
        adjust(p, method="xyz")
    with pytest.raises(ValueError, match="unknown family 'head'; allowed are 'layer'"):
        adjust(p, family="head")
    for alpha in (0.0, 1.0, 5.0, float("nan")):
        with pytest.raises(ValueError, match="alpha must lie between 0 and 1, got"):
            adjust(p, alpha=alpha)
        with pytest.raises(ValueError, match="alpha must lie between 0 and 1, got"):
            reject(p, alpha)
    with pytest.raises(ValueError, match=r"p-values run from 0 to 1, got -0\.5 to"):
        adjust(torch.tensor([[-0.5, 0.1]]))
