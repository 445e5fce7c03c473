"""Kinds of lesions, each said twice: as tlesion's interventions, and as plain hook functions that owe it nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tlesion import Subspace
from tlesion import interventions as iv
from tlesion.hooks import hidden_state, names

EXPERTS = "experts' neurons"
Pair = tuple[str, Callable[..., Any]]
Change = Callable[[Tensor], Tensor]
Places = dict[str, Any]
"""``positions`` (None, "readout", an index or several), ``heads`` and ``units``, as interventions take them."""


@dataclass(frozen=True)
class Edit:
    """One edit: tlesion's pair, and the change that it makes to part of an activation."""

    pair: Pair
    change: Change | None
    places: Places

    @property
    def is_late(self) -> bool:
        """Whether tlesion can know that the first position stays as it is."""
        return self.places.get("positions") not in (None, 0)

    def plain(self, readout: int) -> Pair:
        """The same as a hook function for a prompt that is read at this position."""
        name, function = self.pair
        return (name, function) if self.change is None else (name, _plain(self.change, readout, **self.places))


Lesion = Sequence[Edit]


def _plain(
    change: Change, readout: int, *, positions: Any = None, heads: Any = None, units: Any = None
) -> Callable[..., Tensor]:
    """A hook function that changes these places of ``[1, pos, unit]`` or ``[1, pos, head, unit]``."""

    def function(activation: Tensor, hook: object) -> Tensor:
        parts = [readout if isinstance(positions, str) else positions, units]
        parts[1:1] = [heads] if activation.ndim == 4 else []
        axes = [
            torch.arange(size)[slice(None) if part is None else part].reshape(-1)
            for size, part in zip(activation.shape[1:], parts, strict=True)
        ]
        chosen = torch.zeros(activation.shape[1:], dtype=torch.bool)
        chosen[torch.meshgrid(*axes, indexing="ij")] = True
        return torch.where(chosen, change(activation), activation)

    return function


def zero(name: str, **places: Any) -> Edit:
    return Edit(iv.zero(name, **places), torch.zeros_like, places)


def scale(name: str, factor: float, **places: Any) -> Edit:
    return Edit(iv.scale(name, factor, **places), lambda activation: activation * factor, places)


def replace(name: str, values: Tensor, **places: Any) -> Edit:
    def change(activation: Tensor) -> Tensor:
        return values.to(activation.dtype).expand_as(activation)

    return Edit(iv.replace(name, values, **places), change, places)


def remove(name: str, width: int, *, rank: int, **places: Any) -> Edit:
    directions = torch.linalg.qr(_drawn(width, rank)).Q.T
    mean = _drawn(width)

    def change(activation: Tensor) -> Tensor:
        rows = activation.double()
        return (rows - (rows - mean) @ directions.T @ directions).to(activation.dtype)

    subspace = Subspace.from_directions(directions, mean=mean)
    return Edit(iv.remove_subspace(name, subspace, **places), change, places)


def noise(name: str, **options: Any) -> Edit:
    # Its numbers are tlesion's own in both: what is compared is where they go.
    return Edit(iv.gaussian(name, **options), None, {"positions": options.get("positions")})


def _drawn(*shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(5).standard_normal(shape))


def halve(activation: Tensor, hook: object) -> None:
    """In place and without a return value."""
    activation *= 0.5


def negate(activation: Tensor, hook: object) -> Tensor:
    """A new tensor."""
    return -activation


def _neurons_at_readout(model: Any) -> list[Lesion]:
    return [[zero(name, units=[0, 3, 40], positions="readout")] for name in layers(model, "mlp.hook_post")]


def _neurons_everywhere(model: Any) -> list[Lesion]:
    return [[scale(name, -2.0, units=slice(0, None, 2))] for name in layers(model, "mlp.hook_pre")]


def _neurons_early(model: Any) -> list[Lesion]:
    return [[zero(name, positions=at)] for name in layers(model, "mlp.hook_post") for at in (0, 2)]


def _heads(point: str) -> Callable[[Any], list[Lesion]]:
    def lesions(model: Any) -> list[Lesion]:
        one, some = (0, [0]) if point in ("attn.hook_k", "attn.hook_v") else (1, [0, 1])  # keys may have one head
        late = [[scale(name, 3.0, heads=some, positions=-2)] for name in layers(model, point)]
        return [*late, *([zero(name, heads=one)] for name in layers(model, point))]

    return lesions


def _hidden_states(model: Any) -> list[Lesion]:
    states = [hidden_state(model, layer) for layer in range(model.cfg.n_layers)]
    return [
        *([scale(name, 0.1, positions="readout")] for name in states),
        *([scale(name, 3.0)] for name in states),
        *([zero(name, units=[1, 2], positions=-2)] for name in layers(model, "hook_resid_pre")),
    ]


def _outputs(model: Any) -> list[Lesion]:
    points = [*layers(model, "hook_attn_out"), *layers(model, "hook_mlp_out")]
    return [[scale(name, 0.2, positions="readout")] for name in points] + [[zero(name)] for name in points]


def _several_layers(model: Any) -> list[Lesion]:
    neurons, heads = layers(model, "mlp.hook_post"), layers(model, "attn.hook_z")
    last = hidden_state(model, model.cfg.n_layers - 1)
    late = [zero(heads[1], heads=0, positions=-2), scale(last, 0.5, positions="readout")]
    return [
        late,
        [zero(heads[0], heads=[1]), zero(heads[0], heads=[2], positions="readout"), zero(heads[-1])],
        *(
            [[zero(neurons[0], units=[1], positions=-2), *late, scale(neurons[0], 2.0, units=[1, 2])]]
            if neurons
            else []
        ),
        *([[scale(name, 0.5, positions="readout") for name in neurons]] if neurons else []),
    ]


def _noise(model: Any) -> list[Lesion]:
    points = layers(model, "mlp.hook_post") or layers(model, "hook_attn_out")
    return [
        *([noise(name, mean=1.0, seed=4, positions=[-3, -1])] for name in points),
        *([noise(name, std=0.5, seed=2, mode="add", units=slice(0, 9))] for name in points),
    ]


def _replace(model: Any) -> list[Lesion]:
    points = layers(model, "mlp.hook_post") or layers(model, "hook_attn_out")
    width = model.cfg.d_mlp if "mlp" in points[0] else model.cfg.d_model
    values = _drawn(width).float()
    return [[replace(name, values, units=slice(3, 20), positions=-1)] for name in points]


def _subspace(model: Any) -> list[Lesion]:
    width, cfg = model.cfg.d_model, model.cfg
    lesions: list[Lesion] = [[remove(hidden_state(model, n), width, rank=2)] for n in range(cfg.n_layers)]
    lesions += [[remove(name, cfg.d_mlp, rank=1, positions="readout")] for name in layers(model, "mlp.hook_pre")]
    return lesions


def _own_functions(model: Any) -> list[Lesion]:
    late = zero(layers(model, "attn.hook_z")[-1], heads=1, positions=-1)
    return [
        [Edit((layers(model, "attn.hook_pattern")[1], halve), None, {})],
        [Edit(("blocks.0.hook_resid_pre", negate), None, {}), late],
        [Edit((layers(model, "hook_attn_out")[1], negate), None, {})],
        [Edit((layers(model, "attn.hook_q")[1], halve), None, {})],
    ]


def _outside_blocks(model: Any) -> list[Lesion]:
    point = next(name for name in ("hook_full_embed", "hook_embed") if name in names(model))
    return [[scale(point, 0.5, positions=-1)], [Edit((point, halve), None, {})]]


def _inputs(model: Any) -> list[Lesion]:
    points = ("hook_q_input", "hook_k_input", "hook_v_input") if model.cfg.use_split_qkv_input else ()
    points += ("hook_attn_in",) if model.cfg.use_attn_in else ()
    found: list[Lesion] = [[zero(name, heads=1)] for point in points for name in layers(model, point)]
    found += [[zero(name, heads=0, positions=-1)] for point in points for name in layers(model, point)]
    if model.cfg.use_hook_mlp_in:
        found += [[scale(name, 0.3, positions="readout")] for name in layers(model, "hook_mlp_in")]
    if model.cfg.use_attn_result:
        found += [[zero(name, heads=1, positions=-1)] for name in layers(model, "attn.hook_result")]
    return found


def _nothing(model: Any) -> list[Lesion]:
    point = (layers(model, "mlp.hook_post") or layers(model, "hook_attn_out"))[1]
    return [[scale(point, 1.0)], [zero(point, units=[])]]


def _experts(model: Any) -> list[Lesion]:
    return [
        [Edit((name, halve), None, {})] for name in names(model) if ".experts." in name and name.endswith("hook_post")
    ]


KINDS: dict[str, Callable[[Any], list[Lesion]]] = {
    "neurons where it is read": _neurons_at_readout,
    "neurons everywhere": _neurons_everywhere,
    "neurons early": _neurons_early,
    "hook_z": _heads("attn.hook_z"),
    "hook_q": _heads("attn.hook_q"),
    "hook_k": _heads("attn.hook_k"),
    "hook_v": _heads("attn.hook_v"),
    "hidden states": _hidden_states,
    "outputs": _outputs,
    "several layers": _several_layers,
    "noise": _noise,
    "replace": _replace,
    "subspace": _subspace,
    "own functions": _own_functions,
    "outside the blocks": _outside_blocks,
    "inputs and results of heads": _inputs,
    EXPERTS: _experts,
    "beside a permanent hook": _neurons_at_readout,
    "nothing": _nothing,
}
"""The lesions of a model, one list for each kind; empty where the model has no such hook point."""


def layers(model: Any, point: str) -> list[str]:
    """The full names of a hook point, in every layer that has it."""
    if model.cfg.attn_only and "mlp" in point:
        return []  # TransformerLens makes `hook_mlp_out` all the same, and never calls it.
    here = set(names(model))
    found = [f"blocks.{layer}.{point}" for layer in range(model.cfg.n_layers)]
    return [name for name in found if name in here]
