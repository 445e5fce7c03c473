"""The arrays of a sweep: every field stands where its axes say, block by block, part by part."""

import pytest
import torch

from tlesion.sweeps.groups import Group, Reading
from tlesion.sweeps.lesions import Lesion
from tlesion.sweeps.sinks import Field, Sink, few_at_once
from tlesion.sweeps.store import Store

N_LAYERS, LENGTHS, N_READ = 2, (3, 2, 3), (1, 2, 1)
LESIONS = [Lesion(index, (), ()) for index in range(4)]
READINGS = [
    Reading(torch.zeros(length, dtype=torch.long), torch.arange(n_read), torch.zeros(n_read, 1, dtype=torch.long))
    for length, n_read in zip(LENGTHS, N_READ, strict=True)
]


def group(*members: int) -> Group:
    chosen = [READINGS[member] for member in members]
    parts = (torch.stack([getattr(one, name) for one in chosen]) for name in ("ids", "readout", "targets"))
    return Group(members, *parts)


class Numbers(Sink):
    """Takes what a test hands over as it is."""

    def __init__(self, **fields: Field) -> None:
        self.declared = fields

    def fields(self, lesions):
        return self.declared

    def hidden(self, layer, lesions, group, lesioned, clean):
        return {"field": lesioned}

    def logits(self, lesions, group, lesioned, clean):
        return {"field": lesioned, **({"clean": clean} if "clean" in self.declared else {})}


def filled(field: Field) -> tuple[Numbers, Store]:
    sink = Numbers(field=field)
    return sink, Store(sink, LESIONS, READINGS, N_LAYERS)


def counted(*shape: int) -> torch.Tensor:
    return torch.arange(1.0, 1 + torch.Size(shape).numel()).view(shape)


def test_lesions_and_prompts_go_to_their_own_rows_and_columns():
    sink, store = filled(Field(("lesion", "prompt", 2)))
    store.logits([LESIONS[3], LESIONS[1]], group(0, 2), counted(2, 2, 2), torch.zeros(()))
    assert sink.field.dtype == torch.float64
    assert sink.field[3, [0, 2]].tolist() == [[1, 2], [3, 4]]
    assert sink.field[1, [0, 2]].tolist() == [[5, 6], [7, 8]]
    assert int(sink.field.isnan().sum()) == 4 * 3 * 2 - 8
    assert sink.field is sink.values["field"]


def test_what_has_no_lesion_is_of_the_prompt_alone():
    sink = Numbers(field=Field(("lesion", "prompt")), clean=Field(("prompt",), torch.long))
    Store(sink, LESIONS, READINGS, N_LAYERS).logits(LESIONS[:1], group(1), torch.ones(1, 1), torch.tensor([7]))
    assert sink.clean.tolist() == [0, 7, 0]


def test_layers_come_one_at_a_time():
    sink, store = filled(Field(("lesion", "layer", "prompt"), torch.float32, fill=-1.0))
    store.hidden(1, LESIONS[:2], group(0, 2), counted(2, 2), torch.zeros(()))
    assert sink.field[:, 0].eq(-1).all()
    assert sink.field[:2, 1].tolist() == [[1, -1, 2], [3, -1, 4]]


@pytest.mark.parametrize(("axis", "sizes"), [("token", LENGTHS), ("readout", N_READ)])
def test_positions_of_all_prompts_stand_side_by_side(axis, sizes):
    sink, store = filled(Field(("lesion", "layer", axis)))
    starts = [0, sizes[0], sizes[0] + sizes[1], sum(sizes)]
    store.hidden(0, LESIONS[2:3], group(0, 2), counted(1, 2, sizes[0]), torch.zeros(()))
    store.hidden(0, LESIONS[2:3], group(1), 10 * counted(1, 1, sizes[1]), torch.zeros(()))
    row = sink.field[2, 0]
    assert row.shape == (sum(sizes),)
    assert row[: starts[1]].tolist() == list(range(1, sizes[0] + 1))
    assert row[starts[1] : starts[2]].tolist() == [10.0 * (i + 1) for i in range(sizes[1])]
    assert row[starts[2] :].tolist() == list(range(sizes[0] + 1, 2 * sizes[0] + 1))
    assert sink.field[:, 1].isnan().all()


def test_some_fields_keep_the_first_lesions_or_prompts_only():
    sink, store = filled(Field(("lesion", "layer", "token"), n_lesions=2, n_prompts=1))
    assert sink.field.shape == (2, N_LAYERS, LENGTHS[0])
    store.hidden(0, [LESIONS[2], LESIONS[1]], group(2, 0), counted(2, 2, 3), torch.zeros(()))
    assert sink.field[1, 0].tolist() == [10, 11, 12]
    assert sink.field[0].isnan().all()
    store.hidden(1, LESIONS[2:], group(2), counted(2, 1, 3), torch.zeros(()))
    assert sink.field[:, 1].isnan().all()


def test_a_part_holds_what_came_since_it_began_and_goes_back_to_its_place():
    def begun() -> tuple[Numbers, Store]:
        sink = Numbers(field=Field(("lesion", "layer", "token")), other=Field(("prompt",)))
        return sink, Store(sink, LESIONS, READINGS, N_LAYERS)

    sink, store = begun()
    store.hidden(0, LESIONS[:1], group(1), counted(1, 1, 2), torch.zeros(()))
    store.begin_part()
    chosen, few = [LESIONS[3], LESIONS[0]], group(2, 0)
    for layer in range(N_LAYERS):
        store.hidden(layer, chosen, few, counted(2, 2, 3) + 100 * layer, torch.zeros(()))
    part = store.part(chosen, few)
    assert set(part) == {"field"}
    again, empty = begun()
    empty.put_part(part, chosen, few)
    here = ~again.field.isnan()
    assert int(here.sum()) == 2 * 2 * 2 * 3
    assert torch.equal(again.field[here], sink.field[here])


def test_values_of_another_shape_are_refused():
    _, store = filled(Field(("lesion", "prompt", 2)))
    refused = r"Numbers returned 'field' as \[2, 1, 2\] for 1 lesions over 2 prompts; its axes .* make that \[1, 2, 2\]"
    with pytest.raises(ValueError, match=refused):
        store.logits(LESIONS[:1], group(0, 2), torch.zeros(2, 1, 2), torch.zeros(()))


def test_a_sink_says_what_it_holds():
    sink = Numbers(field=Field(("lesion",)))
    with pytest.raises(AttributeError, match=r"Numbers has no 'clean'; no sweep has filled it yet"):
        sink.clean  # noqa: B018
    Store(sink, LESIONS, READINGS, N_LAYERS)
    with pytest.raises(AttributeError, match=r"Numbers has no 'clean'; the sweep has filled field"):
        sink.clean  # noqa: B018


def test_a_few_lesions_at_a_time_give_the_values_of_all(monkeypatch):
    monkeypatch.setattr("tlesion.sweeps.sinks._NUMBERS_AT_ONCE", 12)
    seen = []

    def measure(few):
        seen.append(len(few))
        return {"sum": few.sum(dim=-1)}

    lesioned = counted(7, 2, 3)
    assert torch.equal(few_at_once(lesioned, measure)["sum"], lesioned.sum(dim=-1))
    assert max(seen) == 2
    assert sum(seen) == 7
