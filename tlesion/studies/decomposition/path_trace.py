"""What a sweep has to keep for the path from a lesioned block to the readout: a few vectors per lesion and prompt."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from tlesion.hooks import FwdHook, HookPoint, Model, layer_of
from tlesion.sweeps.groups import Group, Reading
from tlesion.sweeps.lesions import Lesion, Onlooker
from tlesion.sweeps.sinks import Field, Sink
from tlesion.tokens import is_masked

Kept = Float64[Tensor, "prompt d_model"]
_START = "blocks.{}.hook_resid_post"
_ANSWERS = ("blocks.{}.hook_attn_out", "blocks.{}.hook_mlp_out")


class PathTrace(Sink):
    """Keeps the targets' logits, and the residual stream of the readout positions from the lesioned block on.

    The first lesion of the sweep is the clean run: it has to change nothing. In a causal model the hidden states say
    all that is needed. In a masked one every block norms what it adds up, so that attention and MLP of the later blocks
    are kept as well, by hooks that look and change nothing.

    Args:
        model: The model.
        readings: The prompts.

    Attributes:
        clean: Clean logits of the targets, ``[prompt, target]``.
        lesioned: Lesioned logits of the targets, ``[lesion, prompt, target]``.
    """

    wants_hidden = True

    def __init__(self, model: Model, readings: Sequence[Reading]) -> None:
        self._masked, self._n_layers = is_masked(model), int(model.cfg.n_layers)
        self._d_model, self._dtype = int(model.cfg.d_model), model.cfg.dtype
        self._n_targets = readings[0].targets.shape[1]
        self._seen: dict[int, dict[str, Tensor]] = defaultdict(dict)

    def fields(self, lesions: Sequence[Lesion]) -> dict[str, Field]:
        """See :class:`tlesion.sweeps.sinks.Sink`."""
        row = Field(("prompt", self._d_model), self._dtype)
        return {
            "clean": Field(("prompt", self._n_targets)),
            "lesioned": Field(("lesion", "prompt", self._n_targets)),
            **{_field(lesion.index, name): row for lesion in lesions for name in self._names_of(lesion)},
        }

    def watch(self, index: int, layer: int) -> list[FwdHook]:
        """Hooks to add to a lesion that begins in a layer; they change nothing."""
        if not self._masked:
            return []

        def look(activation: Tensor, hook: HookPoint) -> None:
            self._seen[index][str(hook.name)] = activation.detach().clone()

        return [(name, Onlooker(look)) for name in self._names(index, layer)]

    def hidden(
        self, layer: int, lesions: Sequence[Lesion], group: Group, lesioned: Tensor, clean: Tensor
    ) -> Mapping[str, Tensor]:
        """See :class:`tlesion.sweeps.sinks.Sink`."""
        found = {}
        for lesion, rows in zip(lesions, lesioned, strict=True):
            for name in self._names_of(lesion):
                if layer_of(name) == layer:
                    activation = self._seen[lesion.index].pop(name) if self._masked else rows
                    found[_field(lesion.index, name)] = _at_readout(activation, group)
        return found

    def logits(self, lesions: Sequence[Lesion], group: Group, lesioned: Tensor, clean: Tensor) -> Mapping[str, Tensor]:
        """See :class:`tlesion.sweeps.sinks.Sink`."""
        return {"lesioned": lesioned[:, :, 0], "clean": clean[:, 0]}

    def start(self, index: int, layer: int) -> Kept:
        """What the block of a layer passes on at the readout positions, before BERT norms it."""
        return self._row(index, _START.format(layer))

    def later(self, index: int, layer: int) -> list[Kept]:
        """What the blocks after a layer add there, in order; in a causal model their sum."""
        if self._masked:
            return [self._row(index, name) for name in self._answers(layer)]
        return [self.start(index, self._n_layers - 1) - self.start(index, layer)]

    def _row(self, index: int, name: str) -> Kept:
        return self.values[_field(index, name)].double()

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


def _field(index: int, name: str) -> str:
    """The name of the field for one lesion and hook point."""
    return f"{index}.{name}"


def _at_readout(activation: Float[Tensor, "prompt pos d_model"], group: Group) -> Float[Tensor, "prompt d_model"]:
    # A sweep may carry the last positions only.
    offset = group.n_positions - activation.shape[1]
    place = (group.readout[:, 0] - offset).to(activation.device)
    return activation[torch.arange(len(activation), device=activation.device), place]
