"""What a sweep has to keep for the path from a lesioned block to the readout: a few vectors per lesion and prompt."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from tlesion.hooks import FwdHook, HookPoint, Model, layer_of
from tlesion.sweeps.groups import Group, Reading
from tlesion.sweeps.lesions import Lesion
from tlesion.sweeps.sinks import Place
from tlesion.tokens import is_masked

Kept = Float64[Tensor, "prompt d_model"]
_START = "blocks.{}.hook_resid_post"
_ANSWERS = ("blocks.{}.hook_attn_out", "blocks.{}.hook_mlp_out")


class PathTrace:
    """Keeps the targets' logits, and the residual stream of the readout positions from the lesioned block on.

    The first lesion of the sweep is the clean run: it has to change nothing. In a causal model the hidden states say
    all that is needed. In a masked one every block norms what it adds up, so that attention and MLP of the later blocks
    are kept as well, by hooks that look and change nothing.

    Args:
        model: The model.
        readings: The prompts.
        n_lesions: How many lesions, the clean run included.

    Attributes:
        clean: Clean logits of the targets.
        lesioned: Lesioned logits of the targets.
    """

    wants_hidden = True
    wants_vocabulary = False

    def __init__(self, model: Model, readings: Sequence[Reading], n_lesions: int) -> None:
        self._masked, self._n_layers = is_masked(model), int(model.cfg.n_layers)
        self._shape, self._dtype = (len(readings), int(model.cfg.d_model)), model.cfg.dtype
        shape = (n_lesions, len(readings), readings[0].targets.shape[1])
        self.clean: Float64[Tensor, "prompt target"] = torch.full(shape[1:], torch.nan, dtype=torch.float64)
        self.lesioned: Float64[Tensor, "lesion prompt target"] = torch.full(shape, torch.nan, dtype=torch.float64)
        self._seen: dict[int, dict[str, Tensor]] = defaultdict(dict)
        self._kept: dict[tuple[int, str], Tensor] = {}

    def watch(self, index: int, layer: int) -> list[FwdHook]:
        """Hooks to add to a lesion that begins in a layer; they change nothing."""
        if not self._masked:
            return []

        def look(activation: Tensor, hook: HookPoint) -> None:
            self._seen[index][str(hook.name)] = activation.detach().clone()

        return [(name, look) for name in self._names(index, layer)]

    def hidden(self, layer: int, lesions: Sequence[Lesion], group: Group, lesioned: Tensor, clean: Tensor) -> None:
        """See :class:`tlesion.sweeps.sinks.Sink`."""
        for lesion, rows in zip(lesions, lesioned, strict=True):
            for name in self._names_of(lesion):
                if layer_of(name) == layer:
                    self._keep(lesion.index, name, group, self._seen[lesion.index].pop(name) if self._masked else rows)

    def logits(self, lesions: Sequence[Lesion], group: Group, lesioned: Tensor, clean: Tensor) -> None:
        """See :class:`tlesion.sweeps.sinks.Sink`."""
        members = torch.tensor(group.members)
        rows = torch.tensor([lesion.index for lesion in lesions])
        self.lesioned[rows[:, None], members] = lesioned[:, :, 0].cpu().double()
        self.clean[members] = clean[:, 0].cpu().double()

    def places(self, lesions: Sequence[Lesion], group: Group) -> Mapping[str, Place]:
        """See :class:`tlesion.sweeps.sinks.Sink`."""
        members = torch.tensor(group.members)
        rows = torch.tensor([lesion.index for lesion in lesions])[:, None]
        found = {"clean": Place(self.clean, (members,)), "lesioned": Place(self.lesioned, (rows, members))}
        for lesion in lesions:
            for name in self._names_of(lesion):
                found[f"{lesion.index}.{name}"] = Place(self._rows(lesion.index, name), (members,))
        return found

    def start(self, index: int, layer: int) -> Kept:
        """What the block of a layer passes on at the readout positions, before BERT norms it."""
        return self._rows(index, _START.format(layer)).double()

    def later(self, index: int, layer: int) -> list[Kept]:
        """What the blocks after a layer add there, in order; in a causal model their sum."""
        if self._masked:
            return [self._rows(index, name).double() for name in self._answers(layer)]
        return [self.start(index, self._n_layers - 1) - self.start(index, layer)]

    def _names_of(self, lesion: Lesion) -> list[str]:
        if lesion.index == 0:
            return self._names(0, 0)
        return [] if lesion.is_null else self._names(lesion.index, lesion.first_layer)

    def _names(self, index: int, layer: int) -> list[str]:
        """The hook points whose activations are kept of a lesion; those of the clean run serve every layer."""
        if index == 0:
            starts = list(range(self._n_layers))
        else:
            starts = [layer] if self._masked else sorted({layer, self._n_layers - 1})
        return [_START.format(start) for start in starts] + (self._answers(layer) if self._masked else [])

    def _answers(self, layer: int) -> list[str]:
        return [name.format(later) for later in range(layer + 1, self._n_layers) for name in _ANSWERS]

    def _rows(self, index: int, name: str) -> Float[Tensor, "prompt d_model"]:
        if (index, name) not in self._kept:
            self._kept[index, name] = torch.full(self._shape, torch.nan, dtype=self._dtype)
        return self._kept[index, name]

    def _keep(self, index: int, name: str, group: Group, activation: Float[Tensor, "prompt pos d_model"]) -> None:
        # A sweep may carry the last positions only.
        offset = group.n_positions - activation.shape[1]
        place = (group.readout[:, 0] - offset).to(activation.device)
        picked = activation[torch.arange(len(activation), device=activation.device), place]
        self._rows(index, name)[torch.tensor(group.members)] = picked.cpu()
