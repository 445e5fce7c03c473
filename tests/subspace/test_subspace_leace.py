"""fit_leace: the package's own eraser, the theorem, and the guarantee."""

import sys
import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from tlesion.subspace import fit_leace, fit_subspace

with warnings.catch_warnings():
    # The package scripts a function while it is imported, which newer torch calls deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    from concept_erasure import LeaceEraser


def labelled(tokens=400, units=12, *, seed=0, share=0.3):
    """Correlated activations whose mean depends on the label; float64."""
    generator = np.random.default_rng(seed)
    labels = torch.from_numpy(generator.random(tokens) < share)
    mixing = torch.from_numpy(generator.standard_normal((units, units)))
    noise = torch.from_numpy(generator.standard_normal((tokens, units))) @ mixing
    return noise + labels[:, None] * torch.linspace(1, 2, units, dtype=torch.float64) + 5, labels


def difference(x, labels):
    return x[labels].mean(dim=0) - x[~labels].mean(dim=0)


@pytest.mark.parametrize("share", [0.3, 0.02])
def test_agrees_with_the_package_on_the_activations_themselves(share):
    x, labels = labelled(share=share)
    ours = fit_leace(x, labels, shrinkage=0.0)
    theirs = LeaceEraser.fit(x, labels.double(), shrinkage=False, constrain_cov_trace=False, svd_tol=1e-6)
    # Float64 with covariances of condition number up to about 1e4.
    torch.testing.assert_close(ours.left.T @ ours.right, theirs.proj_left @ theirs.proj_right, rtol=0, atol=1e-9)
    torch.testing.assert_close(ours.remove(x), theirs(x), rtol=0, atol=1e-9)
    assert (ours.method, ours.n_rows, ours.rank, ours.width) == ("leace", 400, 1, 12)


@pytest.mark.parametrize(("tokens", "units"), [(400, 12), (15, 40)])
@pytest.mark.parametrize("shrinkage", [None, 0.0, 0.4, 1.0])
def test_agrees_with_the_theorem_written_out(tokens, units, shrinkage):
    """P = I − W⁻¹ u uᵀ W with W = Σ^(−1/2), on the full space."""
    x, labels = labelled(tokens, units)
    eraser = fit_leace(x, labels, shrinkage=shrinkage)
    if shrinkage is None:
        from sklearn.covariance import ledoit_wolf_shrinkage

        shrinkage = ledoit_wolf_shrinkage((x - x.mean(dim=0)).numpy(), assume_centered=True)
    centred = x - x.mean(dim=0)
    sigma = centred.T @ centred / tokens
    sigma = (1 - shrinkage) * sigma + shrinkage * sigma.trace() / units * torch.eye(units).double()
    eigenvalues, vectors = torch.linalg.eigh(sigma)
    live = eigenvalues > 1e-12 * eigenvalues[-1]
    root = vectors[:, live] * eigenvalues[live].sqrt() @ vectors[:, live].T
    inverse_root = vectors[:, live] / eigenvalues[live].sqrt() @ vectors[:, live].T
    u = inverse_root @ difference(x, labels)
    u = u / u.norm()
    # Float64 with condition numbers up to about 1e6.
    torch.testing.assert_close(eraser.left.T @ eraser.right, torch.outer(root @ u, inverse_root @ u), rtol=0, atol=1e-8)


@pytest.mark.parametrize(("tokens", "units"), [(400, 12), (15, 40)])
@pytest.mark.parametrize("shrinkage", [None, 0.0, 1.0])
def test_the_means_of_the_conditions_become_equal(tokens, units, shrinkage):
    x, labels = labelled(tokens, units)
    eraser = fit_leace(x, labels, shrinkage=shrinkage)
    erased = eraser.remove(x)
    assert float(difference(x, labels).norm()) > 1
    torch.testing.assert_close(difference(erased, labels), torch.zeros(units).double(), rtol=0, atol=1e-9)
    torch.testing.assert_close(erased.mean(dim=0), x.mean(dim=0), rtol=0, atol=1e-9)
    torch.testing.assert_close(eraser.remove(erased), erased, rtol=0, atol=1e-9)
    lost = 1 - float(erased.var(dim=0).sum() / x.var(dim=0).sum())
    assert eraser.variance_lost == pytest.approx(lost, abs=1e-10)


@pytest.mark.slow
def test_a_probe_learns_before_and_nothing_after():
    x, labels = labelled(2000, 12)
    erased = fit_leace(x, labels, shrinkage=0.0).remove(x)

    def accuracy(features):
        probe = LogisticRegression(max_iter=5000, C=1e6).fit(features.numpy(), labels.numpy())
        return probe.score(features.numpy(), labels.numpy())

    majority = max(float(labels.double().mean()), 1 - float(labels.double().mean()))
    assert accuracy(x) > majority + 0.05
    assert accuracy(erased) == pytest.approx(majority, abs=1e-9)


def test_it_moves_activations_less_than_the_orthogonal_cut_and_is_oblique():
    """Both cuts make the means equal; of all that do, LEACE's is the smallest edit."""
    x, labels = labelled()
    eraser = fit_leace(x, labels, shrinkage=0.0)
    orthogonal = fit_subspace(x, method="mean_difference", labels=labels).remove(x)
    torch.testing.assert_close(difference(orthogonal, labels), torch.zeros(12).double(), rtol=0, atol=1e-9)
    assert float((eraser.remove(x) - x).norm()) < 0.9 * float((orthogonal - x).norm())
    cosine = torch.nn.functional.cosine_similarity(eraser.left[0], eraser.right[0], dim=0)
    assert abs(float(cosine)) < 0.9


def test_shrinkage_carries_over_to_other_tokens_where_units_outnumber_tokens():
    """Without it the eraser reads each fitted token's own label and does little elsewhere."""
    fitted, rest = slice(0, 30), slice(30, None)
    left_over = {None: 0.0, 0.0: 0.0}
    for seed in range(5):
        x, labels = labelled(3000, 40, seed=seed, share=0.5)
        for shrinkage in left_over:
            eraser = fit_leace(x[fitted], labels[fitted], shrinkage=shrinkage)
            left_over[shrinkage] += float(difference(eraser.remove(x[rest]), labels[rest]).norm())
    assert left_over[None] < 0.9 * left_over[0.0]


def test_a_weak_concept_of_few_tokens_is_erased():
    """One token of 400 in condition a, correlated about 1e-6 with each unit: still above rounding."""
    x, labels = labelled(400, 12)
    labels = torch.arange(400) == 7
    x[labels] = x[~labels].mean(dim=0)
    x[labels] += 1e-6 * 400**0.5 * x.std(dim=0)
    before = difference(x, labels).norm()
    erased = fit_leace(x, labels, shrinkage=0.0).remove(x)
    assert float(difference(erased, labels).norm()) < 1e-3 * float(before)


def test_input_stays_and_dtype_is_kept():
    x, labels = labelled(60, 5)
    x = x.to(torch.bfloat16)
    before = x.clone()
    eraser = fit_leace(x, labels)
    assert eraser.remove(x).dtype == torch.bfloat16
    assert eraser.left.dtype == torch.float64
    assert torch.equal(x, before)


def test_errors(monkeypatch):
    x, labels = labelled(60, 5)
    with pytest.raises(ValueError, match="LEACE needs labels"):
        fit_leace(x, None)
    with pytest.raises(ValueError, match="one condition only"):
        fit_leace(x, torch.ones(60, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"shrinkage must be from 0 to 1, got 1\.5"):
        fit_leace(x, labels, shrinkage=1.5)
    with pytest.raises(ValueError, match="not correlated with the activations: there is no concept to erase"):
        fit_leace(torch.cat([x, x]), torch.arange(120) < 60)
    with pytest.raises(ValueError, match="constant"):
        fit_leace(torch.ones(4, 3), labels[:4])
    monkeypatch.setitem(sys.modules, "concept_erasure", None)
    with pytest.raises(ImportError, match=r"needs the concept-erasure package.*pip install 'tlesion\[leace\]'"):
        fit_leace(x, labels)
