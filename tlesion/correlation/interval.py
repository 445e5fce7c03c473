"""Confidence intervals of correlations, on Fisher's z scale, where they are nearly symmetric."""

import torch
from jaxtyping import Float, Float64
from scipy import stats
from torch import Tensor

from tlesion.checks import number, one_of

COEFFICIENTS = ("pearson", "spearman")


def fisher_interval(
    r: Float[Tensor, "*unit"], n: int, *, coefficient: str = "pearson", level: float | int = 0.95
) -> tuple[Float64[Tensor, "*unit"], Float64[Tensor, "*unit"]]:
    r"""Interval of a correlation of n independent pairs.

    .. math:: \tanh\left(\operatorname{artanh} r \pm z_{(1 + \mathrm{level})/2}\, s\right), \qquad
        s = 1/\sqrt{n - 3} \;\text{(Pearson)}, \quad \sqrt{(1 + r^2/2)/(n - 3)} \;\text{(Spearman)}

    Args:
        r: Correlations.
        n: Independent pairs behind each of them.
        coefficient: ``"pearson"`` or ``"spearman"``.
        level: Confidence level.

    Returns:
        Lower and upper end; NaN for fewer than four pairs and where r is NaN.

    Raises:
        ValueError: An unknown coefficient, or a level outside (0, 1).

    Source:
        Fisher (1921); for ranks Bonett & Wright (2000), Psychometrika 65:23-28. The first agrees with
        ``scipy.stats.pearsonr(...).confidence_interval()``.

    Example:
        >>> import torch
        >>> low, high = fisher_interval(torch.tensor(0.6), 30)
        >>> round(low.item(), 3), round(high.item(), 3)
        (0.306, 0.79)
    """
    one_of("coefficient", coefficient, COEFFICIENTS)
    check_level(level)
    r = r.double()
    if n < 4:
        return torch.full_like(r, torch.nan), torch.full_like(r, torch.nan)
    spread = torch.ones_like(r) if coefficient == "pearson" else (1 + r.square() / 2).sqrt()
    return _around(r, float(stats.norm.ppf((1 + level) / 2)) * spread / (n - 3) ** 0.5)


def jackknife_interval(
    r: Float[Tensor, "*unit"], r_without: Float[Tensor, "group *unit"], *, level: float | int = 0.95
) -> tuple[Float64[Tensor, "*unit"], Float64[Tensor, "*unit"]]:
    r"""Interval of a correlation whose pairs come in groups that are independent of each other.

    All neurons of a word are one group, because they are not independent pairs. Each group is left out in turn;
    with :math:`z_g` Fisher's z without group g of G,

    .. math:: \tanh\left(\operatorname{artanh} r \pm t_{(1 + \mathrm{level})/2,\, G-1}\, s\right), \qquad
        s^2 = \frac{G - 1}{G} \sum_g (z_g - \bar z)^2

    Args:
        r: Correlations of all pairs.
        r_without: The same without each group.
        level: Confidence level.

    Returns:
        Lower and upper end; NaN for a single group, and where a correlation is NaN.

    Raises:
        ValueError: A level outside (0, 1).

    Source:
        Efron & Stein (1981), The jackknife estimate of variance, The Annals of Statistics 9:586-596.

    Example:
        >>> import torch
        >>> low, high = jackknife_interval(torch.tensor(0.5), torch.tensor([0.5, 0.45, 0.55, 0.5]))
        >>> round(low.item(), 3), round(high.item(), 3)
        (0.281, 0.67)
    """
    check_level(level)
    n_groups = len(r_without)
    z = r_without.double().clamp(-1, 1).atanh()
    variance = (n_groups - 1) / n_groups * (z - z.mean(0)).square().sum(0)
    if n_groups < 2:
        variance = torch.full_like(variance, torch.nan)
    return _around(r.double(), float(stats.t.ppf((1 + level) / 2, max(n_groups - 1, 1))) * variance.sqrt())


def check_level(level: float | int) -> None:
    """Refuse a confidence level outside (0, 1)."""
    if not 0 < number("level", level, finite=False) < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level!r}; 0.95 is a 95 % interval")


def _around(
    r: Float64[Tensor, "*unit"], half: Float64[Tensor, "*unit"]
) -> tuple[Float64[Tensor, "*unit"], Float64[Tensor, "*unit"]]:
    z = r.clamp(-1, 1).atanh()
    return (z - half).tanh(), (z + half).tanh()
