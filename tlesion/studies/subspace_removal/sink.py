"""What a subspace study keeps of every lesioned run: norms of drifts, and the logits of single tokens."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float64, Int
from torch import Tensor

from tlesion.activations import in_float64
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
