"""What a subspace study keeps of every lesioned run: norms of drifts, and the logits of single tokens."""

from collections.abc import Sequence

import torch
from jaxtyping import Float64, Int
from torch import Tensor

from tlesion.sweeps.lesions import Lesion
from tlesion.sweeps.work import Group, Reading

_NUMBERS_AT_ONCE = 2**23


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
        mean_drift, mean_drift_relative: Of all lesions, mean over tokens, ``[lesion, layer]``.
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
        self.mean_drift: Float64[Tensor, "lesion layer"] = torch.zeros(n_lesions, n_layers, dtype=torch.float64)
        self.mean_drift_relative: Float64[Tensor, "lesion layer"] = torch.zeros_like(self.mean_drift)
        self.clean: Float64[Tensor, " predicted"] = _unset(sum(n_read))
        self.lesioned: Float64[Tensor, "lesion predicted"] = _unset(n_lesions, sum(n_read))
        for lesion, start in enumerate(starts[:n_detailed]):
            self.drift[lesion, :start] = 0.0

    def hidden(self, layer: int, lesions: Sequence[Lesion], group: Group, lesioned: Tensor, clean: Tensor) -> None:
        """See :class:`tlesion.sweeps.sinks.Sink`."""
        base = clean.double()
        norm = base.norm(dim=-1)
        for slot, member in enumerate(group.members):
            first = self._token[member]
            self.clean_norm[layer, first : first + norm.shape[1]] = norm[slot].cpu()
        size = max(1, _NUMBERS_AT_ONCE // base.numel())
        for start in range(0, len(lesions), size):
            few = lesions[start : start + size]
            self._take(layer, few, group, (lesioned[start : start + size].double() - base).norm(dim=-1), norm)

    def _take(
        self,
        layer: int,
        lesions: Sequence[Lesion],
        group: Group,
        drift: Float64[Tensor, "lesion prompt pos"],
        norm: Float64[Tensor, "prompt pos"],
    ) -> None:
        rows = torch.tensor([lesion.index for lesion in lesions])
        # Streamed: every text's tokens add their share of the mean over all tokens.
        self.mean_drift[rows, layer] += drift.sum(dim=(1, 2)).cpu() / self._n_tokens
        self.mean_drift_relative[rows, layer] += (drift / norm).sum(dim=(1, 2)).cpu() / self._n_tokens
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
            self.clean[columns] = clean[slot, :, 0].double().cpu()
            self.lesioned[rows, columns] = lesioned[:, slot, :, 0].double().cpu()


def _starts(lengths: Sequence[int]) -> list[int]:
    ends: Int[Tensor, " text"] = torch.tensor(lengths).cumsum(0)
    return [0, *ends[:-1].tolist()]


def _unset(*shape: int) -> Float64[Tensor, "..."]:
    return torch.full(shape, torch.nan, dtype=torch.float64)
