"""Kinds of results: how they come to be known by their name, what is read of another version's, and how they look."""

import dataclasses
import json
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tlesion import load_result
from tlesion.keep import results
from tlesion.keep.hashing import hash_of
from tlesion.keep.outline import MOST_COLUMNS, MOST_LINES
from tlesion.keep.results import RESULT_FILE, TENSOR_FILE, Provenance, Result, kinds

PROVENANCE = Provenance(
    model={"name": "a model"}, versions={}, settings={"alpha": 0.1}, stimuli=("0123",), stimuli_hash="4567"
)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Tiny(Result):
    """A tensor and a plain field."""

    first: torch.Tensor
    label: str


@pytest.fixture
def tiny() -> Tiny:
    return Tiny(first=torch.arange(3.0), label="ä", provenance=PROVENANCE)


def rewrite(folder, **fields):
    record = json.loads((folder / RESULT_FILE).read_text())
    (folder / RESULT_FILE).write_text(
        json.dumps({name: value for name, value in {**record, **fields}.items() if value})
    )


def assert_short(said: str) -> None:
    lines = said.splitlines()
    assert len(lines) <= MOST_LINES == 15
    assert max(map(len, lines)) <= MOST_COLUMNS == 120


def test_a_kind_of_result_that_is_not_known_is_named(tiny, tmp_path, monkeypatch):
    folder = tiny.save(tmp_path / "out")
    monkeypatch.delitem(results._KINDS, "Tiny")
    with pytest.raises(
        ValueError,
        match=r"holds a 'Tiny', which '.*test_kinds' defines and is not known here; import or run what defines it "
        r"first\. Known are ActivationHistogram, ",
    ):
        load_result(folder)
    rewrite(folder, defined_in=None)  # as older versions wrote it
    with pytest.raises(ValueError, match=r"holds a 'Tiny', which is not known here"):
        load_result(folder)


def test_no_module_that_a_file_names_is_imported(tiny, tmp_path, monkeypatch):
    folder = tiny.save(tmp_path / "out")
    (tmp_path / "trap_of_a_file.py").write_text("raise AssertionError('a file had this imported')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(results._KINDS, "Tiny")
    rewrite(folder, defined_in="trap_of_a_file")
    with pytest.raises(ValueError, match="'trap_of_a_file' defines"):
        load_result(folder)


def test_a_field_that_nothing_fills_up_is_named(tiny, tmp_path):
    """A result of another version, whole in itself, whose kind has a field more by now."""
    folder = tiny.save(tmp_path / "out")
    record = json.loads((folder / RESULT_FILE).read_text())
    del record["fields"]["label"]
    content = hash_of("Tiny", load_file(folder / TENSOR_FILE), record["fields"])
    rewrite(folder, fields=record["fields"], content_hash=content)
    with pytest.raises(
        ValueError,
        match=r"another version of tlesion: Tiny needs the field 'label', which is not there; make it again",
    ):
        load_result(folder)


def test_a_kind_of_ones_own_is_read_back_and_may_be_defined_anew(tmp_path):
    """What a notebook does: a class in a cell, saved and read; then the cell is run again with another field."""

    def cell() -> Any:
        @dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
        class Lengths(Result):
            length: torch.Tensor

        return Lengths

    def cell_again() -> Any:
        @dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
        class Lengths(Result):
            length: torch.Tensor
            unit: str = "token"

        Lengths.__qualname__ = first.__qualname__
        return Lengths

    first = cell()
    folder = first(length=torch.arange(3), provenance=PROVENANCE).save(tmp_path / "lengths")
    assert type(load_result(folder)) is first
    second = cell()
    assert type(load_result(folder)) is second
    first(length=torch.arange(3), provenance=PROVENANCE).save(tmp_path / "by the first class")
    with pytest.raises(TypeError, match=r"cell_again.*Lengths' has the name of .*cell\.<locals>\.Lengths'.*rename"):
        cell_again()
    assert kinds()["Lengths"] is second, "a refused kind takes no name"


def test_a_field_with_a_default_needs_no_hook(tiny, tmp_path):
    folder = tiny.save(tmp_path / "out")

    @dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
    class Growing(Tiny):
        unit: str = "token"

    record = json.loads((folder / RESULT_FILE).read_text())
    content = hash_of("Growing", load_file(folder / TENSOR_FILE), record["fields"])
    rewrite(folder, kind="Growing", content_hash=content)
    assert load_result(folder).unit == "token"


def test_a_name_of_tlesions_own_that_a_user_took_stops_no_import(tmp_path, monkeypatch):
    """The user's kind came first; tlesion's takes the name when it is imported, and the user is told when he saves."""
    name = "CrossFit"
    ours = kinds()[name]
    monkeypatch.delitem(results._KINDS, name)
    mine = dataclasses.make_dataclass(
        name, [("length", torch.Tensor)], bases=(Result,), frozen=True, eq=False, kw_only=True
    )
    taken = mine(length=torch.arange(3), provenance=PROVENANCE)
    taken.save(tmp_path / "before")
    results._register(ours)
    assert kinds()[name] is ours
    with pytest.raises(
        ValueError, match=r"'.*CrossFit' has the name of 'tlesion\.studies\.cross_fit.*rename the class"
    ):
        taken.save(tmp_path / "after")
    assert not (tmp_path / "after").exists()


def test_the_repr_of_real_results_says_what_they_are(by_hand):
    assert repr(by_hand.profile()).splitlines() == [
        "LaminarProfile of hand-made, float32",
        "  settings: ablation='zero', hook_point='mlp.hook_post', position='readout', n_units=8, seed=0",
        "  masks=('him', 'her'), layers=(0, 1, 2), prompts=<5 items>, targets=<5 items>, correct=<5 items>",
        "  groups=<5 items>, plan='by hand'",
        "  logit_drop: float64 [mask 2, layer 3, prompt 5, target 2]",
        "  global_change, kl: float64 [mask 2, layer 3, prompt 5]",
        "  clean_logits: float64 [prompt 5, target 2]",
        "  n_lesioned: int64 [mask 2, layer 3]",
        "  reference_logit_drop: float64 [reference 2, layer 3, prompt 5, target 2]",
        "  reference_global_change, reference_kl: float64 [reference 2, layer 3, prompt 5]",
        "  control_logit_drop: float64 [mask 2, control 0, layer 3, prompt 5, target 2]",
        "  and 2 more arrays",
    ]
    for result in (by_hand.selection(), by_hand.histogram(), by_hand.effects(*[by_hand.SILENT] * 40)):
        assert_short(repr(result))


def test_a_repr_stays_short_whatever_a_result_holds():
    fields: list[tuple[str, type]] = [(f"a_name_of_some_length_{index}", torch.Tensor) for index in range(60)]
    fields += [(f"text_{index}", str) for index in range(60)]
    kind = dataclasses.make_dataclass("Wide" * 40, fields, bases=(Result,), frozen=True, eq=False, kw_only=True)
    tensors = [name for name, hint in fields if hint is torch.Tensor]
    values: dict[str, Any] = {name: torch.zeros(1 + index % 20, 2) for index, name in enumerate(tensors)}
    values |= {name: "two\nlines " * 99 for name, hint in fields if hint is str}
    settings = {f"setting_{index}": list(range(99)) for index in range(99)}
    large = dataclasses.replace(PROVENANCE, settings=settings, model={"name": "long " * 99})
    wide = kind(**values, provenance=large)
    assert_short(repr(wide))
    assert "and 39 more arrays" in repr(wide)
    half_made: Any = object.__new__(kind)
    assert_short(repr(half_made))
