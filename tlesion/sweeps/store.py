"""The arrays of a sweep: made as its sink declares them, filled block by block, and kept part by part."""

from collections.abc import Mapping, Sequence
from itertools import accumulate

import torch
from jaxtyping import Int
from torch import Tensor

from tlesion.sweeps.finite import require_finite_lesions
from tlesion.sweeps.groups import Group, Reading
from tlesion.sweeps.lesions import Lesion
from tlesion.sweeps.sinks import Field, Sink


class Store:
    """What plans hand their numbers to: it asks the sink for values, and puts them where they belong.

    Args:
        sink: Says what is wanted; it gets the arrays as ``values``.
        lesions: All lesions of the sweep.
        readings: All its prompts.
        n_layers: Blocks of the model.

    Attributes:
        wants_hidden, wants_vocabulary: As the sink has them.
    """

    def __init__(self, sink: Sink, lesions: Sequence[Lesion], readings: Sequence[Reading], n_layers: int) -> None:
        self.wants_hidden, self.wants_vocabulary = sink.wants_hidden, sink.wants_vocabulary
        self._sink, self._fields = sink, sink.fields(lesions)
        self._n_layers, self._n_lesions = n_layers, len(lesions)
        self._length = [len(reading.ids) for reading in readings]
        self._n_read = [len(reading.readout) for reading in readings]
        self._touched: dict[str, None] = {}
        self._arrays = {name: self._new(field) for name, field in self._fields.items()}
        sink.values = self._arrays

    def hidden(self, layer: int, lesions: Sequence[Lesion], group: Group, lesioned: Tensor, clean: Tensor) -> None:
        """Keep what the sink makes of the hidden states after a block; see :meth:`tlesion.sweeps.sinks.Sink.hidden`."""
        self._put(self._sink.hidden(layer, lesions, group, lesioned, clean), lesions, group, layers=[layer])

    def logits(self, lesions: Sequence[Lesion], group: Group, lesioned: Tensor, clean: Tensor) -> None:
        """Keep what the sink makes of the logits; see :meth:`tlesion.sweeps.sinks.Sink.logits`."""
        values = self._sink.logits(lesions, group, lesioned, clean)
        require_finite_lesions(values, lesions, group, clean)
        self._put(values, lesions, group, layers=[])

    def begin_part(self) -> None:
        """From here on the fields count that :meth:`part` is to hold."""
        self._touched.clear()

    def part(self, lesions: Sequence[Lesion], group: Group) -> dict[str, Tensor]:
        """Everything that came for some lesions over some prompts since the part began, of all layers."""
        return {name: self._arrays[name][self._places(name, lesions, group)] for name in self._touched}

    def put_part(self, part: Mapping[str, Tensor], lesions: Sequence[Lesion], group: Group) -> None:
        """Put a part in its place that an earlier run has kept."""
        for name, values in part.items():
            self._arrays[name][self._places(name, lesions, group)] = values

    def _new(self, field: Field) -> Tensor:
        sizes = {
            "lesion": self._n_lesions if field.n_lesions is None else min(field.n_lesions, self._n_lesions),
            "layer": self._n_layers,
            "prompt": len(self._length[: field.n_prompts]),
            "token": sum(self._length[: field.n_prompts]),
            "readout": sum(self._n_read[: field.n_prompts]),
        }
        shape = [axis if isinstance(axis, int) else sizes[axis] for axis in field.axes]
        fill = field.fill if field.fill is not None else torch.nan if field.dtype.is_floating_point else 0
        return torch.full(shape, fill, dtype=field.dtype)

    def _put(
        self, values: Mapping[str, Tensor], lesions: Sequence[Lesion], group: Group, *, layers: Sequence[int]
    ) -> None:
        for name, value in values.items():
            expected = self._shape_of_values(name, lesions, group)
            if value.shape != expected:
                raise ValueError(
                    f"{type(self._sink).__name__} returned {name!r} as {list(value.shape)} for {len(lesions)} lesions "
                    f"over {group.n_prompts} prompts; its axes {self._fields[name].axes} make that {list(expected)}"
                )
            self._touched[name] = None
            places = self._places(name, lesions, group, layers=layers)
            shape = torch.broadcast_shapes(*(place.shape for place in places))
            kept = self._kept(name, value, lesions, group)
            self._arrays[name][places] = kept.cpu().reshape(shape).to(self._fields[name].dtype)

    def _shape_of_values(self, name: str, lesions: Sequence[Lesion], group: Group) -> torch.Size:
        n = group.n_prompts
        sizes: list[int] = []
        for axis in self._fields[name].axes:
            known = {
                "lesion": [len(lesions)],
                "layer": [],
                "prompt": [n],
                "token": [n, group.n_positions],
                "readout": [n, group.readout.shape[1]],
            }
            sizes += [axis] if isinstance(axis, int) else known[axis]
        return torch.Size(sizes)

    def _kept(self, name: str, value: Tensor, lesions: Sequence[Lesion], group: Group) -> Tensor:
        """Values without the lesions and prompts that the field leaves out."""
        field = self._fields[name]
        axes = [axis for axis in field.axes if axis != "layer"]
        if field.n_lesions is not None and "lesion" in axes:
            few = [slot for slot, lesion in enumerate(lesions) if lesion.index < field.n_lesions]
            value = value.index_select(axes.index("lesion"), torch.tensor(few, dtype=torch.long, device=value.device))
        if field.n_prompts is not None:
            few = [slot for slot, member in enumerate(group.members) if member < field.n_prompts]
            where = next(place for place, axis in enumerate(axes) if axis in ("prompt", "token", "readout"))
            value = value.index_select(where, torch.tensor(few, dtype=torch.long, device=value.device))
        return value

    def _places(
        self, name: str, lesions: Sequence[Lesion], group: Group, *, layers: Sequence[int] | None = None
    ) -> tuple[Int[Tensor, "..."], ...]:
        """Where in its array a field of some lesions over some prompts stands: an index for each axis, in open form."""
        field = self._fields[name]
        n_lesions = self._n_lesions if field.n_lesions is None else field.n_lesions
        members = [one for one in group.members if field.n_prompts is None or one < field.n_prompts]
        found = []
        for place, axis in enumerate(field.axes):
            if isinstance(axis, int):
                index = list(range(axis))
            elif axis == "lesion":
                index = [lesion.index for lesion in lesions if lesion.index < n_lesions]
            elif axis == "layer":
                index = list(range(self._n_layers)) if layers is None else list(layers)
            elif axis == "prompt":
                index = members
            else:
                index = _runs(self._length if axis == "token" else self._n_read, members)
            shape = [-1 if other == place else 1 for other in range(len(field.axes))]
            found.append(torch.tensor(index, dtype=torch.long).view(shape))
        return tuple(found)


def _runs(lengths: Sequence[int], members: Sequence[int]) -> list[int]:
    """Where the members stand among texts that lie side by side, position by position."""
    starts = [0, *accumulate(lengths)]
    return [place for member in members for place in range(starts[member], starts[member + 1])]
