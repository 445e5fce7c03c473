"""What a cut costs: drift of the hidden states and drop of single tokens' logits, reduced as they come, and tested."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int
from scipy import stats
from torch import Tensor

from tlesion.activations import in_float64
from tlesion.correlation.interval import check_level
from tlesion.stats import Moments, paired
from tlesion.sweeps.groups import Group
from tlesion.sweeps.lesions import Lesion
from tlesion.sweeps.sinks import Field, Sink, few_at_once


class SubspaceSink(Sink):
    """Reduces hidden states to one norm per token as they come; the first lesion has to be one that changes nothing.

    Args:
        n_detailed: For how many of the first lesions the drift is kept token by token.

    Attributes:
        clean_norm: Norm of the clean hidden state, ``[layer, token]``.
        drift: Of the first lesions, ``[lesion, layer, token]``; 0 before a lesion's layer.
        drift_sum, drift_relative_sum: Of all lesions, sum over the tokens of each text, ``[lesion, layer, text]``.
        clean, lesioned: Logits of the targets, ``[predicted]`` and ``[lesion, predicted]``.
    """

    wants_hidden = True

    def __init__(self, *, n_detailed: int) -> None:
        self._n_detailed = n_detailed

    def fields(self, lesions: Sequence[Lesion]) -> dict[str, Field]:
        """See :class:`tlesion.sweeps.sinks.Sink`."""
        return {
            "clean_norm": Field(("layer", "token")),
            "drift": Field(("lesion", "layer", "token"), fill=0.0, n_lesions=self._n_detailed),
            "drift_sum": Field(("lesion", "layer", "prompt"), fill=0.0),
            "drift_relative_sum": Field(("lesion", "layer", "prompt"), fill=0.0),
            "clean": Field(("readout",)),
            "lesioned": Field(("lesion", "readout")),
        }

    @property
    def mean_drift(self) -> Float64[Tensor, "lesion layer"]:
        """Of all lesions, mean over tokens."""
        return self.drift_sum.sum(dim=2) / self.clean_norm.shape[1]

    @property
    def mean_drift_relative(self) -> Float64[Tensor, "lesion layer"]:
        """The same, relative to the norm of each token's clean hidden state."""
        return self.drift_relative_sum.sum(dim=2) / self.clean_norm.shape[1]

    def hidden(
        self, layer: int, lesions: Sequence[Lesion], group: Group, lesioned: Tensor, clean: Tensor
    ) -> Mapping[str, Tensor]:
        """See :class:`tlesion.sweeps.sinks.Sink`."""
        base = in_float64(clean)
        norm = base.norm(dim=-1)

        def measure(few: Tensor) -> dict[str, Tensor]:
            drift = (in_float64(few) - base).norm(dim=-1)
            return {
                "drift": drift,
                "drift_sum": drift.sum(dim=2),
                "drift_relative_sum": (drift / norm).sum(dim=2),
            }

        return {"clean_norm": norm, **few_at_once(lesioned, measure)}

    def logits(self, lesions: Sequence[Lesion], group: Group, lesioned: Tensor, clean: Tensor) -> Mapping[str, Tensor]:
        """See :class:`tlesion.sweeps.sinks.Sink`."""
        return {"clean": clean[..., 0], "lesioned": lesioned[..., 0]}


@dataclass(frozen=True, eq=False)
class DropTest:
    """A paired t-test of clean against lesioned logits, per lesion: is the drop more than chance?

    A row is a text where there are several, because tokens of one text depend on each other; over the tokens of a
    single text the test describes.

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
    drop: Float64[Tensor, "*lesion predicted"], text: Int[Tensor, " predicted"], *, level: float | int = 0.95
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
