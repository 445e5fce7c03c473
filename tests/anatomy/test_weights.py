"""The hash of a model's weights is computed once, and anew when they change: which changes are noticed."""

import copy
import gc
import time
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from tlesion.anatomy import weights
from tlesion.anatomy.weights import fingerprint, known_fingerprint
from tlesion.models import info

WIDE, LONG = 700, 900
SMALL, LARGE = "small", "large"


class Weights(nn.Module):
    """One small parameter, of which all is looked at, and a large one; a third axis as attention's weights have it."""

    def __init__(self) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(0)
        self.small = nn.Parameter(torch.randn(16, 32, generator=rng))
        self.large = nn.Parameter(torch.randn(LONG, WIDE, generator=rng))
        self.heads = nn.Parameter(torch.randn(4, 300, 400, generator=rng))


@pytest.fixture
def model() -> Weights:
    return Weights()


@pytest.fixture
def computed(monkeypatch) -> list[int]:
    """Grows by one whenever a model is hashed."""
    calls = []

    def counted(model):
        calls.append(1)
        return fingerprint(model)

    monkeypatch.setattr(weights, "fingerprint", counted)
    return calls


def test_it_is_computed_once(model, computed):
    found = {known_fingerprint(model) for _ in range(5)}
    assert found == {fingerprint(model)}
    assert len(computed) == 1


def test_running_a_model_changes_nothing(toy_gpt, computed):
    info(toy_gpt)
    before = len(computed)
    toy_gpt("The boy saw the house.")
    with toy_gpt.hooks(fwd_hooks=[("blocks.0.mlp.hook_post", lambda activation, hook: activation * 0)]):
        toy_gpt("The boy saw the house.")
    assert toy_gpt.blocks[0].mlp.W_in.requires_grad
    assert info(toy_gpt).fingerprint == fingerprint(toy_gpt)
    assert len(computed) == before


def under_no_grad(name):
    def change(model):
        with torch.no_grad():
            getattr(model, name)[3, 5] += 1e-3

    return change


def with_data(edit):
    def change(model):
        edit({name: value.data for name, value in model.named_parameters()})

    return change


def loaded(model):
    model.load_state_dict({name: value + 1e-3 for name, value in model.state_dict().items()})


def stepped(model):
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3)
    model.large.square().sum().backward()
    optimiser.step()


def data_replaced(model):
    model.large.data = model.large.data + 1e-3


def parameter_replaced(model):
    model.large = nn.Parameter(model.large.detach() + 1e-3)


def through_numpy(model):
    model.small.detach().numpy()[2, 2] = np.float32(7)


def set_(name, *index):
    def edit(data):
        data[name][index] = 0.0

    return with_data(edit)


EVERY = slice(None)
NOTICED = {
    "load_state_dict": loaded,
    "an optimiser's step": stepped,
    "one element under no_grad": under_no_grad(SMALL),
    "one element of a large one under no_grad": under_no_grad(LARGE),
    "another tensor as data": data_replaced,
    "another parameter": parameter_replaced,
    "another dtype": lambda model: model.to(torch.bfloat16),
    "data multiplied": with_data(lambda data: data[LARGE].mul_(2.0)),
    "data of a small one multiplied": with_data(lambda data: data[SMALL].mul_(2.0)),
    "one element of a small one's data": set_(SMALL, 3, 5),
    "elements of a row of data exchanged": with_data(lambda data: data[SMALL][3].copy_(data[SMALL][3].flip(0))),
    "rows of a small one's data exchanged": with_data(lambda data: data[SMALL].copy_(data[SMALL].flip(0))),
    "rows of data exchanged": with_data(lambda data: data[LARGE].copy_(data[LARGE].flip(0))),
    "NumPy": through_numpy,
    "a head": set_("heads", 2),
}
NOTICED |= {f"row {row} of data": set_(LARGE, row) for row in (0, 17, WIDE, LONG - 1)}
NOTICED |= {f"column {column} of data": set_(LARGE, EVERY, column) for column in (0, 17, WIDE - 1)}
NOTICED |= {f"unit {unit} of a head's axis": set_("heads", EVERY, EVERY, unit) for unit in (0, 399)}


@pytest.mark.parametrize("name", NOTICED)
def test_a_change_is_noticed(model, computed, name):
    before = known_fingerprint(model)
    NOTICED[name](model)
    after = known_fingerprint(model)
    assert after == fingerprint(model)
    assert after != before
    assert len(computed) == 2
    assert known_fingerprint(model) == after
    assert len(computed) == 2


def test_every_row_and_column_and_head_is_looked_at(model):
    """All of them, not those alone that another test happens to change."""
    for name in ("large", "heads"):
        values = getattr(model, name).detach()
        for axis, index in enumerate(weights._everywhere(values.shape, values.device)):
            assert set(index.tolist()) == set(range(values.shape[axis]))


def test_the_limit_is_as_it_is_told(model, computed):
    """One element of a large parameter past PyTorch's count is not noticed; a way that is counted is."""
    rows, columns = weights._everywhere(model.large.shape, model.large.device)
    seen = set(zip(rows.tolist(), columns.tolist(), strict=True))
    place = next((0, column) for column in range(WIDE) if (0, column) not in seen)
    before = known_fingerprint(model)
    model.large.data[place] += 1.0
    assert known_fingerprint(model) == before != fingerprint(model)
    with torch.no_grad():
        model.large[place] += 1.0
    assert known_fingerprint(model) == fingerprint(model) != before
    assert "less than a row or a column of it, changed through ``.data``" in weights.__doc__.replace("\n", " ")


def test_what_is_put_back_is_what_it_was(model, computed):
    before = known_fingerprint(model)
    kept = model.small.data[3, 5].clone()
    model.small.data[3, 5] = 9.0
    assert known_fingerprint(model) != before
    model.small.data[3, 5] = kept
    assert known_fingerprint(model) == before


def test_weights_that_are_not_counted_are_hashed_at_every_call(computed):
    with torch.inference_mode():
        model = nn.Linear(3, 4)
    before = known_fingerprint(model)
    with torch.inference_mode():
        model.weight[0, 0] += 1.0
    assert known_fingerprint(model) == fingerprint(model) != before
    assert len(computed) == 2


def test_a_copy_is_a_model_of_its_own(model, computed):
    before = known_fingerprint(model)
    copied = copy.deepcopy(model)
    assert known_fingerprint(copied) == before
    copied.large.data.zero_()
    assert known_fingerprint(copied) != before == known_fingerprint(model)


def test_no_model_is_kept_alive():
    model = Weights()
    known_fingerprint(model)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_a_large_model_is_known_faster_than_hashed():
    model = nn.ModuleList(nn.Linear(2048, 2048) for _ in range(8))
    known_fingerprint(model)

    def seconds(function) -> float:
        taken = []
        for _ in range(5):
            begun = time.process_time()
            function(model)
            taken.append(time.process_time() - begun)
        return min(taken)

    assert seconds(known_fingerprint) < seconds(fingerprint) / 2
