"""Measures of what a lesion does downstream: to predictions, to directions, and how much of a deviation is undone."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from tlesion.activations import in_float64


def kl_divergence(
    clean: Float[Tensor, "*#run token"], lesioned: Float[Tensor, "*#run token"]
) -> Float64[Tensor, "*#run"]:
    r"""Kullback-Leibler divergence of the lesioned prediction from the clean one, in nats.

    .. math:: KL(p \,\|\, q) = \sum_i p_i (\log p_i - \log q_i), \qquad
        p = \mathrm{softmax}(\mathrm{clean}), \; q = \mathrm{softmax}(\mathrm{lesioned})

    Args:
        clean: Logits of the clean run; one stands for all lesioned runs beside it.
        lesioned: Logits of the lesioned run.

    Returns:
        0 where both predict the same, larger otherwise, without an upper bound.

    Source:
        Agrees with ``scipy.stats.entropy(p, q)`` and with ``torch.nn.functional.kl_div(log q, log p)``.

    Example:
        >>> import torch
        >>> round(kl_divergence(torch.tensor([0.0, 0.0]), torch.tensor([0.0, 1.0])).item(), 4)
        0.1201
    """
    log_p, log_q = in_float64(clean).log_softmax(dim=-1), in_float64(lesioned).log_softmax(dim=-1)
    # A token that is ruled out on both sides (−inf in both) adds nothing.
    terms = (log_p - log_q).mul_(log_p.exp()).masked_fill_(log_p.isneginf(), 0.0)
    return terms.sum(dim=-1).clamp_(min=0)


def cosine(a: Float[Tensor, "*run unit"], b: Float[Tensor, "*run unit"]) -> Float64[Tensor, "*run"]:
    """Cosine of the angle between vectors; NaN where one of them is zero.

    Example:
        >>> import torch
        >>> cosine(torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([[2.0, 0.0], [-1.0, 1.0]])).tolist()
        [1.0, 0.0]
    """
    a, b = in_float64(a), in_float64(b)
    size = a.norm(dim=-1) * b.norm(dim=-1)
    return torch.where(size > 0, (a * b).sum(dim=-1) / size, torch.nan).clamp(-1, 1)


def top_k_kept(clean: Float[Tensor, "*run token"], lesioned: Float[Tensor, "*run token"], k: int) -> Tensor:
    """Share of the clean run's k likeliest tokens that are among the lesioned run's k likeliest.

    Args:
        clean: Logits of the clean run.
        lesioned: Logits of the lesioned run.
        k: How many tokens; of equal logits the token with the lower id comes first.

    Returns:
        float64 ``[*run]``, 1 where the same tokens are on top in any order.

    Example:
        >>> import torch
        >>> top_k_kept(torch.tensor([3.0, 2.0, 1.0, 0.0]), torch.tensor([3.0, 0.0, 1.0, 2.0]), 2).item()
        0.5
    """
    same = top_k(clean, k)[..., :, None] == top_k(lesioned, k)[..., None, :]
    return in_float64(same.any(dim=-1)).mean(dim=-1)


def top_k(logits: Float[Tensor, "*run token"], k: int) -> Tensor:
    """Ids of the k likeliest tokens, the likeliest first; ties go to the lower id, so that there are always exactly
    k."""
    return logits.sort(dim=-1, descending=True, stable=True).indices[..., :k]


def recovery_index(deviation: Float[Tensor, "layer *run"], start: int) -> Float64[Tensor, "layer *run"]:
    r"""How much of a deviation at one layer is undone by each later one.

    .. math:: R_l = 1 - \frac{D_l}{D_{start}}

    Args:
        deviation: Size of the deviation after every layer, at least 0.
        start: The layer whose deviation counts as the whole.

    Returns:
        0: nothing is undone; 1: all of it; below 0: the deviation has grown. NaN before ``start``, and where there
        is no deviation to undo.

    Example:
        >>> import torch
        >>> recovery_index(torch.tensor([0.0, 4.0, 3.0, 6.0]), 1).tolist()
        [nan, 0.0, 0.25, -0.5]
    """
    deviation = in_float64(deviation)
    whole = deviation[start]
    recovered = 1 - deviation / torch.where(whole > 0, whole, torch.nan)
    recovered[:start] = torch.nan
    return recovered
