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
from tlesion.sweeps.groups import Group, Reading
from tlesion.sweeps.lesions import Lesion
from tlesion.sweeps.sinks import Place, few_at_once


class SubspaceSink:
    """Reduces hidden states to one norm per token as they come; the first lesion is to be one that changes nothing.

    Args:
        readings: The texts; every reading's logits are read at the last of its positions but so many.
        starts: The layer in which each lesion begins, the null lesion's 0 included.
        n_layers: Blocks of the model.
        n_detailed: For how many of the first lesions the drift is kept token by token.

    Attributes:
        clean_norm: Norm of the clean hidden state, ``[layer, token]``.
        drift: Of the first lesions, ``[lesion, layer, token]``; 0 before a lesion's layer.
        drift_sum, drift_relative_sum: Of all lesions, sum over the tokens of each text, ``[lesion, layer, text]``.
        clean, lesioned: Logits of the targets, ``[predicted]`` and ``[lesion, predicted]``.
    """

    wants_hidden = True
    wants_vocabulary = False

    def __init__(self, readings: Sequence[Reading], starts: Sequence[int], n_layers: int, *, n_detailed: int) -> None:
        lengths = [len(reading.ids) for reading in readings]
        n_read = [len(reading.readout) for reading in readings]
        self._token = _starts(lengths)
        self._predicted = _starts(n_read)
        self._n_tokens, self._n_detailed = sum(lengths), n_detailed
        n_lesions = len(starts)
        self.clean_norm: Float64[Tensor, "layer token"] = _unset(n_layers, sum(lengths))
        self.drift: Float64[Tensor, "lesion layer token"] = _unset(n_detailed, n_layers, sum(lengths))
        self.drift_sum: Float64[Tensor, "lesion layer text"] = torch.zeros(
            n_lesions, n_layers, len(lengths), dtype=torch.float64
        )
        self.drift_relative_sum: Float64[Tensor, "lesion layer text"] = torch.zeros_like(self.drift_sum)
        self.clean: Float64[Tensor, " predicted"] = _unset(sum(n_read))
        self.lesioned: Float64[Tensor, "lesion predicted"] = _unset(n_lesions, sum(n_read))
        for lesion, start in enumerate(starts[:n_detailed]):
            self.drift[lesion, :start] = 0.0

    @property
    def mean_drift(self) -> Float64[Tensor, "lesion layer"]:
        """Of all lesions, mean over tokens."""
        return self.drift_sum.sum(dim=2) / self._n_tokens

    @property
    def mean_drift_relative(self) -> Float64[Tensor, "lesion layer"]:
        """The same, relative to the norm of each token's clean hidden state."""
        return self.drift_relative_sum.sum(dim=2) / self._n_tokens

    def places(self, lesions: Sequence[Lesion], group: Group) -> Mapping[str, Place]:
        """See :class:`tlesion.sweeps.sinks.Sink`."""
        members = torch.tensor(group.members)
        rows = torch.tensor([lesion.index for lesion in lesions])[:, None]
        detailed = rows[rows[:, 0] < self._n_detailed]
        tokens = _runs(self._token, group.members, group.n_positions)
        predicted = _runs(self._predicted, group.members, group.readout.shape[1])
        every = slice(None)
        return {
            "clean_norm": Place(self.clean_norm, (every, tokens)),
            "drift": Place(self.drift, (detailed, every, tokens)),
            "drift_sum": Place(self.drift_sum, (rows, every, members)),
            "drift_relative_sum": Place(self.drift_relative_sum, (rows, every, members)),
            "clean": Place(self.clean, (predicted,)),
            "lesioned": Place(self.lesioned, (rows, predicted)),
        }

    def hidden(self, layer: int, lesions: Sequence[Lesion], group: Group, lesioned: Tensor, clean: Tensor) -> None:
        """See :class:`tlesion.sweeps.sinks.Sink`."""
        base = in_float64(clean)
        norm = base.norm(dim=-1)
        for slot, member in enumerate(group.members):
            first = self._token[member]
            self.clean_norm[layer, first : first + norm.shape[1]] = norm[slot].cpu()
        for few, part in few_at_once(lesions, lesioned):
            self._take(layer, few, group, (in_float64(part) - base).norm(dim=-1), norm)

    def _take(
        self,
        layer: int,
        lesions: Sequence[Lesion],
        group: Group,
        drift: Float64[Tensor, "lesion prompt pos"],
        norm: Float64[Tensor, "prompt pos"],
    ) -> None:
        rows = torch.tensor([lesion.index for lesion in lesions])
        members = torch.tensor(group.members)
        self.drift_sum[rows[:, None], layer, members] = drift.sum(dim=2).cpu()
        self.drift_relative_sum[rows[:, None], layer, members] = (drift / norm).sum(dim=2).cpu()
        for place, row in enumerate(rows.tolist()):
            if row < self._n_detailed:
                for slot, member in enumerate(group.members):
                    first = self._token[member]
                    self.drift[row, layer, first : first + drift.shape[2]] = drift[place, slot].cpu()

    def logits(self, lesions: Sequence[Lesion], group: Group, lesioned: Tensor, clean: Tensor) -> None:
        """See :class:`tlesion.sweeps.sinks.Sink`."""
        rows = torch.tensor([lesion.index for lesion in lesions])
        for slot, member in enumerate(group.members):
            first = self._predicted[member]
            columns = slice(first, first + clean.shape[1])
            self.clean[columns] = clean[slot, :, 0].cpu().double()
            self.lesioned[rows, columns] = lesioned[:, slot, :, 0].cpu().double()


def _runs(starts: Sequence[int], members: Sequence[int], length: int) -> Int[Tensor, " place"]:
    """Indices of so many places from each member's start on."""
    return torch.cat([torch.arange(starts[member], starts[member] + length) for member in members])


def _starts(lengths: Sequence[int]) -> list[int]:
    ends: Int[Tensor, " text"] = torch.tensor(lengths).cumsum(0)
    return [0, *ends[:-1].tolist()]


def _unset(*shape: int) -> Float64[Tensor, "..."]:
    return torch.full(shape, torch.nan, dtype=torch.float64)


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
