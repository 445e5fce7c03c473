"""fit_subspace: every method against an independent way to its answer."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.decomposition import PCA, FastICA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from tlesion.subspace import METHODS, fit_subspace
from tlesion.subspace.decomposition import GRAM_ACCURATE, principal_directions
from tlesion.subspace.rows import centre_rows
from tlesion.subspace.shrinkage import shrink_covariance

SHAPES = [(12, 40), (40, 12), (25, 25)]


def gaussian(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def decaying(tokens, units, *, decay=0.7, seed=0):
    """Activations whose singular values fall geometrically, about a mean that is larger than all of them."""
    side = min(tokens, units)
    spectrum = decay ** torch.arange(side, dtype=torch.float64)
    return gaussian(tokens, side, seed=seed) * spectrum @ gaussian(side, units, seed=seed + 1) + 30


def two_conditions(n_a=30, n_b=50, units=10, seed=0):
    labels = torch.arange(n_a + n_b) < n_a
    offset = torch.linspace(2, -1, units, dtype=torch.float64)
    return decaying(n_a + n_b, units, seed=seed) + labels[:, None] * offset, labels


def assert_same_span(a, b, *, atol):
    torch.testing.assert_close(a.T @ a, b.T @ b, rtol=0, atol=atol)


# svd


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_svd_agrees_with_torch_and_with_sklearn(shape, dtype):
    x = decaying(*shape).to(dtype)
    subspace = fit_subspace(x, rank=5)
    centred = x.double() - x.double().mean(dim=0)
    _, singular, vh = torch.linalg.svd(centred, full_matrices=False)
    pca = PCA(n_components=5, svd_solver="full").fit(x.double().numpy())
    # Through the Gram matrix: 2e-16 / (σ₅/σ₁)², at σ₅/σ₁ ≈ 0.2.
    torch.testing.assert_close((subspace.basis @ vh[:5].T).abs(), torch.eye(5).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(
        (subspace.basis @ torch.as_tensor(pca.components_).T).abs(), torch.eye(5).double(), rtol=0, atol=1e-12
    )
    ratio = singular.square() / singular.square().sum()
    torch.testing.assert_close(subspace.variance_ratio, ratio[:5], rtol=1e-12, atol=0)
    np.testing.assert_allclose(subspace.variance_ratio, pca.explained_variance_ratio_, rtol=1e-12)
    torch.testing.assert_close(subspace.mean, x.double().mean(dim=0), rtol=1e-14, atol=0)
    assert (subspace.method, subspace.n_rows, subspace.components) == ("svd", shape[0], (0, 1, 2, 3, 4))


@pytest.mark.parametrize("shape", SHAPES)
def test_removal_is_the_recipe(shape):
    """Centre, decompose, σ of the chosen components = 0, multiply out, add the mean back."""
    x = decaying(*shape)
    u, singular, vh = torch.linalg.svd(x - x.mean(dim=0), full_matrices=False)
    singular[[1, 3]] = 0
    rebuilt = u * singular @ vh
    subspace = fit_subspace(x, components=[1, 3])
    # 1e-12 of values of about 30: float64 rounding of two ways to one number.
    torch.testing.assert_close(subspace.remove(x), rebuilt + x.mean(dim=0), rtol=0, atol=3e-11)
    torch.testing.assert_close(subspace.remove(x, restore_mean=False), rebuilt, rtol=0, atol=3e-11)


@pytest.mark.parametrize("shape", SHAPES)
def test_small_singular_values_are_found_where_the_gram_matrix_would_lose_them(shape):
    """Singular values down to 1e-9 of the first: their squares vanish beside it in float64."""
    side = min(shape) - 1
    spectrum = torch.logspace(0, -9, side, dtype=torch.float64)
    left = torch.linalg.qr(gaussian(shape[0], side) - gaussian(shape[0], side).mean(dim=0)).Q
    right = torch.linalg.qr(gaussian(shape[1], side, seed=5)).Q
    x = left * spectrum @ right.T
    assert spectrum[-1] < 1e-4 * GRAM_ACCURATE
    subspace = fit_subspace(x, rank=side)
    # Float64 SVD resolves a direction to 2e-16 · σ₁/σᵢ, here 2e-7, over the relative gap to its neighbours (≥ 0.5).
    torch.testing.assert_close((subspace.basis @ right).abs(), torch.eye(side).double(), rtol=0, atol=5e-6)
    torch.testing.assert_close(subspace.variance_ratio.sum(), torch.tensor(1.0).double(), rtol=1e-12, atol=0)


@given(st.integers(2, 12), st.integers(1, 12), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_variance_ratios_fall_and_sum_to_one_at_full_rank(tokens, units, seed):
    x = gaussian(tokens, units, seed=seed)
    ratio = fit_subspace(x, rank=min(tokens - 1, units)).variance_ratio
    torch.testing.assert_close(ratio.sum(), torch.tensor(1.0).double(), rtol=1e-12, atol=0)
    assert (ratio.diff() <= 1e-15).all()


def test_svd_sign_and_components():
    x = decaying(60, 9, seed=3)
    every = fit_subspace(x, rank=6)
    assert (every.basis.gather(1, every.basis.abs().argmax(dim=1, keepdim=True)) > 0).all()
    torch.testing.assert_close(fit_subspace(-x, rank=6).basis, every.basis, rtol=0, atol=1e-12)
    chosen = fit_subspace(x, components=[4, 1])
    torch.testing.assert_close(chosen.basis, every.basis[[4, 1]], rtol=0, atol=1e-12)
    torch.testing.assert_close(chosen.variance_ratio, every.variance_ratio[[4, 1]], rtol=1e-12, atol=0)
    assert chosen.components == (4, 1)


# ica


def mixed_sources(tokens=4000, units=6, seed=0):
    """Four independent uniform sources of falling size, mixed by directions that are not orthogonal."""
    sources = torch.from_numpy(np.random.default_rng(seed).random((tokens, 4)) - 0.5)
    mixing = torch.nn.functional.normalize(gaussian(4, units, seed=seed + 1), dim=1)
    return sources * torch.tensor([4.0, 3.0, 2.0, 1.0]) @ mixing + 10, mixing


def test_ica_finds_mixing_directions_that_svd_does_not():
    x, mixing = mixed_sources(seed=1)
    for component in range(4):
        row = fit_subspace(x, method="ica", components=[component], n_sources=4).basis[0]
        # 4000 tokens: a direction of ICA is uncertain by about 1/√tokens.
        assert abs(float(row @ mixing[component])) > 0.995
        # A second data set with every sign turned: the convention, not the data, sets the sign.
        assert row[row.abs().argmax()] > 0
        turned = fit_subspace(-x, method="ica", components=[component], n_sources=4).basis[0]
        assert float(row @ turned) > 0.999
    leading = fit_subspace(x, method="svd").basis[0]
    assert abs(float(leading @ mixing[0])) < 0.99


def test_ica_agrees_with_sklearn_on_the_activations_themselves():
    x, _ = mixed_sources()
    ica = FastICA(n_components=4, whiten="unit-variance", random_state=7, max_iter=2000, tol=1e-6).fit(x.numpy())
    theirs = torch.as_tensor(ica.mixing_.T)
    theirs = theirs[theirs.norm(dim=1).argsort(descending=True)]
    for rank in range(1, 5):
        ours = fit_subspace(x, rank, method="ica", n_sources=4, seed=1)
        # Both iterate until the angle between steps is below about √1e-6.
        assert_same_span(ours.basis, torch.linalg.qr(theirs[:rank].T).Q.T, atol=1e-3)
    assert ours.seed == 1


def test_ica_of_as_many_sources_as_are_kept_is_the_span_of_the_svd():
    x, _ = mixed_sources()
    ours = fit_subspace(x, 3, method="ica", n_sources=3)
    assert_same_span(ours.basis, fit_subspace(x, 3).basis, atol=1e-10)


def test_ica_that_does_not_settle_says_so(monkeypatch):
    monkeypatch.setattr("tlesion.subspace.independent.MOST_ITERATIONS", 1)
    with pytest.warns(RuntimeWarning, match="did not converge on 12 sources within 1 iterations.*give fewer n_sources"):
        fit_subspace(gaussian(40, 12), method="ica")


# contrasts


def test_mean_difference_points_from_b_to_a():
    x, labels = two_conditions()
    difference = x[labels].mean(dim=0) - x[~labels].mean(dim=0)
    subspace = fit_subspace(x, method="mean_difference", labels=labels)
    torch.testing.assert_close(subspace.basis[0], difference / difference.norm(), rtol=0, atol=1e-12)
    torch.testing.assert_close(subspace.mean, x.mean(dim=0), rtol=1e-14, atol=0)
    reverse = fit_subspace(x, method="mean_difference", labels=~labels)
    torch.testing.assert_close(reverse.basis, -subspace.basis, rtol=0, atol=1e-12)
    removed = subspace.remove(x)
    torch.testing.assert_close(removed[labels].mean(dim=0), removed[~labels].mean(dim=0), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("n_a", "n_b", "units"), [(30, 50, 10), (6, 9, 40), (1, 12, 20)])
def test_lda_agrees_with_sklearn_and_with_the_explicit_formula(n_a, n_b, units):
    x, labels = two_conditions(n_a, n_b, units)
    within = x.clone()
    within[labels] -= x[labels].mean(dim=0)
    within[~labels] -= x[~labels].mean(dim=0)
    weight = ledoit_wolf_shrinkage(within.numpy(), assume_centered=True)
    assert 0 < weight < 1
    covariance = within.T @ within / len(x)
    covariance = (1 - weight) * covariance + weight * covariance.trace() / units * torch.eye(units).double()
    explicit = torch.linalg.solve(covariance, x[labels].mean(dim=0) - x[~labels].mean(dim=0))
    subspace = fit_subspace(x, method="lda", labels=labels)
    # Both solve the same system, of condition number up to about 1e5, in float64.
    torch.testing.assert_close(subspace.basis[0], explicit / explicit.norm(), rtol=0, atol=1e-9)
    if n_a > 1:
        lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=weight).fit(x.numpy(), labels.numpy())
        theirs = torch.as_tensor(lda.coef_[0])
        # It solves for each mean, not for their difference, which costs two more digits at means near 30.
        torch.testing.assert_close(subspace.basis[0], theirs / theirs.norm(), rtol=0, atol=1e-7)


@pytest.mark.parametrize("shape", SHAPES)
def test_ledoit_wolf_weight_agrees_with_sklearn(shape):
    for decay in (0.5, 0.9, 1.0):
        x = decaying(*shape, decay=decay)
        centred = x - x.mean(dim=0)
        ours = shrink_covariance(centred)
        theirs = ledoit_wolf_shrinkage(centred.numpy(), assume_centered=True)
        assert ours.weight == pytest.approx(theirs, rel=1e-9, abs=1e-9)
        assert ours.scale == pytest.approx(float(centred.square().mean()), rel=1e-12)


# random


def test_random_is_seeded_orthonormal_and_takes_its_share_of_a_white_space():
    x = gaussian(2000, 20)
    first, again, other = (fit_subspace(x, 5, method="random", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.basis, again.basis)
    assert not torch.allclose(first.basis, other.basis)
    torch.testing.assert_close(first.basis @ first.basis.T, torch.eye(5).double(), rtol=0, atol=1e-13)
    # Of white activations any 5 of 20 dimensions hold a quarter; 2000 tokens vary it by about 2 %.
    assert float(first.variance_ratio.sum()) == pytest.approx(0.25, abs=0.02)
    assert float(fit_subspace(x, 20, method="random").variance_ratio.sum()) == pytest.approx(1, rel=1e-12)


def test_random_leaves_global_random_state_alone():
    state = torch.get_rng_state()
    numpy_state: Any = np.random.get_state()  # noqa: NPY002
    before = numpy_state[1].copy()
    x, _ = mixed_sources(tokens=200)
    for method in ("random", "random_in_span", "ica"):
        fit_subspace(x, 2, method=method)
    assert torch.equal(state, torch.get_rng_state())
    numpy_state = np.random.get_state()  # noqa: NPY002
    assert np.array_equal(before, numpy_state[1])


def test_random_in_span_stays_in_the_span_of_few_tokens():
    x = gaussian(6, 300)
    span = torch.linalg.svd(x - x.mean(dim=0), full_matrices=False).Vh[:5]
    within = fit_subspace(x, 3, method="random_in_span", seed=4)
    torch.testing.assert_close(within.basis @ span.T @ span, within.basis, rtol=0, atol=1e-12)
    assert_same_span(fit_subspace(x, 5, method="random_in_span").basis, span, atol=1e-12)
    # Five of 300 dimensions vary: a random direction hardly meets them, one of the span always does.
    anywhere = fit_subspace(x, 3, method="random", seed=4)
    assert float(anywhere.variance_ratio.sum()) < 0.05 < 0.3 < float(within.variance_ratio.sum())


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_an_orthonormal_basis_and_leaves_its_input_alone(method):
    # Uniform sources: in Gaussian rows there is nothing for ICA to find, and the last digit says when it settles.
    x, _ = mixed_sources(400)
    labels = torch.arange(400) < 150
    x = (x + labels[:, None]).float().requires_grad_()
    before, marks = x.detach().clone(), labels.clone()
    subspace = fit_subspace(x, 1, method=method, labels=labels)
    assert subspace.basis.shape == (1, 6)
    torch.testing.assert_close(subspace.basis.norm(dim=1), torch.ones(1).double(), rtol=0, atol=1e-13)
    assert not subspace.basis.requires_grad
    assert 0 < float(subspace.variance_ratio.sum()) <= 1
    assert torch.equal(x, before)
    assert torch.equal(labels, marks)
    assert torch.equal(fit_subspace(x, 0, method=method, labels=labels).remove(x), x)


def test_the_row_space_comes_whole():
    x = gaussian(8, 3) @ gaussian(3, 20, seed=1)
    span = principal_directions(centre_rows(x))
    assert span.shape == (3, 20)
    centred = x - x.mean(dim=0)
    torch.testing.assert_close(centred @ span.T @ span, centred, rtol=0, atol=1e-12)
