"""Is a drop of logits more than chance? Rows are texts where there are several, and else tokens, which describes."""

from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int
from scipy import stats
from torch import Tensor

from tlesion.correlation.interval import check_level
from tlesion.stats import Moments, paired

OVER = ("tokens", "texts")


@dataclass(frozen=True, eq=False)
class DropTest:
    """A paired t-test of clean against lesioned logits, per lesion.

    Attributes:
        t, dof, p, effect_size: As in :func:`tlesion.stats.paired`; t > 0 where the lesion cost the tokens. NaN where
            all rows drop by the same amount, or where there is one row only.
        mean: Mean over rows.
        low, high: Interval of that mean.
        over: What the rows are, ``"tokens"`` or ``"texts"``.
        n_rows: How many there are.
    """

    t: Float64[Tensor, "*lesion"]
    dof: Float64[Tensor, "*lesion"]
    p: Float64[Tensor, "*lesion"]
    effect_size: Float64[Tensor, "*lesion"]
    mean: Float64[Tensor, "*lesion"]
    low: Float64[Tensor, "*lesion"]
    high: Float64[Tensor, "*lesion"]
    over: str
    n_rows: int


def measure_drops(
    drop: Float64[Tensor, "*lesion predicted"], text: Int[Tensor, " predicted"], *, level: float = 0.95
) -> DropTest:
    """Test logit drops against zero.

    Args:
        drop: Clean − lesioned logits.
        text: The text that each of them is from. With two texts or more a row is a text's mean over its tokens,
            because tokens of one text depend on each other.
        level: Confidence level of the interval.

    Raises:
        ValueError: A level outside (0, 1).

    Example:
        >>> import torch
        >>> drop = torch.tensor([[2.0, 1.0, 3.0]], dtype=torch.float64)
        >>> test = measure_drops(drop, torch.tensor([0, 0, 0]))
        >>> round(test.t.item(), 4), test.over, test.n_rows
        (3.4641, 'tokens', 3)
    """
    check_level(level)
    texts = text.unique()
    rows = drop.movedim(-1, 0)
    over = "tokens"
    if len(texts) > 1:
        over, rows = "texts", torch.stack([rows[text == one].mean(dim=0) for one in texts])
    if len(rows) < 2:
        nothing = torch.full_like(rows[0], torch.nan)
        return DropTest(nothing, nothing, nothing, nothing, rows[0], nothing, nothing, over, len(rows))
    test = paired(Moments.of(rows))
    half = float(stats.t.ppf((1 + level) / 2, len(rows) - 1)) * test.std_error
    mean = rows.mean(dim=0)
    return DropTest(test.t, test.dof, test.p, test.effect_size, mean, mean - half, mean + half, over, len(rows))
