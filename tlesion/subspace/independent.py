"""Mixing directions of independent components (FastICA)."""

import warnings

import torch
from jaxtyping import Float
from torch import Tensor

from tlesion.checks import warn
from tlesion.subspace.projection import orient
from tlesion.subspace.rows import CentredRows

MOST_ITERATIONS = 2000


def default_n_sources(n_components: int) -> int:
    """Enough that the sources kept are a choice: with only as many sources as are kept, their span would be the SVD's
    again."""
    return max(16, 2 * n_components)


def mixing_directions(
    data: CentredRows, principal: Float[Tensor, "source unit"], *, seed: int
) -> Float[Tensor, "source unit"]:
    """What each independent source adds to the activations per standard deviation, most variance first.

    FastICA runs on the scores along the ``principal`` directions, as many sources as these: it would whiten
    with them anyway, and so its cost does not grow with the number of units. Sources have unit variance: the
    squared length of a row is the variance it carries, and these sum to the variance of the scores. Each
    direction's entry of largest magnitude is positive.

    Warns:
        RuntimeWarning: If FastICA did not converge, so that another seed may give other sources.

    Source: Hyvärinen and Oja (2000), through ``sklearn.decomposition.FastICA``.
    """
    # Imported here: scikit-learn takes as long to load as torch, and no other method uses it.
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    scores = (data.rows @ principal.T).cpu().numpy()
    ica = FastICA(
        n_components=len(principal),
        whiten="unit-variance",
        random_state=seed,
        max_iter=MOST_ITERATIONS,
        tol=1e-6,
    )
    with warnings.catch_warnings():
        # Its advice, more iterations, is not the caller's to follow; ours below is.
        warnings.simplefilter("ignore", ConvergenceWarning)
        ica.fit(scores)
    if ica.n_iter_ >= MOST_ITERATIONS:
        warn(
            f"FastICA did not converge on {len(principal)} sources within {MOST_ITERATIONS} iterations, so they "
            "depend on the seed; give fewer n_sources, or more tokens",
            RuntimeWarning,
        )
    mixing = torch.as_tensor(ica.mixing_.T, dtype=torch.float64, device=data.rows.device) @ principal
    order = mixing.square().sum(dim=1).argsort(descending=True)
    return orient(mixing[order])
